//! Runs that a fork or Dependabot causes, and what they may not choose.

use serde_json::json;

use super::{Site, commands};
use crate::sagemaker::CLOUD;

#[test]
fn a_forks_run_is_reported_in_the_summary_alone() {
    let site = Site::new();
    site.github.pull_of_fork();
    site.github.pull(&json!({"author": "dependabot[bot]"}));
    for event in ["pull_request?number=1", "pull_request?number=2"] {
        let step = site.run(event, &["train", "--force"], 0);
        assert!(step.err.contains("token that only reads"), "{}", step.err);
        assert_eq!(step.outputs["status"], "inconclusive");
        assert!(
            step.summary.contains("| accuracy | 0.97 |"),
            "{}",
            step.summary
        );
        assert!(!step.err.contains("warning"), "{}", step.err);
        let step = site.run(event, &["train", "--force", "--require-report"], 40);
        assert!(step.err.contains("fork-safe.yml"), "{}", step.err);
        assert_eq!(site.writes(), Vec::<String>::new());
    }
}

#[test]
fn a_fork_that_asks_for_a_cloud_is_told_why_it_gets_none() {
    let site = Site::new();
    let config = site.project.read("mlaction.toml") + CLOUD;
    site.project.write("mlaction.toml", &config);
    site.project
        .write("Dockerfile", "FROM scratch\nCOPY model /opt/ml/code\n");
    let base = json!({"path": "mlaction.toml", "text": config});
    site.github.set("files", &base);
    site.github.pull_of_fork();
    let arguments = ["train", "--destination", "cloud"];
    let step = site.run("pull_request?number=1", &arguments, 4);
    assert!(step.err.contains("/train"), "{}", step.err);
    assert_eq!(commands(&step.err).len(), 1, "{}", step.err);
    assert_eq!(site.writes(), Vec::<String>::new());
}

#[test]
fn what_money_hangs_on_is_the_base_branchs() {
    let site = Site::with_pull();
    let limit = |config: &str, time: &str| {
        let channels = "channels = [\"train\"]";
        config.replace(channels, &format!("{channels}\nmax_runtime = \"{time}\""))
    };
    let plain = site.project.read("mlaction.toml");
    let base = json!({"path": "mlaction.toml", "text": limit(&plain, "2h")});
    site.github.set("files", &base);
    let more = "[aws]\nrole_to_assume = \"arn:aws:iam::123456789012:role/admin\"\n";
    site.project
        .write("mlaction.toml", &(limit(&plain, "5d") + CLOUD + more));
    let step = site.run("pull_request?number=1", &["train"], 0);
    let record = site.project.path().join(&step.outputs["record"]);
    let plan = std::fs::read_to_string(record.join("plan.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    // The validation's time is its own.
    assert_eq!(plan["training"]["max_runtime_seconds"], 7200);
    assert!(plan["aws"].is_null(), "{}", plan["aws"]);
    let said = commands(&step.err);
    for key in [
        "`aws`",
        "`registry`",
        "`destinations`",
        "`training.max_runtime`",
        "`main`",
    ] {
        assert!(
            said[0].starts_with("::warning ") && said[0].contains(key),
            "{said:?}"
        );
    }
    let chosen = ["train", "--destination", "cloud"];
    let step = site.run("pull_request?number=1", &chosen, 2);
    assert!(step.err.contains("cloud"), "{}", step.err);
}

#[test]
fn a_project_that_the_base_does_not_have_yet_is_its_writers_own() {
    let site = Site::with_pull();
    let step = site.run("pull_request?number=1", &["train"], 0);
    assert!(!step.err.contains("warning"), "{}", step.err);
    // A fork's limits are nobody's.
    site.github.pull_of_fork();
    let config = site.project.read("mlaction.toml") + CLOUD;
    site.project.write("mlaction.toml", &config);
    let step = site.run("pull_request?number=2", &["train"], 3);
    assert!(
        step.err.contains("`main` has no mlaction.toml"),
        "{}",
        step.err
    );
}

#[test]
fn a_base_that_cannot_be_read_stops_what_costs_and_nothing_else() {
    let site = Site::with_pull();
    let refused = json!({
        "fault": "error",
        "operation": "repos/get-content",
        "status": 403,
        "message": "Resource not accessible by integration",
    });
    site.github.faults(&refused);
    let step = site.run("pull_request?number=1", &["train"], 0);
    assert!(step.err.contains("`contents: read`"), "{}", step.err);
    let config = site.project.read("mlaction.toml") + CLOUD;
    site.project.write("mlaction.toml", &config);
    site.github.faults(&refused);
    let step = site.run("pull_request?number=1", &["train"], 40);
    assert!(
        step.err.contains("nothing is started without it"),
        "{}",
        step.err
    );
}
