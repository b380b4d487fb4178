//! Reads what is left of a document whose form has mistakes, so that the rules can report theirs
//! in the same run.

use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::problem::Problem;
use super::raw::RawConfig;

/// The configuration without what is wrong in it, and the names of what was left out.
#[must_use]
pub(super) fn salvage(
    document: &Spanned<DeTable<'_>>,
    problems: &[Problem],
) -> Option<(RawConfig, Vec<String>)> {
    // What cannot do without the wrong part goes too: the table around it, and the one around that.
    (0..=2).find_map(|around| {
        let mut rest = document.clone();
        let mut cut = Cut {
            problems,
            around,
            names: Vec::new(),
        };
        cut.table(rest.get_mut());
        let raw = RawConfig::deserialize(Deserializer::from(rest)).ok()?;
        Some((raw, cut.names))
    })
}

struct Cut<'p> {
    problems: &'p [Problem],
    around: usize,
    names: Vec<String>,
}

impl Cut<'_> {
    fn is_wrong(&self, span: &Range<usize>) -> bool {
        self.problems
            .iter()
            .any(|problem| !problem.is_readable && problem.span.as_ref() == Some(span))
    }

    /// Leaves out what is wrong; gives how many levels around the table have to go as well.
    fn table(&mut self, table: &mut DeTable<'_>) -> usize {
        let mut above = 0;
        let entries = std::mem::take(table).into_iter();
        let kept = entries.filter_map(|(key, mut value)| {
            let levels = match self.is_wrong(&key.span()) {
                true => self.around + 1,
                false => self.value(&mut value),
            };
            if levels == 0 {
                return Some((key, value));
            }
            above = above.max(levels - 1);
            self.names.push(key.into_inner().into_owned());
            None
        });
        *table = kept.collect();
        above
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>) -> usize {
        if self.is_wrong(&value.span()) {
            return self.around + 1;
        }
        match value.get_mut() {
            DeValue::Table(table) => self.table(table),
            DeValue::Array(items) => items
                .iter_mut()
                .map(|item| self.value(item))
                .max()
                .unwrap_or(0),
            _ => 0,
        }
    }
}
