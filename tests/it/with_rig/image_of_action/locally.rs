//! An example workflow from its file to the report, by `act`, which runs workflows on this machine.
//!
//! `local-runner-training.yml` is as it is published. What cannot be reached from here:
//! `actions/checkout`, for which act copies the working tree; the Action's release, in whose place
//! stands a repository with this checkout's action.yml and the image of the tests; the runner's
//! own system, for which the base image of the tests stands in, with a `jq` that only prints JSON.
//!
//! <https://github.com/nektos/act>

use std::fs::{copy, create_dir, write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use super::image;
use crate::action::root;
use crate::project::{Project, stderr, stdout};
use crate::with_rig::images::{Images, docker, left, project};
use crate::with_rig::support::github::{GitHub, REPOSITORY};

/// The job's own system; gone when the test ends.
struct System(String);

impl System {
    #[track_caller]
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base =
            std::env::var("MLACTION_TEST_BASE").expect("tests/rig/up names MLACTION_TEST_BASE");
        let jq = "#!/bin/sh\nexec python3 -m json.tool\n";
        write(folder.path().join("jq"), jq).unwrap();
        let dockerfile =
            format!("FROM {base}\nCOPY jq /usr/local/bin/\nRUN chmod 755 /usr/local/bin/jq\n");
        write(folder.path().join("Dockerfile"), dockerfile).unwrap();
        let tag = format!("mlaction-test-act:{}", std::process::id());
        docker(&[
            "build",
            "--quiet",
            "--tag",
            &tag,
            folder.path().to_str().unwrap(),
        ]);
        Self(tag)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rmi", "--force", &self.0])
            .output();
    }
}

/// Makes a repository of a folder, with one commit.
#[track_caller]
fn commit(folder: &Path, remote: &str) {
    let settings = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "-c",
        "init.defaultBranch=main",
    ];
    let remote = format!("https://github.com/{remote}");
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &["commit", "--quiet", "--message", "a"],
        &["remote", "add", "origin", &remote],
    ] {
        let mut git = Command::new("git");
        git.args(settings).args(arguments).current_dir(folder);
        let output = git.output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

/// What `org/ml-action@v1` is in a release: action.yml, with the name of an image.
#[track_caller]
fn release(folder: &Path) {
    let metadata = std::fs::read_to_string(root().join("action.yml")).unwrap();
    let (build, pull) = (
        "  image: Dockerfile\n",
        format!("  image: docker://{}\n", image()),
    );
    assert_eq!(metadata.matches(build).count(), 1, "{metadata}");
    write(folder.join("action.yml"), metadata.replace(build, &pull)).unwrap();
    commit(folder, "org/ml-action");
}

/// `act`, which is installed beside the Python of the tests.
fn act() -> PathBuf {
    let python = std::env::var("MLACTION_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    Path::new(&python).with_file_name("act")
}

struct Desk {
    github: GitHub,
    project: Project,
    place: tempfile::TempDir,
    system: System,
}

impl Desk {
    #[track_caller]
    fn new(name: &'static str) -> Self {
        let place = tempfile::tempdir().unwrap();
        for folder in ["action", "cache", "home"] {
            create_dir(place.path().join(folder)).unwrap();
        }
        release(&place.path().join("action"));
        let project = project(name);
        let file = ".github/workflows/local-runner-training.yml";
        project.write(file, "");
        let example = root().join("workflows-examples/local-runner-training.yml");
        copy(example, project.path().join(file)).unwrap();
        commit(project.path(), REPOSITORY);
        Self {
            github: GitHub::start(),
            project,
            place,
            system: System::new(),
        }
    }

    #[track_caller]
    fn run(&self, number: u64) -> Output {
        let (payload, _) = self.github.event(&format!("pull_request?number={number}"));
        let at = |name: &str| self.place.path().join(name).display().to_string();
        write(at("event.json"), payload.to_string()).unwrap();
        let mut act = Command::new(act());
        act.args([
            "pull_request",
            "--workflows",
            ".github/workflows/local-runner-training.yml",
        ]);
        act.args([
            "--eventpath",
            &at("event.json"),
            "--action-cache-path",
            &at("cache"),
        ]);
        act.args([
            "--local-repository",
            &format!("org/ml-action@v1={}", at("action")),
        ]);
        act.args(["--platform", &format!("ubuntu-24.04={}", self.system.0)]);
        act.args(["--pull=false", "--no-cache-server", "--rm"]);
        act.args(["--secret", &format!("GITHUB_TOKEN={}", self.github.token())]);
        act.args(["--env", &format!("GITHUB_API_URL={}", self.github.site())]);
        act.current_dir(self.project.path()).env_clear();
        act.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        act.env("HOME", at("home"));
        let output = act.output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        assert!(output.status.success(), "{out}{err}");
        output
    }
}

#[test]
fn the_example_for_runners_of_github_ends_with_one_comment_and_a_check() {
    let _images = Images("image-act");
    let desk = Desk::new("image-act");
    let number = desk.github.pull(&json!({}));
    let log = stdout(&desk.run(number));
    // The step after it prints the outputs.
    assert!(
        log.contains("| passed\n") && log.contains("\"accuracy\": 0.9"),
        "{log}"
    );
    let comments = desk.github.comments(number);
    assert_eq!(comments.len(), 1, "{comments:?}");
    let body = comments[0]["body"].as_str().unwrap();
    assert!(body.contains("accuracy"), "{body}");
    let check = &desk.github.checks()[0];
    assert_eq!(check["conclusion"], "success");
    assert_eq!(
        check["head_sha"],
        desk.github.all("pulls")[0]["head"]["sha"]
    );
    // Again: the same comment.
    desk.run(number);
    let again = desk.github.comments(number);
    assert_eq!((again.len(), &again[0]["id"]), (1, &comments[0]["id"]));
    desk.github.no_invalid_requests();
    assert_eq!(left("image-act"), "");
}
