//! Where keys and values stand in `mlaction.toml`.

use std::collections::HashMap;
use std::ops::Range;

/// Where a key stands in the document: `["gates", "accuracy", "min"]`.
pub type Path = Vec<String>;

/// The places of all keys and values, for checks that come after the schema.
#[derive(Debug, Default)]
pub struct Places {
    pub(super) keys: HashMap<Path, Range<usize>>,
    pub(super) values: HashMap<Path, Range<usize>>,
}

impl Places {
    /// The place of a key, or of the nearest table around it.
    #[must_use]
    pub fn key(&self, path: &[&str]) -> Option<Range<usize>> {
        nearest(&self.keys, path)
    }

    /// The place of a value, or of the nearest table around it.
    #[must_use]
    pub fn value(&self, path: &[&str]) -> Option<Range<usize>> {
        let exact: Path = path.iter().map(|&part| part.to_owned()).collect();
        self.values.get(&exact).cloned().or_else(|| self.key(path))
    }
}

fn nearest(places: &HashMap<Path, Range<usize>>, path: &[&str]) -> Option<Range<usize>> {
    let mut path: Path = path.iter().map(|&part| part.to_owned()).collect();
    while !path.is_empty() {
        if let Some(place) = places.get(&path) {
            return Some(place.clone());
        }
        path.pop();
    }
    None
}
