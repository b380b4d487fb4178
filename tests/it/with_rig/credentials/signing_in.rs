//! The way from GitHub's token to the role, and what stands in it.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::{ROLE, Runner, ends, expire};
use crate::project::stdout;

/// A line that is asked for until the job is twenty sessions old.
const TRAIN: &str = r#"
i=0
while [ $i -lt 60 ]; do i=$((i+1)); /busybox echo "line $i"; /busybox sleep 1; done
/busybox cat /opt/ml/input/data/train/rows.csv > /opt/ml/model/model.txt
"#;

fn answer(status: u16, body: &'static str) -> Option<Response<Bytes>> {
    let answer = Response::builder().status(status);
    Some(answer.body(Bytes::from_static(body.as_bytes())).unwrap())
}

fn refused(code: &str, message: &str, times: u32) -> Value {
    json!({
        "fault": "error", "service": "sts", "operation": "AssumeRoleWithWebIdentity", "status": 400,
        "code": code, "message": message, "times": times,
    })
}

#[test]
fn a_job_outlives_its_credentials_twenty_times_and_nothing_is_lost() {
    let runner = Runner::new(TRAIN, |_| None);
    expire(&runner.site, &json!({"lifetime": 3}));
    let output = runner.command(&["train", "--json"]).output().unwrap();
    ends(&output, 0);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["status"], "passed");
    let log = stdout(&runner.site.project.run(&["logs"], 0));
    let lines = log.lines().filter(|line| line.starts_with("line "));
    let wanted: Vec<String> = (1..=60).map(|number| format!("line {number}")).collect();
    assert_eq!(lines.collect::<Vec<_>>(), wanted);
    assert_eq!(runner.site.aws.jobs().len(), 1);
    assert_eq!(runner.site.aws.asked("CreateTrainingJob"), 1);
    // Three quarters of 3 s, and what a busy machine adds.
    let sign_ins = runner.sign_ins();
    assert!((15..60).contains(&sign_ins), "{sign_ins}");
    // They were renewed before AWS refused them, but for a request that was on its way for long.
    let refused = runner.site.aws.refused("ExpiredTokenException");
    assert!(refused < 5, "{refused}");
}

#[test]
fn the_role_is_taken_on_with_repository_and_run_in_the_sessions_name() {
    let runner = Runner::new("", |_| None);
    ends(&runner.command(&["image", "push"]).output().unwrap(), 0);
    assert_eq!(runner.sign_ins(), 1);
    let plan = runner.command(&["image", "push", "--dry-run"]).output();
    let plan = stdout(&plan.unwrap());
    let wanted =
        format!("  sign in       as {ROLE} for 1 h 0 min at a time, with GitHub's ID token\n");
    assert!(plan.contains(&wanted), "{plan}");
    let plan = runner.command(&["plan", "--json"]).output().unwrap();
    let plan: Value = serde_json::from_str(&stdout(&plan)).unwrap();
    let sign_in = &plan["aws"]["sign_in"];
    assert_eq!(sign_in["session"], "mlaction-octo-org-octo-repo-1234");
    // At a desk, the same project asks AWS's own chain.
    let plan = runner.site.command(&["plan"]).output().unwrap();
    assert!(stdout(&plan).contains("  sign in       by AWS's own chain"));
}

#[test]
fn what_a_runner_launched_is_collected_by_whoever_signs_in_otherwise() {
    let runner = Runner::new(super::super::sagemaker::TRAIN, |_| None);
    let detach = runner.command(&["train", "--detach"]).output().unwrap();
    ends(&detach, 0);
    let sign_ins = runner.sign_ins();
    let jobs = runner.command(&["jobs"]).output().unwrap();
    ends(&jobs, 0);
    assert!(stdout(&jobs).contains(stdout(&detach).trim()), "{jobs:?}");
    assert_eq!(runner.sign_ins(), sign_ins + 1);
    runner.site.forget();
    let collect = runner.site.command(&["collect", "--wait"]).output();
    ends(&collect.unwrap(), 0);
    assert_eq!(runner.sign_ins(), sign_ins + 1);
}

#[test]
fn what_passes_is_tried_again_with_a_new_token() {
    let calls = AtomicU32::new(0);
    let runner = Runner::new("", move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => answer(503, "later"),
        _ => None,
    });
    let key = "Couldn't retrieve verification key from your identity provider";
    let faults = [
        refused("InvalidIdentityToken", key, 1),
        refused("ExpiredTokenException", "Token expired", 1),
        json!({"fault": "internal", "service": "sts"}),
    ];
    runner.site.aws.set("faults", &json!(faults));
    ends(&runner.command(&["image", "push"]).output().unwrap(), 0);
    assert_eq!(runner.sign_ins(), 4);
    assert_eq!(runner.site.aws.faults(), json!([]));
}

#[test]
fn without_the_right_to_ask_for_a_token_the_workflow_lacks_a_permission() {
    let runner = Runner::new("", |_| None);
    let mut command = runner.command(&["image", "push"]);
    command.env_remove("ACTIONS_ID_TOKEN_REQUEST_URL");
    let err = ends(&command.output().unwrap(), 4);
    assert!(
        err.contains(&format!("cannot take on the role `{ROLE}`")),
        "{err}"
    );
    assert!(err.contains("id-token: write"), "{err}");
    assert_eq!(runner.sign_ins(), 0);
}

#[test]
fn github_refuses_to_give_a_token() {
    let runner = Runner::new("", |_| answer(403, "no such job"));
    let err = ends(&runner.command(&["image", "push"]).output().unwrap(), 4);
    assert!(err.contains("GitHub gives no ID token"), "{err}");
    assert!(err.contains("403 Forbidden: no such job"), "{err}");
    let runner = Runner::new("", |_| answer(200, "{\"count\": 1}"));
    let err = ends(&runner.command(&["image", "push"]).output().unwrap(), 4);
    assert!(err.contains("no ID token is in its answer"), "{err}");
}

#[test]
fn aws_refuses_the_role_with_what_to_change() {
    let runner = Runner::new("", |_| None);
    let push = || runner.command(&["image", "push"]).output().unwrap();
    let trust = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
    let provider = "No OpenIDConnect provider found in your account for https://token.actions.githubusercontent.com";
    let long = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    for (code, message, wanted) in [
        (
            "AccessDenied",
            trust,
            "token.actions.githubusercontent.com:sub` = `repo:octo-org/octo-repo:ref:refs/heads/main`",
        ),
        (
            "InvalidIdentityToken",
            provider,
            "aws iam create-open-id-connect-provider --url https://token.actions.githubusercontent.com --client-id-list sts.amazonaws.com",
        ),
        ("ValidationError", long, "lower `aws.role_duration`"),
    ] {
        let before = runner.sign_ins();
        runner.site.aws.set("faults", &refused(code, message, 1));
        let err = ends(&push(), 4);
        assert!(err.contains(wanted) && err.contains(message), "{err}");
        assert_eq!(runner.sign_ins(), before + 1);
    }
    // The token's own audience is what the stand-in looks at.
    let project = &runner.site.project;
    project.replace(
        "mlaction.toml",
        "[registry]\n",
        "[aws]\naudience = \"somebody\"\n\n[registry]\n",
    );
    let err = ends(&push(), 4);
    assert!(err.contains("add `somebody` to the audiences"), "{err}");
    project.replace("mlaction.toml", "audience = \"somebody\"\n", "");
    // Each of them is new, and has expired all the same.
    let before = runner.sign_ins();
    expire(&runner.site, &json!({"token_lifetime": -10}));
    let err = ends(&push(), 4);
    assert!(err.contains("set this machine's clock"), "{err}");
    assert_eq!(runner.sign_ins(), before + 5);
    assert_eq!(runner.site.aws.asked("GetAuthorizationToken"), 0);
}
