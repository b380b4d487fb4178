//! The event that started the workflow, as facts. Its payload is untrusted: titles, branches and
//! comments are anybody's.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>

mod pull_request;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use serde_json::Value;

use super::{names, runner};
use crate::error::{Error, ExitCode, IoContext as _, Result};
pub use pull_request::PullRequest;

/// A longer payload is not GitHub's: it sends 25 MB at most, which the runner indents.
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap>
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Its runs get no secrets and a token that only reads, as those of forks.
const DEPENDABOT: &str = "dependabot[bot]";

/// Events whose runs get this repository's secrets and a token that writes, whoever caused them.
const PRIVILEGED: &[&str] = &["pull_request_target", "workflow_run", "issue_comment"];

/// Events whose runs get neither, when a fork or Dependabot caused them.
/// <https://docs.github.com/en/code-security/dependabot/troubleshooting-dependabot/troubleshooting-dependabot-on-github-actions>
const UNPRIVILEGED: &[&str] = &[
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
];
const UNPRIVILEGED_OF_DEPENDABOT: &[&str] = &["push", "create", "deployment", "deployment_status"];

/// What started the workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `push`, `pull_request`, …
    pub name: String,
    /// What GitHub says of it.
    payload: Value,
    /// The commit that the workflow runs on: of a pull request, the one that merges it.
    sha: Option<String>,
    /// Who started it.
    actor: Option<String>,
}

/// Whom a run's report concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A pull request.
    PullRequest(PullRequest),
    /// The pull request of this number.
    Number(u64),
    /// The pull requests of these numbers: a merge group's, or those of one branch.
    Numbers(Vec<u64>),
    /// The open pull requests whose last commit it is.
    Commit(String),
    /// The open pull request of a branch, perhaps in a fork, if this is still its last commit.
    Branch {
        /// The owner of the repository with the branch.
        owner: String,
        /// Its name.
        branch: String,
        /// The commit that the run was of.
        head_sha: String,
    },
    /// No pull request.
    Nobody,
}

/// A comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Its id.
    pub id: u64,
    /// Who wrote it.
    pub author: String,
    /// What wrote it: `User`, `Bot`, `Organization`.
    pub author_type: String,
    /// Markdown of anybody.
    pub body: String,
    /// The pull request's number.
    pub number: u64,
}

impl Event {
    /// The event that the environment speaks of; nothing off a runner.
    ///
    /// # Errors
    /// The payload cannot be read, is too large or is no JSON.
    pub fn read(env: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        let Some(name) = set("GITHUB_EVENT_NAME").filter(|_| runner::is_runner(env)) else {
            return Ok(None);
        };
        let payload = match set("GITHUB_EVENT_PATH") {
            Some(path) => read(path)?,
            None => Value::Null,
        };
        Ok(Some(Self {
            name: name.clone(),
            payload,
            sha: set("GITHUB_SHA").and_then(|sha| names::sha(sha)),
            actor: set("GITHUB_ACTOR").cloned(),
        }))
    }

    /// An event for tests of others.
    #[cfg(test)]
    pub(super) fn sample(name: &str, payload: Value) -> Self {
        Self {
            name: name.to_owned(),
            payload,
            sha: None,
            actor: None,
        }
    }

    /// Whom the run's report concerns.
    #[must_use]
    pub fn about(&self) -> About {
        let about = match self.name.as_str() {
            "pull_request_target" => self.pull_request(),
            name if UNPRIVILEGED.contains(&name) => self.pull_request(),
            "issue_comment" => self.issue().map(About::Number),
            "push" => self.report_sha().map(About::Commit),
            "merge_group" => self.queued().map(|number| About::Numbers(vec![number])),
            "workflow_run" => self.of_workflow_run(),
            _ => None,
        };
        about.unwrap_or(About::Nobody)
    }

    /// Whether it is an event of a pull request, known or not.
    #[must_use]
    pub fn is_of_pull_request(&self) -> bool {
        self.is_privileged()
            || UNPRIVILEGED.contains(&self.name.as_str())
            || self.name == "merge_group"
    }

    /// Whether the event itself says that it concerns the pull request of a number.
    #[must_use]
    pub fn is_about(&self, number: u64) -> bool {
        match self.about() {
            About::PullRequest(one) => one.number == number,
            About::Number(one) => one == number,
            About::Numbers(all) => all.contains(&number),
            About::Commit(_) | About::Branch { .. } | About::Nobody => false,
        }
    }

    /// Whether the run has this repository's rights, whoever caused it.
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        PRIVILEGED.contains(&self.name.as_str())
    }

    /// Whether GitHub gives a fork's run of this event neither secrets nor a token that writes.
    #[must_use]
    pub fn is_without_rights(&self) -> bool {
        UNPRIVILEGED.contains(&self.name.as_str())
    }

    /// Whether the run can neither write to GitHub nor reach a cloud: a fork or Dependabot
    /// caused it. A private repository may be set up to give forks more.
    #[must_use]
    pub fn is_unprivileged_fork(&self) -> bool {
        let is = |names: &[&str]| names.contains(&self.name.as_str());
        let is_fork = || match PullRequest::from_json(&self.payload["pull_request"]) {
            Some(pull_request) => pull_request.is_fork,
            None => false,
        };
        let is_dependabot = || {
            let sender = self.payload["sender"]["login"].as_str();
            [self.actor.as_deref(), sender].contains(&Some(DEPENDABOT))
        };
        is(UNPRIVILEGED) && (is_fork() || is_dependabot())
            || is(UNPRIVILEGED_OF_DEPENDABOT) && is_dependabot()
    }

    /// The commit that checks and statuses belong to.
    #[must_use]
    pub fn report_sha(&self) -> Option<String> {
        let at = |pointer: &str| names::sha(self.payload.pointer(pointer)?.as_str()?);
        let named = match self.name.as_str() {
            "pull_request_target" => at("/pull_request/head/sha"),
            name if UNPRIVILEGED.contains(&name) => at("/pull_request/head/sha"),
            // NOTE: of a tag, `after` may be the tag itself, which is no commit.
            "push" if self.is_of_branch() => at("/after"),
            "merge_group" => at("/merge_group/head_sha"),
            "workflow_run" => at("/workflow_run/head_sha"),
            _ => None,
        };
        named
            .or_else(|| self.sha.clone())
            // A branch that was deleted has a commit of zeros.
            .filter(|sha| sha.bytes().any(|byte| byte != b'0'))
    }

    /// Whether a commit is the base branch's own, in a run that concerns a pull request: what the
    /// pull request changes is not in it.
    #[must_use]
    pub(super) fn is_without_changes(&self, checked_out: Option<&str>) -> bool {
        let own = self.sha.as_deref();
        self.is_privileged() && own.zip(checked_out).is_some_and(|(own, sha)| own == sha)
    }

    /// The comment that started the workflow: a new one, on a pull request.
    #[must_use]
    pub fn comment(&self) -> Option<Comment> {
        let comment = &self.payload["comment"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let is_new = self.name == "issue_comment" && self.payload["action"] == "created";
        Some(Comment {
            number: self.issue().filter(|_| is_new)?,
            id: comment["id"].as_u64()?,
            author: names::login(comment["user"]["login"].as_str()?)?,
            author_type: text(&comment["user"]["type"])?,
            body: text(&comment["body"])?,
        })
    }

    /// The label that a pull request was just given.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        let is_of_pull_request =
            matches!(self.name.as_str(), "pull_request" | "pull_request_target");
        let is_labeled = is_of_pull_request && self.payload["action"] == "labeled";
        self.payload["label"]["name"]
            .as_str()
            .filter(|_| is_labeled)
    }

    /// The commit of another workflow's run, when it was of this repository's own code.
    #[must_use]
    pub(super) fn own_run(&self) -> Option<String> {
        let run = &self.payload["workflow_run"];
        let (own, head) = (&self.payload["repository"]["id"], &run["head_repository"]);
        let is_own = self.name == "workflow_run" && own.is_u64() && *own == head["id"];
        names::sha(run["head_sha"].as_str()?).filter(|_| is_own)
    }

    fn pull_request(&self) -> Option<About> {
        PullRequest::from_json(&self.payload["pull_request"]).map(About::PullRequest)
    }

    /// The issue's number, when it is a pull request.
    fn issue(&self) -> Option<u64> {
        let issue = &self.payload["issue"];
        let number = issue["number"].as_u64().filter(|number| *number > 0);
        number.filter(|_| issue["pull_request"].is_object())
    }

    fn is_of_branch(&self) -> bool {
        let reference = self.payload["ref"].as_str();
        reference.is_some_and(|name| name.starts_with("refs/heads/"))
    }

    /// The last pull request of a merge group, whose branch has its number. Those before it in
    /// the queue have groups of their own.
    fn queued(&self) -> Option<u64> {
        let reference = self.payload["merge_group"]["head_ref"].as_str()?;
        let queue = reference.strip_prefix("refs/heads/gh-readonly-queue/")?;
        let (number, sha) = queue
            .rsplit('/')
            .next()?
            .strip_prefix("pr-")?
            .split_once('-')?;
        let number = number.parse().ok().filter(|number| *number > 0);
        number.filter(|_| names::sha(sha).is_some())
    }

    /// Whom another workflow's run concerns: the pull requests that GitHub names, as far as they
    /// lead here and have not moved on. Of a fork's it names none, so that they are to be looked
    /// for by their branch.
    fn of_workflow_run(&self) -> Option<About> {
        let run = &self.payload["workflow_run"];
        let head_sha = names::sha(run["head_sha"].as_str()?)?;
        let named = run["pull_requests"].as_array().into_iter().flatten();
        let mut own: Vec<PullRequest> = named
            .filter(|value| PullRequest::is_into(value, &self.payload["repository"]["id"]))
            .filter_map(PullRequest::from_json)
            .filter(|one| one.head_sha == head_sha)
            .collect();
        match own.len() {
            0 => {}
            1 => return own.pop().map(About::PullRequest),
            _ => return Some(About::Numbers(own.iter().map(|one| one.number).collect())),
        }
        let repository = run["head_repository"]["full_name"].as_str();
        let repository = repository.and_then(names::repository);
        let branch = run["head_branch"].as_str().and_then(names::reference);
        Some(match (repository, branch) {
            (Some(repository), Some(branch)) => About::Branch {
                owner: repository.split('/').next()?.to_owned(),
                branch,
                head_sha,
            },
            _ => About::Commit(head_sha),
        })
    }
}

/// Reads a payload of bounded size.
fn read(path: &str) -> Result<Value> {
    let what = || format!("cannot read the workflow's event `{path}`");
    let file = File::open(path).doing(what)?;
    let mut text = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut text)
        .doing(what)?;
    if text.len() as u64 > MOST_BYTES {
        let cause = format!("it has more than {MOST_BYTES} bytes, which no event of GitHub has");
        return Err(Error::new(ExitCode::Internal, what()).because(cause));
    }
    serde_json::from_slice(&text).doing(what)
}
