//! Jobs whose results nobody waits for any more: those of a pull request that is closed, and those
//! of an older commit of one that goes on.

use std::cmp::Ordering;
use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;

use super::ListedJob;

/// Why nobody waits for a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reason {
    /// Its pull request is closed.
    Closed {
        /// The pull request's number.
        pull_request: String,
    },
    /// A newer commit of its pull request has a job.
    Superseded {
        /// The newer commit.
        by: String,
    },
}

impl Reason {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Closed { pull_request } => format!("pull request #{pull_request} is closed"),
            Self::Superseded { by } => {
                let by: String = by.chars().take(7).collect();
                format!("superseded by commit {by}")
            }
        }
    }
}

/// When somebody asked for a job: workflow runs are numbered upwards, and one that is run again
/// keeps its number; without these, by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    run: Option<u64>,
    at: Timestamp,
}

impl Asked {
    /// Of the address of a workflow's run, and of a time.
    #[must_use]
    pub fn new(run_url: Option<&str>, at: Timestamp) -> Self {
        let number = |url: &str| {
            let (_, rest) = url.split_once("/actions/runs/")?;
            let digits = rest.split('/').next().unwrap_or_default();
            digits.parse().ok()
        };
        Self {
            run: run_url.and_then(number),
            at,
        }
    }

    fn of(job: &ListedJob) -> Self {
        Self::new(job.tag("run-url"), job.created_at.unwrap_or(Timestamp::MIN))
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.run, other.run) {
            (Some(this), Some(other)) => this.cmp(&other),
            _ => self.at.cmp(&other.at),
        }
    }
}

/// What a newer commit of a pull request asks for.
#[derive(Debug, Clone, Copy)]
pub struct Newer<'a> {
    /// The commit.
    pub commit: &'a str,
    /// The content hash of its run.
    pub content: &'a str,
    /// When it was asked for.
    pub asked: Asked,
}

impl Newer<'_> {
    /// Whether a job of the same pull request is of no use beside it. A job of the same content
    /// is: its result is taken for this commit, too.
    #[must_use]
    pub fn supersedes(&self, job: &ListedJob) -> bool {
        job.is_running()
            && job
                .tag("commit")
                .is_some_and(|commit| commit != self.commit)
            && job.tag("content") != Some(self.content)
            && Asked::of(job).compare(&self.asked) == Ordering::Less
    }
}

/// Of jobs that run, those that nobody waits for.
#[must_use]
pub fn orphans(running: &[ListedJob], closed: &HashSet<String>) -> Vec<(ListedJob, Reason)> {
    let request = |job: &ListedJob| {
        let (repository, number) = (job.tag("repository"), job.tag("pull-request")?);
        Some((repository.unwrap_or_default().to_owned(), number.to_owned()))
    };
    let mut found = Vec::new();
    for job in running {
        let Some((repository, number)) = request(job) else {
            continue;
        };
        if closed.contains(&number) {
            let pull_request = number;
            found.push((job.clone(), Reason::Closed { pull_request }));
            continue;
        }
        let place = Some((repository, number));
        let same = running.iter().filter(|other| request(other) == place);
        let newest = same.max_by(|a, b| Asked::of(a).compare(&Asked::of(b)));
        let Some(newest) = newest else { continue };
        let commit = newest.tag("commit").unwrap_or_default();
        let newer = Newer {
            commit,
            content: newest.tag("content").unwrap_or_default(),
            asked: Asked::of(newest),
        };
        if newer.supersedes(job) {
            let by = commit.to_owned();
            found.push((job.clone(), Reason::Superseded { by }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, tags: &[(&str, &str)], second: i64) -> ListedJob {
        let tags = tags.iter();
        ListedJob {
            name: name.to_owned(),
            arn: String::new(),
            status: "InProgress".to_owned(),
            phase: "Training".to_owned(),
            reason: None,
            created_at: Timestamp::from_second(second).ok(),
            training_since: None,
            ended_at: None,
            instances: Vec::new(),
            billed_seconds: None,
            cost: None,
            tags: tags
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn names(jobs: &[ListedJob], closed: &[&str]) -> Vec<String> {
        let closed = closed.iter().map(|&number| number.to_owned()).collect();
        let found = orphans(jobs, &closed);
        let words = found.iter();
        words
            .map(|(job, reason)| format!("{}: {}", job.name, reason.words()))
            .collect()
    }

    fn of(number: &'static str, commit: &'static str) -> Vec<(&'static str, &'static str)> {
        vec![
            ("pull-request", number),
            ("commit", commit),
            ("content", commit),
        ]
    }

    #[test]
    fn a_closed_pull_request_and_an_older_commit_leave_orphans() {
        let mut other = of("12", "cccccccc");
        other.push(("repository", "org/other"));
        let jobs = [
            job("old", &of("12", "aaaaaaaa"), 1),
            job("new", &of("12", "bbbbbbbb"), 2),
            job("other", &other, 3),
            job("closed", &of("13", "dddddddd"), 4),
            job("branch", &[("commit", "eeeeeeee")], 0),
        ];
        assert_eq!(
            names(&jobs, &["13"]),
            [
                "old: superseded by commit bbbbbbb",
                "closed: pull request #13 is closed"
            ]
        );
    }

    #[test]
    fn a_run_that_is_run_again_stays_old() {
        let run = |number, commit, run| {
            let mut tags = of(number, commit);
            tags.push(("run-url", run));
            tags
        };
        let jobs = [
            job(
                "again",
                &run("12", "aaaaaaaa", "https://h/o/r/actions/runs/70"),
                9,
            ),
            job(
                "new",
                &run("12", "bbbbbbbb", "https://h/o/r/actions/runs/71/job/1"),
                2,
            ),
        ];
        assert_eq!(names(&jobs, &[]), ["again: superseded by commit bbbbbbb"]);
    }

    #[test]
    fn a_job_whose_result_the_newer_commit_takes_is_kept() {
        let tags = |commit| {
            [
                ("commit", commit),
                ("content", "same"),
                ("pull-request", "1"),
            ]
        };
        let jobs = [job("a", &tags("aaaaaaa"), 1), job("b", &tags("bbbbbbb"), 2)];
        assert_eq!(names(&jobs, &[]), Vec::<String>::new());
    }
}
