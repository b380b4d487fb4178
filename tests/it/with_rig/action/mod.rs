//! What a run tells GitHub: the real binary as a step of a job, and a stand-in for GitHub.

mod cancelled;
mod chat;
mod comments;
mod detached;
mod events;
mod forks;
mod guarded;
mod inputs;
mod left;
mod post;
mod told;
mod troubles;

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::support::github::GitHub;
use super::support::runner::Runner;
use crate::project::{Project, stderr, stdout};
use crate::runner::commands;

/// A project that is checked out for a job, and the GitHub that started the job.
struct Site {
    github: GitHub,
    project: Project,
}

impl Drop for Site {
    /// Whatever a test looked at, no request was one that GitHub does not know.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.github.no_invalid_requests();
        }
    }
}

/// A step that has ended.
struct Step {
    out: String,
    err: String,
    outputs: BTreeMap<String, String>,
    summary: String,
}

impl Site {
    /// With nothing on GitHub.
    #[track_caller]
    fn new() -> Self {
        Self {
            github: GitHub::start(),
            project: Project::new(),
        }
    }

    /// With a pull request of one of the repository's own branches: number 1.
    #[track_caller]
    fn with_pull() -> Self {
        let site = Self::new();
        site.github.pull(&json!({}));
        site
    }

    /// A job with the token that GitHub gives it.
    #[track_caller]
    fn job(&self, event: &str) -> Runner {
        let mut job = Runner::new(&self.github, event, self.project.path());
        job.set("GITHUB_TOKEN", self.github.token());
        job
    }

    /// Runs the binary as the only step of a job that an event starts.
    #[track_caller]
    fn run(&self, event: &str, arguments: &[&str], code: i32) -> Step {
        self.step(&self.job(event), arguments, code)
    }

    /// Runs the binary as a step of a job.
    #[track_caller]
    fn step(&self, job: &Runner, arguments: &[&str], code: i32) -> Step {
        self.step_of(job, self.project.command(arguments), code)
    }

    /// The same of any command.
    #[track_caller]
    fn step_of(&self, job: &Runner, mut command: Command, code: i32) -> Step {
        let step = job.step();
        let output = command.envs(step.environment()).output().unwrap();
        held(&output, code);
        Step {
            out: stdout(&output),
            err: stderr(&output),
            outputs: step.outputs(),
            summary: step.summary(),
        }
    }

    /// What the comment of this pull request says; there is one of ours and no other.
    #[track_caller]
    fn comment(&self, number: u64) -> (u64, String) {
        let mut comments = self.github.comments(number);
        comments.retain(|comment| comment["login"] == "github-actions[bot]");
        let [comment] = &comments[..] else {
            panic!("one comment is wanted: {comments:#?}");
        };
        let body = comment["body"].as_str().unwrap().to_owned();
        (comment["id"].as_u64().unwrap(), body)
    }

    /// The only check.
    #[track_caller]
    fn check(&self) -> Value {
        let mut checks = self.github.checks();
        assert_eq!(checks.len(), 1, "{checks:#?}");
        checks.remove(0)
    }

    /// The requests that change something, by their names.
    fn writes(&self) -> Vec<String> {
        let journal = self.github.journal().into_iter();
        journal
            .filter(|entry| entry["method"] != "GET")
            .map(|entry| entry["operation"].as_str().unwrap_or("?").to_owned())
            .collect()
    }

    /// What comments were sent, in their order.
    fn bodies(&self) -> Vec<String> {
        let journal = self.github.journal().into_iter();
        journal
            .filter_map(|entry| entry["body"]["body"].as_str().map(str::to_owned))
            .collect()
    }

    /// The line of mlaction.toml with some words, from 1.
    #[track_caller]
    fn line_of(&self, words: &str) -> usize {
        let config = self.project.read("mlaction.toml");
        let found = config.lines().position(|line| line.contains(words));
        found.unwrap() + 1
    }

    /// Takes the gate's comparison away, so that the first run passes.
    fn without_regression(self) -> Self {
        let regression = "regression = { absolute = 0.02 }";
        self.project.replace("mlaction.toml", regression, "");
        self
    }
}

#[track_caller]
fn held(output: &Output, code: i32) {
    let (out, err) = (stdout(output), stderr(output));
    let found = output.status.code();
    assert_eq!(found, Some(code), "stdout:\n{out}\nstderr:\n{err}");
}
