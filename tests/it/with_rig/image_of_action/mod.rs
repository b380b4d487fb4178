//! The Action's image, started as a runner starts it, beside the stand-ins for GitHub and AWS.
//!
//! `MLACTION_TEST_ACTION` names the image, which `make test` packs around a static binary of this
//! checkout (`tests/action/pack`): the base of the Dockerfile's build stage cannot be pulled
//! everywhere, the stage behind it is the Dockerfile's own.

mod cancelled;
mod cloud;
mod events;
mod locally;
mod pull_request;
mod surroundings;

use std::path::Path;

use mlaction::github::inputs::INPUTS;

use super::images::{Images, project};
use super::support::github::GitHub;
use super::support::hand_over;
use super::support::runner::{Action, Container, Ended, Runner, Step};
use crate::project::Project;

/// The user of GitHub's runners, whose checkout the workspace is.
const RUNNER: u32 = 1001;

/// The image's name.
#[track_caller]
fn image() -> String {
    std::env::var("MLACTION_TEST_ACTION").expect(
        "this test needs the Action's image: `tests/action/pack TAG` makes it, and \
         MLACTION_TEST_ACTION=TAG names it",
    )
}

/// Starts a step that uses the Action with some inputs; the others have their defaults.
#[track_caller]
fn start(github: &GitHub, step: &Step<'_>, set: &[(&str, &str)]) -> Container {
    with_inputs(github, set, |action| step.run(action))
}

/// The step that cleans up behind another one.
#[track_caller]
fn post(github: &GitHub, step: &Step<'_>, set: &[(&str, &str)]) -> Ended {
    with_inputs(github, set, |action| step.post(action, "/mlaction-post")).wait()
}

#[track_caller]
fn with_inputs(
    github: &GitHub,
    set: &[(&str, &str)],
    start: impl FnOnce(&Action) -> Container,
) -> Container {
    let default = |name: &'static str, text: &'static str| match name {
        // The runner works the expression out.
        "github_token" => github.token().to_owned(),
        _ => text.to_owned(),
    };
    let mut inputs: Vec<(&str, String)> = INPUTS
        .iter()
        .map(|input| (input.name, default(input.name, input.default)))
        .collect();
    for (name, value) in set {
        inputs.retain(|(other, _)| other != name);
        inputs.push((name, (*value).to_owned()));
    }
    let inputs: Vec<(&str, &str)> = inputs
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    start(&Action {
        image: &image(),
        arguments: &["action"],
        inputs: &inputs,
    })
}

/// A project that trains in containers of this machine's engine, and its repository.
struct Lab {
    github: GitHub,
    project: Project,
    _images: Images,
}

impl Lab {
    #[track_caller]
    fn new(name: &'static str) -> Self {
        Self {
            github: GitHub::start_for_containers(),
            project: project(name),
            _images: Images(name),
        }
    }

    /// A job that an event starts, with a checkout of the event's commit.
    #[track_caller]
    fn job(&self, event: &str) -> Runner {
        let runner = Runner::new(&self.github, event, self.project.path());
        check_out(&runner, &self.project);
        runner
    }

    /// Runs a step in a workspace that belongs to another user than the container's.
    #[track_caller]
    fn run(&self, step: &Step<'_>, set: &[(&str, &str)]) -> Ended {
        hand_over(self.project.path(), RUNNER);
        let ended = start(&self.github, step, set).wait();
        // The test itself may be nobody special.
        hand_over(self.project.path(), rustix::process::getuid().as_raw());
        ended
    }

    #[track_caller]
    fn trains(&self, step: &Step<'_>, set: &[(&str, &str)]) -> Ended {
        let ended = self.run(step, set);
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        ended
    }
}

/// What `actions/checkout` leaves for those who look: the commit, checked out by itself.
fn check_out(runner: &Runner, project: &Project) {
    let commit = &runner.step().environment()["GITHUB_SHA"];
    project.write(".git/HEAD", &format!("{commit}\n"));
    project.write(".git/config", "[core]\n\trepositoryformatversion = 0\n");
}

/// A path that the Action gives to the steps after it, as those find it.
#[track_caller]
fn in_workspace(project: &Project, path: &str) -> std::path::PathBuf {
    assert!(Path::new(path).is_relative(), "{path}");
    let found = project.path().join(path);
    assert!(found.exists(), "{}", found.display());
    found
}
