//! Which definitions can match a text at all, found in one pass over it.
//!
//! Most lines of a log hold no metric. A text that a pattern matches has one of the pattern's
//! needles: pieces of plain text that every match contains. One automaton looks for the needles
//! of all definitions at once, and only definitions whose needle is there are tried.

use aho_corasick::automaton::Automaton as _;
use aho_corasick::dfa::DFA;
use fancy_regex::Expr;
use regex_syntax::hir::{Hir, HirKind};

/// Texts of which every match has at least one.
pub(super) type Needles = Vec<Vec<u8>>;

/// A shorter needle is in every second line and saves nothing.
const SHORTEST: usize = 2;

/// More alternatives, or longer ones, only make the automaton large.
const MOST: usize = 16;
const LONGEST: usize = 32;

/// Needles of a pattern in the syntax of the `regex` crate.
pub(super) fn of_plain(regex: &str) -> Option<Needles> {
    worth_it(plain(&regex_syntax::parse(regex).ok()?)?)
}

/// Needles of a pattern with look-around or back-references.
pub(super) fn of_fancy(regex: &str) -> Option<Needles> {
    // NOTE: verbs such as `(*ACCEPT)` end a match before its last parts.
    if regex.contains("(*") {
        return None;
    }
    worth_it(fancy(&Expr::parse_tree(regex).ok()?.expr)?)
}

fn worth_it(mut needles: Needles) -> Option<Needles> {
    if needles.len() > MOST || least(&needles) < SHORTEST {
        return None;
    }
    for needle in &mut needles {
        needle.truncate(LONGEST);
    }
    Some(needles)
}

fn least(needles: &Needles) -> usize {
    needles.iter().map(Vec::len).min().unwrap_or(0)
}

/// The rarest of what all have to be there: long, and with few alternatives.
fn best(all: impl Iterator<Item = Needles>) -> Option<Needles> {
    all.max_by_key(|needles| {
        (
            least(needles).min(LONGEST),
            std::cmp::Reverse(needles.len()),
        )
    })
}

/// One of several has to be there: none may be without needles.
fn any(all: impl Iterator<Item = Option<Needles>>) -> Option<Needles> {
    Some(all.collect::<Option<Vec<Needles>>>()?.concat())
}

fn plain(hir: &Hir) -> Option<Needles> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => plain(&capture.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => plain(&repeated.sub),
        HirKind::Concat(parts) => best(parts.iter().filter_map(plain)),
        HirKind::Alternation(parts) => any(parts.iter().map(plain)),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

fn fancy(expression: &Expr) -> Option<Needles> {
    match expression {
        Expr::Literal { val, casei: false } => Some(vec![val.clone().into_bytes()]),
        Expr::Group(part) => fancy(part),
        Expr::AtomicGroup(part) => fancy(part),
        Expr::Repeat { child, lo, .. } if *lo > 0 => fancy(child),
        Expr::Alt(parts) => any(parts.iter().map(fancy)),
        Expr::Concat(parts) => {
            // The parser gives characters one by one.
            let is_literal = |part: &Expr| matches!(part, Expr::Literal { casei: false, .. });
            let runs = parts.chunk_by(|a, b| is_literal(a) && is_literal(b));
            best(runs.filter_map(|run| {
                let joined: Needles = run.iter().map(fancy).collect::<Option<Vec<_>>>()?.concat();
                match run {
                    [_] => Some(joined),
                    _ => Some(vec![joined.concat()]),
                }
            }))
        }
        _ => None,
    }
}

/// The automaton over the needles of all definitions.
pub(super) struct Prefilter {
    automaton: Option<DFA>,
    /// Which definition each needle belongs to.
    owners: Vec<usize>,
    /// Definitions without needles, which are always tried.
    always: Vec<bool>,
}

impl Prefilter {
    /// From the needles of each definition.
    pub(super) fn new(all: &[Option<&Needles>]) -> Self {
        let owned = || {
            let numbered = all.iter().enumerate();
            numbered.flat_map(|(index, needles)| {
                needles
                    .iter()
                    .flat_map(move |needles| needles.iter().map(move |needle| (index, needle)))
            })
        };
        // NOTE: an automaton that grows too large fails to build; then all are always tried.
        let automaton = DFA::new(owned().map(|(_, needle)| needle)).ok();
        Self {
            owners: owned().map(|(index, _)| index).collect(),
            always: all
                .iter()
                .map(|needles| needles.is_none() || automaton.is_none())
                .collect(),
            automaton: automaton.filter(|automaton| automaton.patterns_len() > 0),
        }
    }

    /// Sets in `wanted` which definitions are worth a try on `text`.
    pub(super) fn look(&self, text: &str, wanted: &mut [bool]) {
        wanted.copy_from_slice(&self.always);
        let Some(automaton) = &self.automaton else {
            return;
        };
        let input = aho_corasick::Input::new(text);
        let mut state = aho_corasick::automaton::OverlappingState::start();
        while automaton.try_find_overlapping(&input, &mut state).is_ok() {
            let Some(found) = state.get_match() else {
                break;
            };
            wanted[self.owners[found.pattern().as_usize()]] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn needles(regex: &str, expected: &[&str]) {
        let texts = |needles: Option<Needles>| -> Vec<String> {
            let text = |needle| String::from_utf8(needle).unwrap();
            needles.unwrap_or_default().into_iter().map(text).collect()
        };
        assert_eq!(texts(of_plain(regex)), expected, "{regex}");
        assert_eq!(texts(of_fancy(regex)), expected, "{regex} as fancy");
    }

    #[test]
    fn the_longest_text_that_must_be_there_is_found() {
        needles(r"loss: ([0-9.]+|nan|inf)", &["loss: "]);
        needles(
            r".*\[[0-9]+\].*#011train-rmse:([0-9.]+).*",
            &["#011train-rmse:"],
        );
        needles(r"(?:train|valid) auc : ([0-9.]+)", &[" auc : "]);
        needles(r"(?:precision|recall)=([0-9.]+)", &["precision", "recall"]);
        needles(r"(?:xy)+([0-9])", &["xy"]);
        needles(r"([0-9]+)%", &[]);
        needles(r"(?i)loss=([0-9]+)", &[]);
        needles(r"(?:loss|)=([0-9]+)", &[]);
    }

    #[test]
    fn one_pass_names_every_definition_whose_needle_is_there() {
        let all = [
            Some(vec![b"loss=".to_vec()]),
            Some(vec![b"val_loss=".to_vec()]),
            None,
            Some(vec![b"acc".to_vec(), b"f1".to_vec()]),
        ];
        let all: Vec<Option<&Needles>> = all.iter().map(Option::as_ref).collect();
        let mut wanted = [false; 4];
        let prefilter = Prefilter::new(&all);
        prefilter.look("val_loss=1", &mut wanted);
        assert_eq!(wanted, [true, true, true, false]);
        prefilter.look("f1=1", &mut wanted);
        assert_eq!(wanted, [false, false, true, true]);
    }
}
