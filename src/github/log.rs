//! Lines of a step's log. The runner takes some of them as commands, wherever they come from: on
//! standard output and standard error alike, `::name …::` at a line's beginning behind white
//! space, and the older `##[name]` anywhere in a line.
//!
//! <https://github.com/actions/runner/blob/v2.336.0/src/Runner.Common/ActionCommand.cs>

use std::borrow::Cow;

/// Most characters of an annotation's message that the runner keeps.
/// <https://github.com/actions/runner/blob/v2.336.0/src/Runner.Worker/ExecutionContext.cs>
const MESSAGE: usize = 4096;

/// The same text as nothing but text. The runner ends lines at a carriage return, too.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    let is_command = |line: &str| line.trim_start().starts_with("::");
    let is_line = |char| matches!(char, '\n' | '\r');
    if !text.contains("##[") && !text.split(is_line).any(is_command) {
        return Cow::Borrowed(text);
    }
    let lines = text.split_inclusive(is_line).map(|line| {
        let line = line.replace("##[", "## [");
        match is_command(&line) {
            true => format!("| {line}"),
            false => line,
        }
    });
    Cow::Owned(lines.collect())
}

/// Has the runner take nothing for a command until [`resume`] with the same word.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#stopping-and-starting-workflow-commands>
#[must_use]
pub fn stop(token: &str) -> String {
    format!("::stop-commands::{token}")
}

/// Has the runner look for commands again.
#[must_use]
pub fn resume(token: &str) -> String {
    format!("::{token}::")
}

/// Most annotations of a kind that the runner keeps of a step (the same file).
pub const MOST: usize = 10;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// It failed.
    Error,
    /// Somebody should look at it.
    Warning,
}

/// A line of a file that is checked out.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The file, where this process sees it: the runner knows the folders of containers.
    pub path: &'a str,
    /// The line, from 1.
    pub line: usize,
}

/// An annotation: GitHub shows it beside the run, and beside its line if it has one.
#[must_use]
pub fn annotation(level: Level, place: Option<Place<'_>>, title: &str, message: &str) -> String {
    let name = match level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let place = place.map(|Place { path, line }| format!("file={},line={line},", property(path)));
    let message: String = message.chars().take(MESSAGE).collect();
    format!(
        "::{name} {}title={}::{}",
        place.unwrap_or_default(),
        property(title),
        data(&message)
    )
}

fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D");
    text.replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the runner would take for commands.
    fn commands(text: &str) -> usize {
        let lines = text.split(['\n', '\r']);
        lines
            .filter(|line| line.trim_start().starts_with("::") || line.contains("##["))
            .count()
    }

    #[test]
    fn commands_become_text_and_text_stays() {
        for text in ["", "epoch 1: loss=0.5", "a::b", "## heading\n"] {
            assert_eq!(harmless(text), text);
        }
        assert_eq!(harmless("  ::add-mask::a"), "|   ::add-mask::a");
        assert_eq!(harmless("x\r::error::y\nz"), "x\r| ::error::y\nz");
        assert_eq!(harmless("a ##[group]b"), "a ## [group]b");
        assert_eq!(
            annotation(Level::Error, None, "a: b, c", "50%\n::warning::x"),
            "::error title=a%3A b%2C c::50%25%0A::warning::x"
        );
        let place = Place {
            path: "a,b.toml",
            line: 3,
        };
        assert_eq!(
            annotation(Level::Warning, Some(place), "t", "m"),
            "::warning file=a%2Cb.toml,line=3,title=t::m"
        );
    }

    proptest! {
        #[test]
        fn nothing_is_a_command(text in "(::|##\\[|[\r\n \u{a0}]|[a-z:#\\[])*") {
            prop_assert_eq!(commands(&harmless(&text)), 0);
            let place = Place { path: &text, line: 1 };
            let error = annotation(Level::Error, Some(place), &text, &text);
            prop_assert_eq!(error.lines().count(), 1);
            prop_assert!(!error.contains('\r'));
        }
    }
}
