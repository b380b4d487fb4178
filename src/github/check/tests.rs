use proptest::prelude::*;

use super::*;
use crate::plan::sample as plans;
use crate::report::hostile::hostile;
use crate::report::sample as reports;

const HEAD: &str = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";
const URL: Option<&str> = Some("https://github.com/octo-org/octo-repo/actions/runs/42");
/// Most characters of a summary and of a text.
const LONGEST: usize = 65_535;

fn at() -> Timestamp {
    "2026-03-01T09:30:00.5Z".parse().unwrap()
}

fn ended(report: &Report, places: &[GatePlace]) -> Vec<Value> {
    end(report, places, Inconclusive::Pass, URL, at())
}

fn places(report: &Report) -> Vec<GatePlace> {
    let rows = report.metrics.iter().enumerate();
    rows.map(|(at, row)| GatePlace {
        gate: row.name.clone(),
        path: "ml/mlaction.toml".to_owned(),
        line: at + 1,
    })
    .collect()
}

/// What GitHub would refuse in a check's output.
fn is_taken(request: &Value) -> bool {
    let output = &request["output"];
    let fits = |text: &Value, most: usize| text.as_str().is_some_and(|text| text.len() <= most);
    let annotations = output["annotations"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    fits(&output["title"], TITLE)
        && fits(&output["summary"], LONGEST)
        && (output["text"].is_null() || fits(&output["text"], LONGEST))
        && annotations.len() <= ANNOTATIONS
        && annotations
            .iter()
            .all(|one| fits(&one["title"], TITLE) && fits(&one["message"], 64_000))
}

#[test]
fn a_check_begins_with_the_plan() {
    let request = begin(
        &name("churn", "gpu"),
        HEAD,
        "churn-1",
        URL,
        at(),
        &plans::sagemaker(),
    );
    let summary = request["output"]["summary"].as_str().unwrap();
    assert!(summary.contains("| costs at most | 5.64 USD"), "{summary}");
    let mut request = request.clone();
    request["output"]["summary"] = Value::Null;
    assert_eq!(
        request,
        json!({
            "name": "mlaction: churn (gpu)",
            "head_sha": HEAD,
            "external_id": "churn-1",
            "details_url": URL,
            "status": "in_progress",
            "started_at": "2026-03-01T09:30:00Z",
            "output": { "title": "training on gpu", "summary": null },
        })
    );
}

#[test]
fn a_check_ends_with_every_gate_where_it_stands() {
    let config = "[project]\nname = \"churn\"\n[gates.accuracy]\nmin = 0.8\n[gates.latency_ms_p95]\nmax = 50\n";
    let requests = ended(&reports::rich(), &gate_places(config, "ml/mlaction.toml"));
    let [request] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert_eq!(request["conclusion"], "failure");
    assert_eq!(request["completed_at"], "2026-03-01T09:30:00Z");
    assert_eq!(
        request["output"]["annotations"],
        json!([
            {
                "path": "ml/mlaction.toml", "start_line": 3, "end_line": 3,
                "annotation_level": "failure",
                "title": "✗ fail of accuracy: ≥ 0.8 · drop ≤ 0.01",
                "message": "fell by 0.0276543210988 from the baseline's 0.84 (allowed 0.01)",
            },
            {
                "path": "ml/mlaction.toml", "start_line": 5, "end_line": 5,
                "annotation_level": "warning",
                "title": "? inconclusive of latency_ms_p95: ≤ 50 · rise ≤ 5 %",
                "message": "the baseline has no value for it",
            },
        ])
    );
    let title = request["output"]["title"].as_str().unwrap();
    assert!(
        title.starts_with("a gate failed: accuracy: fell by"),
        "{title}"
    );
    assert_eq!(
        request["output"]["summary"]
            .as_str()
            .unwrap()
            .lines()
            .count(),
        5
    );
    let created = create("n", HEAD, "r", request.clone());
    assert_eq!(
        (&created["head_sha"], &created["conclusion"]),
        (&json!(HEAD), &json!("failure"))
    );
}

#[test]
fn more_annotations_come_in_more_requests_that_say_the_same() {
    let report = reports::huge();
    let requests = ended(&report, &places(&report));
    assert_eq!(requests.len(), 1_000 / ANNOTATIONS);
    assert!(requests.iter().all(is_taken));
    let all: Vec<&Value> = requests
        .iter()
        .flat_map(|request| request["output"]["annotations"].as_array().unwrap())
        .collect();
    assert_eq!((all.len(), &all[999]["start_line"]), (1_000, &json!(1_000)));
    for request in &requests[1..] {
        assert_eq!(request["output"]["text"], requests[0]["output"]["text"]);
        assert_eq!(request["conclusion"], requests[0]["conclusion"]);
    }
    assert_eq!(ended(&reports::empty(), &[]).len(), 1);
}

#[test]
fn conclusions_and_states_of_every_end() {
    for (status, conclusions, states) in [
        (
            Status::Passed,
            ["success", "success"],
            ["success", "success"],
        ),
        (
            Status::Inconclusive,
            ["neutral", "failure"],
            ["success", "failure"],
        ),
        (
            Status::GateFailed,
            ["failure", "failure"],
            ["failure", "failure"],
        ),
        (
            Status::BuildFailed,
            ["failure", "failure"],
            ["failure", "failure"],
        ),
        (
            Status::JobFailed,
            ["failure", "failure"],
            ["failure", "failure"],
        ),
        (
            Status::NoCapacity,
            ["failure", "failure"],
            ["failure", "failure"],
        ),
        (
            Status::Stopped,
            ["cancelled", "cancelled"],
            ["error", "error"],
        ),
        (
            Status::TimedOut,
            ["timed_out", "timed_out"],
            ["error", "error"],
        ),
        (
            Status::Cancelled,
            ["cancelled", "cancelled"],
            ["error", "error"],
        ),
    ] {
        let both = [Inconclusive::Pass, Inconclusive::Fail];
        assert_eq!(
            both.map(|one| conclusion(status, one)),
            conclusions,
            "{status:?}"
        );
        let report = Report {
            status,
            ..reports::empty()
        };
        let found = both.map(|one| status_of(&report, one));
        assert_eq!(found, states, "{status:?}");
    }
}

fn status_of(report: &Report, inconclusive: Inconclusive) -> String {
    let request = status("n", report, inconclusive, URL);
    request["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_without_a_report_ends_its_check_with_the_error() {
    let error = Error::new(ExitCode::Build, "the image could not be built")
        .because("no such file\nCOPY <!-- x -->")
        .hint("look");
    let request = failed(&error, Some("javascript:x"), at());
    assert_eq!(request["conclusion"], "failure");
    assert_eq!(request["details_url"], Value::Null);
    assert_eq!(
        request["output"]["title"],
        "the image could not be built: no such file COPY <!-- x -->"
    );
    let summary = request["output"]["summary"].as_str().unwrap();
    assert!(
        summary.starts_with("```text\nerror: the image") && !summary.contains("<!--"),
        "{summary}"
    );
    for (code, conclusion, state) in [
        (ExitCode::Cancelled, "cancelled", "error"),
        (ExitCode::TimedOut, "timed_out", "error"),
        (ExitCode::Config, "failure", "failure"),
    ] {
        let error = Error::new(code, "x".repeat(500));
        assert_eq!(failed(&error, URL, at())["conclusion"], conclusion);
        let status = status_failed("n", &error, URL);
        assert_eq!(status["state"], state);
        assert_eq!(
            status["description"].as_str().unwrap().chars().count(),
            DESCRIPTION
        );
    }
}

#[test]
fn a_status_says_the_result_in_a_line() {
    let mut report = reports::rich();
    report.metrics.retain(|row| row.name == "f1_macro");
    report.conclude();
    assert_eq!(
        status(&name("churn", "gpu"), &report, Inconclusive::Pass, URL),
        json!({
            "context": "mlaction: churn (gpu)",
            "state": "success",
            "description": "passed: f1_macro 0.8350",
            "target_url": URL,
        })
    );
    let begun = status_begun("n", &plans::sagemaker(), None);
    assert_eq!(
        (&begun["state"], &begun["target_url"]),
        (&json!("pending"), &Value::Null)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn no_text_makes_a_request_that_is_refused(text in hostile()) {
        let plan = plans::with_text(&text, 2);
        let report = reports::with_text(&text);
        let began = begin(&name(&text, &text), HEAD, &text, URL, at(), &plan);
        prop_assert!(is_taken(&began));
        let requests = ended(&report, &places(&report));
        for request in &requests {
            prop_assert!(is_taken(request));
            for part in ["summary", "text"] {
                prop_assert!(!request["output"][part].as_str().unwrap().contains("<!--"));
            }
        }
    }
}
