//! A Dockerfile's instructions: directives, continuation, comments and here-documents as
//! `BuildKit` reads them
//! (<https://github.com/moby/buildkit/blob/master/frontend/dockerfile/parser/parser.go>).

use super::{Mistake, words};

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it starts, from 1.
    pub(super) line: usize,
    /// In capital letters.
    pub(super) instruction: String,
    /// Names and values of the `--name=value` before the arguments.
    pub(super) flags: Vec<(String, String)>,
    /// The rest, in one line.
    pub(super) arguments: String,
}

/// All instructions, and what the directives before them say.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    /// The first word of `# syntax=`.
    pub(super) syntax: Option<String>,
    pub(super) escape: char,
}

/// <https://docs.docker.com/reference/dockerfile/#overview>
const INSTRUCTIONS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

pub(super) fn read(bytes: &[u8]) -> Result<Lines, Vec<Mistake>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        vec![Mistake::new(line, "it is not UTF-8")]
    })?;
    let mut mistakes = Vec::new();
    let mut all = Lines {
        escape: '\\',
        ..Lines::default()
    };
    let is_directive = |line: &&str| directive(line).is_some();
    let directives = text.lines().take_while(is_directive);
    let mut seen = Vec::new();
    for (number, (name, value)) in (1..).zip(directives.filter_map(directive)) {
        if seen.contains(&name) {
            mistakes.push(Mistake::new(number, format!("`{name}` is given twice")));
        }
        match name.as_str() {
            "syntax" => all.syntax = value.split(' ').next().map(str::to_owned),
            "escape" => match value {
                "\\" | "`" => all.escape = value.chars().next().unwrap_or('\\'),
                _ => mistakes.push(Mistake::new(number, "`escape` is either \\ or `")),
            },
            _ => {}
        }
        seen.push(name);
    }

    let mut rest = (1..).zip(text.lines()).peekable();
    while let Some((line, first)) = rest.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        let (mut joined, mut goes_on) = continued(first, all.escape);
        while goes_on {
            let Some((_, next)) = rest.next() else { break };
            let start = next.trim_start();
            // Comments and empty lines in between do not end an instruction.
            if start.is_empty() || start.starts_with('#') {
                continue;
            }
            let (next, more) = continued(next, all.escape);
            joined.push_str(&next);
            goes_on = more;
        }
        if joined.trim().is_empty() {
            continue;
        }
        let parsed = instruction(line, &joined);
        if !INSTRUCTIONS.contains(&parsed.instruction.as_str()) {
            let message = format!("there is no instruction `{}`", parsed.instruction);
            mistakes.push(Mistake::new(line, message));
        }
        for (name, has_tabs) in heredocs(&parsed) {
            let is_end = |(_, text): &(usize, &str)| {
                let text = text.trim_end_matches('\r');
                let text = match has_tabs {
                    true => text.trim_start_matches('\t'),
                    false => text,
                };
                text == name
            };
            if !rest.by_ref().any(|line| is_end(&line)) {
                let message = format!("the here-document `{name}` has no end");
                mistakes.push(Mistake::new(line, message));
            }
        }
        all.lines.push(parsed);
    }
    match mistakes.is_empty() {
        true => Ok(all),
        false => Err(mistakes),
    }
}

/// `# name=value`, of those that exist.
fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let exists = ["syntax", "escape", "check"].contains(&name.as_str());
    (exists && !value.is_empty()).then_some((name, value))
}

/// A line without the sign for its continuation, and whether it had one.
fn continued(line: &str, escape: char) -> (String, bool) {
    let end = line.trim_end_matches([' ', '\t']);
    match end.strip_suffix(escape) {
        // An escaped sign is a sign.
        Some(before) if !before.ends_with(escape) => (before.to_owned(), true),
        _ => (line.to_owned(), false),
    }
}

/// An instruction's parts: <https://docs.docker.com/reference/dockerfile/#format>.
pub(super) fn instruction(line: usize, text: &str) -> Line {
    let text = text.trim();
    let (name, mut rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut flags = Vec::new();
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            break;
        }
        let (flag, after) = words::first(rest);
        rest = after;
        if flag == "--" {
            break;
        }
        let flag = flag.trim_start_matches("--");
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        flags.push((name.to_owned(), value.to_owned()));
    }
    Line {
        line,
        instruction: name.to_ascii_uppercase(),
        flags,
        arguments: rest.trim().to_owned(),
    }
}

/// The ends of the here-documents that follow an instruction, and whether tabs before them count
/// for nothing.
fn heredocs(line: &Line) -> Vec<(String, bool)> {
    let inner;
    let line = match line.instruction.as_str() {
        "ONBUILD" => {
            inner = instruction(line.line, &line.arguments);
            &inner
        }
        _ => line,
    };
    let can = ["ADD", "COPY", "RUN"].contains(&line.instruction.as_str());
    if !can || words::json(&line.arguments).is_some() {
        return Vec::new();
    }
    let words = words::split_raw(&line.arguments).unwrap_or_default();
    words.iter().filter_map(|word| heredoc(word)).collect()
}

/// `<<NAME`, `<<-"NAME"`, with a number before it.
pub(super) fn heredoc(word: &str) -> Option<(String, bool)> {
    let rest = word.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let rest = rest.strip_prefix("<<")?;
    let (has_tabs, name) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    let name: String = name.chars().filter(|c| !['"', '\''].contains(c)).collect();
    (!name.is_empty() && !name.contains('<')).then_some((name, has_tabs))
}
