//! A newer commit of a pull request stops the jobs of its older ones, where the config says so.

use jiff::Timestamp;
use serde_json::Value;

use super::job::SagemakerDestination;
use super::jobs::orphans::{Asked, Newer};
use super::jobs::{Jobs, Wanted};
use super::names::TAG_PREFIX;
use super::request;
use crate::talk::always;

/// Among so many running jobs of a pull request.
const MOST: usize = 200;

impl SagemakerDestination {
    /// Stops what the job of a request makes useless. Whoever may not look for it launches all
    /// the same.
    pub(super) async fn supersede(&self, body: &Value) {
        if !self.plan.settings.supersede {
            return;
        }
        let tag = |key: &str| {
            let value = request::tag_of(body, &format!("{TAG_PREFIX}{key}"));
            Some(value).filter(|value| !value.is_empty())
        };
        let (Some(project), Some(content)) = (tag("project"), tag("content")) else {
            return;
        };
        let (Some(number), Some(commit)) = (tag("pull-request"), tag("commit")) else {
            return;
        };
        let jobs = Jobs::new(&self.config, &self.plan, project);
        let wanted = Wanted {
            running: true,
            pull_request: Some(number.to_owned()),
            repository: tag("repository").map(str::to_owned),
            ..Wanted::default()
        };
        let running = match jobs.list(&wanted, MOST).await {
            Ok(running) => running,
            Err(error) => return always(&format!("warning: {}", error.render())),
        };
        let newer = Newer {
            commit,
            content,
            asked: Asked::new(tag("run-url"), Timestamp::now()),
        };
        for job in running.iter().filter(|job| newer.supersedes(job)) {
            let of = job.tag("commit").unwrap_or_default();
            match jobs.stop(&job.name).await {
                Ok(()) => self.talk.say(&format!(
                    "{} of commit {of} is stopped: this commit supersedes it",
                    job.name
                )),
                Err(error) => always(&format!("warning: {}", error.render())),
            }
        }
    }
}
