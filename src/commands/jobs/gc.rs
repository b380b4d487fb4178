//! `gc`: stops the jobs that nobody waits for any more, and says what they cost.

use std::collections::HashSet;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::super::{print, runtime, to_json};
use super::list::{money, table};
use super::{MOST, Site};
use crate::cli;
use crate::context::Context;
use crate::destination::sagemaker::jobs::orphans::{Reason, orphans};
use crate::destination::sagemaker::jobs::{ListedJob, Wanted};
use crate::destination::sagemaker::names::Origin;
use crate::error::Result;
use crate::talk::{Talk, always};

/// A job that nobody waits for.
#[derive(Debug, Serialize)]
struct Orphan<'a> {
    #[serde(flatten)]
    job: &'a ListedJob,
    because: &'a Reason,
    /// What it cost until now at most.
    cost_so_far: Option<f64>,
    stopped: bool,
}

/// Finds orphans, and stops them.
pub(in crate::commands) fn gc(root: &Path, arguments: cli::Gc, talk: &Talk) -> Result<u8> {
    let cli::Gc {
        closed,
        dry_run,
        json,
        place,
    } = arguments;
    let site = Site::find(root, place.destination)?;
    let mut closed: HashSet<String> = closed.iter().map(u64::to_string).collect();
    closed.extend(closed_by_event(&site.context));
    let now = Timestamp::now();
    runtime()?.block_on(async {
        let aws = site.access().await;
        let jobs = site.jobs(&aws);
        let wanted = Wanted {
            running: true,
            repository: Origin::read(root, &site.context).repository,
            ..Wanted::default()
        };
        let mut running = jobs.list(&wanted, MOST).await?;
        if wanted.repository.is_none() {
            // Pull requests of other repositories have the same numbers.
            running.retain(|job| job.tag("repository").is_none());
        }
        let found = orphans(&running, &closed);
        let mut failed = None;
        let mut all = Vec::new();
        for (job, because) in &found {
            let mut stopped = false;
            if !dry_run {
                match jobs.stop(&job.name).await {
                    Ok(()) => stopped = true,
                    Err(error) => failed = Some(error),
                }
            }
            let seconds = job.trained_seconds(now).unwrap_or(0);
            all.push(Orphan {
                job,
                because,
                cost_so_far: job.costs(seconds),
                stopped,
            });
        }
        if json {
            let document =
                serde_json::json!({"schema_version": 1, "dry_run": dry_run, "orphans": all});
            print(&to_json(&document)?)?;
        } else if !found.is_empty() {
            let jobs: Vec<ListedJob> = found.iter().map(|(job, _)| job.clone()).collect();
            print(&format!("{}\n", table(&jobs, now)))?;
        }
        for orphan in &all {
            let done = match (orphan.stopped, dry_run) {
                (true, _) => "stopped",
                (false, true) => "would be stopped",
                (false, false) => "could not be stopped",
            };
            talk.say(&format!(
                "{} {done}: {}; cost: {}",
                orphan.job.name,
                orphan.because.words(),
                money(orphan.job, now)
            ));
        }
        if all.is_empty() {
            talk.say(&format!("nothing to stop; running: {}", running.len()));
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(0),
        }
    })
}

/// The pull request that a workflow was started by, if it was closed.
fn closed_by_event(context: &Context) -> Option<String> {
    let path = context.env.get("GITHUB_EVENT_PATH")?;
    let event = std::fs::read(path).map_err(|error| error.to_string());
    let event = event
        .and_then(|text| serde_json::from_slice::<Value>(&text).map_err(|error| error.to_string()));
    match event {
        Ok(event) if event["action"] == "closed" => {
            Some(event["pull_request"]["number"].as_u64()?.to_string())
        }
        Ok(_) => None,
        Err(error) => {
            always(&format!("warning: cannot read the event `{path}`: {error}"));
            None
        }
    }
}
