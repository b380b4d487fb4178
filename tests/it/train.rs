//! `mlaction train` from end to end.

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
fn an_environment_that_cannot_be_made_is_reported_with_the_installers_words() {
    let project = Project::new();
    project.replace(
        "mlaction.toml",
        "channels = [\"train\"]",
        "channels = [\"train\"]\nrequirements = \"requirements.txt\"",
    );
    project.write("requirements.txt", "!!! not a requirement\n");
    let report = report(&project.run(&["train", "--json"], 10));
    assert_eq!(report["status"], "build_failed");
    assert!(
        report["log_tail"].to_string().contains("not a requirement"),
        "{}",
        report["log_tail"]
    );
    assert!(
        stdout(&project.run(&["report", "--format", "markdown"], 0))
            .contains("the environment or image could not be made")
    );
}

/// A project with requirements, and an installer that says what it knows and makes almost nothing.
fn with_installer(script: &str) -> (Project, std::ffi::OsString) {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::new();
    project.replace(
        "mlaction.toml",
        "channels = [\"train\"]",
        "channels = [\"train\"]\nrequirements = \"requirements.txt\"",
    );
    project.write("requirements.txt", "one==1\n");
    let venv = "[ $1 = venv ] && mkdir -p \"$5/bin\" && ln -s \"$4\" \"$5/bin/python\" && exit 0";
    project.write("programs/uv", &format!("#!/bin/sh\n{venv}\n{script}\n"));
    let uv = project.path().join("programs/uv");
    std::fs::set_permissions(uv, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut path = project.path().join("programs").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    (project, path)
}

#[test]
fn an_installer_knows_where_packages_are_and_no_credentials() {
    let (project, path) = with_installer("env; pwd");
    let mut command = project.command(&["train"]);
    command
        .env("PATH", &path)
        .env("PIP_INDEX_URL", "http://packages");
    command.env("AWS_SECRET_ACCESS_KEY", "hunter3");
    assert_eq!(command.status().unwrap().code(), Some(0));
    let log = stdout(&project.run(&["logs"], 0));
    assert!(log.contains("PIP_INDEX_URL=http://packages"), "{log}");
    let folder = project.path().canonicalize().unwrap();
    assert!(log.lines().any(|line| line == folder.to_str().unwrap()));
    assert!(!log.contains("hunter"), "{log}");
}

#[test]
fn requirements_that_change_while_they_are_installed_are_installed_again() {
    let (project, path) =
        with_installer("[ -e seen ] || echo two==2 >> requirements.txt; touch seen");
    let run = || {
        project
            .command(&["train"])
            .env("PATH", &path)
            .output()
            .unwrap()
    };
    let first = run();
    assert_eq!(first.status.code(), Some(10));
    assert!(stdout(&first).contains("the requirements changed while they were installed"));
    project.write("requirements.txt", "one==1\n");
    let second = run();
    assert_eq!(second.status.code(), Some(0), "{}", stderr(&second));
    assert!(
        stderr(&second).contains("environment …"),
        "it was not made again"
    );
}

#[test]
fn a_job_gets_no_variable_that_is_called_a_secret() {
    let project = Project::new();
    let train = project.read("model/train.py");
    let check =
        "assert 'LC_ALL' in os.environ and not {'NVIDIA_API_KEY', 'LC_TOKEN'} & set(os.environ)\n";
    project.write("model/train.py", &format!("{train}{check}"));
    let mut command = project.command(&["train"]);
    command
        .env("LC_ALL", "C")
        .env("LC_TOKEN", "x")
        .env("NVIDIA_API_KEY", "x");
    assert_eq!(command.status().unwrap().code(), Some(0));
}

#[test]
fn links_that_are_pointed_elsewhere_change_nothing_or_are_noticed() {
    use std::os::unix::fs::symlink;
    let project = Project::new();
    let at = |name: &str| project.path().join(name);
    project.write("data/other/rows.csv", "0.1\n");
    std::fs::rename(at("data/train"), at("data/v1")).unwrap();
    symlink("v1", at("data/train")).unwrap();
    let train = project.read("model/train.py");
    let repoint = |link: &str, to: &str| {
        let link = at(link);
        format!("import os\nos.remove({link:?})\nos.symlink({to:?}, {link:?})\n{train}")
    };
    project.write("model/train.py", &repoint("data/train", "other"));
    let output = project.run(&["train", "--json"], 0);
    assert_eq!(report(&output)["metrics"][0]["value"].to_string(), "0.97");

    std::fs::rename(at("data/v1/rows.csv"), at("data/rows.csv")).unwrap();
    symlink("../rows.csv", at("data/v1/rows.csv")).unwrap();
    std::fs::remove_file(at("data/train")).unwrap();
    symlink("v1", at("data/train")).unwrap();
    project.write(
        "model/train.py",
        &repoint("data/v1/rows.csv", "../other/rows.csv"),
    );
    let output = project.run(&["train"], 12);
    assert!(stderr(&output).contains("the data of `train` changed"));
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
fn mistakes_of_form_do_not_hide_the_others() {
    let project = Project::new();
    project.replace(
        "mlaction.toml",
        "[validation]\nentry_point = \"model/validate.py\"",
        "[destinations.far]\nkind = \"proces\"\n[validation]\nentry_point = \"model/none.py\"",
    );
    project.replace("mlaction.toml", "min = 0.5", "min = \"0.5\"\nmaxx = 1");
    project.replace(
        "mlaction.toml",
        "name = \"demo\"",
        "name = \"demo\"\ndestination = \"far\"",
    );
    project.replace("mlaction.toml", "[\"held_out\"]", "[\"held_oot\"]");
    let errors = stderr(&project.run(&["check"], 3));
    for part in [
        "did you mean `process`?",
        "`min` must be a number",
        "did you mean `max`?",
        "`model/none.py` does not exist",
        "there is no data channel `held_oot`",
        "5 problems",
    ] {
        assert!(errors.contains(part), "{part} in\n{errors}");
    }
}

#[test]
fn the_run_that_was_judged_last_is_the_last_and_a_failed_one_is_no_baseline_unasked() {
    let project = Project::new();
    project.run(&["train"], 0);
    project.write("data/train/rows.csv", "0.40\n");
    project.run(&["train"], 30);
    let error = stderr(&project.run(&["baseline", "set"], 2));
    assert!(error.contains("failed a gate"), "{error}");
    project.write("data/train/rows.csv", "0.97\n");
    assert!(stderr(&project.run(&["train"], 0)).contains("reused"));
    project.run(&["baseline", "set"], 0);
    let baseline: serde_json::Value = serde_json::from_str(&project.read("baseline.json")).unwrap();
    assert_eq!(baseline["metrics"]["accuracy"]["value"].to_string(), "0.97");
}

#[test]
fn validation_has_the_last_word_on_a_metric() {
    let project = Project::new();
    let train = project.read("model/train.py");
    let boast = "(base / 'output/data/metrics.json').write_text('{\"train_loss\": 0.001, \"accuracy\": 1.0}')\n";
    project.write("model/train.py", &format!("{train}{boast}"));
    let validate = project.read("model/validate.py");
    project.write(
        "model/validate.py",
        &format!("{validate}print('train_loss=0.7')\n"),
    );
    let output = project.run(&["train", "--json"], 0);
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let value = |name: &str| {
        let rows = report["metrics"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap()["value"].to_string()
    };
    assert_eq!(
        (value("accuracy"), value("train_loss")),
        ("0.97".to_owned(), "0.7".to_owned())
    );
}

#[test]
fn a_baseline_that_was_asked_for_must_be_there() {
    let project = Project::new();
    let error = stderr(&project.run(&["train", "--baseline", "none.json"], 3));
    assert!(
        error.contains("there is no baseline `none.json`"),
        "{error}"
    );
    project.run(&["train", "--baseline", "/dev/zero"], 3);
    assert!(project.runs().is_empty());
}

#[test]
fn code_that_is_edited_during_a_run_does_not_matter_to_it() {
    let project = Project::new();
    let train = project.read("model/train.py");
    let edit = format!(
        "open({:?}, 'a').write('raise SystemExit(9)')\n",
        project.path().join("model/validate.py")
    );
    project.write("model/train.py", &format!("{train}{edit}"));
    project.run(&["train"], 0);
}

#[test]
fn a_run_without_its_model_or_with_a_damaged_record_is_trained_again() {
    let project = Project::new();
    project.run(&["train"], 0);
    let first = project.runs().pop().unwrap();
    std::fs::remove_file(first.join("model.tar.gz")).unwrap();
    assert!(!stderr(&project.run(&["train"], 0)).contains("reused"));
    for run in project.runs() {
        std::fs::write(run.join("state.json"), "").unwrap();
    }
    project.run(&["train"], 0);
    assert_eq!(project.runs().len(), 3);
}

#[test]
fn folders_that_cannot_be_written_do_not_stay() {
    let project = Project::new();
    let train = project.read("model/train.py");
    let freeze =
        "d = base / 'checkpoints/frozen'\nd.mkdir()\n(d / 'w').write_text('x')\nd.chmod(0o555)\n";
    project.write("model/train.py", &format!("{train}{freeze}"));
    project.run(&["train"], 0);
    assert!(!project.runs()[0].join("work").exists());
}

#[test]
fn names_of_files_do_nothing_to_a_terminal() {
    let project = Project::new();
    let train = project.read("model/train.py");
    let link = "os.symlink('x', base / 'model/\\x1b]0;gone\\x07')\n";
    project.write("model/train.py", &format!("{train}{link}"));
    let output = project.run(&["train"], 20);
    assert!(!stderr(&output).contains('\u{1b}'), "{:?}", stderr(&output));
}

#[test]
fn files_that_were_there_before_are_not_reported_as_the_runs() {
    let project = Project::new();
    project.write("model/metrics.json", "{\"accuracy\": 0.99, \"stale\": 1}");
    project.write("model/model.tar.gz", "not this run's");
    let report = report(&project.run(&["train", "--json"], 0));
    assert_eq!(report["metrics"][0]["value"].to_string(), "0.97");
    assert!(!report["metrics"].to_string().contains("stale"));
}

#[test]
fn data_that_changes_while_it_is_used_gives_no_result() {
    let project = Project::new();
    let train = project.read("model/train.py");
    let grow =
        "import os\nopen(os.environ['SM_CHANNEL_TRAIN'] + '/rows.csv', 'a').write('0.5\\n')\n";
    project.write("model/train.py", &format!("{train}{grow}"));
    let output = project.run(&["train"], 12);
    assert!(
        stderr(&output).contains("the data of `train` changed while the run used it"),
        "{}",
        stderr(&output)
    );
    project.write("model/train.py", &train);
    let output = project.run(&["train"], 0);
    assert!(!stderr(&output).contains("reused"));
}

#[test]
fn a_model_that_cannot_be_packed_is_reported() {
    let project = Project::new();
    let train = project.read("model/train.py");
    let link = "os.symlink('/etc/passwd', base / 'model/link')\n";
    project.write("model/train.py", &format!("{train}{link}"));
    let output = project.run(&["train"], 20);
    let told = stdout(&output);
    assert!(
        told.contains("train failed: cannot pack the model: `link` is a link"),
        "{told}"
    );
    assert!(
        stdout(&project.run(&["report", "--format", "markdown"], 0))
            .contains("cannot pack the model")
    );
}

#[test]
fn a_wrong_gate_is_corrected_without_training_again() {
    let project = Project::new();
    project.replace("mlaction.toml", "[gates.accuracy]", "[gates.acuracy]");
    project.run(&["train"], 3);
    project.replace("mlaction.toml", "[gates.acuracy]", "[gates.accuracy]");
    assert!(stderr(&project.run(&["train"], 0)).contains("reused"));
    assert_eq!(project.runs().len(), 1);
}

#[test]
fn nan_never_passes_a_gate_and_an_undecided_gate_may_be_made_to_fail() {
    let project = Project::new();
    project.replace(
        "mlaction.toml",
        "[gates.accuracy]",
        "[gates.loss]\nmax = 9\n\n[gates.accuracy]",
    );
    let output = project.run(&["train"], 30);
    assert!(
        stdout(&output).contains("NaN is not a finite number"),
        "{}",
        stdout(&output)
    );
    let project = Project::new();
    project.write(
        "mlaction.toml",
        &(project.read("mlaction.toml") + "\n[report]\ninconclusive = \"fail\"\n"),
    );
    project.run(&["train"], 30);
    project.run(&["baseline", "set"], 0);
    project.run(&["train"], 0);
}

#[test]
fn flags_win_over_the_file() {
    let project = Project::new();
    project.run(&["train"], 0);
    project.run(&["baseline", "set"], 0);
    std::fs::rename(
        project.path().join("baseline.json"),
        project.path().join("other.json"),
    )
    .unwrap();
    assert_eq!(
        report(&project.run(&["train", "--json"], 0))["status"],
        "inconclusive"
    );
    let found = report(&project.run(&["train", "--json", "--baseline", "other.json"], 0));
    assert_eq!(found["status"], "passed");
    let plan = report(&project.run(
        &["plan", "--json", "--set", "bias=0.20", "--set", "more=1"],
        0,
    ));
    assert_eq!(
        plan["hyperparameters"].to_string(),
        r#"{"bias":"0.20","more":"1"}"#
    );
    let mut command = project.command(&["plan"]);
    let output = command
        .env("MLACTION_DESTINATION", "nowhere")
        .output()
        .unwrap();
    assert!(
        stderr(&output).contains("there is no destination `nowhere`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn check_names_missing_data_and_a_broken_baseline_at_once() {
    let project = Project::new();
    std::fs::remove_dir_all(project.path().join("data/train")).unwrap();
    project.write("data/train.dvc", "outs: []");
    project.write("baseline.json", "{");
    let errors = stderr(&project.run(&["check"], 12));
    assert!(
        errors.contains("dvc pull data/train.dvc") && errors.contains("baseline.json"),
        "{errors}"
    );
}

fn report(output: &std::process::Output) -> serde_json::Value {
    serde_json::from_str(&stdout(output)).unwrap()
}
