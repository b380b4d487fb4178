//! A job on SageMaker that one workflow leaves and another one collects.

use serde_json::json;

use super::Site;
use crate::with_rig::sagemaker::{self, TRAIN};
use crate::with_rig::sagemaker_jobs::commit;
use crate::with_rig::support::github::GitHub;

#[test]
fn a_detached_job_is_told_on_its_pull_request_when_it_is_collected() {
    let cloud = sagemaker::Site::new(TRAIN);
    let sha = commit(&cloud.project);
    let site = Site {
        github: GitHub::start(),
        project: crate::project::Project::empty(),
    };
    site.github.pull(&json!({"head_sha": sha}));
    let run = |event: &str, arguments: &[&str], code| {
        let mut job = site.job(event);
        let place = cloud.project.path().to_str().unwrap();
        job.set("GITHUB_WORKSPACE", place);
        site.step_of(&job, cloud.command(arguments), code)
    };
    let step = run("pull_request?number=1", &["train", "--detach"], 0);
    let name = step.outputs["job"].clone();
    let (left, body) = site.comment(1);
    assert!(body.contains(&name), "{body}");
    assert_eq!(site.check()["status"], "in_progress");
    assert_eq!(site.check()["head_sha"], *sha);

    // What GitHub does not take does not change what became of the job.
    let collect = ["collect", "--wait"];
    let step = run("schedule", &collect, 0);
    assert_eq!(step.outputs["status"], "passed");
    let (told, body) = site.comment(1);
    assert_eq!(told, left);
    assert!(body.contains("| accuracy | 0.97 |"), "{body}");
    // The check that was left is ended, not one beside it.
    assert_eq!(site.check()["conclusion"], "success");

    std::fs::remove_dir_all(cloud.project.path().join(".mlaction")).unwrap();
    cloud.project.replace("data/train/rows.csv", "0.97", "0.96");
    run("pull_request?number=1", &["train", "--detach"], 0);
    let gone =
        json!({"fault": "error", "operation": "pulls/get", "status": 404, "message": "Not Found"});
    site.github.faults(&gone);
    let step = run("schedule", &collect, 0);
    assert!(
        step.err.contains("warning: cannot read the pull request"),
        "{}",
        step.err
    );
    assert_eq!(step.outputs["status"], "passed");
}
