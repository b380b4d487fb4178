//! The stand-in for GitHub's REST API (`tests/github`).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::send;
use super::tool;

/// The repository that there is.
pub(crate) const REPOSITORY: &str = "octo-org/penguins";

/// Where a pull request from outside comes from.
pub(crate) const FORK: &str = "contributor/penguins";

/// A running stand-in. It ends when it is dropped.
pub(crate) struct GitHub {
    process: Child,
    /// The stand-in ends when this does, also with a test that is killed.
    _alive: ChildStdin,
    ready: Value,
    /// By which a job reaches it.
    site: String,
}

impl GitHub {
    /// Starts one for programs of this machine, and waits until it answers.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let mut github = Self::listen("127.0.0.1");
        github.site = github.ready["endpoint"].as_str().unwrap().to_owned();
        github
    }

    /// Starts one for containers of the engine of this machine.
    #[track_caller]
    pub(crate) fn start_for_containers() -> Self {
        let mut github = Self::listen("0.0.0.0");
        github.site = format!("http://{}:{}", gateway(), github.ready["port"]);
        github
    }

    #[track_caller]
    fn listen(host: &str) -> Self {
        let mut process = Command::new(tool("github-stand-in"))
            .args(["--until-eof", "--host", host, "--repository", REPOSITORY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        Self {
            _alive: process.stdin.take().unwrap(),
            process,
            ready: serde_json::from_str(&line).unwrap(),
            site: String::new(),
        }
    }

    /// `http://HOST:PORT`, as a job has it.
    pub(crate) fn site(&self) -> &str {
        &self.site
    }

    /// The token of the job: `github-actions[bot]`, which may write everything.
    pub(crate) fn token(&self) -> &str {
        self.ready["token"].as_str().unwrap()
    }

    /// What a job has in its environment, whatever it was that started it.
    #[track_caller]
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        variables(&self.get(&format!("environment?site={}", self.site)))
    }

    /// The payload of an event and what the environment has by it: `pull_request?number=1`.
    #[track_caller]
    pub(crate) fn event(&self, event: &str) -> (Value, Vec<(String, String)>) {
        let sign = if event.contains('?') { '&' } else { '?' };
        let mut found = self.get(&format!("event/{event}{sign}site={}", self.site));
        (found["payload"].take(), variables(&found["environment"]))
    }

    /// Makes a pull request, and gives its number: `{}` is one of the repository's own branches.
    #[track_caller]
    pub(crate) fn pull(&self, wanted: &Value) -> u64 {
        self.set("pulls", wanted)["number"].as_u64().unwrap()
    }

    /// Makes a pull request of a fork.
    #[track_caller]
    pub(crate) fn pull_of_fork(&self) -> u64 {
        self.pull(&json!({"head_repo": FORK}))
    }

    /// Somebody writes a comment; its number.
    #[track_caller]
    pub(crate) fn says(&self, login: &str, issue: u64, body: &str) -> u64 {
        let comment = json!({"issue": issue, "login": login, "body": body});
        self.set("comments", &comment)["id"].as_u64().unwrap()
    }

    /// Somebody deletes a comment.
    #[track_caller]
    pub(crate) fn delete_comment(&self, id: u64) {
        self.ask("DELETE", &format!("comments/{id}"), "");
    }

    /// Sets something: `pulls/1`, `tokens`, `files`, `collaborators`, `limits`.
    #[track_caller]
    pub(crate) fn set(&self, what: &str, content: &Value) -> Value {
        self.ask("POST", what, &content.to_string())
    }

    /// Takes rights from the job's token: `{"issues": "none"}`.
    #[track_caller]
    pub(crate) fn permissions(&self, permissions: &Value) {
        self.set("tokens", &json!({"permissions": permissions}));
    }

    /// Requests that are to go wrong: one, or a list.
    #[track_caller]
    pub(crate) fn faults(&self, faults: &Value) {
        self.set("faults", faults);
    }

    /// Faults that have not come up.
    #[track_caller]
    pub(crate) fn waiting_faults(&self) -> Vec<Value> {
        list(self.get("faults")["faults"].take())
    }

    /// The comments on an issue or a pull request, the oldest first.
    #[track_caller]
    pub(crate) fn comments(&self, issue: u64) -> Vec<Value> {
        let mut comments = self.all("comments");
        comments.retain(|comment| comment["issue"] == issue);
        comments
    }

    /// The check runs, the oldest first.
    #[track_caller]
    pub(crate) fn checks(&self) -> Vec<Value> {
        self.all("checks")
    }

    /// The statuses of commits, the oldest first.
    #[track_caller]
    pub(crate) fn statuses(&self) -> Vec<Value> {
        self.all("statuses")
    }

    /// All of a kind: `reactions`, `deployments`, `pulls`.
    #[track_caller]
    pub(crate) fn all(&self, kind: &str) -> Vec<Value> {
        list(self.get("state")[kind].take())
    }

    /// The requests in their order.
    #[track_caller]
    pub(crate) fn journal(&self) -> Vec<Value> {
        list(self.get("journal")["requests"].take())
    }

    /// The names of what was asked for: `issues/create-comment`.
    #[track_caller]
    pub(crate) fn asked(&self) -> Vec<String> {
        let journal = self.journal().into_iter();
        journal
            .map(|entry| entry["operation"].as_str().unwrap_or("?").to_owned())
            .collect()
    }

    /// Waits until something was asked for.
    #[track_caller]
    pub(crate) fn until_asked(&self, operation: &str) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while !self.asked().iter().any(|name| name == operation) {
            assert!(Instant::now() < deadline, "{operation} is not asked for");
            // NOTE: GitHub tells nobody; it can be asked only.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Holds the requests to GitHub's description of its API.
    #[track_caller]
    pub(crate) fn no_invalid_requests(&self) {
        let mut journal = self.journal();
        journal.retain(|entry| entry["invalid"] != json!([]));
        assert!(journal.is_empty(), "{journal:#?}");
    }

    #[track_caller]
    fn get(&self, what: &str) -> Value {
        self.ask("GET", what, "")
    }

    #[track_caller]
    fn ask(&self, method: &str, what: &str, body: &str) -> Value {
        let host = format!("127.0.0.1:{}", self.ready["port"]);
        let answer = send(
            &host,
            method,
            &format!("/_stand-in/{what}"),
            body.as_bytes(),
        );
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address of this machine in the engine's own network.
#[track_caller]
fn gateway() -> String {
    let format = "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}";
    let mut docker = Command::new("docker");
    let output = docker.args(["network", "inspect", "bridge", "--format", format]);
    let said = String::from_utf8(output.output().unwrap().stdout).unwrap();
    let (gateway, subnet) = said.trim_end().split_once(' ').unwrap();
    if !gateway.is_empty() {
        return gateway.to_owned();
    }
    // Older engines do not say it: it is the first of the subnet.
    let address = subnet.split('/').next().unwrap();
    let mut address: std::net::Ipv4Addr = address.parse().unwrap();
    address = u32::from(address).wrapping_add(1).into();
    address.to_string()
}

fn variables(object: &Value) -> Vec<(String, String)> {
    let pairs = object.as_object().unwrap().iter();
    pairs
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => panic!("no list: {other}"),
    }
}
