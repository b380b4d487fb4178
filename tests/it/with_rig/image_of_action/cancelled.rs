//! A step that is cancelled, and one that hears nothing of it.

use std::time::SystemTime;

use serde_json::json;

use super::cloud::Cloud;
use super::{Lab, post, start};
use crate::with_rig::images::left;
use crate::with_rig::support::runner::{Container, Step};

/// A program that ends when it is told to.
const ENDLESS: &str = "trap 'exit 0' TERM\n/busybox sleep 300 &\nwait\n";

/// Longest time from the runner's first signal until the job is stopping, in seconds.
const WITHIN: f64 = 5.0;

fn now() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}

/// Has a step that trains a pull request in the cloud, until the job is at it.
#[track_caller]
fn while_training(train: &str, then: impl FnOnce(&Cloud, &Step<'_>, Container)) {
    let cloud = Cloud::new(train);
    cloud.github.pull(&json!({}));
    let runner = cloud.job("pull_request?number=1");
    let step = runner.step();
    let container = cloud.start(&step, &[]);
    cloud.site.aws.until_training();
    then(&cloud, &step, container);
}

/// The first process of a container hears no signal that it does not listen to.
#[test]
fn a_cancel_is_heard_before_there_is_a_plan() {
    let lab = Lab::new("image-early");
    lab.github.pull(&json!({}));
    let hangs = json!({"fault": "timeout-before", "operation": "repos/get-content"});
    lab.github.faults(&hangs);
    let runner = lab.job("pull_request?number=1");
    let step = runner.step();
    let container = start(&lab.github, &step, &[]);
    lab.github.until_asked("repos/get-content");
    let ended = container.cancel();
    assert_eq!(
        (ended.code, &*ended.signals),
        (Some(130), &["INT"][..]),
        "{ended:?}"
    );
    assert!(
        !ended.runs_on && !ended.log.contains("image …"),
        "{ended:?}"
    );
    assert_eq!(left("image-early"), "");
    assert!(step.state().is_empty() && lab.github.checks().is_empty());
}

#[test]
fn the_job_in_the_cloud_is_stopped_at_once_and_everybody_is_told() {
    while_training(ENDLESS, |cloud, step, container| {
        let told = now();
        let ended = container.cancel();
        assert_eq!(
            (ended.code, &*ended.signals),
            (Some(130), &["INT"][..]),
            "{ended:?}"
        );
        assert!(!ended.runs_on, "{ended:?}");
        let job = cloud.site.aws.jobs().remove(0);
        let mut steps = job["transitions"].as_array().unwrap().iter();
        let stopping = steps.find(|step| step["Status"] == "Stopping").unwrap();
        let after = stopping["StartTime"].as_f64().unwrap() - told;
        assert!(after < WITHIN, "{after} s: {job}");
        assert_eq!(cloud.github.checks()[0]["conclusion"], "cancelled");
        let body = cloud.comment()["body"].clone();
        assert!(body.as_str().unwrap().contains("cancelled"), "{body}");
        assert_eq!(step.outputs()["outcome"], "cancelled");
        let ended = cloud.post(step);
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert_eq!(cloud.site.aws.asked("StopTrainingJob"), 1);
        cloud.github.no_invalid_requests();
    });
}

/// What takes longer than the runner waits goes on by itself: the job is stopping.
#[test]
fn a_job_in_the_cloud_that_hears_no_signal_holds_up_no_step() {
    while_training(
        "trap '' TERM\n/busybox sleep 300\n",
        |cloud, _, container| {
            let ended = container.cancel();
            assert_eq!(
                (ended.code, &*ended.signals),
                (Some(130), &["INT", "TERM"][..]),
                "{ended:?}"
            );
            assert!(!ended.runs_on, "{ended:?}");
            assert_ne!(cloud.site.aws.jobs()[0]["status"], "InProgress");
            assert_eq!(cloud.github.checks()[0]["conclusion"], "cancelled");
            let body = cloud.comment()["body"].clone();
            assert!(body.as_str().unwrap().contains("cancelled"), "{body}");
        },
    );
}

#[test]
fn a_github_that_does_not_answer_keeps_no_job_alive_and_is_told_later() {
    while_training(ENDLESS, |cloud, step, container| {
        let silent = json!({"fault": "timeout-before", "operation": "checks/update"});
        cloud.github.faults(&silent);
        let ended = container.cancel();
        // How long the job takes to stop is not ours.
        assert!(
            ended.code == Some(130) && !ended.signals.contains(&"KILL"),
            "{ended:?}"
        );
        assert_ne!(cloud.site.aws.jobs()[0]["status"], "InProgress");
        assert!(
            ended.log.contains("GitHub was not told how the run ended"),
            "{}",
            ended.log
        );
        assert_eq!(step.outputs()["outcome"], "cancelled");
        assert_eq!(cloud.github.checks()[0]["status"], "in_progress");

        // The step that cleans up has minutes.
        let ended = cloud.post(step);
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        let checks = cloud.github.checks();
        assert_eq!(
            (checks.len(), &checks[0]["conclusion"]),
            (1, &json!("cancelled"))
        );
        let body = cloud.comment()["body"].clone();
        assert!(body.as_str().unwrap().contains("cancelled"), "{body}");
    });
}

/// The runner asks twice, and the second time nobody is waited for.
#[test]
fn a_container_that_hears_no_signal_is_killed_before_the_step_is() {
    let lab = Lab::new("image-deaf");
    lab.github.pull(&json!({}));
    let deaf = "trap '' TERM\n/busybox echo begun\n/busybox sleep 300\n";
    lab.project.write("image/train.sh", deaf);
    let runner = lab.job("pull_request?number=1");
    let step = runner.step();
    let container = start(&lab.github, &step, &[]);
    container.until("begun");
    let ended = container.cancel();
    assert_eq!(
        (ended.code, &*ended.signals),
        (Some(130), &["INT", "TERM"][..]),
        "{ended:?}"
    );
    assert!(!ended.runs_on, "{ended:?}");
    assert_eq!(left("image-deaf"), "");
    assert_eq!(lab.github.checks()[0]["conclusion"], "cancelled");
    assert_eq!(step.outputs()["outcome"], "cancelled");
}

#[test]
fn a_job_in_the_cloud_whose_step_was_killed_is_stopped_by_the_step_after_it() {
    while_training(ENDLESS, |cloud, step, container| {
        container.freeze();
        let ended = container.cancel();
        assert_eq!(ended.signals, ["INT", "TERM", "KILL"]);
        assert!(ended.runs_on, "{ended:?}");
        assert_eq!(cloud.site.aws.jobs()[0]["status"], "InProgress");
        let ended = cloud.post(step);
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(ended.log.contains("is told to stop"), "{}", ended.log);
        assert_ne!(cloud.site.aws.jobs()[0]["status"], "InProgress");
        let checks = cloud.github.checks();
        assert_eq!(
            (checks.len(), &checks[0]["conclusion"]),
            (1, &json!("cancelled"))
        );
        let body = cloud.comment()["body"].clone();
        assert!(
            body.as_str()
                .unwrap()
                .contains("the run was killed before its end"),
            "{body}"
        );
        cloud.github.no_invalid_requests();
    });
}

#[test]
fn containers_of_a_step_that_was_killed_are_removed_by_the_step_after_it() {
    let lab = Lab::new("image-killed");
    lab.github.pull(&json!({}));
    lab.project
        .write("image/train.sh", &format!("/busybox echo begun\n{ENDLESS}"));
    let runner = lab.job("pull_request?number=1");
    let step = runner.step();
    let inputs = [("verbose", "true"), ("comment", "false")];
    let container = start(&lab.github, &step, &inputs);
    container.until("begun");
    container.freeze();
    let ended = container.cancel();
    assert!(ended.runs_on, "{ended:?}");
    assert_ne!(left("image-killed"), "");
    let ended = post(&lab.github, &step, &inputs);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(left("image-killed"), "");
    assert_eq!(lab.github.checks()[0]["conclusion"], "cancelled");
    assert!(lab.github.comments(1).is_empty());
}
