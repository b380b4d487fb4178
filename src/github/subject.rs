//! Whom a run concerns: the pull request and the commit that its report belongs to.

use super::api::{Api, Problem};
use super::event::{About, Event, PullRequest};
use super::names;

/// The pull request and the commit of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The pull requests; of a push, there may be several.
    pub pull_requests: Vec<PullRequest>,
    /// The commit that checks belong to.
    pub commit: Option<String>,
}

impl Subject {
    /// Asks GitHub for what the event does not say. `named` is a pull request that the workflow
    /// names, for events that are of none, and `checked_out` the commit in the workspace.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn find(
        api: &Api,
        event: &Event,
        named: Option<u64>,
        checked_out: Option<&str>,
    ) -> Result<Self, Problem> {
        let mut pull_requests = match (named, event.about()) {
            (Some(number), About::PullRequest(one)) if one.number == number => vec![one],
            (Some(number), _) => vec![api.pull_request(number).await?],
            (None, About::PullRequest(one)) => vec![one],
            (None, About::Number(number)) => vec![api.pull_request(number).await?],
            (None, About::Numbers(numbers)) => {
                let mut all = Vec::new();
                for number in numbers {
                    all.push(api.pull_request(number).await?);
                }
                all
            }
            (None, About::Commit(sha)) => api.pull_requests_of_commit(&sha).await?,
            (
                None,
                About::Branch {
                    owner,
                    branch,
                    head_sha,
                },
            ) => {
                api.pull_requests_of_branch(&owner, &branch, &head_sha)
                    .await?
            }
            (None, About::Nobody) => Vec::new(),
        };
        let is_of_run = event.name == "workflow_run";
        if is_of_run {
            // A name may be out of the other run's files, which are anybody's.
            let head = event.report_sha();
            pull_requests.retain(|one| head.as_ref() == Some(&one.head_sha));
        }
        let is_named = named.is_some() && !is_of_run;
        let commit = match &pull_requests[..] {
            // The event is of the default branch: what runs is what was checked out.
            [one] if is_named || event.name == "issue_comment" => checked_out
                .filter(|sha| **sha == one.head_sha)
                .map(str::to_owned),
            // A check on a commit says that this commit was trained.
            _ if event.is_without_changes(checked_out) => None,
            _ => event.report_sha(),
        };
        Ok(Self {
            pull_requests,
            commit,
        })
    }

    /// Of a job that was launched from a pull request, or not.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn of_job(
        api: &Api,
        number: Option<&str>,
        commit: Option<&str>,
    ) -> Result<Self, Problem> {
        let pull_requests = match number.and_then(|number| number.parse().ok()) {
            Some(number) => vec![api.pull_request(number).await?],
            None => Vec::new(),
        };
        Ok(Self {
            pull_requests,
            commit: commit.and_then(names::sha),
        })
    }

    /// What the event says by itself.
    #[must_use]
    pub fn of_event(event: &Event) -> Self {
        let pull_requests = match event.about() {
            About::PullRequest(one) => vec![one],
            _ => Vec::new(),
        };
        Self {
            pull_requests,
            commit: event.report_sha(),
        }
    }

    /// The pull request that the run is of, when it is of one.
    #[must_use]
    pub fn pull_request(&self) -> Option<&PullRequest> {
        match &self.pull_requests[..] {
            [one] => Some(one),
            _ => None,
        }
    }
}
