//! Which definitions can match a text at all, found in one pass over it.
//!
//! Most lines of a log hold no metric. A text that a pattern matches has one of the pattern's
//! needles: pieces of plain text that every match contains. One automaton looks for the needles
//! of all definitions at once, and only definitions whose needle is there are tried.

use aho_corasick::automaton::{Automaton as _, OverlappingState};
use aho_corasick::dfa::DFA;
use fancy_regex::Expr;
use regex_syntax::hir::{Hir, HirKind};

/// Texts of which every match has at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needles {
    /// The texts.
    pub(super) texts: Vec<Vec<u8>>,
    /// Every match begins with the first and only text, which is whole.
    pub(super) begin: bool,
}

/// A shorter needle is in every second line and saves nothing.
const SHORTEST: usize = 2;

/// More alternatives, or longer ones, only make the automaton large.
const MOST: usize = 16;
const LONGEST: usize = 32;

/// Needles of a pattern in the syntax of the `regex` crate.
pub(super) fn of_plain(hir: &Hir) -> Option<Needles> {
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    let mut parts = parts.iter();
    let first = parts.find(|part| !matches!(part.kind(), HirKind::Look(_)));
    let first = first.map(Hir::kind);
    let begin = match first {
        Some(HirKind::Literal(literal)) => literal.0.to_vec(),
        _ => Vec::new(),
    };
    beginning(begin).or_else(|| anywhere(plain(hir)?))
}

/// Needles of a pattern with look-around or back-references.
pub(super) fn of_fancy(regex: &str) -> Option<Needles> {
    // NOTE: verbs such as `(*ACCEPT)` end a match before its last parts.
    if regex.contains("(*") {
        return None;
    }
    let expression = Expr::parse_tree(regex).ok()?.expr;
    let begin = match &expression {
        Expr::Concat(parts) => {
            let is_empty = |part: &&Expr| matches!(part, Expr::LookAround(..) | Expr::Assertion(_));
            let literals = parts.iter().skip_while(is_empty).map_while(literal);
            literals.flat_map(str::bytes).collect()
        }
        _ => Vec::new(),
    };
    beginning(begin).or_else(|| anywhere(fancy(&expression)?))
}

fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal { val, casei: false } => Some(val),
        _ => None,
    }
}

fn beginning(text: Vec<u8>) -> Option<Needles> {
    (SHORTEST..=LONGEST).contains(&text.len()).then(|| Needles {
        texts: vec![text],
        begin: true,
    })
}

fn anywhere(mut texts: Texts) -> Option<Needles> {
    if texts.len() > MOST || least(&texts) < SHORTEST {
        return None;
    }
    for text in &mut texts {
        text.truncate(LONGEST);
    }
    Some(Needles {
        texts,
        begin: false,
    })
}

type Texts = Vec<Vec<u8>>;

fn least(needles: &Texts) -> usize {
    needles.iter().map(Vec::len).min().unwrap_or(0)
}

/// The rarest of what all have to be there: long, and with few alternatives.
fn best(all: impl Iterator<Item = Texts>) -> Option<Texts> {
    all.max_by_key(|needles| {
        (
            least(needles).min(LONGEST),
            std::cmp::Reverse(needles.len()),
        )
    })
}

/// One of several has to be there: none may be without needles.
fn any(all: impl Iterator<Item = Option<Texts>>) -> Option<Texts> {
    Some(all.collect::<Option<Vec<Texts>>>()?.concat())
}

fn plain(hir: &Hir) -> Option<Texts> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => plain(&capture.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => plain(&repeated.sub),
        HirKind::Concat(parts) => best(parts.iter().filter_map(plain)),
        HirKind::Alternation(parts) => any(parts.iter().map(plain)),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

fn fancy(expression: &Expr) -> Option<Texts> {
    match expression {
        Expr::Literal { .. } => Some(vec![literal(expression)?.as_bytes().to_vec()]),
        Expr::Group(part) => fancy(part),
        Expr::AtomicGroup(part) => fancy(part),
        Expr::Repeat { child, lo, .. } if *lo > 0 => fancy(child),
        Expr::Alt(parts) => any(parts.iter().map(fancy)),
        Expr::Concat(parts) => {
            // The parser gives characters one by one.
            let runs = parts.chunk_by(|a, b| literal(a).is_some() && literal(b).is_some());
            best(runs.filter_map(|run| {
                let joined: Texts = run.iter().map(fancy).collect::<Option<Vec<_>>>()?.concat();
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
    /// Where to look for each definition when no needle is found: nowhere, or everywhere when
    /// it has none.
    otherwise: Vec<Option<usize>>,
}

impl Prefilter {
    /// From the needles of each definition.
    pub(super) fn new(all: &[Option<&Needles>]) -> Self {
        let owned = || {
            let numbered = all.iter().enumerate();
            numbered.flat_map(|(index, needles)| {
                let texts = needles.iter().flat_map(|needles| &needles.texts);
                texts.map(move |text| (index, text))
            })
        };
        // NOTE: an automaton that grows too large fails to build; then all are always tried.
        let automaton = DFA::new(owned().map(|(_, needle)| needle)).ok();
        let always = |needles: &Option<&Needles>| needles.is_none() || automaton.is_none();
        Self {
            owners: owned().map(|(index, _)| index).collect(),
            otherwise: all
                .iter()
                .map(|needles| always(needles).then_some(0))
                .collect(),
            automaton: automaton.filter(|automaton| automaton.patterns_len() > 0),
        }
    }

    /// Sets in `wanted` from where each definition is worth a try on `text`.
    pub(super) fn look(&self, text: &str, wanted: &mut [Option<usize>]) {
        wanted.copy_from_slice(&self.otherwise);
        let Some(automaton) = &self.automaton else {
            return;
        };
        let input = aho_corasick::Input::new(text);
        let mut state = OverlappingState::start();
        while automaton.try_find_overlapping(&input, &mut state).is_ok() {
            let Some(found) = state.get_match() else {
                break;
            };
            let first = &mut wanted[self.owners[found.pattern().as_usize()]];
            *first = first.or(Some(found.start()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn needles(regex: &str, expected: &[&str], begin: bool) {
        let hir = regex_syntax::parse(regex).unwrap();
        let expected = (!expected.is_empty()).then(|| Needles {
            texts: expected
                .iter()
                .map(|text| text.as_bytes().to_vec())
                .collect(),
            begin,
        });
        assert_eq!(of_plain(&hir), expected, "{regex}");
        assert_eq!(of_fancy(regex), expected, "{regex} as fancy");
    }

    #[test]
    fn the_longest_text_that_must_be_there_is_found() {
        needles(r"loss: ([0-9.]+|nan|inf)", &["loss: "], true);
        needles(r"\blr=([0-9.]+).*a long text", &["lr="], true);
        needles(
            r".*\[[0-9]+\].*#011train-rmse:([0-9.]+).*",
            &["#011train-rmse:"],
            false,
        );
        needles(r"(?:train|valid) auc : ([0-9.]+)", &[" auc : "], false);
        needles(
            r"(?:precision|recall)=([0-9.]+)",
            &["precision", "recall"],
            false,
        );
        needles(r"(?:xy)+([0-9])", &["xy"], false);
        needles(r"([0-9]+)%", &[], false);
        needles(r"(?i)loss=([0-9]+)", &[], false);
        needles(r"(?:loss|)=([0-9]+)", &[], false);
    }

    #[test]
    fn one_pass_names_every_definition_whose_needle_is_there() {
        let needles = |texts: &[&str]| Needles {
            texts: texts.iter().map(|text| text.as_bytes().to_vec()).collect(),
            begin: false,
        };
        let all = [
            needles(&["loss="]),
            needles(&["val_loss="]),
            needles(&["acc", "f1"]),
        ];
        let all = [Some(&all[0]), Some(&all[1]), None, Some(&all[2])];
        let mut wanted = [None; 4];
        let prefilter = Prefilter::new(&all);
        prefilter.look("x val_loss=1 loss=2", &mut wanted);
        assert_eq!(wanted, [Some(6), Some(2), Some(0), None]);
        prefilter.look("f1=1 acc=2", &mut wanted);
        assert_eq!(wanted, [None, None, Some(0), Some(0)]);
    }
}
