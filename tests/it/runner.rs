//! What a runner of GitHub Actions gets to see and to read.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::project::{Project, stderr, stdout};

/// Lines that the runner would take for commands, if it were not told to look for none. That it is
/// told so, and looks again at the end, is asserted where there is anything at all.
pub(crate) fn commands(text: &str) -> Vec<&str> {
    let lines = text.split(['\n', '\r']);
    let is_command = |line: &&str| line.trim_start().starts_with("::") || line.contains("##[");
    let all: Vec<&str> = lines.filter(is_command).collect();
    let Some(stop) = all.first().copied() else {
        return all;
    };
    let token = stop.strip_prefix("::stop-commands::").unwrap();
    assert_eq!(token.len(), 32, "{stop}");
    let resume = format!("::{token}::");
    assert_eq!(all.last(), Some(&&*resume));
    let is_ours = |line: &&str| *line != stop && *line != resume;
    all.into_iter().filter(is_ours).collect()
}

/// Outputs, as the runner reads them.
fn read_outputs(text: &str) -> BTreeMap<&str, String> {
    let mut lines = text.lines();
    let mut all = BTreeMap::new();
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").unwrap();
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        all.insert(name, value.join("\n"));
    }
    all
}

#[test]
fn a_step_has_outputs_and_a_summary_and_hostile_logs_are_text() {
    let project = Project::new();
    project.replace(
        "model/train.py",
        "for epoch in",
        "print('::add-mask::a\\n \\t::set-env name=PATH::/evil\\rx ##[group]y\\r::stop-commands::z')\nfor epoch in",
    );
    let on_runner = |arguments: &[&str], code: i32| {
        let mut command = project.command(arguments);
        for (name, file) in [
            ("GITHUB_OUTPUT", "out"),
            ("GITHUB_STEP_SUMMARY", "summary.md"),
        ] {
            // NOTE: the runner makes them empty for each step.
            project.write(file, "");
            command.env(name, project.path().join(file));
        }
        let output = command.env("GITHUB_ACTIONS", "true").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let read = |name| std::fs::read_to_string(project.path().join(name)).unwrap();
        (
            stdout(&output),
            stderr(&output),
            read("out"),
            read("summary.md"),
        )
    };
    let (out, err, written, summary) = on_runner(&["train", "--verbose"], 0);
    assert!(
        err.contains("add-mask") && err.contains("stop-commands"),
        "{err}"
    );
    assert_eq!(commands(&format!("{out}{err}")), Vec::<&str>::new());
    let outputs = read_outputs(&written);
    assert_eq!(
        (&*outputs["status"], &*outputs["passed"]),
        ("inconclusive", "true")
    );
    let metrics: Value = serde_json::from_str(&outputs["metrics"]).unwrap();
    assert_eq!(metrics["accuracy"].to_string(), "0.97");
    assert!(std::path::Path::new(&outputs["report_path"]).is_file());
    assert!(std::path::Path::new(&outputs["model"]).is_file());
    assert!(summary.contains("accuracy"), "{summary}");

    project.replace("mlaction.toml", "min = 0.5", "min = 0.99");
    let (_, err, written, _) = on_runner(&["train"], 30);
    let [annotation] = commands(&err)[..] else {
        panic!("one annotation is wanted: {err}");
    };
    assert!(
        annotation.starts_with("::error title=demo::"),
        "{annotation}"
    );
    assert_eq!(read_outputs(&written)["passed"], "false");
    let (_, err, ..) = on_runner(&["report", "nonsense"], 2);
    assert!(
        commands(&err)[0].starts_with("::error title=mlaction::there is no run"),
        "{err}"
    );
}
