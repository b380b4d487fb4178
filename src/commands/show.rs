//! `runs`, `report`, `logs`: what the record holds.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::log_screen::LogScreen;
use super::{jobs, print, screen};
use crate::cli::{Format, Logs};
use crate::config::problem::did_you_mean;
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::record::{self, Phase};
use crate::report::{Report, html, json, markdown};
use crate::talk::Talk;

/// How often a log that grows is looked at.
const LOOKING: Duration = Duration::from_millis(250);

/// Lists the runs, oldest first.
pub(super) fn runs(root: &Path, json: bool) -> Result<u8> {
    let states = record::states(root);
    if json {
        let list = serde_json::json!({"schema_version": 1, "runs": states});
        let text =
            serde_json::to_string_pretty(&list).doing(|| "cannot write the list".to_owned())?;
        return print(&format!("{text}\n"));
    }
    let lines: String = states
        .iter()
        .map(|state| {
            let phase = match &state.phase {
                Phase::Running if record::is_alive(root, state) => "running".to_owned(),
                Phase::Running => "interrupted: mlaction ended before the run did".to_owned(),
                Phase::Complete { .. } => "complete".to_owned(),
                Phase::Detached { job } => {
                    let job = crate::report::text::plain(job);
                    format!("detached: `mlaction collect` reports {job} when it has ended")
                }
                Phase::Ended { reason } => format!("ended: {}", crate::report::text::plain(reason)),
            };
            format!("{}  {:.0}  {phase}\n", state.run, state.started_at)
        })
        .collect();
    print(if lines.is_empty() {
        "no runs yet; `mlaction train` makes one\n"
    } else {
        &lines
    })
}

/// The folder of a run, the last one by default.
pub(super) fn folder(root: &Path, run: Option<String>) -> Result<PathBuf> {
    let states = record::states(root);
    let names = || states.iter().map(|state| state.run.as_str());
    let Some(name) = run.or_else(|| record::last(&states).map(|state| state.run.clone())) else {
        return Err(
            Error::new(ExitCode::Usage, "there are no runs yet").hint("`mlaction train` makes one")
        );
    };
    if names().any(|known| known == name) {
        return Ok(record::runs_dir(root).join(name));
    }
    let error = Error::new(ExitCode::Usage, format!("there is no run `{name}`"));
    Err(match did_you_mean(&name, names()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`mlaction runs` lists them"),
    })
}

/// Reads the report of a run.
pub(super) fn load(folder: &Path) -> Result<Report> {
    let path = folder.join(record::REPORT);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| {
            Error::new(
                ExitCode::Report,
                format!("cannot read `{}`", path.display()),
            )
            .because(error)
        })
        .map_err(|error| {
            error.hint(
                "`mlaction runs` says how the run ended; `mlaction train` judges a complete one",
            )
        })?;
    serde_json::from_str(&text).map_err(|error| {
        Error::new(ExitCode::Report, format!("cannot use `{}`", path.display())).because(error)
    })
}

/// Shows a run's report.
pub(super) fn report(root: &Path, run: Option<String>, format: Format) -> Result<u8> {
    let report = load(&folder(root, run)?)?;
    print(&match format {
        Format::Terminal => screen(&report),
        Format::Markdown => markdown::render(&report),
        Format::Html => html::render(&report)?,
        Format::Json => json::render(&report)?,
    })
}

/// Prints the log of a run on this machine, or of a job elsewhere.
pub(super) fn logs(root: &Path, arguments: Logs, talk: &Talk) -> Result<u8> {
    let Logs {
        run,
        follow,
        tail,
        place,
    } = &arguments;
    let states = record::states(root);
    let is_here = |name: &String| states.iter().any(|state| state.run == *name);
    let is_job = run.as_ref().is_some_and(|name| !is_here(name));
    if place.destination.is_some() || is_job && jobs::Site::is_there(root)? {
        return jobs::logs(root, arguments, talk);
    }
    let folder = folder(root, run.clone())?;
    let path = folder.join(record::LOG);
    let shown = File::open(&path)
        .and_then(|log| show_log(log, *tail, || *follow && record::is_worked_on(&folder)));
    match shown {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).doing(|| format!("cannot read `{}`", path.display()))
        }
        _ => Ok(0),
    }
}

/// Shows a log, or its last lines, and what is added to it for as long as it grows.
fn show_log(mut log: File, tail: Option<usize>, grows: impl Fn() -> bool) -> std::io::Result<()> {
    if let Some(lines) = tail {
        to_last_lines(&mut log, lines)?;
    }
    let mut screen = LogScreen::new();
    loop {
        // What was written before this moment is read once more after it.
        let goes_on = grows();
        std::io::copy(&mut log, &mut screen)?;
        screen.flush()?;
        if !goes_on {
            screen.finish();
            return Ok(());
        }
        std::thread::sleep(LOOKING);
    }
}

/// Puts a file at the beginning of its last lines.
fn to_last_lines(log: &mut File, lines: usize) -> std::io::Result<()> {
    let mut at = log.seek(SeekFrom::End(0))?;
    let mut missing = lines;
    let mut buffer = vec![0; 64 * 1024];
    let end = at;
    while at > 0 {
        let size = at.min(buffer.len() as u64);
        at -= size;
        log.seek(SeekFrom::Start(at))?;
        let piece = &mut buffer[..usize::try_from(size).unwrap_or(0)];
        log.read_exact(piece)?;
        for (index, byte) in piece.iter().enumerate().rev() {
            let place = at + index as u64 + 1;
            if *byte != b'\n' || place == end && lines > 0 {
                continue;
            }
            missing = missing.saturating_sub(1);
            if missing == 0 {
                return log.seek(SeekFrom::Start(place)).map(drop);
            }
        }
    }
    log.seek(SeekFrom::Start(0)).map(drop)
}
