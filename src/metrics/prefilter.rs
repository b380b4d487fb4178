//! Which definitions can match a text at all, found in one pass over it.
//!
//! Most lines of a log hold no metric. A text that a pattern matches has one of the pattern's
//! needles: pieces of plain text that every match contains. One automaton looks for the needles
//! of all definitions at once, and only definitions whose needle is there are tried.

use aho_corasick::automaton::{Automaton as _, OverlappingState};
use aho_corasick::dfa::DFA;
use aho_corasick::{Span, packed};
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

/// The search for the needles of all definitions.
pub(super) struct Prefilter {
    search: Option<Search>,
    /// The needles, short ones first, each with its definition.
    needles: Vec<(Vec<u8>, usize)>,
    /// Where to look for each definition when no needle is found: nowhere, or everywhere when
    /// it has none.
    otherwise: Vec<Option<usize>>,
}

enum Search {
    /// Many bytes at once with vector instructions, for a few dozen needles.
    Vector {
        searcher: packed::Searcher,
        /// For each needle, the others that begin with it: the searcher names one for a place.
        longer: Vec<Vec<usize>>,
    },
    /// Byte by byte, for any number of needles on any machine.
    Automaton(Box<DFA>),
}

impl Prefilter {
    /// From the needles of each definition.
    pub(super) fn new(all: &[Option<&Needles>]) -> Self {
        let numbered = all.iter().enumerate();
        let mut needles: Vec<(Vec<u8>, usize)> = numbered
            .flat_map(|(index, needles)| {
                let texts = needles.iter().flat_map(|needles| &needles.texts);
                texts.map(move |text| (text.clone(), index))
            })
            .collect();
        needles.sort_by_key(|(text, _)| text.len());
        // NOTE: an automaton that grows too large fails to build; then all are always tried.
        let search = Search::vector(&needles).or_else(|| Search::automaton(&needles));
        let always = |needles: &Option<&Needles>| needles.is_none() || search.is_none();
        Self {
            otherwise: all
                .iter()
                .map(|needles| always(needles).then_some(0))
                .collect(),
            search: search.filter(|_| !needles.is_empty()),
            needles,
        }
    }

    /// Sets in `wanted` from where each definition is worth a try on `text`.
    pub(super) fn look(&self, text: &str, wanted: &mut [Option<usize>]) {
        wanted.copy_from_slice(&self.otherwise);
        let text = text.as_bytes();
        let mut found = |needle: usize, start: usize| {
            let first = &mut wanted[self.needles[needle].1];
            *first = first.or(Some(start));
        };
        match &self.search {
            None => {}
            Some(Search::Vector { searcher, longer }) => {
                let mut span = Span::from(0..text.len());
                while let Some(place) = searcher.find_in(text, span) {
                    let needle = place.pattern().as_usize();
                    found(needle, place.start());
                    for &other in &longer[needle] {
                        if text[place.start()..].starts_with(&self.needles[other].0) {
                            found(other, place.start());
                        }
                    }
                    // Needles may overlap.
                    span.start = place.start() + 1;
                }
            }
            Some(Search::Automaton(automaton)) => {
                let input = aho_corasick::Input::new(text);
                let mut state = OverlappingState::start();
                while automaton.try_find_overlapping(&input, &mut state).is_ok() {
                    let Some(place) = state.get_match() else {
                        break;
                    };
                    found(place.pattern().as_usize(), place.start());
                }
            }
        }
    }
}

impl Search {
    fn vector(needles: &[(Vec<u8>, usize)]) -> Option<Self> {
        let searcher = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder()
            .extend(needles.iter().map(|(text, _)| text))
            .build()?;
        let longer = (0..needles.len()).map(|needle| {
            let begins = |&other: &usize| {
                other != needle && needles[other].0.starts_with(&needles[needle].0)
            };
            (0..needles.len()).filter(begins).collect()
        });
        Some(Self::Vector {
            longer: longer.collect(),
            searcher,
        })
    }

    fn automaton(needles: &[(Vec<u8>, usize)]) -> Option<Self> {
        let automaton = DFA::new(needles.iter().map(|(text, _)| text)).ok()?;
        Some(Self::Automaton(Box::new(automaton)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn both_searches_find_the_first_place_of_every_needle(
            texts in proptest::collection::vec("[ab]{2,5}", 1..9),
            text in "[abc]{0,80}",
        ) {
            let all: Vec<Needles> = texts
                .iter()
                .map(|text| Needles { texts: vec![text.as_bytes().to_vec()], begin: false })
                .collect();
            let all: Vec<Option<&Needles>> = all.iter().map(Some).collect();
            let places: Vec<Option<usize>> = texts.iter().map(|needle| text.find(needle)).collect();
            let mut prefilter = Prefilter::new(&all);
            for search in [Search::vector(&prefilter.needles), Search::automaton(&prefilter.needles)] {
                // A machine without vector instructions has the automaton alone.
                prefilter.search = search.or_else(|| Search::automaton(&prefilter.needles));
                let mut wanted = vec![None; texts.len()];
                prefilter.look(&text, &mut wanted);
                prop_assert_eq!(&wanted, &places);
            }
        }
    }
}
