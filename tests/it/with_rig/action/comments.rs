//! The comment is there once, whoever else writes or deletes.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Site, held};
use crate::project::Project;

const PULL: &str = "pull_request?number=1";
const MARKER: &str = "<!-- mlaction:v1:train:demo:process -->";

#[test]
fn a_comment_that_somebody_deletes_meanwhile_is_written_again() {
    let site = Site::with_pull();
    let go = site.project.path().join("go");
    let waits =
        format!("import os, time\nwhile not os.path.exists({go:?}):\n    time.sleep(0.01)\n");
    let train = waits + &site.project.read("model/train.py");
    site.project.write("model/train.py", &train);
    let job = site.job(PULL);
    let step = job.step();
    let mut command = site.project.command(&["train"]);
    command
        .envs(step.environment())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let first = loop {
        if let [comment] = &site.github.comments(1)[..] {
            break comment["id"].as_u64().unwrap();
        }
        assert!(Instant::now() < deadline, "there is no comment");
        // NOTE: GitHub tells nobody; it can be asked only.
        std::thread::sleep(Duration::from_millis(10));
    };
    site.github.delete_comment(first);
    site.project.write("go", "");
    held(&child.wait_with_output().unwrap(), 0);
    let (id, body) = site.comment(1);
    assert_ne!(id, first);
    assert!(body.contains("| accuracy | 0.97 |"), "{body}");
}

#[test]
fn a_comment_of_somebody_else_is_left_alone_and_ours_is_found_behind_many() {
    let site = Site::with_pull();
    let theirs = format!("{MARKER}\nmine");
    let foreign = site.github.says("mallory", 1, &theirs);
    for number in 0..120 {
        site.github.says("alice", 1, &format!("comment {number}"));
    }
    site.run(PULL, &["train"], 0);
    let (first, _) = site.comment(1);
    site.run(PULL, &["train", "--force"], 0);
    assert_eq!(site.comment(1).0, first);
    let comments = site.github.comments(1);
    assert_eq!(comments.len(), 122);
    let left = comments.iter().find(|one| one["id"] == foreign).unwrap();
    assert_eq!(left["body"], *theirs);
    assert_eq!(left["updated_at"], left["created_at"]);
}

#[test]
fn two_runs_at_once_end_with_one_comment() {
    let site = Site::with_pull();
    let other = Project::new();
    let lists = json!({"fault": "together", "operation": "issues/list-comments", "times": 2});
    site.github.faults(&lists);
    let job = site.job(PULL);
    let steps = [&site.project, &other].map(|project| {
        let mut command = project.command(&["train"]);
        command.envs(job.step().environment());
        command.env("GITHUB_WORKSPACE", project.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    });
    for child in steps {
        held(&child.wait_with_output().unwrap(), 0);
    }
    assert_eq!(site.github.waiting_faults().len(), 0);
    let asked = site.github.asked();
    let made = asked.iter().filter(|name| *name == "issues/create-comment");
    assert_eq!(made.count(), 2, "{asked:?}");
    let (_, body) = site.comment(1);
    assert!(body.contains("| accuracy | 0.97 |"), "{body}");
}

#[test]
fn an_answer_that_gets_lost_makes_no_second_comment() {
    for fault in ["reset-after", "server-error-after", "cut"] {
        let site = Site::with_pull();
        let fault = json!({"fault": fault, "operation": "issues/create-comment"});
        site.github.faults(&fault);
        let step = site.run(PULL, &["train", "--require-report"], 0);
        let (_, body) = site.comment(1);
        assert!(body.contains("| accuracy | 0.97 |"), "{body}");
        assert!(!step.err.contains("warning"), "{fault} {}", step.err);
    }
}

#[test]
fn a_huge_report_fits_into_a_comment() {
    let site = Site::with_pull();
    let many = "json.dumps({\"accuracy\": model[\"accuracy\"], **{f\"µ-metric-{n}-{'x' * 200}\": n for n in range(4000)}})";
    let few = "json.dumps({\"accuracy\": model[\"accuracy\"], \"loss\": float(\"nan\")})";
    site.project.replace("model/validate.py", few, many);
    let says = "for line in range(20000):\n    print('é' * 200, line)\nfor epoch in";
    site.project.replace("model/train.py", "for epoch in", says);
    site.run(PULL, &["train", "--require-report"], 0);
    let (_, body) = site.comment(1);
    assert!(body.contains("| accuracy | 0.97 |"), "{}", &body[..2000]);
    assert!(body.len() <= 65_536);
    assert_eq!(site.check()["status"], "completed");
}

#[test]
fn each_destination_has_a_comment_of_its_own() {
    let site = Site::with_pull();
    let other = "[destinations.\"other-one\"]\nkind = \"process\"\n";
    let config = site.project.read("mlaction.toml") + other;
    site.project.write("mlaction.toml", &config);
    site.run(PULL, &["train"], 0);
    site.run(PULL, &["train", "--destination", "other-one"], 0);
    let comments = site.github.comments(1);
    assert_eq!(comments.len(), 2, "{comments:#?}");
    let second = comments[1]["body"].as_str().unwrap();
    let marker = "<!-- mlaction:v1:train:demo:other%2Done -->\n";
    assert!(second.starts_with(marker), "{second}");
    let checks = site.github.checks();
    assert_eq!(checks[1]["name"], "mlaction: demo (other-one)");
}

#[test]
fn on_a_locked_pull_request_nothing_is_said() {
    let site = Site::with_pull();
    site.github.set("lock/1", &json!({}));
    let step = site.run(PULL, &["train"], 0);
    assert!(step.err.contains("unlock the conversation"), "{}", step.err);
    assert_eq!(site.check()["conclusion"], "neutral");
}
