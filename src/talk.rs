//! What mlaction says while it works, on standard error: bars on a terminal, plain lines in a
//! pipe, nothing when it is asked to be quiet.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc::UnboundedSender;

use crate::error::Error;
use crate::github::log::{self, Level};
use crate::github::runner::random;

/// What ends sooner needs no word about its progress.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often a changing line is drawn.
const REDRAW: Duration = Duration::from_millis(100);

static LISTENER: OnceLock<UnboundedSender<String>> = OnceLock::new();

/// The word that has the runner look for commands again.
static STOPPED: OnceLock<String> = OnceLock::new();

static ON_RUNNER: AtomicBool = AtomicBool::new(false);

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Volume {
    Quiet,
    Normal,
    Verbose,
}

/// The voice of one command.
#[derive(Debug, Clone, Copy)]
pub struct Talk {
    volume: Volume,
    /// Whether standard error is a terminal that can redraw a line.
    redraws: bool,
}

impl Talk {
    /// A voice for this process's standard error.
    #[must_use]
    pub fn new(quiet: bool, verbose: bool) -> Self {
        let volume = match (quiet, verbose) {
            (true, _) => Volume::Quiet,
            (false, true) => Volume::Verbose,
            (false, false) => Volume::Normal,
        };
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            volume,
            redraws: std::io::stderr().is_terminal() && !dumb,
        }
    }

    /// A voice for work that is not watched: it says something only to those who asked for more.
    #[must_use]
    pub fn aside(self) -> Self {
        let volume = match self.volume {
            Volume::Verbose => Volume::Verbose,
            Volume::Normal | Volume::Quiet => Volume::Quiet,
        };
        Self { volume, ..self }
    }

    /// Says something worth knowing.
    pub fn say(&self, text: &str) {
        if self.volume >= Volume::Normal {
            line(text);
        }
    }

    /// Says something for those who asked for more.
    pub fn detail(&self, text: &str) {
        if self.volume >= Volume::Verbose {
            line(text);
        }
    }

    /// Does something that may take a while, and says so when it does.
    pub fn watch<T>(
        &self,
        name: &str,
        now: impl Fn() -> String + Send,
        work: impl FnOnce() -> T,
    ) -> T {
        let (done, ended) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let ends_within = |time| ended.recv_timeout(time) != Err(RecvTimeoutError::Timeout);
                if ends_within(PATIENCE) {
                    return;
                }
                let step = self.step(name);
                while !ends_within(REDRAW) {
                    step.now(now());
                }
            });
            let result = work();
            drop(done);
            result
        })
    }

    /// Starts a step that takes a while.
    #[must_use]
    pub fn step(&self, name: &str) -> Step {
        if let Some(listener) = LISTENER.get() {
            // NOTE: who listened may have heard enough.
            let _ = listener.send(name.to_owned());
        }
        let bar = if self.redraws && self.volume >= Volume::Normal {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(style());
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(REDRAW);
            Some(bar)
        } else {
            self.say(&format!("{name} …"));
            None
        };
        Step {
            talk: *self,
            name: name.to_owned(),
            bar,
        }
    }
}

/// Says something whatever was asked for: somebody waits at the keyboard for it.
pub fn always(text: &str) {
    line(text);
}

/// Has GitHub show something beside the run, where its runner reads what is said.
pub fn annotate(level: Level, title: &str, text: &str) {
    command(&log::annotation(level, None, title, text));
}

/// Has GitHub show an error beside the run, and beside the lines of files that it is about.
pub fn annotate_error(error: &Error) {
    let notes = error.notes();
    if notes.is_empty() {
        return annotate(Level::Error, "mlaction", &error.to_string());
    }
    for note in notes.iter().take(log::MOST) {
        let path = note.path.canonicalize();
        let path = path.as_ref().unwrap_or(&note.path).to_string_lossy();
        let place = log::Place {
            path: &path,
            line: note.line,
        };
        command(&log::annotation(
            Level::Error,
            Some(place),
            "mlaction",
            &note.text,
        ));
    }
}

/// A line that a runner of GitHub Actions is to take for a command.
fn command(line: &str) {
    if reads_commands() {
        let mut lines = vec![line.to_owned()];
        if let Some(token) = STOPPED.get() {
            lines.insert(0, log::resume(token));
            lines.push(log::stop(token));
        }
        // NOTE: there is nowhere left to report that standard error is gone.
        let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
    }
}

/// Has somebody hear of each step that begins; the first one to ask.
pub fn listen(listener: UnboundedSender<String>) {
    // NOTE: a process does one thing that is listened to.
    let _ = LISTENER.set(listener);
}

/// Whether a runner of GitHub Actions reads what is said.
#[must_use]
pub fn reads_commands() -> bool {
    ON_RUNNER.load(Ordering::Relaxed)
}

/// A text as it can be shown: where a runner of GitHub Actions reads it, as nothing but text.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    match reads_commands() {
        true => log::harmless(text),
        false => Cow::Borrowed(text),
    }
}

/// The same for JSON, which means the same afterwards.
#[must_use]
pub fn shown_json(text: &str) -> Cow<'_, str> {
    match reads_commands() && text.contains("##[") {
        true => Cow::Owned(text.replace("##[", "##\\u005b")),
        false => Cow::Borrowed(text),
    }
}

fn line(text: &str) {
    let text = shown(text);
    // NOTE: there is nowhere left to report that standard error is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// If this is a step of GitHub Actions, its runner reads whatever is said from now on, and must not
/// take it for commands: lines are made harmless one by one, and it is told to look for none.
pub fn meet_runner() {
    if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
        return;
    }
    ON_RUNNER.store(true, Ordering::Relaxed);
    // NOTE: without a word that nobody can guess, the lines are harmless still.
    if let Ok(token) = random() {
        let token = STOPPED.get_or_init(|| token);
        let _ = writeln!(std::io::stderr(), "{}", log::stop(token));
    }
}

/// Has the runner look for commands again: the step may go on with other programs.
pub fn leave_runner() {
    if let Some(token) = STOPPED.get() {
        let _ = writeln!(std::io::stderr(), "{}", log::resume(token));
    }
}

fn style() -> ProgressStyle {
    let template = "{spinner:.cyan} {prefix:.bold} {elapsed} {wide_msg:.dim}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A step under way.
#[derive(Debug)]
pub struct Step {
    talk: Talk,
    name: String,
    bar: Option<ProgressBar>,
}

impl Step {
    /// A line of the job's own output.
    pub fn output(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("  {text}")),
            None => self.talk.say(&format!("  {text}")),
        }
    }

    /// What the step does just now; a terminal shows it, a pipe does not get it.
    pub fn now(&self, text: impl Into<Cow<'static, str>>) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
    }

    /// A line of an installer: shown in passing, or printed for those who asked for more.
    pub fn detail(&self, text: &str) {
        if self.talk.volume >= Volume::Verbose {
            self.output(text);
        } else {
            self.now(text.to_owned());
        }
    }

    /// The step has ended.
    pub fn end(self, how: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let how = crate::report::text::plain(how);
        self.talk.say(&format!("{}: {how}", self.name));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
