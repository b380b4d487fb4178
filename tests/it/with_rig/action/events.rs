//! Events other than a pull request's: who hears of a run.

use serde_json::json;

use super::Site;

#[test]
fn a_push_is_told_on_the_pull_request_whose_head_it_is() {
    let site = Site::with_pull();
    site.run("push?ref=refs/heads/branch-1", &["train"], 0);
    assert!(site.comment(1).1.contains("| accuracy | 0.97 |"));
    let head = site.github.all("pulls")[0]["head"]["sha"].clone();
    assert_eq!(site.check()["head_sha"], head);

    let closed = Site::with_pull();
    closed.github.set("pulls/1", &json!({"state": "closed"}));
    closed.run("push?ref=refs/heads/branch-1", &["train"], 0);
    assert!(closed.github.comments(1).is_empty());
    assert_eq!(closed.check()["status"], "completed");
}

#[test]
fn a_branch_without_a_pull_request_has_a_check_and_a_summary() {
    for event in ["push", "schedule", "workflow_dispatch"] {
        let site = Site::with_pull();
        let step = site.run(event, &["train", "--require-report"], 0);
        assert!(site.github.comments(1).is_empty(), "{event}");
        let main = site.job(event).step().environment()["GITHUB_SHA"].clone();
        assert_eq!(site.check()["head_sha"], *main, "{event}");
        assert!(step.summary.contains("| accuracy | 0.97 |"), "{event}");
    }
}

#[test]
fn a_merge_group_is_told_on_its_pull_request_and_checks_the_groups_commit() {
    let site = Site::with_pull();
    let event = "merge_group?number=1";
    site.run(event, &["train"], 0);
    assert!(site.comment(1).1.contains("| accuracy | 0.97 |"));
    let group = site.job(event).step().environment()["GITHUB_SHA"].clone();
    assert_eq!(site.check()["head_sha"], *group);
}

#[test]
fn a_pull_request_that_the_workflow_names_is_told() {
    let site = Site::with_pull();
    let sha = site.commit();
    site.head(1, &sha);
    let named = ["train", "--pull-request", "1"];
    site.run("workflow_dispatch", &named, 0);
    assert!(site.comment(1).1.contains("| accuracy | 0.97 |"));
    assert_eq!(site.check()["head_sha"], *sha);

    // What is checked out is not its head.
    site.head(1, &"4".repeat(40));
    site.run("workflow_dispatch", &named, 0);
    assert_eq!(site.github.checks().len(), 1);

    let none = ["train", "--pull-request", "99"];
    let step = site.run("workflow_dispatch", &none, 0);
    assert!(
        step.err.contains("cannot read the pull request"),
        "{}",
        step.err
    );
    assert_eq!(step.outputs["passed"], "true");
    let asked = [&none[..], &["--require-report"]].concat();
    site.run("workflow_dispatch", &asked, 40);
}
