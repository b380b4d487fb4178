//! Metric definitions in SageMaker's syntax: a name, and a regular expression whose first group
//! is the value.
//!
//! SageMaker does not document its dialect; definitions are tried out with Python's `re`. So
//! what Python understands is understood here, look-around and back-references included.

use std::fmt;

use fancy_regex::RegexBuilder as FancyBuilder;
use regex::{CaptureLocations, Regex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::prefilter::{self, Needles};

/// How often a pattern with look-around may step back on one piece.
const BACKTRACK_LIMIT: usize = 100_000;

/// SageMaker's limits (`MetricDefinition` in the service model).
const MAX_NAME: usize = 255;
const MAX_REGEX: usize = 500;

/// Memory that one compiled pattern may take; `\w{999}` and its like are refused.
const MAX_COMPILED: usize = 2 * 1024 * 1024;

/// One metric definition, in SageMaker's syntax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The metric's name.
    pub name: String,
    /// A regular expression whose first group is the value.
    pub regex: String,
}

/// Why a definition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    /// Which definition, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub reason: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric definition `{}`: {}", self.name, self.reason)
    }
}

impl std::error::Error for DefinitionError {}

/// A compiled definition.
pub(super) struct Pattern {
    engine: Engine,
    /// A text that has none of these cannot match.
    pub(super) needles: Option<Needles>,
}

enum Engine {
    Plain(Regex, CaptureLocations),
    /// Look-around and back-references, with a bound on backtracking.
    Fancy(Box<fancy_regex::Regex>),
}

/// A pattern was stopped because it stepped back too often.
pub(super) struct GaveUp;

impl Pattern {
    pub(super) fn new(definition: &Definition) -> Result<Self, (String, Option<String>)> {
        let Definition { name, regex } = definition;
        if name.is_empty() || name.chars().count() > MAX_NAME {
            return Err((format!("a name has 1 to {MAX_NAME} characters"), None));
        }
        if name.chars().any(char::is_control) {
            return Err(("a name has no control characters".to_owned(), None));
        }
        if regex.is_empty() || regex.chars().count() > MAX_REGEX {
            return Err((format!("a regex has 1 to {MAX_REGEX} characters"), None));
        }
        let source = as_in_python(regex);
        let plain = regex::RegexBuilder::new(&source)
            .size_limit(MAX_COMPILED)
            .build();
        let (engine, groups, needles) = match plain {
            Ok(plain) => {
                let locations = plain.capture_locations();
                let (groups, needles) = (plain.captures_len(), prefilter::of_plain(&source));
                (Engine::Plain(plain, locations), groups, needles)
            }
            Err(error @ regex::Error::CompiledTooBig(_)) => return Err((refused(&error), None)),
            Err(error) => {
                let fancy = FancyBuilder::new(&source)
                    .backtrack_limit(BACKTRACK_LIMIT)
                    .delegate_size_limit(MAX_COMPILED)
                    .build()
                    .map_err(|_| (refused(&error), None))?;
                let (groups, needles) = (fancy.captures_len(), prefilter::of_fancy(&source));
                (Engine::Fancy(Box::new(fancy)), groups, needles)
            }
        };
        if groups < 2 {
            let hint = "put the value in parentheses: `loss=([0-9.]+)`".to_owned();
            return Err(("the regex has no group".to_owned(), Some(hint)));
        }
        Ok(Self { engine, needles })
    }

    /// The first group of the first match.
    pub(super) fn find<'t>(&mut self, text: &'t str) -> Result<Option<&'t str>, GaveUp> {
        match &mut self.engine {
            Engine::Plain(regex, locations) => Ok(regex
                .captures_read(locations, text)
                .and_then(|_| locations.get(1))
                .map(|(start, end)| &text[start..end])),
            Engine::Fancy(regex) => match regex.captures(text) {
                Ok(found) => Ok(found
                    .and_then(|found| found.get(1))
                    .map(|group| group.as_str())),
                Err(_) => Err(GaveUp),
            },
        }
    }
}

/// The last line of the parser's words, which says what is wrong.
fn refused(error: &regex::Error) -> String {
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default();
    format!(
        "the regex is not valid: {}",
        reason.trim_start_matches("error: ")
    )
}

/// Rewrites what Python reads as plain characters and Rust's engine does not: braces that are
/// no repetition (`{'loss': …}`), `[` in a class, `\<` and `\>`; and `\Z`, Rust's `\z`.
fn as_in_python(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len() + 8);
    let mut rest = regex;
    let mut in_class = false;
    while let Some(first) = rest.chars().next() {
        let (rewritten, length) = match first {
            '\\' => escape(rest, in_class),
            '[' if !in_class => {
                in_class = true;
                class_start(rest)
            }
            '[' if rest.starts_with("[:") => {
                let end = rest.find(":]").map_or(1, |end| end + 2);
                (rest[..end].to_owned(), end)
            }
            '[' => (r"\[".to_owned(), 1),
            ']' => {
                in_class = false;
                ("]".to_owned(), 1)
            }
            '&' | '~' if in_class => (format!(r"\{first}"), 1),
            '{' if !in_class && !is_repetition(rest) => (r"\{".to_owned(), 1),
            _ => (first.to_string(), first.len_utf8()),
        };
        out.push_str(&rewritten);
        rest = &rest[length..];
    }
    out
}

/// An escape at the start of `text`: what stands for it, and its length.
fn escape(text: &str, in_class: bool) -> (String, usize) {
    let mut chars = text.chars().skip(1);
    let Some(escaped) = chars.next() else {
        return (text.to_owned(), text.len());
    };
    let length = 1 + escaped.len_utf8();
    match escaped {
        '<' | '>' => (escaped.to_string(), length),
        'Z' if !in_class => (r"\z".to_owned(), length),
        // What stands in braces after these belongs to them.
        'p' | 'P' | 'x' | 'u' | 'U' if chars.next() == Some('{') => {
            let end = text.find('}').map_or(text.len(), |end| end + 1);
            (text[..end].to_owned(), end)
        }
        _ => (text[..length].to_owned(), length),
    }
}

/// `[`, `[^`, and a first `]`, which belongs to the class.
fn class_start(text: &str) -> (String, usize) {
    let negated = text.starts_with("[^");
    let start = if negated { "[^" } else { "[" };
    if text[start.len()..].starts_with(']') {
        (format!(r"{start}\]"), start.len() + 1)
    } else {
        (start.to_owned(), start.len())
    }
}

/// Whether `{…` is `{2}`, `{2,}`, `{,3}` or `{2,3}`.
fn is_repetition(text: &str) -> bool {
    let Some(inner) = text[1..].split_once('}').map(|(inner, _)| inner) else {
        return false;
    };
    let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    digits(least) && digits(most) && !(least.is_empty() && most.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(regex: &str) -> Result<Pattern, (String, Option<String>)> {
        Pattern::new(&Definition {
            name: "x".to_owned(),
            regex: regex.to_owned(),
        })
    }

    #[track_caller]
    fn finds(regex: &str, text: &str, value: Option<&str>) {
        let mut pattern = pattern(regex).unwrap();
        let found = pattern
            .find(text)
            .unwrap_or_else(|GaveUp| panic!("{regex} gave up"));
        assert_eq!(found, value, "{regex} in {text}");
        if let (Some(needles), Some(_)) = (&pattern.needles, value) {
            let has = |needle: &Vec<u8>| memchr::memmem::find(text.as_bytes(), needle).is_some();
            assert!(needles.iter().any(has), "{needles:?} in {text}");
        }
    }

    #[test]
    fn what_python_understands_is_understood() {
        finds(r"{'loss': ([0-9.]+)", "{'loss': 0.5}", Some("0.5"));
        finds(r#"{"acc": ([0-9.]+)}"#, r#"{"acc": 0.5}"#, Some("0.5"));
        finds(r"\<loss\>=(\S+)", "train loss <loss>=0.5", Some("0.5"));
        finds(r"[[]a[]]=([^]]+)]", "[a]=0.5]", Some("0.5"));
        finds(r"[a[b&&c~~]{3} ([[:digit:]]+)", "[&~ 12", Some("12"));
        finds(r"acc: (\d{1,3}\.\d{2})\Z", "acc: 97.50", Some("97.50"));
        finds(r"x\x{2d}\p{Lu}=(\d+)", "x-A=1", Some("1"));
        finds(
            r"(?P<value>[0-9]+)% (?P=value)",
            "12% 13 44% 44",
            Some("44"),
        );
        finds(r"(?<!val_)loss=([0-9]+)", "val_loss=1 loss=2", Some("2"));
        finds(r"loss=([0-9.]++)(?= )", "loss=0.5 ", Some("0.5"));
        finds(r"(?i)Loss[:=] ?([0-9.]+)", "LOSS: 0.5", Some("0.5"));
        finds(r"(a)|(b)", "b", None);
        finds(r"(?:train|test) acc=([0-9.]+)", "test acc=0.5", Some("0.5"));
        finds(r"(?!no)(?:ab|cd)+=([0-9])", "cd=7", Some("7"));
    }

    #[test]
    fn a_regex_that_cannot_work_is_refused_with_the_reason() {
        for (regex, reason) in [
            ("loss=[0-9]+", "the regex has no group"),
            ("loss=(", "the regex is not valid: unclosed group"),
            (
                r"(\w{999}{999})",
                "the regex is not valid: Compiled regex exceeds size limit of 2097152 bytes.",
            ),
            ("", "a regex has 1 to 500 characters"),
        ] {
            let refused = pattern(regex).err().map(|(reason, _)| reason);
            assert_eq!(refused.as_deref(), Some(reason));
        }
    }

    #[test]
    fn a_pattern_cannot_hang() {
        let mut pattern = pattern(r"(a+)(a+)(a+)\1\2\3b").unwrap();
        assert!(pattern.find(&"a".repeat(2000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_regex_makes_it_panic(regex in r"[\[\]{}()\\<>:&~a-c,0-9^$|*+?pZ-]{0,24}", text in "[a-c0-9{}<>=]{0,20}") {
            if let Ok(mut pattern) = pattern(&regex) {
                let needles = pattern.needles.clone();
                if let (Ok(Some(_)), Some(needles)) = (pattern.find(&text), needles) {
                    let has = |needle: &Vec<u8>| memchr::memmem::find(text.as_bytes(), needle).is_some();
                    assert!(needles.iter().any(has), "{regex}: {needles:?} in {text}");
                }
            }
        }
    }
}
