//! `post`: the report of another workflow's run, which had no right to write it itself. The
//! report is data of anybody: it is read, held against its schema and shown as text; where it is
//! shown is decided by the event alone.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::runtime;
use crate::cli;
use crate::context::environment;
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::github::entry::Entry;
use crate::github::event::PullRequest;
use crate::github::log::Level;
use crate::github::runner::Runner;
use crate::github::tell::{self, Desk};
use crate::report::{Report, SCHEMA_VERSION};
use crate::run::{self, unless_interrupted};
use crate::talk::{self, Talk};

/// A longer report is no report.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Writes the report on the pull request of the other run.
pub(super) fn run(arguments: cli::Post, talk: &Talk) -> Result<u8> {
    let cli::Post { report, tell } = arguments;
    let env = environment();
    let runtime = runtime()?;
    let mut interrupts = runtime.block_on(async { run::interrupts(run::STOPPING) })?;
    let looking = Entry::look(&env, None, &tell);
    let entry = runtime.block_on(unless_interrupted(looking, &mut interrupts))?;
    let (Some(runner), Some(mut entry)) = (Runner::of(&env), entry) else {
        return Err(Error::new(
            ExitCode::Usage,
            "`post` works in a job of GitHub Actions only",
        )
        .hint("workflows-examples/fork-safe-report.yml shows how"));
    };
    if entry.event.name != "workflow_run" {
        let message = format!(
            "`post` is for `workflow_run`, not for `{}`",
            entry.event.name
        );
        return Err(Error::new(ExitCode::Usage, message)
            .hint("`train` and `collect` write their reports themselves"));
    }
    let report = read(&report)?;
    // Whoever names a pull request may have it from the other run: it must be of its commit.
    entry.subject.commit = entry.event.report_sha();
    let commit = entry.subject.commit.as_deref();
    let is_of_run = |one: &PullRequest| commit == Some(one.head_sha.as_str());
    entry.subject.pull_requests.retain(is_of_run);
    runner.report_of_another(&report)?;
    if entry.subject.pull_requests.is_empty() {
        let words = "the pull request has moved on, or is closed: nobody is told";
        if tell.require_report {
            return Err(Error::new(ExitCode::Report, words));
        }
        talk.say(words);
        talk::annotate(Level::Warning, "mlaction", words);
    }
    let Some(desk) = Desk::open(&env, entry, &tell, &report.project, &report.destination) else {
        return Err(Error::new(ExitCode::Config, "there is no token for GitHub")
            .hint("the input `github_token`, or the variable `GITHUB_TOKEN`"));
    };
    let telling = desk.report_of_stranger(&report);
    let told = runtime.block_on(tell::in_time(telling, &mut interrupts));
    tell::conclude(&told, &tell, Some(&runner), talk)?;
    Ok(0)
}

/// Whether a text has the form of a run's id: others use it as an output.
fn is_run(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=200).contains(&text.len()) && text.bytes().all(fits)
}

fn read(path: &Path) -> Result<Report> {
    let what = || format!("cannot read the report `{}`", path.display());
    let mut text = Vec::new();
    let file = File::open(path).doing(what)?;
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut text)
        .doing(what)?;
    let refused = |cause: String| Error::new(ExitCode::Report, what()).because(cause);
    if text.len() as u64 > MOST_BYTES {
        return Err(refused(format!("it has more than {MOST_BYTES} bytes")));
    }
    let report: Report =
        serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
    match report.schema_version {
        SCHEMA_VERSION if !is_run(&report.run) => {
            Err(refused("its run has no name of one".to_owned()))
        }
        SCHEMA_VERSION => Ok(report),
        other => Err(refused(format!(
            "its version is {other}, not {SCHEMA_VERSION}"
        ))),
    }
}
