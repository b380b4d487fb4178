//! One file per subcommand: wiring only.

mod action;
pub mod baseline;
mod chat;
pub mod check;
pub mod image;
pub mod init;
pub mod jobs;
mod log_screen;
pub mod metrics;
mod post;
mod post_action;
pub mod schema;
pub mod show;
pub mod train;

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::CommandFactory as _;

use crate::cli::{Cli, Command};
use crate::config;
use crate::destination::process::supervise::{become_command, supervise};
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::talk::{self, Talk};

/// Runs one command line.
///
/// # Errors
/// What failed, why, and what to do now.
pub fn run(cli: Cli) -> Result<u8> {
    let Cli {
        project,
        quiet,
        verbose,
        command,
    } = cli;
    let talk = Talk::new(quiet, verbose);
    let becomes_another = matches!(
        command,
        Command::Action
            | Command::PostAction(_)
            | Command::Become { .. }
            | Command::Supervise { .. }
    );
    if !becomes_another {
        talk::meet_runner();
    }
    let root = || match talk::reads_commands() {
        true => config::exact_root(&project),
        false => config::find_root(&project),
    };
    match command {
        Command::Init(arguments) => init::run(&project, arguments, &talk),
        Command::Train(arguments) => train::run(&root()?, arguments, &talk),
        Command::Plan(arguments) => train::run(
            &root()?,
            crate::cli::Train {
                dry_run: true,
                ..arguments
            },
            &talk,
        ),
        Command::Check => check::run(&root()?),
        Command::Schema { document } => print(&schema::json(document)),
        Command::Runs { json } => show::runs(&root()?, json),
        Command::Report { run, format } => show::report(&root()?, run, format),
        Command::Logs(arguments) => show::logs(&root()?, arguments, &talk),
        Command::Jobs(arguments) => jobs::list(&root()?, arguments),
        Command::Collect(arguments) => jobs::collect(&root()?, arguments, &talk),
        Command::Gc(arguments) => jobs::gc(&root()?, arguments, &talk),
        Command::Watch(arguments) => jobs::watch(&root()?, arguments, &talk),
        Command::Stop(arguments) => jobs::stop(&root()?, arguments, &talk),
        Command::Metrics(arguments) => metrics::run(&project, arguments, &talk),
        Command::Image { action } => image::run(&root()?, action, &talk),
        Command::Baseline(arguments) => baseline::run(&root()?, arguments, &talk),
        Command::Post(arguments) => post::run(arguments, &talk),
        Command::Chat => chat::run(&talk),
        Command::Action => action::run(),
        Command::PostAction(tell) => post_action::run(&tell, &talk),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "mlaction", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .doing(|| "cannot write the man page".to_owned())?;
            print(&String::from_utf8_lossy(&page))
        }
        Command::Become {
            supervisor,
            command,
        } => become_command(supervisor, &command),
        Command::Supervise {
            grace,
            record,
            command,
        } => runtime()?.block_on(supervise(
            &command,
            Duration::from_millis(grace),
            record.as_deref(),
        )),
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).doing(|| "cannot write JSON".to_owned())? + "\n")
}

/// Prints data to standard output; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<u8> {
    let text = match text.starts_with(['{', '[']) {
        true => talk::shown_json(text),
        false => talk::shown(text),
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).doing(|| "cannot write the output".to_owned())
        }
        _ => Ok(0),
    }
}

/// The report as standard output shows it: in colour and in the terminal's width, if it is one.
pub(crate) fn screen(report: &crate::report::Report) -> String {
    let out = std::io::stdout();
    let width = rustix::termios::tcgetwinsize(&out).map(|size| usize::from(size.ws_col));
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let width = width.ok().filter(|columns| *columns > 0);
    crate::report::terminal::render(report, out.is_terminal() && !no_color, width)
}

pub(crate) fn color() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ExitCode::Internal, "cannot start the runtime").because(error))
}
