//! `mlaction metrics`: logs as they occur, and metrics files.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::logs::{CASES, NUMBER};
use crate::project::{Project, stderr, stdout};

/// Runs `mlaction metrics` in an empty folder, with bytes on standard input.
fn metrics(arguments: &[String], input: &[u8]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mlaction"))
        .arg("metrics")
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that refuses its arguments does not read.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// The metrics of `--json`: every value of each, digit by digit.
#[track_caller]
fn series(output: &Output) -> BTreeMap<String, Vec<String>> {
    assert!(output.status.success(), "{}", stderr(output));
    #[derive(serde::Deserialize)]
    struct Document {
        schema_version: u32,
        metrics: mlaction::metrics::MetricSet,
    }
    let document: Document = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document.schema_version, 1);
    let metrics = document.metrics;
    let all = metrics.values.iter().map(|(name, metric)| {
        let values = match metrics.series.get(name) {
            Some(series) => series.values.iter().map(ToString::to_string).collect(),
            None => vec![metric.value.to_string()],
        };
        assert_eq!(values.last(), Some(&metric.value.to_string()));
        (name.clone(), values)
    });
    all.collect()
}

#[test]
fn logs_as_they_occur_are_read_as_expected() {
    for case in CASES {
        let mut arguments = vec!["--json".to_owned()];
        for definition in case.definitions {
            arguments.extend(["--definition".to_owned(), definition.replace("%N", NUMBER)]);
        }
        for preset in case.presets {
            arguments.extend(["--preset".to_owned(), (*preset).to_owned()]);
        }
        let expected: BTreeMap<String, Vec<String>> = case
            .series
            .iter()
            .map(|(name, values)| {
                let values = values.iter().map(|&value| value.to_owned());
                ((*name).to_owned(), values.collect())
            })
            .collect();
        let found = series(&metrics(&arguments, case.log));
        assert_eq!(found, expected, "{}", case.name);
    }
}

#[test]
fn a_line_of_a_megabyte_and_one_of_many_returns_are_read() {
    let mut log = vec![b'x'; 1 << 20];
    log.extend(b" loss=0.5\n");
    for step in 0..50_000 {
        log.extend(format!("\r{step}/50000 loss=0.{step}").bytes());
    }
    let arguments = ["--json", "--definition", "loss=loss=([0-9.]+)"].map(str::to_owned);
    let document: Value = serde_json::from_slice(&metrics(&arguments, &log).stdout).unwrap();
    let loss = &document["metrics"]["series"]["loss"];
    assert_eq!(loss["count"], 50_001);
    assert_eq!(loss["values"][0].to_string(), "0.5");
    assert!(loss["values"].as_array().unwrap().len() <= 1025);
    assert_eq!(
        document["metrics"]["values"]["loss"]["value"].to_string(),
        "0.49999"
    );
}

#[test]
fn people_see_a_table() {
    let log = b"loss=0.50 acc=\x1b[1m0.10\nloss=0.25\nloss=soon\n";
    let arguments = [
        "--definition",
        r"loss=loss=(\S+)",
        "--definition",
        r"acc=acc=(\S+)",
    ];
    let output = metrics(&arguments.map(str::to_owned), log);
    insta::assert_snapshot!(stdout(&output), @r"
    ┌────────┬────────────┬───────┬───────┐
    │ metric ┆ last value ┆ count ┆ curve │
    ╞════════╪════════════╪═══════╪═══════╡
    │ loss   ┆       0.25 ┆     2 ┆ █▁    │
    │ acc    ┆       0.10 ┆     1 ┆       │
    └────────┴────────────┴───────┴───────┘
    ");
    assert_eq!(
        stderr(&output),
        "note: `loss`: 1 matches were not numbers\n"
    );
}

#[test]
fn the_projects_definitions_count_and_flags_add_to_them() {
    let project = Project::new();
    project.write("train.log", "train_loss=0.75 f1=0.5\n");
    let both = [
        "metrics",
        "train.log",
        "--json",
        "--definition",
        "f1=f1=(.*)",
    ];
    let output = project.run(&both, 0);
    assert_eq!(
        series(&output).into_keys().collect::<Vec<_>>(),
        ["f1", "train_loss"]
    );
    let other = [
        "metrics",
        "train.log",
        "--json",
        "--definition",
        "train_loss=(7)5",
    ];
    assert_eq!(series(&project.run(&other, 0))["train_loss"], ["7"]);
    project.write("mlaction.toml", "[project]\n");
    project.run(&["metrics", "train.log"], 3);
}

#[test]
fn a_mistake_is_refused_before_the_log_is_read() {
    for (arguments, message) in [
        (&[][..], "there is nothing to look for"),
        (
            &["--definition", "loss=[0-9]+"],
            "metric definition `loss`: the regex has no group",
        ),
        (
            &["--definition", "loss=([0-9]+"],
            "the regex is not valid: unclosed group",
        ),
        (&["--definition", "loss"], "write NAME=VALUE"),
        (&["--preset", "kears"], "invalid value 'kears'"),
        (&["no.log", "--preset", "keras"], "cannot read `no.log`"),
    ] {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let output = metrics(&arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}

#[test]
fn a_metrics_file_is_read_by_its_name_or_when_asked() {
    let project = Project::new();
    project.write(
        "metrics.json",
        r#"{"acc": 0.90, "val": {"loss": NaN}, "note": "x"}"#,
    );
    let output = project.run(&["metrics", "metrics.json", "--json"], 0);
    let found = series(&output);
    assert_eq!(found["acc"], ["0.90"]);
    assert_eq!(found["val.loss"], ["NaN"]);
    assert!(stdout(&output).contains("`note` in metrics.json is not a number"));

    project.write("metrics.json", "{");
    let output = project.run(&["metrics", "metrics.json"], 2);
    assert!(
        stderr(&output).contains("it is not a metrics file: EOF"),
        "{}",
        stderr(&output)
    );
    let arguments = ["--as", "file", "--json"].map(str::to_owned);
    assert_eq!(series(&metrics(&arguments, b"{\"a\": 1}"))["a"], ["1"]);
}

#[test]
fn a_baseline_knows_every_class_and_how_a_metric_was_read() {
    let project = Project::new();
    let metrics = r#"{"accuracy": 0.97, "per_class": {"cat": {"recall": 0.96}}}"#;
    project.write(
        "model/validate.py",
        &format!("import os\nopen(os.environ['SM_OUTPUT_DATA_DIR'] + '/metrics.json', 'w').write('{metrics}')\n"),
    );
    project.run(&["train"], 0);
    project.run(&["baseline", "set"], 0);
    let text = std::fs::read_to_string(project.path().join("baseline.json")).unwrap();
    let baseline: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        baseline["metrics"]["per_class.cat.recall"]["value"].to_string(),
        "0.96"
    );
    assert_eq!(
        baseline["metrics"]["train_loss"]["definition"],
        "train_loss=([0-9.]+)"
    );
    assert_eq!(baseline["metrics"]["accuracy"].get("definition"), None);

    let gate = "[gates.\"per_class.cat.recall\"]\nregression = { absolute = 0.0 }\ndirection = \"higher\"\n\n[gates.accuracy]";
    project.replace("mlaction.toml", "[gates.accuracy]", gate);
    let output = project.run(&["train", "--json"], 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["metrics"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["name"] == "per_class.cat.recall");
    assert_eq!(row.unwrap()["gate"]["outcome"], "pass");
}
