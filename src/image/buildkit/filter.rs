//! Which files of a folder the engine asks for, as fsutil's client decides it:
//! <https://github.com/tonistiigi/fsutil/blob/master/filter.go>.

use tonic::metadata::MetadataMap;

use super::super::context::{Entry, Kind};
use super::super::ignore::{Ignore, IgnoreError};
use super::follow;
use crate::image::context::Context;

/// What the engine says of the files that it wants.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) folder: String,
    pub(super) includes: Vec<String>,
    pub(super) excludes: Vec<String>,
    pub(super) follow: Vec<String>,
}

impl Wanted {
    /// From the metadata of the call. Values that are not ASCII are encoded as in a query.
    pub(super) fn from_metadata(metadata: &MetadataMap) -> Self {
        let all = |name: &str| -> Vec<String> {
            let is_encoded = metadata
                .get(format!("{name}-encoded"))
                .is_some_and(|value| ["1", "t", "true"].iter().any(|yes| value == yes));
            let values = metadata
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok());
            values
                .map(|value| match is_encoded {
                    true => unescaped(value),
                    false => value.to_owned(),
                })
                .collect()
        };
        Self {
            folder: all("dir-name").into_iter().next().unwrap_or_default(),
            includes: all("include-patterns"),
            excludes: all("exclude-patterns"),
            follow: all("followpaths"),
        }
    }
}

/// A query's value, decoded as Go's `url.QueryUnescape` does.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = |at: usize| {
            after
                .get(at)
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        rest = after;
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.extend(u8::try_from(high * 16 + low));
                rest = &after[2..];
            }
            (b'+', ..) => bytes.push(b' '),
            (byte, ..) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The rules of one call.
#[derive(Debug, Default)]
pub(super) struct Filter {
    includes: Option<Ignore>,
    excludes: Option<Ignore>,
}

impl Filter {
    /// The rules, links of the context followed.
    pub(super) fn new(wanted: &Wanted, context: Option<&Context>) -> Result<Self, IgnoreError> {
        let mut includes = wanted.includes.clone();
        if !wanted.follow.is_empty() {
            let followed = match context {
                Some(context) => follow::follow(context.root(), &wanted.follow),
                None => Some(wanted.follow.clone()),
            };
            match followed {
                Some(names) => includes.extend(names),
                // One of them is the folder itself.
                None => includes.clear(),
            }
        }
        let rules = |patterns: &[String]| match patterns {
            [] => Ok(None),
            patterns => Ignore::new(patterns).map(Some),
        };
        Ok(Self {
            includes: rules(&includes)?,
            excludes: rules(&wanted.excludes)?,
        })
    }

    /// Whether a name is wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        let Self { includes, excludes } = self;
        includes
            .as_ref()
            .is_none_or(|includes| includes.is_ignored(name))
            && !excludes
                .as_ref()
                .is_some_and(|excludes| excludes.is_ignored(name))
    }

    fn is_all(&self) -> bool {
        self.includes.is_none() && self.excludes.is_none()
    }

    /// The entries that are wanted, and the folders around them.
    pub(super) fn entries<E>(
        self,
        entries: impl Iterator<Item = Result<Entry, E>>,
    ) -> impl Iterator<Item = Result<Entry, E>> {
        let mut around: Vec<Entry> = Vec::new();
        entries.flat_map(move |entry| {
            let entry = match entry {
                Ok(entry) if !self.is_all() => entry,
                entry => return vec![entry],
            };
            let name = entry.name.as_str();
            around.retain(|folder| {
                let rest = name.strip_prefix(folder.name.as_str());
                rest.is_some_and(|rest| rest.starts_with('/'))
            });
            match (self.wants(name), &entry.kind) {
                (true, _) => around.drain(..).chain([entry]).map(Ok).collect(),
                (false, Kind::Folder) => {
                    around.push(entry);
                    Vec::new()
                }
                (false, _) => Vec::new(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_that_is_not_ascii_is_encoded() {
        let mut metadata = MetadataMap::new();
        metadata.insert("dir-name", "context".parse().unwrap());
        metadata.append("followpaths", "a+b%C3%A9".parse().unwrap());
        let plain = Wanted::from_metadata(&metadata);
        assert_eq!(
            (plain.folder.as_str(), plain.follow),
            ("context", vec!["a+b%C3%A9".to_owned()])
        );
        metadata.insert("followpaths-encoded", "1".parse().unwrap());
        assert_eq!(Wanted::from_metadata(&metadata).follow, ["a bé"]);
        assert_eq!(unescaped("%"), "%");
        assert_eq!(unescaped("%zz%4"), "%zz%4");
    }

    #[test]
    fn what_is_wanted_comes_with_the_folders_around_it() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a/b/c.py", "a/b/d.txt", "a/e.py", "f/g.txt", "h.py"] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(root.path().join("Dockerfile"), "FROM scratch").unwrap();
        let context = Context::open(root.path(), &root.path().join("Dockerfile")).unwrap();
        let names = |includes: &[&str], excludes: &[&str], follow: &[&str]| -> Vec<String> {
            let all = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect();
            let wanted = Wanted {
                folder: String::new(),
                includes: all(includes),
                excludes: all(excludes),
                follow: all(follow),
            };
            let filter = Filter::new(&wanted, Some(&context)).unwrap();
            let entries = filter.entries(context.entries());
            entries.map(|entry| entry.unwrap().name).collect()
        };
        assert_eq!(
            names(&["**/*.py"], &[], &[]),
            ["a", "a/b", "a/b/c.py", "a/e.py", "h.py"]
        );
        assert_eq!(names(&["a"], &["a/b"], &[]), ["a", "a/e.py"]);
        assert_eq!(
            names(&[], &["a", "Dockerfile", "!a/b/c.py"], &[]),
            ["a", "a/b", "a/b/c.py", "f", "f/g.txt", "h.py"]
        );
        assert_eq!(names(&[], &[], &["/f"]), ["f", "f/g.txt"]);
        assert_eq!(names(&[], &[], &["absent"]), Vec::<String>::new());
        assert_eq!(names(&[], &[], &["f", "/"]).len(), 9);
    }
}
