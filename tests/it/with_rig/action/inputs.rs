//! The Action's inputs, as the runner gives them, to the end.

use std::collections::BTreeMap;

use mlaction::github::inputs::INPUTS;
use serde_json::Value;

use super::{Site, Step};
use crate::action::metadata;

const PULL: &str = "pull_request?number=1";

impl Site {
    /// Runs the binary as the Action's container does: with every input, those that the workflow
    /// does not set with their default.
    #[track_caller]
    fn act(&self, event: &str, set: &[(&str, &str)], code: i32) -> Step {
        let mut job = self.job(event);
        // The workflow gives it to the Action, not to the environment.
        job.unset("GITHUB_TOKEN");
        let mut command = self.project.command(&["action"]);
        for input in INPUTS {
            let default = match input.name {
                "github_token" => self.github.token(),
                _ => input.default,
            };
            let set = set.iter().find(|(name, _)| *name == input.name);
            let value = set.map_or(default, |(_, value)| value);
            command.env(format!("INPUT_{}", input.name.to_uppercase()), value);
        }
        self.step_of(&job, command, code)
    }
}

#[test]
fn the_metadata_and_the_binary_name_the_same_inputs() {
    let metadata = metadata();
    let described: Vec<(&str, &str)> = metadata["inputs"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, input)| (name.as_str(), input["default"].as_str().unwrap_or_default()))
        .collect();
    let read: Vec<(&str, &str)> = INPUTS
        .iter()
        .map(|input| (input.name, input.default))
        .collect();
    assert_eq!(described, read);
}

#[test]
fn inputs_become_a_run() {
    let site = Site::with_pull();
    let step = site.act(PULL, &[], 0);
    assert_eq!(step.outputs["status"], "inconclusive");
    let (id, body) = site.comment(1);
    assert!(body.contains("| accuracy | 0.97 |"), "{body}");

    // Everything that is set to nothing is not set.
    let empty: Vec<(&str, &str)> = INPUTS
        .iter()
        .filter(|input| input.name != "github_token")
        .map(|input| (input.name, " "))
        .collect();
    site.act(PULL, &empty, 0);
    assert_eq!(site.comment(1).0, id);

    let runs = site.project.runs().len();
    let set = [
        ("force", "True"),
        ("comment", "FALSE"),
        ("check", "false"),
        ("quiet", "true"),
    ];
    let before = site.writes();
    let step = site.act(PULL, &set, 0);
    assert_eq!(site.project.runs().len(), runs + 1);
    assert_eq!(site.writes(), before);
    assert!(!step.err.contains("validate"), "{}", step.err);
}

#[test]
fn a_folder_and_hyperparameters_are_handed_on() {
    let site = Site::with_pull();
    let inner = site.project.path().join("models/a");
    std::fs::create_dir_all(&inner).unwrap();
    for name in ["mlaction.toml", "model", "data"] {
        std::fs::rename(site.project.path().join(name), inner.join(name)).unwrap();
    }
    let train = site.project.read("models/a/model/train.py");
    let train = train.replace("\"0.10\"", "\"-1 x\"");
    site.project.write("models/a/model/train.py", &train);
    let set = [
        ("working_directory", " models/a "),
        ("set", "\n bias=-1 x \n\n"),
    ];
    let step = site.act(PULL, &set, 0);
    assert!(step.outputs["record"].starts_with("models/a/.mlaction/runs/"));
    let check = site.check();
    assert_eq!(check["annotations"][0]["path"], "models/a/mlaction.toml");
}

#[test]
fn inputs_that_are_wrong_are_all_named_and_nothing_runs() {
    let site = Site::with_pull();
    let set = [
        ("force", "yes"),
        ("detach", "1"),
        ("wait", "true"),
        ("report", "report.json"),
    ];
    let step = site.act(PULL, &set, 2);
    for name in ["`force`", "`detach`", "`wait`", "`report`"] {
        assert!(step.err.contains(name), "{name} {}", step.err);
    }
    assert!(
        step.err.contains("::error title=mlaction::"),
        "{}",
        step.err
    );
    let step = site.act(PULL, &[("command", "trian")], 2);
    assert!(step.err.contains("`train`"), "{}", step.err);
    let step = site.act(PULL, &[("command", "collect"), ("job", "--help")], 2);
    assert!(step.err.contains("looks like an option"), "{}", step.err);
    assert!(site.project.runs().is_empty());
    assert_eq!(site.writes(), Vec::<String>::new());
}

#[test]
fn plan_and_check_run_without_a_token() {
    let site = Site::with_pull();
    let without = ("github_token", "");
    let step = site.act(PULL, &[without, ("command", "plan")], 0);
    assert!(step.out.contains("Plan for demo"), "{}", step.out);
    site.act(PULL, &[without, ("command", "check")], 0);
    let step = site.act(PULL, &[without], 0);
    assert_eq!(step.outputs["status"], "inconclusive");
    assert!(site.github.journal().is_empty());
    let chat = site.comment_event("alice", 1, "/train");
    let step = site.act(&chat, &[without, ("command", "chat")], 3);
    assert!(step.err.contains("github_token"), "{}", step.err);
}

/// What the step leaves in its environment for programs of the project.
#[test]
fn a_training_sees_neither_inputs_nor_tokens() {
    let site = Site::with_pull();
    let dump = "import os, json\nopen(os.environ['SAGEMAKER_BASE_DIR'] + '/model/env.json', 'w').write(json.dumps(dict(os.environ)))\n";
    let train = site.project.read("model/train.py") + dump;
    site.project.write("model/train.py", &train);
    let step = site.act(PULL, &[("role", "arn:aws:iam::123456789012:role/ci")], 0);
    let archive = site.project.path().join(&step.outputs["model"]);
    let mut tar = std::process::Command::new("tar");
    let output = tar
        .arg("-xzOf")
        .arg(archive)
        .args(["--wildcards", "*env.json"]);
    let output = output.output().unwrap();
    let seen: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    let told = [
        "INPUT_",
        "GITHUB_TOKEN",
        "ACTIONS_ID_TOKEN",
        "MLACTION_AWS_ROLE",
    ];
    let found = seen
        .keys()
        .find(|name| told.iter().any(|one| name.starts_with(one)));
    assert_eq!(found, None);
}
