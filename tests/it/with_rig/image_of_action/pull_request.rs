//! A pull request is trained for real, in containers of the runner's engine.

use serde_json::{Value, json};

use super::{Lab, in_workspace, post};
use crate::with_rig::images::left;

const ON_RUNNER: &[(&str, &str)] = &[("destination", "docker")];

#[test]
fn it_ends_with_one_comment_a_check_outputs_and_a_summary_and_again_with_the_same_comment() {
    let lab = Lab::new("image-pull");
    let number = lab.github.pull(&json!({}));
    let runner = lab.job(&format!("pull_request?number={number}"));
    let step = runner.step();
    lab.trains(&step, ON_RUNNER);

    let [comment] = &lab.github.comments(number)[..] else {
        panic!("one comment is wanted: {:?}", lab.github.comments(number));
    };
    let body = comment["body"].as_str().unwrap();
    assert!(body.starts_with("<!-- mlaction:v1:"), "{body}");
    assert!(body.contains("accuracy") && body.contains("0.9"), "{body}");
    let [check] = &lab.github.checks()[..] else {
        panic!("one check is wanted: {:?}", lab.github.checks());
    };
    let head = &lab.github.all("pulls")[0]["head"]["sha"];
    assert_eq!(check["name"], "mlaction: image-pull (docker)");
    assert_eq!(
        (&check["head_sha"], &check["conclusion"]),
        (head, &json!("success"))
    );

    let outputs = step.outputs();
    let text = |name: &str| outputs[name].as_str();
    assert_eq!(
        (text("status"), text("outcome"), text("passed")),
        ("passed", "success", "true")
    );
    assert_eq!(
        serde_json::from_str::<Value>(text("metrics")).unwrap()["accuracy"],
        0.9
    );
    let anchor = format!("/pull/{number}#issuecomment-{}", comment["id"]);
    assert!(text("comment_url").ends_with(&anchor), "{outputs:?}");
    assert!(text("image").starts_with("sha256:"), "{}", text("image"));
    for name in ["record", "report_path", "model"] {
        in_workspace(&lab.project, text(name));
    }
    let report = in_workspace(&lab.project, text("record")).join("report.json");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let commit = &runner.step().environment()["GITHUB_SHA"];
    assert_eq!(
        report["lineage"]["commit"], **commit,
        "{}",
        report["lineage"]
    );
    assert!(step.summary().contains("accuracy"), "{}", step.summary());
    assert_eq!(step.state()["run"], text("run"));
    let ended = post(&lab.github, &step, ON_RUNNER);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("came to its end"), "{}", ended.log);

    // A new push: another job, whose result is another.
    lab.github.set(
        &format!("pulls/{number}"),
        &json!({"head_sha": "b".repeat(40)}),
    );
    lab.project.replace("image/train.sh", "0.9", "0.8");
    let runner = lab.job(&format!("pull_request?number={number}"));
    lab.trains(&runner.step(), ON_RUNNER);
    let [again] = &lab.github.comments(number)[..] else {
        panic!("one comment is wanted: {:?}", lab.github.comments(number));
    };
    assert_eq!(again["id"], comment["id"]);
    assert_ne!(again["body"], comment["body"]);
    let checks = lab.github.checks();
    assert_eq!(checks.len(), 2, "{checks:?}");
    assert_eq!(checks[1]["head_sha"], "b".repeat(40));
    lab.github.no_invalid_requests();
    assert_eq!(left("image-pull"), "");
}

#[test]
fn a_gate_that_does_not_pass_fails_the_step_and_says_so_everywhere() {
    let lab = Lab::new("image-gate");
    let number = lab.github.pull(&json!({}));
    lab.project
        .replace("mlaction.toml", "min = 0.5", "min = 0.95");
    let runner = lab.job(&format!("pull_request?number={number}"));
    let step = runner.step();
    let ended = lab.run(&step, &[]);
    assert_eq!(ended.code, Some(30), "{}", ended.log);
    assert!(ended.log.contains("\n::error"), "{}", ended.log);
    let outputs = step.outputs();
    assert_eq!(
        (&*outputs["status"], &*outputs["passed"]),
        ("gate_failed", "false")
    );
    let check = &lab.github.checks()[0];
    assert_eq!(check["conclusion"], "failure");
    let annotation = &check["annotations"][0];
    assert_eq!(annotation["path"], "mlaction.toml", "{check}");
    let body = lab.github.comments(number)[0]["body"].clone();
    assert!(body.as_str().unwrap().contains("0.95"), "{body}");
    lab.github.no_invalid_requests();
}

#[test]
fn what_a_job_prints_commands_no_runner() {
    let lab = Lab::new("image-hostile");
    lab.github.pull(&json!({}));
    let hostile = r#"
/busybox printf 'x\r::add-mask::0.9\n'
/busybox printf '  ::set-env name=PATH::/tmp\n'
/busybox printf 'a ##[set-output name=passed;]no\n'
"#;
    let train = lab.project.read("image/train.sh");
    lab.project
        .write("image/train.sh", &format!("{hostile}{train}"));
    let runner = lab.job("pull_request?number=1");
    let ended = lab.trains(&runner.step(), &[("verbose", "true")]);
    assert!(ended.log.contains("add-mask"), "{}", ended.log);
    let mut token = None;
    // NOTE: a runner ends a line at a carriage return, too.
    for line in ended.log.split(['\n', '\r']) {
        let is_command = line.trim_start().starts_with("::") || line.contains("##[");
        match (&token, line.strip_prefix("::stop-commands::")) {
            (None, Some(new)) => token = Some(format!("::{new}::")),
            (Some(known), None) if line == known => token = None,
            (open, _) => {
                assert!(!is_command, "{line}");
                let is_ours = !line.contains("add-mask") && !line.contains("set-output");
                assert!(
                    is_ours || open.is_some(),
                    "commands are not stopped: {line}"
                );
            }
        }
    }
    assert!(token.is_none(), "commands stay stopped");
}
