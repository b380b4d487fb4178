//! What a runner of GitHub Actions does for a step: its folders, its variables, its files, and the
//! container of an Action.
//!
//! <https://github.com/actions/runner/blob/v2.336.0/src/Runner.Worker/Handlers/ContainerActionHandler.cs>

mod container;
mod files;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use container::{Action, Container, Ended};

use super::github::GitHub;

/// A job on a machine: `_temp` is the runner's folder, the workspace that of the checkout.
pub(crate) struct Runner {
    temp: tempfile::TempDir,
    workspace: PathBuf,
    variables: BTreeMap<String, String>,
    steps: Cell<usize>,
    pub(crate) kind: Kind,
}

/// What is not the same on all runners.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Where container hooks start the container, no engine is reached from it.
    pub(crate) has_engine: bool,
    /// Those before September 2025 do not mount `RUNNER_TEMP`: it names what is not there.
    pub(crate) has_temp: bool,
    /// That of the job's own container or services, where it has some.
    pub(crate) network: Option<String>,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            has_engine: true,
            has_temp: true,
            network: None,
        }
    }
}

impl Runner {
    /// The job that an event starts: `pull_request?number=1`. A checkout is in the workspace.
    #[track_caller]
    pub(crate) fn new(github: &GitHub, event: &str, workspace: &Path) -> Self {
        let temp = tempfile::tempdir().unwrap();
        for folder in ["_github_home", "_github_workflow", "_runner_file_commands"] {
            std::fs::create_dir(temp.path().join(folder)).unwrap();
        }
        let (payload, places) = github.event(event);
        let path = temp.path().join("_github_workflow/event.json");
        std::fs::write(&path, payload.to_string()).unwrap();
        let mut variables: BTreeMap<String, String> = github.environment().into_iter().collect();
        variables.extend(places);
        // A step has it only where the workflow hands it on.
        variables.remove("GITHUB_TOKEN");
        for (name, path) in [
            ("GITHUB_EVENT_PATH", &*path),
            ("GITHUB_WORKSPACE", workspace),
            ("RUNNER_TEMP", temp.path()),
        ] {
            variables.insert(name.to_owned(), text(path));
        }
        Self {
            temp,
            workspace: workspace.to_owned(),
            variables,
            steps: Cell::new(0),
            kind: Kind::default(),
        }
    }

    /// Sets a variable of the job, as `env:` of the workflow does.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Takes a variable from the job.
    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// The next step, with empty files.
    #[track_caller]
    pub(crate) fn step(&self) -> Step<'_> {
        self.steps.set(self.steps.get() + 1);
        let step = Step {
            runner: self,
            number: self.steps.get(),
        };
        for (_, kind) in files::KINDS {
            std::fs::write(step.file(kind), "").unwrap();
        }
        step
    }
}

/// A step of a job.
pub(crate) struct Step<'a> {
    runner: &'a Runner,
    number: usize,
}

impl Step<'_> {
    /// All variables of a step that runs on the machine itself.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let mut variables = self.runner.variables.clone();
        for (name, kind) in files::KINDS {
            variables.insert(name.to_owned(), text(&self.file(kind)));
        }
        variables
    }

    /// Outputs as steps behind this one get them.
    #[track_caller]
    pub(crate) fn outputs(&self) -> BTreeMap<String, String> {
        files::pairs(&self.file("set_output"))
    }

    /// What the step leaves for its post step.
    #[track_caller]
    pub(crate) fn state(&self) -> BTreeMap<String, String> {
        files::pairs(&self.file("save_state"))
    }

    /// The step's part of the job's summary.
    #[track_caller]
    pub(crate) fn summary(&self) -> String {
        std::fs::read_to_string(self.file("step_summary")).unwrap()
    }

    /// Runs an Action's container.
    #[track_caller]
    pub(crate) fn run(&self, action: &Action) -> Container {
        Container::start(self, action, None, &BTreeMap::new())
    }

    /// Runs the post step of an Action, as the runner does whatever became of the main step: with
    /// what that left in its state.
    #[track_caller]
    pub(crate) fn post(&self, action: &Action, entrypoint: &str) -> Container {
        let state = self.state().into_iter();
        let state = state.map(|(name, value)| (format!("STATE_{name}"), value));
        Container::start(
            &self.runner.step(),
            action,
            Some(entrypoint),
            &state.collect(),
        )
    }

    fn file(&self, kind: &str) -> PathBuf {
        let folder = self.runner.temp.path().join("_runner_file_commands");
        folder.join(format!("{kind}_{:08x}", self.number))
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
