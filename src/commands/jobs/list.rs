//! `jobs`: a table, the newest job first.

use std::path::Path;

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets::UTF8_FULL_CONDENSED};
use jiff::Timestamp;
use serde::Serialize;

use super::super::{print, runtime, to_json};
use super::{Site, state};
use crate::cli;
use crate::config::duration;
use crate::destination::sagemaker::jobs::{ListedJob, Wanted};
use crate::error::Result;
use crate::report::text::plain;

/// The list for programs.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema_version: u32,
    destination: &'a str,
    jobs: &'a [ListedJob],
}

/// Lists the project's jobs.
pub(in crate::commands) fn list(root: &Path, arguments: cli::Jobs) -> Result<u8> {
    let cli::Jobs {
        running,
        pull_request,
        limit,
        json,
        place,
    } = arguments;
    let site = Site::find(root, place.destination)?;
    let jobs = runtime()?.block_on(async {
        let aws = site.access().await;
        let wanted = Wanted {
            running,
            pull_request: pull_request.map(|number| number.to_string()),
            ..Wanted::default()
        };
        site.jobs(&aws).list(&wanted, usize::from(limit)).await
    })?;
    if json {
        return print(&to_json(&Document {
            schema_version: 1,
            destination: &site.plan.name,
            jobs: &jobs,
        })?);
    }
    if jobs.is_empty() {
        return print(match running {
            true => "no job runs\n",
            false => "no jobs yet; `mlaction train` launches one\n",
        });
    }
    print(&format!("{}\n", table(&jobs, Timestamp::now())))
}

/// Jobs as a table. In a pipe it has neither colours nor a width.
pub(in crate::commands) fn table(jobs: &[ListedJob], now: Timestamp) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(["job", "state", "launched", "trained", "cost", "from"]);
    for job in jobs {
        let trained = job
            .trained_seconds(now)
            .map(|seconds| duration::display(std::time::Duration::from_secs(u64::from(seconds))));
        table.add_row([
            Cell::new(plain(&job.name)),
            painted(job),
            Cell::new(
                job.created_at
                    .map(|at| format!("{at:.0}"))
                    .unwrap_or_default(),
            ),
            Cell::new(trained.unwrap_or_default()).set_alignment(CellAlignment::Right),
            Cell::new(money(job, now)).set_alignment(CellAlignment::Right),
            Cell::new(from(job)),
        ]);
    }
    table
}

fn painted(job: &ListedJob) -> Cell {
    let cell = Cell::new(state(job));
    match job.status.as_str() {
        "Completed" => cell.fg(Color::Green),
        "Failed" => cell.fg(Color::Red),
        "Stopped" | "Stopping" => cell.fg(Color::Yellow),
        _ => cell.add_attribute(Attribute::Bold),
    }
}

/// What a job cost; of one that runs, what it cost until now at most.
pub(in crate::commands) fn money(job: &ListedJob, now: Timestamp) -> String {
    let so_far = || {
        let seconds = job.trained_seconds(now).filter(|_| job.is_running())?;
        Some(format!("{:.2} so far", job.costs(seconds)?))
    };
    match job.cost {
        Some(cost) => format!("{cost:.2}"),
        None => so_far().unwrap_or_else(|| "unknown".to_owned()),
    }
}

/// Where a job comes from.
fn from(job: &ListedJob) -> String {
    let commit = job.tag("commit").map(|commit| {
        let dirty = if commit.ends_with("-dirty") {
            "-dirty"
        } else {
            ""
        };
        let short: String = commit.chars().take(7).collect();
        format!("{short}{dirty}")
    });
    let request = job.tag("pull-request").map(|number| format!("#{number}"));
    let branch = job.tag("branch").map(str::to_owned);
    let parts: Vec<String> = commit.into_iter().chain(request.or(branch)).collect();
    plain(&parts.join(" "))
}
