//! `runs`, `report`, `logs`: what the record holds.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write};
use std::path::{Path, PathBuf};

use super::{print, screen};
use crate::cli::Format;
use crate::config::problem::did_you_mean;
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::metrics::pieces::{End, Piece, Splitter};
use crate::record::{self, Phase};
use crate::report::{Report, html, json, markdown};

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

/// A log for a terminal: lines without what a program could do to the terminal.
fn show_lines(log: &mut File, out: &mut impl Write) -> std::io::Result<()> {
    let mut splitter = Splitter::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut shown = Ok(());
    let mut show = |piece: Piece<'_>| {
        if piece.end == End::Line && shown.is_ok() {
            shown = writeln!(out, "{}", crate::report::text::plain(piece.text));
        }
    };
    loop {
        match log.read(&mut buffer)? {
            0 => break,
            read => splitter.push(&buffer[..read], &mut show),
        }
    }
    splitter.finish(&mut show);
    shown
}

/// Prints a run's log.
pub(super) fn logs(root: &Path, run: Option<String>) -> Result<u8> {
    let path = folder(root, run)?.join(record::LOG);
    let mut log = File::open(&path).doing(|| format!("cannot read `{}`", path.display()))?;
    let mut out = std::io::stdout().lock();
    let shown = match out.is_terminal() {
        true => show_lines(&mut log, &mut out),
        false => std::io::copy(&mut log, &mut out).map(drop),
    };
    match shown {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).doing(|| "cannot write the log".to_owned())
        }
        _ => Ok(0),
    }
}
