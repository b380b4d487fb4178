//! Metric definitions in SageMaker's syntax: a name, and a regular expression whose first group
//! is the value.
//!
//! SageMaker does not document its dialect; definitions are tried out with Python's `re`. So
//! what Python understands is understood here, look-around and back-references included.

use std::fmt;

use fancy_regex::RegexBuilder as FancyBuilder;
use memchr::memmem;
use regex_automata::meta::{self, Regex};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, HirKind};
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
    Plain {
        regex: Regex,
        /// Behind the text that every match begins with, the rest of the match is the value.
        rest_is_value: bool,
    },
    /// Look-around and back-references, with a bound on backtracking.
    Fancy(Box<fancy_regex::Regex>),
}

/// A pattern was stopped because it stepped back too often.
pub(super) struct GaveUp;

type Refused = (String, Option<String>);

impl Pattern {
    pub(super) fn new(definition: &Definition) -> Result<Self, Refused> {
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
        let (pattern, groups) = match regex_syntax::parse(&source) {
            Ok(hir) => Self::plain(&hir)?,
            Err(error) => Self::fancy(&source).ok_or_else(|| (refused(&error), None))?,
        };
        if groups < 2 {
            let hint = "put the value in parentheses: `loss=([0-9.]+)`".to_owned();
            return Err(("the regex has no group".to_owned(), Some(hint)));
        }
        Ok(pattern)
    }

    fn plain(hir: &Hir) -> Result<(Self, usize), Refused> {
        let regex = meta::Builder::new()
            .configure(meta::Config::new().nfa_size_limit(Some(MAX_COMPILED)))
            .build_from_hir(hir)
            .map_err(|_| ("the regex is too large when compiled".to_owned(), None))?;
        let needles = prefilter::of_plain(hir);
        let rest_is_value = needles.as_ref().is_some_and(|needles| needles.begin)
            && matches!(hir.kind(), HirKind::Concat(parts) if ends_with_value(parts));
        let groups = regex.captures_len();
        let engine = Engine::Plain {
            regex,
            rest_is_value,
        };
        Ok((Self { engine, needles }, groups))
    }

    fn fancy(source: &str) -> Option<(Self, usize)> {
        let fancy = FancyBuilder::new(source)
            .backtrack_limit(BACKTRACK_LIMIT)
            .delegate_size_limit(MAX_COMPILED)
            .build()
            .ok()?;
        let groups = fancy.captures_len();
        let needles = prefilter::of_fancy(source);
        let engine = Engine::Fancy(Box::new(fancy));
        Some((Self { engine, needles }, groups))
    }

    /// The first group of the first match; the first needle lies at `from`.
    pub(super) fn find<'t>(&self, text: &'t str, from: usize) -> Result<Option<&'t str>, GaveUp> {
        let needles = self.needles.as_ref().filter(|needles| needles.begin);
        match (&self.engine, needles) {
            (
                Engine::Plain {
                    regex,
                    rest_is_value,
                },
                Some(needles),
            ) => Ok(find_at_needles(
                regex,
                *rest_is_value,
                &needles.texts[0],
                text,
                from,
            )),
            (Engine::Plain { regex, .. }, None) => Ok(first_group(regex, text, 0)),
            (Engine::Fancy(regex), needles) => {
                let from = if needles.is_some() { from } else { 0 };
                match regex.captures_from_pos(text, from) {
                    Ok(found) => Ok(found
                        .and_then(|found| found.get(1))
                        .map(|group| group.as_str())),
                    Err(_) => Err(GaveUp),
                }
            }
        }
    }
}

/// Whether a pattern is nothing but a text that it begins with, and then its first group.
fn ends_with_value(parts: &[Hir]) -> bool {
    let is_look = |part: &&Hir| matches!(part.kind(), HirKind::Look(_));
    let mut parts = parts.iter().skip_while(is_look).map(Hir::kind);
    matches!(parts.next(), Some(HirKind::Literal(_)))
        && matches!(parts.next(), Some(HirKind::Capture(capture)) if capture.index == 1)
        && parts.next().is_none()
}

/// Needles that are tried one by one before the whole rest is searched: a search that fails at
/// each needle of a long line would read the line as many times.
const TRIES: usize = 4;

/// The first group of the first match of a pattern whose matches begin with `needle`.
fn find_at_needles<'t>(
    regex: &Regex,
    rest_is_value: bool,
    needle: &[u8],
    text: &'t str,
    from: usize,
) -> Option<&'t str> {
    let mut at = from;
    for _ in 0..TRIES {
        let input = Input::new(text).range(at..).anchored(Anchored::Yes);
        if rest_is_value {
            if let Some(end) = regex.search_half(&input) {
                return text.get(at + needle.len()..end.offset());
            }
        } else if let Some(found) = matched(regex, &input) {
            return value(text, &found);
        }
        at += 1 + memmem::find(&text.as_bytes()[at + 1..], needle)?;
    }
    first_group(regex, text, at)
}

type Slots = [Option<NonMaxUsize>; 4];

/// The first match: its bounds and those of its first group.
fn matched(regex: &Regex, input: &Input<'_>) -> Option<Slots> {
    let mut slots = [None; 4];
    regex.search_slots(input, &mut slots).map(|_| slots)
}

fn value<'t>(text: &'t str, slots: &Slots) -> Option<&'t str> {
    text.get(slots[2]?.get()..slots[3]?.get())
}

fn first_group<'t>(regex: &Regex, text: &'t str, from: usize) -> Option<&'t str> {
    value(text, &matched(regex, &Input::new(text).range(from..))?)
}

/// The last line of the parser's words, which says what is wrong.
fn refused(error: &regex_syntax::Error) -> String {
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
    use proptest::sample::select;

    use super::super::prefilter::Prefilter;
    use super::*;

    fn pattern(regex: &str) -> Result<Pattern, (String, Option<String>)> {
        Pattern::new(&Definition {
            name: "x".to_owned(),
            regex: regex.to_owned(),
        })
    }

    #[track_caller]
    fn finds(regex: &str, text: &str, value: Option<&str>) {
        let pattern = pattern(regex).unwrap();
        let found = found(&pattern, text).unwrap_or_else(|GaveUp| panic!("{regex} gave up"));
        assert_eq!(found, value, "{regex} in {text}");
    }

    /// As the reader of logs does it: only where a needle is.
    fn found<'t>(pattern: &Pattern, text: &'t str) -> Result<Option<&'t str>, GaveUp> {
        let mut wanted = [None];
        Prefilter::new(&[pattern.needles.as_ref()]).look(text, &mut wanted);
        match wanted {
            [Some(from)] => pattern.find(text, from),
            _ => Ok(None),
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
            (r"(\w{999}{999})", "the regex is too large when compiled"),
            ("", "a regex has 1 to 500 characters"),
        ] {
            let refused = pattern(regex).err().map(|(reason, _)| reason);
            assert_eq!(refused.as_deref(), Some(reason));
        }
    }

    #[test]
    fn a_pattern_cannot_hang() {
        let pattern = pattern(r"(a+)(a+)(a+)\1\2\3b").unwrap();
        assert!(pattern.find(&"a".repeat(2000), 0).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_regex_makes_it_panic(regex in r"[\[\]{}()\\<>:&~a-c,0-9^$|*+?pZ-]{0,24}", text in "[a-c0-9{}<>=]{0,20}") {
            let Ok(pattern) = pattern(&regex) else { return Ok(()) };
            if let (Ok(quick), Ok(whole)) = (found(&pattern, &text), Pattern { needles: None, ..pattern }.find(&text, 0)) {
                proptest::prop_assert_eq!(quick, whole, "{} in {}", regex, text);
            }
        }

        #[test]
        fn a_prefilter_changes_nothing(
            name in select(vec!["a", "b", "ab", "loss", r"\bacc", "^x", "(?<!b)a", "(?=a)ab", "(?:a|loss)"]),
            value in select(vec!["([01]+)", r"([0-9]*\.?[0-9]+|nan)", "(a)b", ".*a=(.)", "([ab]*?)", "(1)?"]),
            text in "((ab|b|a|loss|acc|x)=(1|0.5|ab|nan)? ?){0,12}",
        ) {
            let pattern = pattern(&format!("{name}={value}")).unwrap();
            let quick = found(&pattern, &text).ok();
            let whole = Pattern { needles: None, ..pattern }.find(&text, 0).ok();
            proptest::prop_assert_eq!(quick, whole);
        }
    }
}
