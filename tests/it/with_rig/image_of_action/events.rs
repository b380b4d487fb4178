//! What starts a workflow, and who is told.

use serde_json::{Value, json};

use super::{Lab, in_workspace};
use crate::with_rig::support::github::FORK;

#[test]
fn a_push_is_told_to_the_open_pull_request_of_its_commit() {
    let lab = Lab::new("image-push");
    let number = lab.github.pull(&json!({"head_ref": "topic"}));
    let runner = lab.job("push?ref=refs/heads/topic");
    let head = lab.github.all("pulls")[0]["head"]["sha"].clone();
    assert_eq!(
        runner.step().environment()["GITHUB_SHA"],
        *head.as_str().unwrap()
    );
    lab.trains(&runner.step(), &[]);
    assert_eq!(lab.github.comments(number).len(), 1);
    assert_eq!(lab.github.checks()[0]["head_sha"], head);
    lab.github.no_invalid_requests();
}

#[test]
fn a_merge_group_is_told_to_its_pull_request_and_checked_at_its_own_commit() {
    let lab = Lab::new("image-queue");
    let number = lab.github.pull(&json!({}));
    let runner = lab.job(&format!("merge_group?number={number}"));
    lab.trains(&runner.step(), &[]);
    assert_eq!(lab.github.comments(number).len(), 1);
    let checks = lab.github.checks();
    assert_eq!(
        checks[0]["head_sha"],
        *runner.step().environment()["GITHUB_SHA"]
    );
    lab.github.no_invalid_requests();
}

#[test]
fn a_schedule_tells_nobody_but_the_summary() {
    let lab = Lab::new("image-nightly");
    lab.github.pull(&json!({}));
    let runner = lab.job("schedule");
    let step = runner.step();
    lab.trains(&step, &[]);
    assert!(lab.github.comments(1).is_empty());
    assert!(step.summary().contains("accuracy"));
    assert_eq!(step.outputs()["outcome"], "success");
    lab.github.no_invalid_requests();
}

/// `fork-safe.yml` and `fork-safe-report.yml`.
#[test]
fn a_fork_is_trained_without_any_right_and_its_report_is_posted_by_another_run() {
    let lab = Lab::new("image-fork");
    let number = lab.github.pull_of_fork();
    let runner = lab.job(&format!("pull_request?number={number}"));
    lab.github
        .permissions(&json!({"issues": "read", "pull_requests": "read", "checks": "read"}));
    let step = runner.step();
    lab.trains(&step, &[("destination", "docker")]);
    assert!(lab.github.comments(number).is_empty() && lab.github.checks().is_empty());
    assert!(step.summary().contains("accuracy"));
    let record = in_workspace(&lab.project, &step.outputs()["record"]);

    // The other run has no checkout, and the report where it was downloaded.
    let desk = Lab {
        github: lab.github,
        ..Lab::new("image-fork-report")
    };
    desk.github
        .permissions(&json!({"issues": "write", "pull_requests": "write", "checks": "write"}));
    let report = std::fs::read_to_string(record.join("report.json")).unwrap();
    desk.project.write("report/report.json", &report);
    let inputs = [("command", "post"), ("report", "report/report.json")];
    let runner = desk.job(&format!("workflow_run?number={number}"));
    let step = runner.step();
    desk.trains(&step, &inputs);
    let comments = desk.github.comments(number);
    assert_eq!(comments.len(), 1, "{comments:?}");
    let head = desk.github.all("pulls")[0]["head"]["sha"].clone();
    let checks = desk.github.checks();
    assert_eq!(
        (checks.len(), &checks[0]["head_sha"]),
        (1, &head),
        "{checks:?}"
    );
    assert_eq!(step.outputs()["status"], "passed");

    // Nobody trains in such a workflow what lies there.
    desk.project
        .write(".git/HEAD", &format!("{}\n", head.as_str().unwrap()));
    let ended = desk.run(&runner.step(), &[]);
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(
        ended.log.contains("of a fork: it is not run"),
        "{}",
        ended.log
    );
    assert_eq!(desk.github.all("pulls")[0]["head"]["repo"], FORK);
    desk.github.no_invalid_requests();
}

#[test]
fn a_comment_asks_for_a_training_if_its_writer_may() {
    let lab = Lab::new("image-chat");
    let number = lab.github.pull(&json!({}));
    lab.github.set(
        "collaborators",
        &json!({"alice": "write", "mallory": "read"}),
    );
    let ask = |login: &str, text: &str| -> Value {
        let comment = lab.github.says(login, number, text);
        let runner = lab.job(&format!("issue_comment?comment={comment}"));
        let step = runner.step();
        lab.trains(&step, &[("command", "chat")]);
        json!(step.outputs())
    };
    assert_eq!(ask("mallory", "/train")["train"], "false");
    assert_eq!(ask("alice", "what does /train do?")["train"], "false");
    assert!(lab.github.all("reactions").is_empty());
    let asked = ask("alice", "/train --destination docker");
    let head = lab.github.all("pulls")[0]["head"]["sha"].clone();
    let wanted = json!({
        "train": "true", "sha": head, "pull_request": number.to_string(),
        "destination": "docker", "is_fork": "false",
    });
    assert_eq!(asked, wanted);
    assert_eq!(lab.github.all("reactions").len(), 1);
    lab.github.no_invalid_requests();
}
