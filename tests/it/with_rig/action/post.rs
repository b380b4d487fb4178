//! `post`: the report of a run that could not write it itself.

use std::path::PathBuf;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::{Value, json};

use super::Site;

impl Site {
    /// A report that a fork's run left, and the fork's pull request.
    #[track_caller]
    fn of_fork() -> (Self, u64, PathBuf) {
        let site = Self::new();
        let fork = site.github.pull_of_fork();
        let step = site.run(&format!("pull_request?number={fork}"), &["train"], 0);
        let record = site.project.path().join(&step.outputs["record"]);
        (site, fork, record.join("report.json"))
    }
}

fn post(report: &std::path::Path) -> [&str; 3] {
    ["post", "--report", report.to_str().unwrap()]
}

#[test]
fn a_report_is_written_on_the_pull_request_of_its_run() {
    let (site, fork, report) = Site::of_fork();
    // Another one from the same branch's name.
    let own = site
        .github
        .pull(&json!({"head_ref": format!("branch-{fork}")}));
    let event = format!("workflow_run?number={fork}");
    let step = site.run(&event, &post(&report), 0);
    let (_, body) = site.comment(fork);
    assert!(body.contains("| accuracy | 0.97 |"), "{body}");
    assert!(site.github.comments(own).is_empty());
    let heads = site.github.all("pulls");
    assert_eq!(site.check()["head_sha"], heads[0]["head"]["sha"]);
    assert_eq!(step.outputs["status"], "inconclusive");
    assert!(
        step.summary.contains("| accuracy | 0.97 |"),
        "{}",
        step.summary
    );

    // What it says already is not sent again.
    site.run(&event, &[&post(&report)[..], &["--no-check"]].concat(), 0);
    let writes = site.writes();
    assert_eq!(writes, ["checks/create", "issues/create-comment"]);
}

#[test]
fn a_pull_request_that_moved_on_hears_nothing() {
    let (site, fork, report) = Site::of_fork();
    let job = site.job(&format!("workflow_run?number={fork}"));
    site.head(fork, &"3".repeat(40));
    let step = site.step(&job, &post(&report), 0);
    assert!(step.err.contains("moved on"), "{}", step.err);
    assert!(site.github.comments(fork).is_empty());
    assert!(site.check()["head_sha"] != "3".repeat(40));
}

/// The number may be out of the other run's files, which are anybody's.
#[test]
fn a_pull_request_that_is_named_must_be_the_runs() {
    let (site, fork, report) = Site::of_fork();
    let own = site.github.pull(&json!({}));
    let event = format!("workflow_run?number={fork}");
    let number = own.to_string();
    let named = [&post(&report)[..], &["--pull-request", &number]].concat();
    site.run(&event, &named, 0);
    assert!(site.github.comments(own).is_empty());
    let number = fork.to_string();
    let named = [&post(&report)[..], &["--pull-request", &number]].concat();
    site.run(&event, &named, 0);
    assert!(site.comment(fork).1.contains("| accuracy | 0.97 |"));
}

#[test]
fn a_hostile_report_is_text() {
    let (site, fork, path) = Site::of_fork();
    let mut report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let hostile = "</details> <!-- mlaction:v1:a:b:c --> @octo-org/all <script>x</script> | [a](http://evil) #1\n::error::x\r##[group]";
    report["metrics"][0]["name"] = hostile.into();
    report["project"] = hostile.into();
    report["reason"] = hostile.into();
    report["destination"] = hostile.into();
    report["log_tail"] = json!([hostile, "```", "~~~"]);
    report["lineage"]["commit"] = hostile.into();
    std::fs::write(&path, report.to_string()).unwrap();
    let step = site.run(&format!("workflow_run?number={fork}"), &post(&path), 0);
    assert_eq!(super::commands(&step.err), Vec::<&str>::new());
    assert_eq!(super::commands(&step.out), Vec::<&str>::new());
    let (_, body) = site.comment(fork);
    is_harmless(body.split_once('\n').unwrap().1);
    let output = &site.check()["output"];
    for part in ["summary", "text"] {
        is_harmless(output[part].as_str().unwrap());
    }
    is_harmless(&step.summary);
}

/// Holds Markdown to be without anybody's HTML, links and mentions. A block of code is text.
#[track_caller]
fn is_harmless(markdown: &str) {
    let mut in_code = false;
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Html(text) | Event::InlineHtml(text) => {
                assert!(!text.contains("script") && !text.contains("<!--"), "{text}");
            }
            Event::Text(text) if !in_code => assert!(!text.contains("@octo"), "{text}"),
            Event::Start(Tag::Link { dest_url, .. }) => {
                assert!(!dest_url.contains("evil"), "{dest_url}");
            }
            _ => {}
        }
    }
}

#[test]
fn what_is_no_report_is_refused_and_nobody_is_told() {
    let (site, fork, path) = Site::of_fork();
    let event = format!("workflow_run?number={fork}");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut report: Value = serde_json::from_str(&text).unwrap();
    report["schema_version"] = 99.into();
    let spaces = " ".repeat(20 << 20);
    for (wrong, words) in [
        (report.to_string(), "version is 99"),
        ("{}".to_owned(), "missing field"),
        (format!("{spaces}{text}"), "more than 16777216 bytes"),
        ("[".repeat(100_000), "invalid type: sequence"),
        (text[..text.len() / 2].to_owned(), "EOF"),
    ] {
        std::fs::write(&path, wrong).unwrap();
        let step = site.run(&event, &post(&path), 40);
        assert!(step.err.contains(words), "{words} {}", step.err);
    }
    std::fs::write(&path, &text).unwrap();
    for event in ["push", "schedule", &format!("pull_request?number={fork}")] {
        let step = site.run(event, &post(&path), 2);
        assert!(step.err.contains("workflow_run"), "{}", step.err);
    }
    assert_eq!(site.writes(), Vec::<String>::new());
}

/// A fork can write whatever it wants into its report.
#[test]
fn a_strangers_word_is_no_check_of_ours() {
    let (site, fork, report) = Site::of_fork();
    let mut forged: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    forged["status"] = "passed".into();
    std::fs::write(&report, forged.to_string()).unwrap();
    let event = format!("workflow_run?number={fork}");
    site.run(&event, &post(&report), 0);
    let check = site.check();
    assert_eq!(check["conclusion"], "neutral");
    let name = check["name"].as_str().unwrap();
    assert!(
        name.starts_with("mlaction, as reported by the fork: "),
        "{name}"
    );
    assert!(site.comment(fork).1.contains("It is its author's word."));

    // A status is green or not, so there is none.
    site.github.permissions(&json!({"checks": "none"}));
    let step = site.run(&event, &post(&report), 0);
    assert!(step.err.contains("checks: write"), "{}", step.err);
    assert!(site.github.statuses().is_empty());

    forged["run"] = "x; $(id)".into();
    std::fs::write(&report, forged.to_string()).unwrap();
    site.run(&event, &post(&report), 40);
}
