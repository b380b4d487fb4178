//! The baseline that lies in S3, beside the models.

use serde_json::Value;

use super::sagemaker::{Site, TRAIN};
use super::sagemaker_jobs::commit;
use crate::project::{stderr, stdout};

/// Trains with another value of the metric, as a workflow on a branch or for a pull request would.
#[track_caller]
fn trained(site: &Site, value: &str, reference: &str, code: i32) -> Value {
    site.project.write("data/train/rows.csv", value);
    commit(&site.project);
    let mut command = site.command(&["train", "--json"]);
    command.env("GITHUB_REPOSITORY", "org/repo");
    let target = reference.strip_prefix("target of ");
    match reference.strip_prefix("refs/heads/") {
        // As a workflow does that checks out the code of somebody's pull request.
        None if target.is_some() => command.envs([
            ("GITHUB_REF_TYPE", "branch"),
            ("GITHUB_REF_NAME", "main"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_HEAD_REF", target.unwrap_or_default()),
            ("GITHUB_SHA", "5a33cd1e8b0f4a5a8d1a1c2d3e4f5a6b7c8d9e0f"),
        ]),
        Some(branch) => command.envs([("GITHUB_REF_TYPE", "branch"), ("GITHUB_REF_NAME", branch)]),
        None => command.envs([("GITHUB_REF", reference), ("GITHUB_HEAD_REF", "main")]),
    };
    let output = command.output().unwrap();
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

fn baseline(site: &Site) -> String {
    let (out, _) = site.run(&["baseline", "show"], 0);
    let baseline: Value = serde_json::from_str(&out).unwrap();
    baseline["metrics"]["accuracy"]["value"].to_string()
}

#[test]
fn the_last_good_run_of_the_branch_is_what_others_are_held_against() {
    let site = Site::new(TRAIN);
    let place = "[destinations.cloud]\n";
    let kept = format!("{place}baseline_branch = \"main\"\n");
    site.project.replace("mlaction.toml", place, &kept);
    let gate = "min = 0.5\n";
    let gates = format!("{gate}regression = {{ absolute = 0.02 }}\n");
    site.project.replace("mlaction.toml", gate, &gates);
    let (_, err) = site.run(&["baseline", "show"], 3);
    assert!(err.contains("there is no baseline yet"), "{err}");
    let plan = stdout(&site.project.run(&["plan"], 0));
    let address = format!("s3://lake/ml/baseline/{}.json", site.name);
    assert!(
        plan.contains(&format!("{address}, read when the run starts")),
        "{plan}"
    );

    // Nobody's branch, and a pull request from a branch of that name, set nothing.
    trained(&site, "0.99\n", "refs/heads/other", 0);
    trained(&site, "0.98\n", "refs/pull/12/merge", 0);
    trained(&site, "0.97\n", "target of main", 0);
    trained(&site, "0.975\n", "target of ", 0);
    site.run(&["baseline", "show"], 3);
    let first = trained(&site, "0.9\n", "refs/heads/main", 0);
    assert_eq!(first["status"], "inconclusive");
    assert_eq!(baseline(&site), "0.9");

    // On any machine, a pull request is held against it.
    site.forget();
    let worse = trained(&site, "0.8\n", "refs/pull/13/merge", 30);
    assert_eq!(worse["baseline"]["run"], first["run"]);
    assert_eq!(worse["baseline"]["source"], *address);
    trained(&site, "0.7\n", "refs/heads/main", 30);
    assert_eq!(baseline(&site), "0.9");
    assert_eq!(
        trained(&site, "0.95\n", "refs/heads/main", 0)["status"],
        "passed"
    );
    assert_eq!(baseline(&site), "0.95");

    // A run that was planned before the one that set it does not replace it; by hand, it does.
    let (out, _) = site.run(&["baseline", "show"], 0);
    let mut document: Value = serde_json::from_str(&out).unwrap();
    document["planned_at"] = "2100-01-01T00:00:00Z".into();
    site.aws
        .put(address.strip_prefix("s3://").unwrap(), document.to_string());
    trained(&site, "0.96\n", "refs/heads/main", 0);
    assert_eq!(baseline(&site), "0.95");
    site.run(&["baseline", "set"], 0);
    assert_eq!(baseline(&site), "0.96");
}
