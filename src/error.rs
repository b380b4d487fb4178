//! The one error type: what failed, why, what now, and the exit code that goes with it.

use std::fmt;
use std::path::PathBuf;

/// How the process ends. The table in `docs/exit-codes.md` is generated from this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything went well.
    Ok = 0,
    /// A fault of mlaction itself or of the machine (disk full, permission denied).
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// `mlaction.toml` or a file that it names is wrong.
    Config = 3,
    /// Credentials are missing, expired or lack a permission.
    Credentials = 4,
    /// The environment or the image could not be built.
    Build = 10,
    /// The image could not be published.
    Publish = 11,
    /// Data is missing, unreadable, or changed while it was used.
    Data = 12,
    /// The training or validation job failed.
    JobFailed = 20,
    /// The job was stopped by somebody else before its end.
    JobStopped = 21,
    /// The job ran longer than `max_runtime`.
    TimedOut = 22,
    /// No capacity, or a quota is exhausted.
    NoCapacity = 23,
    /// The model was trained and validated, and a gate did not pass.
    GateFailed = 30,
    /// The report could not be delivered.
    Report = 40,
    /// The deployment failed.
    Deploy = 50,
    /// Cancelled: Ctrl-C or SIGTERM.
    Cancelled = 130,
}

impl ExitCode {
    /// Every code with its meaning, in order.
    pub const TABLE: &[(Self, &str)] = &[
        (Self::Ok, "fine"),
        (
            Self::Internal,
            "our fault, or the machine's (disk full, permission denied)",
        ),
        (Self::Usage, "the command line is wrong"),
        (
            Self::Config,
            "`mlaction.toml` or a file that it names is wrong",
        ),
        (
            Self::Credentials,
            "credentials are missing, expired or lack a permission",
        ),
        (Self::Build, "the environment or image could not be built"),
        (Self::Publish, "the image could not be published"),
        (
            Self::Data,
            "data is missing, unreadable, or changed while it was used",
        ),
        (Self::JobFailed, "the training or validation job failed"),
        (Self::JobStopped, "the job was stopped by somebody else"),
        (Self::TimedOut, "the job ran longer than `max_runtime`"),
        (Self::NoCapacity, "no capacity, or a quota is exhausted"),
        (Self::GateFailed, "a gate did not pass"),
        (Self::Report, "the report could not be delivered"),
        (Self::Deploy, "the deployment failed"),
        (Self::Cancelled, "cancelled: Ctrl-C or SIGTERM"),
    ];

    /// The number that the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Shorthand used throughout the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed, why, and what to do now.
#[derive(Debug, Clone)]
pub struct Error {
    code: ExitCode,
    message: String,
    cause: Option<String>,
    hint: Option<String>,
    /// Text to print as it is, instead of the message: rendered source excerpts.
    rendered: Option<Box<str>>,
    /// The same may work the next time.
    is_passing: bool,
    /// Lines of files that it is about.
    notes: Box<[Note]>,
}

/// What is wrong with a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl Error {
    /// An error with a lowercase message that says what failed.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            cause: None,
            hint: None,
            rendered: None,
            is_passing: false,
            notes: Box::default(),
        }
    }

    /// Adds why it failed; an error is rendered with its whole chain of sources.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds what to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do besides what is advised already.
    #[must_use]
    pub fn also(mut self, hint: &str) -> Self {
        self.hint = Some(match self.hint {
            Some(known) => format!("{known}; {hint}"),
            None => hint.to_owned(),
        });
        self
    }

    /// Adds diagnostics that are printed as they are, before the summary line.
    #[must_use]
    pub fn rendered(mut self, text: String) -> Self {
        self.rendered = Some(text.into());
        self
    }

    /// Adds the lines of files that it is about, for those who show files.
    #[must_use]
    pub fn noted(mut self, notes: Vec<Note>) -> Self {
        self.notes = notes.into();
        self
    }

    /// The lines of files that it is about.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The same as the reason why something else cannot be done.
    #[must_use]
    pub(crate) fn prevents(mut self, what: &str) -> Self {
        self.message = format!("cannot {what}: {}", self.message);
        self
    }

    /// Says that it is nobody's fault who asked: the same may work the next time.
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.is_passing = true;
        self
    }

    /// Whether the same may work the next time.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.is_passing
    }

    /// The exit code of the process when this error ends it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        self.code
    }

    /// What to do now.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl Error {
    /// The whole error as a terminal shows it: diagnostics, message, cause, hint.
    #[must_use]
    pub fn render(&self) -> String {
        let Self {
            code: _,
            message,
            cause,
            hint,
            rendered,
            is_passing: _,
            notes: _,
        } = self;
        let mut text = String::new();
        if let Some(rendered) = rendered {
            text.push_str(rendered);
            text.push_str("\n\n");
        }
        // Names of files, metrics and the like may be anybody's.
        let plain = |text: &str| {
            let lines: Vec<String> = text.split('\n').map(crate::report::text::plain).collect();
            lines.join("\n")
        };
        text.push_str("error: ");
        text.push_str(&plain(message));
        for (name, part) in [("cause", cause), ("hint", hint)] {
            if let Some(part) = part {
                text.push_str(&format!("\n  {name}: {}", plain(part)));
            }
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// An error of a library with its sources, none said twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}

/// Adds "what failed" to an I/O result.
pub trait IoContext<T> {
    /// Turns an I/O error into one that names what was attempted, e.g. `cannot write x.json`.
    ///
    /// # Errors
    /// The error itself, as [`ExitCode::Internal`].
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> IoContext<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::new(ExitCode::Internal, what()).because(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_codes_is_complete_and_in_order() {
        let codes: Vec<u8> = ExitCode::TABLE
            .iter()
            .map(|(code, _)| code.code())
            .collect();
        assert_eq!(
            codes,
            [0, 1, 2, 3, 4, 10, 11, 12, 20, 21, 22, 23, 30, 40, 50, 130]
        );
    }
}
