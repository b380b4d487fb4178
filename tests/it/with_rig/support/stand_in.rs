//! The stand-in for SageMaker's training jobs, with S3, logs and a registry (`tests/sagemaker`).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::http::send;
use super::tool;

/// The bucket that there is.
pub(crate) const BUCKET: &str = "lake";

/// A running stand-in. Everything of it ends when it is dropped.
pub(crate) struct StandIn {
    process: Child,
    ready: Value,
}

impl StandIn {
    /// Starts one whose jobs run in an engine, and waits until it answers.
    #[track_caller]
    pub(crate) fn start(engine: &str) -> Self {
        let mut process = Command::new(tool("sagemaker-stand-in"))
            .args(["--engine", engine])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        let stand_in = Self { process, ready };
        stand_in.ask("PUT", &format!("/{BUCKET}"), "");
        stand_in
    }

    /// What points the binary here.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let variables = self.ready["environment"].as_object().unwrap();
        let pairs = variables.iter();
        pairs
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect()
    }

    /// `HOST:PORT` of everything.
    pub(crate) fn host(&self) -> &str {
        let endpoint = self.ready["endpoint"].as_str().unwrap();
        endpoint.trim_start_matches("http://")
    }

    /// Sets something: `faults`, `scale`, `quota`.
    #[track_caller]
    pub(crate) fn set(&self, what: &str, content: &Value) {
        self.ask("POST", &format!("/_stand-in/{what}"), &content.to_string());
    }

    /// Takes back the faults that have not come up.
    pub(crate) fn forget_faults(&self) {
        self.ask("DELETE", "/_stand-in/faults", "");
    }

    /// Writes an object: `BUCKET/KEY`.
    #[track_caller]
    pub(crate) fn put(&self, place: &str, content: impl AsRef<[u8]>) {
        self.send("PUT", &format!("/{place}"), content.as_ref());
    }

    /// Faults that have not come up.
    pub(crate) fn faults(&self) -> Value {
        let answer = self.ask("GET", "/_stand-in/faults", "");
        serde_json::from_str::<Value>(&answer).unwrap()["faults"].take()
    }

    /// The jobs that there are, with their history.
    #[track_caller]
    pub(crate) fn jobs(&self) -> Vec<Value> {
        self.journal()["jobs"].as_array().unwrap().clone()
    }

    /// How often an operation was asked for.
    #[track_caller]
    pub(crate) fn asked(&self, operation: &str) -> usize {
        let requests = self.requests(0);
        let requests = requests.iter();
        requests
            .filter(|request| request["operation"] == operation)
            .count()
    }

    /// How often a request was refused with a code.
    #[track_caller]
    pub(crate) fn refused(&self, code: &str) -> usize {
        let journal = self.journal();
        let requests = journal["requests"].as_array().unwrap().iter();
        requests.filter(|request| request["code"] == code).count()
    }

    /// What was asked for, after so many requests.
    #[track_caller]
    pub(crate) fn requests(&self, after: usize) -> Vec<Value> {
        let answer = self.ask("GET", &format!("/_stand-in/journal?after={after}"), "");
        let mut journal: Value = serde_json::from_str(&answer).unwrap();
        match journal["requests"].take() {
            Value::Array(requests) => requests,
            other => panic!("no list of requests: {other}"),
        }
    }

    /// Waits until the jobs are as they should be.
    #[track_caller]
    pub(crate) fn until(&self, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let jobs = self.jobs();
            if is_so(&jobs) {
                return jobs;
            }
            assert!(Instant::now() < deadline, "{jobs:?}");
            // NOTE: the journal is the only sign.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a job's program runs.
    #[track_caller]
    pub(crate) fn until_training(&self) {
        self.until(|jobs| {
            jobs.iter().any(|job| {
                let steps = job["transitions"].as_array().unwrap().last();
                steps.is_some_and(|step| {
                    let message = step["StatusMessage"].as_str().unwrap_or_default();
                    message.contains("Training in progress")
                })
            })
        });
    }

    fn journal(&self) -> Value {
        serde_json::from_str(&self.ask("GET", "/_stand-in/journal", "")).unwrap()
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        self.send(method, path, body.as_bytes())
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &[u8]) -> String {
        send(self.host(), method, path, body)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let process = i32::try_from(self.process.id()).unwrap();
        let _ = kill_process(Pid::from_raw(process).unwrap(), Signal::TERM);
        let _ = self.process.wait();
    }
}

/// A fault that comes once.
pub(crate) fn once(fault: &str, operation: &str) -> Value {
    json!({"fault": fault, "operation": operation})
}
