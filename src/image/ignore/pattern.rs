//! One pattern, compiled as patternmatcher compiles it.

use regex::Regex;

use super::clean::clean;
use super::expression;

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// The pattern without its `!`.
    text: String,
    /// Whether it starts with `!`: what matches is kept.
    pub(super) exception: bool,
    means: Means,
}

#[derive(Debug, Clone)]
enum Means {
    /// Exactly the text.
    Exact,
    /// `prefix**`.
    Prefix,
    /// `**suffix`.
    Suffix,
    Expression(Regex),
    /// `**/start*end`: the expression says the same, slowly.
    Part {
        start: String,
        end: String,
        expression: Regex,
    },
}

impl Pattern {
    /// Nothing for an empty one; otherwise why it is wrong.
    pub(super) fn new(written: &str) -> Result<Option<Self>, String> {
        let written = written.trim();
        if written.is_empty() {
            return Ok(None);
        }
        let cleaned = clean(written);
        let (exception, text) = match cleaned.strip_prefix('!') {
            Some("") => return Err("an exception needs a name".to_owned()),
            Some(text) => (true, text.to_owned()),
            None => (false, cleaned),
        };
        expression::check(&text)?;
        Ok(Some(Self {
            means: compile(&text)?,
            exception,
            text,
        }))
    }

    /// Whether it matches this very name; folders above it are not looked at.
    pub(super) fn matches(&self, name: &str) -> bool {
        match &self.means {
            Means::Exact => name == self.text,
            Means::Prefix => name.starts_with(&self.text[..self.text.len() - 2]),
            Means::Suffix => {
                let suffix = &self.text[2..];
                ends(name, suffix) || suffix.strip_prefix('/') == Some(name)
            }
            Means::Expression(expression) => expression.is_match(name),
            Means::Part {
                start,
                end,
                expression,
            } => {
                let is_part = || {
                    let part = name.rsplit_once('/').map_or(name, |(_, part)| part);
                    part.len() >= start.len() + end.len() && part.starts_with(start)
                };
                // `.` of the expression is not a line break.
                ends(name, end) && is_part() && (!name.contains('\n') || expression.is_match(name))
            }
        }
    }

    /// Whether it can match something below a folder that it does not match.
    pub(super) fn may_match_below(&self, folder: &str) -> bool {
        let text = self.text.strip_suffix("/**").unwrap_or(&self.text);
        let text = text.strip_suffix("/*").unwrap_or(text);
        // As fsutil does: <https://github.com/tonistiigi/fsutil/blob/master/filter.go>.
        if text.contains(['*', '[', ']', '?', '^', '\\']) {
            return true;
        }
        let below = text.strip_prefix(folder);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it starts with the very name of a folder, and goes on.
    pub(super) fn is_in(&self, folder: &str) -> bool {
        let below = self.text.strip_prefix(folder);
        below.is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether it takes everything in some folder, whatever its name.
    pub(super) fn is_sweeping(&self) -> bool {
        let last = self.text.rsplit('/').next().unwrap_or_default();
        last.bytes().all(|byte| byte == b'*')
    }
}

/// Dozens of patterns are asked for each of many files, and nearly all differ in the last byte.
fn ends(name: &str, end: &str) -> bool {
    let (name, end) = (name.as_bytes(), end.as_bytes());
    (end.is_empty() || name.last() == end.last()) && name.ends_with(end)
}

/// NOTE: follows patternmatcher's `compile` step by step; its surprises are meant
/// (`**a` matches `b/ca`, `^a` matches nothing).
fn compile(text: &str) -> Result<Means, String> {
    #[derive(PartialEq)]
    enum Kind {
        Exact,
        Prefix,
        Suffix,
        Expression,
    }
    let mut kind = Kind::Exact;
    let mut go = String::from("^");
    let mut rest = text.chars().peekable();
    let mut first = true;
    while let Some(next) = rest.next() {
        match next {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                if rest.peek().is_some() {
                    go.push_str("(.*/)?");
                    kind = Kind::Expression;
                } else if kind == Kind::Exact {
                    kind = Kind::Prefix;
                } else {
                    go.push_str(".*");
                    kind = Kind::Expression;
                }
                if first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                go.push_str("[^/]*");
                kind = Kind::Expression;
            }
            '?' => {
                go.push_str("[^/]");
                kind = Kind::Expression;
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => {
                go.push('\\');
                go.push(next);
            }
            '\\' => {
                go.push('\\');
                if let Some(escaped) = rest.next() {
                    go.push(escaped);
                    kind = Kind::Expression;
                }
            }
            '[' | ']' => {
                go.push(next);
                kind = Kind::Expression;
            }
            _ => go.push(next),
        }
        first = false;
    }
    Ok(match kind {
        Kind::Exact => Means::Exact,
        Kind::Prefix => Means::Prefix,
        Kind::Suffix => Means::Suffix,
        Kind::Expression => {
            go.push('$');
            let expression = expression::compile(&go)?;
            match part(text) {
                Some((start, end)) => Means::Part {
                    start: start.to_owned(),
                    end: end.to_owned(),
                    expression,
                },
                None => Means::Expression(expression),
            }
        }
    })
}

/// The two literals of `**/start*end`.
fn part(text: &str) -> Option<(&str, &str)> {
    let (start, end) = text.strip_prefix("**/")?.split_once('*')?;
    let is_literal = |text: &str| !text.contains(['*', '?', '[', ']', '\\', '^', '/']);
    (is_literal(start) && is_literal(end)).then_some((start, end))
}
