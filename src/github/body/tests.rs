use proptest::prelude::*;

use super::*;
use crate::plan::sample as plans;
use crate::report::hostile::{hostile, skeleton};
use crate::report::sample as reports;

fn links() -> Links {
    Links {
        marker: marker("Train on PR", "churn", "gpu"),
        run_url: Some("https://github.com/octo-org/octo-repo/actions/runs/42".to_owned()),
        commit: Some("ec26c3e57ca3a959ca5aad62de7213c562f8c821".to_owned()),
    }
}

fn phases(name: &str) -> Vec<(String, Option<f64>)> {
    vec![
        (format!("{name} 1"), Some(34.2)),
        (format!("{name} 2"), Some(86.0)),
        (format!("{name} 3"), None),
    ]
}

#[test]
fn the_comment_of_a_plan() {
    insta::assert_snapshot!("planned", planned(&plans::sagemaker(), &links()));
}

#[test]
fn the_comment_of_a_run_under_way() {
    let phases = phases("phase");
    insta::assert_snapshot!("running", running(&plans::sagemaker(), &phases, &links()));
}

#[test]
fn the_comment_of_a_run_without_a_result() {
    let error =
        "error: 1 problem in mlaction.toml\n  hint: look at it, @team <!-- mlaction:v1:a:b:c -->";
    let body = broken(
        "churn",
        "gpu",
        error,
        &Links {
            marker: marker("", "churn", "gpu"),
            ..Links::default()
        },
    );
    assert_eq!(
        body,
        "<!-- mlaction:v1::churn:gpu -->\n### ❌ churn: there is no result\n\nOn gpu\n\n```text\nerror: 1 problem in mlaction.toml\n  hint: look at it, @team <!\u{200b}-- mlaction:v1:a:b:c -->\n```\n"
    );
}

#[test]
fn the_comment_of_a_report_begins_and_ends_with_where_it_belongs() {
    let body = ended(&reports::failed(), &links());
    assert!(body.starts_with("<!-- mlaction:v1:Train%20on%20PR:churn:gpu -->\n### ❌ churn"));
    assert!(
        body.ends_with("commit ec26c3e57ca3a959ca5aad62de7213c562f8c821\n"),
        "{body}"
    );
}

#[test]
fn a_reused_run_is_named() {
    let mut plan = plans::sagemaker();
    plan.reuse = Some(crate::plan::Reuse {
        run: "churn-1".to_owned(),
        finished_at: plan.created_at,
    });
    let body = planned(&plan, &links());
    assert!(
        body.contains("Nothing is trained: run churn-1, finished 2026-03-01 09:30 UTC"),
        "{body}"
    );
}

#[test]
fn markers_differ_and_hold_nothing_that_ends_them() {
    assert_eq!(
        marker("Train --> x", "a-b", "gpu"),
        "<!-- mlaction:v1:Train%20%2D%2D%3E%20x:a%2Db:gpu -->"
    );
    assert_ne!(marker("a:b", "c", "d"), marker("a", "b:c", "d"));
    let long = |end: &str| marker(&format!("{}{end}", "é".repeat(300)), "p", "d");
    assert_ne!(long("1"), long("2"));
    assert!(long("1").len() < 200);
}

#[test]
fn only_addresses_are_linked_to() {
    for url in [
        "javascript:alert(1)",
        "https://e.x/) [x](http://y",
        "https://e.x/ a",
        "//e.x",
        "https://e.x/<b>",
    ] {
        let links = Links {
            run_url: Some(url.to_owned()),
            commit: Some("main".to_owned()),
            ..Links::default()
        };
        assert_eq!(footer(&links), "", "{url}");
    }
}

#[test]
fn the_longest_bodies_fit() {
    let mut links = links();
    links.marker = marker(&"é".repeat(1_000), "p", "d");
    let plan = plans::with_text(&"`@team|".repeat(200), 500);
    let phases: Vec<_> = (0..500)
        .map(|_| ("|".repeat(500), Some(f64::NAN)))
        .collect();
    let error = "🦀".repeat(1_000) + "\n";
    for body in [
        planned(&plan, &links),
        running(&plan, &phases, &links),
        ended(&reports::huge(), &links),
        broken(
            &plan.project,
            plan.destination.name(),
            &error.repeat(500),
            &links,
        ),
    ] {
        assert!(body.len() <= MOST, "{}", body.len());
        assert!(body.contains("[The workflow's run"), "{body}");
        assert_eq!(
            body.matches("<details").count(),
            body.matches("</details>").count()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn bodies_keep_their_structure_and_their_one_marker(text in hostile()) {
        let links = Links { marker: marker(&text, &text, &text), ..links() };
        let bodies = |text: &str, links: &Links| {
            let plan = plans::with_text(text, 2);
            [
                planned(&plan, links),
                running(&plan, &phases(text), links),
                ended(&reports::with_text(text), links),
                broken(text, text, text, links),
            ]
        };
        for (body, calm) in bodies(&text, &links).iter().zip(&bodies("a", &links)) {
            prop_assert_eq!(body.matches("<!--").count(), 1, "{}", body);
            let (marker, rest) = body.split_once('\n').unwrap();
            let inner = marker.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")).unwrap();
            prop_assert!(!inner.contains("--") && !inner.contains('>'));
            let calm = calm.split_once('\n').unwrap().1;
            prop_assert_eq!(skeleton(rest), skeleton(calm), "{}", rest);
        }
    }
}
