//! `mlaction train` from end to end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::project::{Project, stderr, stdout};

#[test]
fn a_dry_run_writes_nothing_and_a_plan_is_what_runs() {
    let project = Project::new();
    let output = project.run(&["train", "--dry-run"], 0);
    assert!(
        stdout(&output).contains("Plan for demo"),
        "{}",
        stdout(&output)
    );
    assert!(!project.path().join(".mlaction").exists());
    let plan: serde_json::Value =
        serde_json::from_str(&stdout(&project.run(&["plan", "--json"], 0))).unwrap();
    project.run(&["train"], 0);
    assert!(project.runs()[0].ends_with(plan["run"].as_str().unwrap()));
    let text = std::fs::read_to_string(project.runs()[0].join("plan.json")).unwrap();
    let executed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(executed["training"], plan["training"]);
}

#[test]
fn training_validates_gates_reports_and_is_reused() {
    let project = Project::new();
    let output = project.run(&["train", "--json"], 0);
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["status"], "inconclusive");
    assert_eq!(report["metrics"][0]["name"], "accuracy");
    assert_eq!(report["metrics"][0]["value"].to_string(), "0.97");
    assert_eq!(report["curves"]["train_loss"]["count"], 3);
    assert!(stderr(&output).contains("epoch=2 train_loss=0.30"));

    let again = project.run(&["train"], 0);
    assert!(stderr(&again).contains("reused"), "{}", stderr(&again));
    assert_eq!(project.runs().len(), 1);
    project.run(&["train", "--force"], 0);
    assert_eq!(project.runs().len(), 2);

    let markdown = stdout(&project.run(&["report", "--format", "markdown"], 0));
    assert!(markdown.contains("| accuracy | 0.97 |"), "{markdown}");
    assert!(stdout(&project.run(&["logs"], 0)).contains("train_loss=0.90"));
}

#[test]
fn a_worse_model_fails_the_gate_and_the_report_says_by_how_much() {
    let project = Project::new();
    project.run(&["train"], 0);
    project.run(&["baseline", "set"], 0);
    assert!(stdout(&project.run(&["train"], 0)).contains("passed"));
    project.write("data/train/rows.csv", "0.81\n");
    let output = project.run(&["train"], 30);
    let expected = "accuracy: fell by 0.16 from the baseline's 0.97 (allowed 0.02)";
    assert!(stdout(&output).contains(expected), "{}", stdout(&output));
    project.write("data/held_out/rows.csv", "2\n");
    let output = project.run(&["train"], 0);
    assert!(
        stdout(&output).contains("the baseline was measured on other data"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_failing_job_gives_its_reason_and_its_last_lines() {
    let project = Project::new();
    project.write(
        "model/train.py",
        "print('working')\nraise ValueError('no rows left')\n",
    );
    let output = project.run(&["train"], 20);
    assert!(
        stdout(&output).contains("train failed: exit code 1: ValueError: no rows left"),
        "{}",
        stdout(&output)
    );
    assert!(stdout(&output).contains("working"));
}

#[test]
fn a_gate_on_a_metric_that_is_not_there_names_those_that_are() {
    let project = Project::new();
    project.replace("mlaction.toml", "[gates.accuracy]", "[gates.acuracy]");
    let output = project.run(&["train"], 3);
    assert!(
        stderr(&output).contains("did you mean `accuracy`?"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn every_mistake_in_the_config_is_shown_at_once_with_its_place() {
    let project = Project::new();
    project.replace(
        "mlaction.toml",
        "entry_point = \"model/train.py\"",
        "entry_pont = \"model/train.py\"\nmax_runtime = 5",
    );
    let errors = stderr(&project.run(&["check"], 3));
    for part in [
        "did you mean `entry_point`?",
        "`max_runtime` must be text",
        "`entry_point` is missing",
        "mlaction.toml:10:1",
    ] {
        assert!(errors.contains(part), "{part} in\n{errors}");
    }
    project.run(&["train"], 3);
    assert!(project.runs().is_empty());
}

#[test]
fn an_interrupt_stops_the_job_and_keeps_the_record() {
    let project = Project::new();
    let child = start_slow(&project);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert!(stdout(&project.run(&["runs"], 0)).contains("cancelled"));
}

#[test]
fn kill_9_leaves_no_process_and_the_next_run_explains() {
    let project = Project::new();
    let mut child = start_slow(&project);
    let job: i32 = std::fs::read_to_string(project.path().join("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(|| !Path::new(&format!("/proc/{job}")).exists());
    project.replace("model/train.py", "import time", "import sys; sys.exit(0)");
    assert!(stderr(&project.run(&["train"], 20)).contains("was interrupted"));
}

/// Starts a training that never ends, and waits until it runs.
fn start_slow(project: &Project) -> std::process::Child {
    let pid = project.path().join("pid");
    project.write(
        "model/train.py",
        &format!("import time, os\nopen({pid:?}, 'w').write(str(os.getpid()))\nprint('started', flush=True)\ntime.sleep(600)\n"),
    );
    let mut child = project
        .command(&["train"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for line in lines {
        if line.unwrap().contains("started") {
            break;
        }
    }
    child
}

#[track_caller]
fn wait_until(done: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !done() {
        assert!(
            started.elapsed().as_secs() < 30,
            "it did not happen within 30 s"
        );
        std::thread::yield_now();
    }
}
