//! What a Dockerfile says before anything is built: base images, arguments, copied files.
//!
//! No crate that is kept reads what `BuildKit` does (here-documents, `# escape=`, `${x:+y}`), so this
//! follows its parser: <https://github.com/moby/buildkit/tree/master/frontend/dockerfile>.

mod files;
mod given;
mod lines;
mod reads;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use crate::error::{Error, ExitCode};
use lines::Line;

pub use given::SecretUse;
pub use reads::{External, FileUse, Reads};

/// Something in a Dockerfile that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line of the Dockerfile, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Mistake {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// One error for all mistakes of a Dockerfile.
    #[must_use]
    pub fn error(dockerfile: &str, mistakes: &[Self]) -> Error {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let mut hints: Vec<&str> = mistakes.iter().filter_map(|m| m.hint.as_deref()).collect();
        hints.dedup();
        let error = Error::new(ExitCode::Config, format!("{dockerfile} cannot be built"))
            .because(lines.join("\n  "));
        match hints.is_empty() {
            true => error,
            false => error.hint(hints.join("\n  ")),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// A Dockerfile, read.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    syntax: Option<String>,
    escape: char,
    /// `ARG` before the first `FROM`.
    globals: Vec<Line>,
    /// At least one.
    stages: Vec<Stage>,
}

#[derive(Debug, Clone)]
struct Stage {
    line: usize,
    name: Option<String>,
    /// An image or stage, with variables.
    base: String,
    platform: Option<String>,
    lines: Vec<Line>,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    ///
    /// # Errors
    /// All mistakes of its form. What a frontend named by `# syntax=` adds to the language is a
    /// mistake here.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Mistake>> {
        let lines::Lines {
            lines,
            syntax,
            escape,
        } = lines::read(bytes)?;
        let mut dockerfile = Self {
            syntax,
            escape,
            globals: Vec::new(),
            stages: Vec::new(),
        };
        let mut mistakes = Vec::new();
        for line in lines {
            match (line.instruction.as_str(), dockerfile.stages.last_mut()) {
                ("FROM", _) => match stage(&line) {
                    Ok(stage) => dockerfile.stages.push(stage),
                    Err(mistake) => mistakes.push(mistake),
                },
                (_, Some(stage)) => stage.lines.push(line),
                ("ARG", None) => dockerfile.globals.push(line),
                (name, None) => {
                    let message = format!("{name} before the first FROM");
                    mistakes.push(Mistake::new(line.line, message));
                }
            }
        }
        if dockerfile.stages.is_empty() && mistakes.is_empty() {
            mistakes.push(Mistake::new(1, "there is no FROM"));
        }
        match mistakes.is_empty() {
            true => Ok(dockerfile),
            false => Err(mistakes),
        }
    }

    /// The frontend image that `# syntax=` names.
    #[must_use]
    pub fn syntax(&self) -> Option<&str> {
        self.syntax.as_deref()
    }
}

/// `FROM [--platform=…] image [AS name]`.
fn stage(line: &Line) -> Result<Stage, Mistake> {
    let words: Vec<&str> = line.arguments.split_whitespace().collect();
    let (base, name) = match words[..] {
        [base] => (base, None),
        [base, word, name] if word.eq_ignore_ascii_case("as") => (base, Some(name.to_owned())),
        _ => {
            let message = format!("`{}` is not `image` or `image AS name`", line.arguments);
            return Err(Mistake::new(line.line, message));
        }
    };
    let platform = line.flags.iter().find(|(name, _)| name == "platform");
    Ok(Stage {
        line: line.line,
        name,
        base: base.to_owned(),
        platform: platform.map(|(_, platform)| platform.clone()),
        lines: Vec::new(),
    })
}
