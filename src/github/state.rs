//! What a step leaves for the step that cleans up after it: the runner gives it back as `STATE_`
//! and its name, also when the first one was killed.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#sending-values-to-the-pre-and-post-actions>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::runner::Runner;
use crate::error::Result;
use crate::record;

const ROOT: &str = "root";
const RUN: &str = "run";
const CHECK: &str = "check";
const UNTOLD: &str = "untold";

/// A run that a step began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The project's folder.
    pub root: PathBuf,
    /// The run's id.
    pub run: String,
    /// The check that it made.
    pub check: Option<u64>,
    /// Whether it had no time to tell GitHub how it ended.
    pub is_untold: bool,
}

impl Begun {
    /// Leaves word of a run before it makes anything.
    ///
    /// # Errors
    /// The runner's file cannot be written.
    pub fn leave(runner: &Runner, root: &Path, run: &str) -> Result<()> {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        runner.state(ROOT, &root.display().to_string())?;
        runner.state(RUN, run)
    }

    /// Leaves word of the check that the run has made.
    ///
    /// # Errors
    /// The runner's file cannot be written.
    pub fn leave_check(runner: &Runner, check: u64) -> Result<()> {
        runner.state(CHECK, &check.to_string())
    }

    /// Leaves word that there is no time to tell GitHub how the run ended.
    ///
    /// # Errors
    /// The runner's file cannot be written.
    pub fn leave_untold(runner: &Runner) -> Result<()> {
        runner.state(UNTOLD, "true")
    }

    /// The folder of the run's record.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        record::runs_dir(&self.root).join(&self.run)
    }

    /// What the step before left.
    #[must_use]
    pub fn of(env: &BTreeMap<String, String>) -> Option<Self> {
        let left = |name: &str| {
            env.get(&format!("STATE_{name}"))
                .filter(|text| !text.is_empty())
        };
        let run = left(RUN)?;
        // It is the name of a folder.
        let is_name = !run.contains('/') && !run.starts_with('.');
        Some(Self {
            root: PathBuf::from(left(ROOT)?),
            run: is_name.then(|| run.clone())?,
            check: left(CHECK).and_then(|check| check.parse().ok()),
            is_untold: left(UNTOLD).is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_the_name_of_a_folder() {
        let of = |root: &str, run: &str| {
            let pairs = [("STATE_root", root), ("STATE_run", run)];
            Begun::of(
                &pairs
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
            )
        };
        assert_eq!(of("/w", "demo-1").unwrap().run, "demo-1");
        for (root, run) in [("", "demo-1"), ("/w", ""), ("/w", "../x"), ("/w", "a/b")] {
            assert_eq!(of(root, run), None, "{root} {run}");
        }
    }
}
