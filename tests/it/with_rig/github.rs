//! The stand-in for GitHub as programs of this machine see it, and what a runner says of an event.

use std::process::Command;

use serde_json::{Value, json};

use super::support::github::{FORK, GitHub, REPOSITORY};
use super::support::runner::{Runner, Step};
use super::support::tool;

/// Asks GitHub for something, as the job whose environment it has.
pub(super) const ASK: &str = r#"
ask() {
  /busybox wget -q -O /dev/null -U test --header "Accept: application/vnd.github+json" \
    --header "Authorization: Bearer $GITHUB_TOKEN" --post-data "$2" "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/$1"
}
"#;

fn sh(step: &Step<'_>, script: &str) -> bool {
    let busybox = tool("busybox");
    let script = (ASK.to_owned() + script).replace("/busybox", busybox.to_str().unwrap());
    let mut shell = Command::new(busybox);
    shell.args(["sh", "-euc", &script]).env_clear();
    let output = shell.envs(step.environment()).output();
    output.unwrap().status.success()
}

#[test]
fn a_step_writes_and_the_test_reads() {
    let github = GitHub::start();
    let folder = tempfile::tempdir().unwrap();
    let number = github.pull(&json!({"labels": ["ml:train"]}));
    let mut runner = Runner::new(
        &github,
        &format!("pull_request?number={number}"),
        folder.path(),
    );
    runner.set("GITHUB_TOKEN", github.token());
    let head = github.all("pulls")[0]["head"]["sha"].clone();
    let script = format!(
        r#"ask issues/{number}/comments '{{"body": "hello"}}'
        ask check-runs '{{"name": "m", "head_sha": {head}, "conclusion": "success"}}'
        ask statuses/{head} '{{"state": "success", "context": "m"}}'
        echo "a=b=c" >>"$GITHUB_OUTPUT"
        printf 'two<<end\n1\n2\nend\n' >>"$GITHUB_OUTPUT"
        echo done >>"$GITHUB_STEP_SUMMARY"
        "#
    );
    let step = runner.step();
    assert!(sh(&step, &script));
    let outputs = step.outputs();
    assert_eq!((&*outputs["a"], &*outputs["two"]), ("b=c", "1\n2"));
    assert_eq!(step.summary(), "done\n");
    assert_eq!(github.comments(number)[0]["body"], "hello");
    assert_eq!(github.checks()[0]["status"], "completed");
    assert_eq!(github.statuses()[0]["context"], "m");
    github.no_invalid_requests();
    assert_eq!(github.asked()[0], "issues/create-comment");
    assert!(runner.step().outputs().is_empty());

    github.delete_comment(github.comments(number)[0]["id"].as_u64().unwrap());
    github.permissions(&json!({"issues": "none", "pull_requests": "none"}));
    github.faults(&json!({"fault": "server-error", "skip": 1}));
    let comment = format!(r#"ask issues/{number}/comments '{{"text": "x"}}'"#);
    assert!(!sh(&step, &comment) && github.comments(number).is_empty());
    assert_eq!(github.waiting_faults().len(), 1);
    assert_eq!(github.journal()[3]["status"], 403);
    let checked = std::panic::catch_unwind(|| github.no_invalid_requests());
    assert!(checked.is_err(), "a comment without a body was valid");
}

#[test]
fn a_job_knows_what_started_it() {
    let github = GitHub::start();
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (github.pull(&json!({})), github.pull_of_fork());
    let comment = github.says("alice", ours, "/train");
    github.set("collaborators", &json!({"alice": "write"}));
    let job = |event: &str| {
        let mut runner = Runner::new(&github, event, folder.path());
        runner.unset("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
        let environment = runner.step().environment();
        let payload = std::fs::read(&environment["GITHUB_EVENT_PATH"]).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["repository"]["full_name"], REPOSITORY);
        assert!(!environment.contains_key("GITHUB_TOKEN"));
        assert_eq!(environment["GITHUB_API_URL"], github.site());
        let text = |name: &str| environment[name].clone();
        (payload, text("GITHUB_EVENT_NAME"), text("GITHUB_REF"))
    };
    for (event, name, place) in [
        ("pull_request?number=1", "pull_request", "refs/pull/1/merge"),
        (
            "pull_request_target?number=2",
            "pull_request_target",
            "refs/heads/main",
        ),
        ("push", "push", "refs/heads/main"),
        ("schedule", "schedule", "refs/heads/main"),
        ("workflow_dispatch", "workflow_dispatch", "refs/heads/main"),
    ] {
        let (_, found, at) = job(event);
        assert_eq!((&*found, &*at), (name, place));
    }
    let (fork, ..) = job(&format!("workflow_run?number={theirs}"));
    assert_eq!(fork["workflow_run"]["head_repository"]["full_name"], FORK);
    assert_eq!(fork["workflow_run"]["pull_requests"], json!([]));
    let (said, ..) = job(&format!("issue_comment?comment={comment}"));
    assert_eq!(said["comment"]["user"]["login"], "alice");
    let (_, _, place) = job(&format!("merge_group?number={ours}"));
    assert!(place.contains("/gh-readonly-queue/main/pr-1-"), "{place}");
}
