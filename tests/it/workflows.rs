//! Workflows, held to the linters and to the Action: the project's own, those to copy, the
//! template's, and those in the guides.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use crate::action::{metadata, names, root, yaml};
use crate::template::run_tool;

const OWN: &str = ".github/workflows";
const EXAMPLES: &str = "workflows-examples";
const TEMPLATE: &str = "template/.github/workflows";

/// How a workflow names the Action.
const ACTION: &str = "org/ml-action@v1";

/// Guides with workflows in them.
const GUIDES: &[&str] = &["README.md", "docs/github-actions.md"];

/// Triggers that zizmor flags whatever the workflow does. Nothing else is ignored anywhere.
const IGNORED: &[(&str, &str)] = &[
    ("template/.github/workflows/report.yml", "workflow_run"),
    ("workflows-examples/chatops.yml", "issue_comment"),
    ("workflows-examples/fork-safe-report.yml", "workflow_run"),
];

/// The workflows in a folder, by their paths.
fn workflows(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut paths: Vec<String> = names
        .filter(|name| name.ends_with(".yml"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder}");
    paths
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Runs a linter on files of the checkout.
#[track_caller]
fn lint(linter: &[&str], paths: &[String]) {
    let paths = paths.iter().map(String::as_str);
    let arguments: Vec<&str> = linter.iter().copied().chain(paths).collect();
    run_tool(root(), &arguments);
}

/// Workflows by their paths, and those in the guides by the guide and their place in it.
fn all() -> BTreeMap<String, Value> {
    let mut paths = workflows(EXAMPLES);
    paths.extend(workflows(TEMPLATE));
    let place = tempfile::tempdir().unwrap();
    let mut in_guides = Vec::new();
    for guide in GUIDES {
        for (at, text) in blocks(&read(guide)).into_iter().enumerate() {
            let name = format!("{}-{at}.yml", guide.replace('/', "-"));
            std::fs::write(place.path().join(&name), text).unwrap();
            in_guides.push(name);
        }
    }
    let mut all = BTreeMap::new();
    for (folder, paths) in [(root(), paths), (place.path(), in_guides)] {
        let read = yaml(folder, &paths);
        let read = read.as_object().unwrap().iter();
        all.extend(read.map(|(path, workflow)| (path.clone(), workflow.clone())));
    }
    all
}

/// The workflows among a page's blocks of YAML; a block that is one job is one more of `chatops.yml`.
fn blocks(page: &str) -> Vec<String> {
    let block = Regex::new(r"(?ms)^```yaml\n(.*?)^```$").unwrap();
    let job = Regex::new(r"\A  [\w-]+:\n    ").unwrap();
    let blocks = block.captures_iter(page).map(|found| found[1].to_owned());
    blocks
        .filter_map(|text| match text.lines().any(|line| line == "jobs:") {
            true => Some(text),
            false => job
                .is_match(&text)
                .then(|| format!("{}\n{text}", read("workflows-examples/chatops.yml"))),
        })
        .collect()
}

/// The jobs of a workflow that have steps, by their names.
fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let jobs = workflow["jobs"].as_object().unwrap().iter();
    jobs.filter(|(_, job)| job.get("steps").is_some())
}

fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job["steps"].as_array().unwrap().iter()
}

/// Holds workflows to what GitHub takes.
#[track_caller]
fn hold_to_form(paths: &[String]) {
    lint(&["actionlint"], paths);
    let schema = [
        "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ];
    lint(&schema, paths);
}

#[test]
fn the_projects_own_workflows_pass_the_linters() {
    let paths = workflows(OWN);
    hold_to_form(&paths);
    run_tool(
        root(),
        &[
            "zizmor",
            "--offline",
            "--no-progress",
            ".github",
            "action.yml",
        ],
    );
}

#[test]
fn the_workflows_to_copy_pass_the_linters() {
    let paths = workflows(EXAMPLES);
    hold_to_form(&paths);
    // It says which actions must be named by commit: all but this one.
    let config = "template/.github/zizmor.yml";
    lint(
        &["zizmor", "--offline", "--no-progress", "--config", config],
        &paths,
    );
}

#[test]
fn the_workflows_in_the_guides_pass_the_linters() {
    let place = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for guide in GUIDES {
        let found = blocks(&read(guide));
        assert!(!found.is_empty(), "{guide}");
        for (at, text) in found.into_iter().enumerate() {
            let name = format!("{}-{at}.yml", guide.replace('/', "-"));
            std::fs::write(place.path().join(&name), text).unwrap();
            paths.push(name);
        }
    }
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    run_tool(place.path(), &[&["actionlint"], paths.as_slice()].concat());
}

#[test]
fn the_linters_are_told_to_ignore_nothing_but_three_triggers() {
    let paths = [workflows(OWN), workflows(EXAMPLES), workflows(TEMPLATE)].concat();
    let mut ignored = Vec::new();
    for path in &paths {
        for line in read(path)
            .lines()
            .filter(|line| line.contains("zizmor: ignore"))
        {
            let (trigger, rest) = line.trim().split_once(": # zizmor: ignore").unwrap();
            assert!(rest.starts_with("[dangerous-triggers] "), "{path}: {line}");
            ignored.push((path.clone(), trigger.to_owned()));
        }
    }
    ignored.sort();
    let expected = IGNORED
        .iter()
        .map(|(path, trigger)| ((*path).to_owned(), (*trigger).to_owned()));
    assert_eq!(ignored, expected.collect::<Vec<_>>());
}

/// The commands that an input is for, as its description ends; every one when it names none.
fn takers(input: &Value) -> BTreeSet<String> {
    let last = Regex::new(r"For (`[^.]+)\.$").unwrap();
    let word = Regex::new("`(\\w+)`").unwrap();
    let found = last.captures(input["description"].as_str().unwrap());
    let named = found.map(|found| found[1].to_owned()).unwrap_or_default();
    let words = word.captures_iter(&named);
    words.map(|word| word[1].to_owned()).collect()
}

#[test]
fn steps_give_the_action_what_it_takes_and_read_what_it_gives() {
    let metadata = metadata();
    let outputs = names(&metadata, "outputs");
    let mut used = BTreeSet::new();
    for (path, workflow) in all() {
        for (_, job) in jobs(&workflow) {
            for step in steps(job).filter(|step| step["uses"] == ACTION) {
                let given = step["with"].as_object().into_iter().flatten();
                let command = step["with"]["command"].as_str().unwrap_or("train");
                for (name, _) in given {
                    let Some(input) = metadata["inputs"].get(name) else {
                        panic!("{path}: no input `{name}`");
                    };
                    let takers = takers(input);
                    let takes = takers.is_empty() || takers.contains(command);
                    assert!(takes, "{path}: `{name}` is for {takers:?}, not `{command}`");
                    used.insert(name.clone());
                }
                let id = step["id"].as_str().unwrap_or("-");
                let output = Regex::new(&format!(r"\bsteps\.{id}\.outputs\.([\w-]+)")).unwrap();
                for found in output.captures_iter(&job.to_string()) {
                    assert!(
                        outputs.contains(&found[1]),
                        "{path}: no output `{}`",
                        &found[1]
                    );
                }
            }
        }
    }
    assert!(used.len() > 8, "{used:?}");
}

#[test]
fn a_workflow_to_copy_says_what_it_is_for_and_asks_for_no_more_than_it_needs() {
    for path in workflows(EXAMPLES) {
        let text = read(&path);
        for part in ["# ", "\n# For: ", "\n# Set"] {
            assert!(text.contains(part), "{path}: no `{part}`");
        }
        assert!(text.starts_with("# "), "{path}");
        let workflow = yaml(root(), &[&path])[&path].take();
        assert_eq!(workflow["permissions"], serde_json::json!({}), "{path}");
        for (name, job) in jobs(&workflow) {
            assert!(job["timeout-minutes"].is_u64(), "{path}: {name}");
            let trains = steps(job).any(|step| {
                let command = step["with"]["command"].as_str().unwrap_or("train");
                step["uses"] == ACTION && ["train", "collect"].contains(&command)
            });
            let concurrency = workflow.get("concurrency").or(job.get("concurrency"));
            assert!(!trains || concurrency.is_some(), "{path}: {name}");
            let permissions = job["permissions"].as_object().unwrap();
            let has =
                |right: &str, level: &str| permissions.get(right).is_some_and(|has| has == level);
            let text = job.to_string();
            let gives = |input: &str| text.contains(&format!("\"{input}\":"));
            assert_eq!(has("id-token", "write"), gives("role"), "{path}: {name}");
            if has("checks", "write") {
                assert!(!text.contains("\"check\":false"), "{path}: {name}");
            }
            if has("pull-requests", "write") {
                assert!(!text.contains("\"comment\":false"), "{path}: {name}");
            }
        }
    }
}

#[test]
fn every_workflow_names_the_same_commit_of_an_action() {
    let pinned = Regex::new(r"(?m)uses: ([\w./-]+)@(\S+)(?: # (v[\d.]+))?$").unwrap();
    let mut commits: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in [workflows(OWN), workflows(EXAMPLES), workflows(TEMPLATE)].concat() {
        for found in pinned.captures_iter(&read(&path)) {
            if format!("{}@{}", &found[1], &found[2]) != ACTION {
                assert!(
                    found.get(3).is_some(),
                    "{path}: {} has no version",
                    &found[0]
                );
                let named = commits.entry(found[1].to_owned()).or_default();
                named.insert(found[0].to_owned());
            }
        }
    }
    for (action, named) in commits {
        assert_eq!(named.len(), 1, "{action}: {named:?}");
    }
}
