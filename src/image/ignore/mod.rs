//! `.dockerignore` with the semantics of moby's patternmatcher.
//!
//! Patterns are anchored at the context's root, the last one that matches wins, and what is said
//! of a folder holds for everything below it. Where `BuildKit` and the classic command line differ
//! (exceptions with wildcards below an ignored folder) this follows `BuildKit`. Sources:
//! <https://github.com/moby/patternmatcher/blob/main/patternmatcher.go>,
//! <https://github.com/moby/patternmatcher/blob/main/ignorefile/ignorefile.go>,
//! <https://github.com/tonistiigi/fsutil/blob/master/filter.go>.

mod clean;
mod expression;
mod pattern;
#[cfg(test)]
mod tests;

use std::fmt;

pub(super) use clean::clean;
use pattern::Pattern;

/// The rules of one `.dockerignore`; none by default.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

/// A pattern that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreError {
    /// As it was written.
    pub pattern: String,
    /// Line of the file, from 1; place in the list when there is no file.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for IgnoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pattern, line, why } = self;
        write!(f, "line {line}: pattern `{pattern}`: {why}")
    }
}

impl std::error::Error for IgnoreError {}

/// Which patterns matched a folder or what is above it: this holds for everything below it.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail(Vec<bool>);

impl Ignore {
    /// The content of a `.dockerignore`.
    ///
    /// # Errors
    /// The first pattern that is not valid, with its line.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        let mut patterns = Vec::new();
        for (line, bytes) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let error = |why: &str| IgnoreError {
                pattern: String::from_utf8_lossy(bytes).trim().to_owned(),
                line,
                why: why.to_owned(),
            };
            let written = std::str::from_utf8(bytes).map_err(|_| error("it is not UTF-8"))?;
            // A `#` behind blanks is a pattern.
            if written.starts_with('#') || written.trim().is_empty() {
                continue;
            }
            let written = written.trim();
            let cleaned = match written.strip_prefix('!') {
                Some(name) => format!("!{}", relative(name.trim())),
                None => relative(written),
            };
            patterns.extend(Pattern::new(&cleaned).map_err(|why| error(&why))?);
        }
        Ok(Self { patterns })
    }

    /// Patterns that are cleaned already, as `BuildKit` sends them.
    ///
    /// # Errors
    /// The first pattern that is not valid, with its place in the list.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, IgnoreError> {
        let mut all = Vec::new();
        for (line, pattern) in (1..).zip(patterns) {
            let pattern = pattern.as_ref();
            all.extend(Pattern::new(pattern).map_err(|why| IgnoreError {
                pattern: pattern.to_owned(),
                line,
                why,
            })?);
        }
        Ok(Self { patterns: all })
    }

    /// Whether no pattern is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a file, link or folder is kept out. The name is relative to the context, its parts
    /// separated by `/`.
    #[must_use]
    pub fn is_ignored(&self, name: &str) -> bool {
        self.is_below(&self.above(name), name)
    }

    /// Whether a folder has to be looked into: it is kept, or an exception may keep something
    /// below it.
    #[must_use]
    pub fn may_hold_kept(&self, folder: &str) -> bool {
        let (ignored, trail) = self.enter(&self.above(folder), folder);
        !ignored || self.may_except(&trail, folder)
    }

    /// The trail of the folder that holds a name.
    fn above(&self, name: &str) -> Trail {
        let folders = name.match_indices('/').map(|(end, _)| &name[..end]);
        folders.fold(Trail::default(), |trail, folder| {
            self.enter(&trail, folder).1
        })
    }

    /// Whether a name is ignored, by the trail of its folder.
    pub(super) fn is_below(&self, above: &Trail, name: &str) -> bool {
        self.judge(above, name, |_, _| ())
    }

    /// Whether a folder is ignored, by the trail of the folder that holds it, and its own trail.
    pub(super) fn enter(&self, above: &Trail, folder: &str) -> (bool, Trail) {
        let mut trail = Trail(vec![false; self.patterns.len()]);
        let ignored = self.judge(above, folder, |index, matched| trail.0[index] = matched);
        (ignored, trail)
    }

    /// NOTE: a pattern that cannot change the verdict is not tried, and then counts as not matched
    /// for what is below as well. This is what `BuildKit` does, and patterns exist for which it
    /// makes a difference (`a`, `!a/b`, `*` keeps `a/b`).
    fn judge(&self, above: &Trail, name: &str, mut note: impl FnMut(usize, bool)) -> bool {
        let mut ignored = false;
        for (index, pattern) in self.patterns.iter().enumerate() {
            let inherited = above.0.get(index).is_some_and(|matched| *matched);
            if !inherited && pattern.exception != ignored {
                continue;
            }
            let matched = inherited || pattern.matches(name);
            note(index, matched);
            if matched {
                ignored = !pattern.exception;
            }
        }
        ignored
    }

    /// Whether an exception may keep something below a folder that is ignored. Only those after
    /// the pattern that ignores it can.
    pub(super) fn may_except(&self, trail: &Trail, folder: &str) -> bool {
        let mut matched = self.patterns.iter().zip(&trail.0);
        let decisive = matched.rposition(|(pattern, matched)| *matched && !pattern.exception);
        let after = decisive.map_or(0, |index| index + 1);
        self.patterns[after..]
            .iter()
            .any(|pattern| pattern.exception && pattern.may_match_below(folder))
    }

    /// Whether an exception takes a name back that is `guarded` itself or lies below such a folder:
    /// only one that names what is guarded, not one that takes everything around it.
    pub(super) fn brings_back(&self, guarded: &str, name: &str) -> bool {
        let mut exceptions = self.patterns.iter().filter(|pattern| pattern.exception);
        match name == guarded {
            true => exceptions.any(|pattern| !pattern.is_sweeping() && pattern.matches(name)),
            false => exceptions.any(|pattern| pattern.is_in(guarded) && pattern.matches(name)),
        }
    }

    /// Whether an exception may take something below a guarded folder back.
    pub(super) fn may_bring_back(&self, guarded: &str) -> bool {
        let mut exceptions = self.patterns.iter().filter(|pattern| pattern.exception);
        exceptions.any(|pattern| pattern.is_in(guarded))
    }
}

/// A pattern as `.dockerignore` means it: cleaned, and `/a` is `a`.
fn relative(name: &str) -> String {
    let cleaned = match name {
        "" => String::new(),
        _ => clean(name),
    };
    match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => cleaned,
    }
}
