//! GitHub that does not do what a run asks for: the run's own result does not change.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Site;

const PULL: &str = "pull_request?number=1";

#[test]
fn a_token_that_may_not_is_told_what_to_add() {
    let site = Site::with_pull();
    site.github
        .permissions(&json!({"issues": "none", "pull_requests": "none"}));
    let step = site.run(PULL, &["train"], 0);
    assert!(step.err.contains("`pull-requests: write`"), "{}", step.err);
    assert!(!step.err.contains("checks: write"), "{}", step.err);
    assert!(
        step.err.contains("::warning title=mlaction::"),
        "{}",
        step.err
    );
    assert!(site.github.comments(1).is_empty());
    assert_eq!(site.check()["status"], "completed");
    assert!(!step.outputs.contains_key("comment_url"));

    let failing = ["train", "--require-report"];
    let step = site.run(PULL, &failing, 40);
    assert_eq!(step.outputs["passed"], "true");
    // Nothing is said that is not wanted.
    site.run(PULL, &["train", "--require-report", "--no-comment"], 0);
    site.project
        .replace("mlaction.toml", "min = 0.5", "min = 0.99");
    site.run(PULL, &failing, 30);
}

#[test]
fn without_the_right_to_make_checks_the_commit_has_a_status() {
    let site = Site::with_pull();
    site.github.permissions(&json!({"checks": "none"}));
    let step = site.run(PULL, &["train", "--require-report"], 0);
    assert!(!step.err.contains("warning"), "{}", step.err);
    assert!(site.github.checks().is_empty());
    let states = site.github.statuses();
    let states: Vec<&str> = states
        .iter()
        .filter_map(|one| one["state"].as_str())
        .collect();
    assert_eq!(states, ["pending", "success"]);
    assert_eq!(
        site.github.statuses()[1]["context"],
        "mlaction: demo (process)"
    );

    site.github
        .permissions(&json!({"checks": "none", "statuses": "none"}));
    let step = site.run(PULL, &["train"], 0);
    assert!(step.err.contains("`checks: write`"), "{}", step.err);
    assert!(site.comment(1).1.contains("| accuracy | 0.97 |"));
}

#[test]
fn a_token_that_is_none_changes_nothing_of_the_run() {
    let site = Site::with_pull();
    let mut job = site.job(PULL);
    job.set("GITHUB_TOKEN", "ghs_of_yesterday");
    let step = site.step(&job, &["train"], 0);
    assert!(step.err.contains("Bad credentials (401)"), "{}", step.err);
    assert!(step.err.contains("github_token"), "{}", step.err);
    assert_eq!(step.outputs["status"], "inconclusive");
    assert!(step.summary.contains("accuracy"), "{}", step.summary);
    site.step(&job, &["train", "--require-report"], 40);
}

#[test]
fn limits_and_errors_that_pass_do_not_matter() {
    let site = Site::with_pull();
    site.github.faults(&json!([
        {"fault": "secondary-limit", "operation": "issues/create-comment", "seconds": 1},
        {"fault": "primary-limit", "operation": "checks/create", "seconds": 1, "status": 429},
        {"fault": "server-error", "operation": "checks/update", "status": 503},
        {"fault": "reset-before", "operation": "issues/list-comments"},
        {"fault": "server-error", "operation": "issues/create-comment", "status": 500},
        {"fault": "server-error", "operation": "issues/update-comment", "status": 502},
    ]));
    let step = site.run(PULL, &["train", "--require-report"], 0);
    assert!(!step.err.contains("warning"), "{}", step.err);
    assert_eq!(
        site.github.waiting_faults(),
        Vec::<serde_json::Value>::new()
    );
    assert!(site.comment(1).1.contains("| accuracy | 0.97 |"));
    assert_eq!(site.check()["conclusion"], "neutral");
}

#[test]
fn a_check_whose_beginning_got_lost_ends_all_the_same() {
    for fault in [
        "server-error",
        "server-error-after",
        "reset-before",
        "reset-after",
    ] {
        let site = Site::with_pull();
        let fault = json!({"fault": fault, "operation": "checks/create"});
        site.github.faults(&fault);
        let step = site.run(PULL, &["train", "--require-report"], 0);
        assert!(!step.err.contains("warning"), "{fault} {}", step.err);
        assert_eq!(site.check()["conclusion"], "neutral", "{fault}");
    }
}

#[test]
fn a_limit_of_an_hour_holds_nobody_up() {
    let site = Site::with_pull();
    site.github
        .set("limits", &json!({"remaining": 0, "seconds": 3600}));
    let begun = Instant::now();
    let step = site.run(PULL, &["train"], 0);
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        step.err.contains("GitHub's limit is used up"),
        "{}",
        step.err
    );
    assert!(site.github.comments(1).is_empty());
    assert_eq!(step.outputs["status"], "inconclusive");
}
