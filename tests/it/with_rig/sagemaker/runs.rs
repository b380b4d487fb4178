//! Whole runs: reported, taken up, never repeated.

use serde_json::{Value, json};

use super::{Site, TRAIN};
use crate::project::{stderr, stdout};
use crate::with_rig::support::stand_in::once;

#[test]
fn a_run_is_reported_and_the_same_content_is_never_launched_again() {
    let site = Site::new(TRAIN);
    let plan = site.project.run(&["plan", "--json"], 0);
    let plan: Value = serde_json::from_str(&stdout(&plan)).unwrap();
    let report = site.train(0);
    assert_eq!(report["status"], "passed", "{report}");
    assert_eq!(report["metrics"][0]["value"].to_string(), "0.97");
    assert_eq!(report["curves"]["loss"]["count"], 2, "{}", report["curves"]);
    let facts = &report["lineage"]["environment"];
    let name = report["jobs"][0]["name"].as_str().unwrap();
    assert!(name.ends_with("-1-train"), "{report}");
    assert!(stdout(&site.project.run(&["logs"], 0)).contains("epoch=2 loss=0.25\n"));

    // What the plan showed is what was sent.
    let [job] = &site.aws.jobs()[..] else {
        panic!("one job is wanted: {:?}", site.aws.jobs());
    };
    let mut planned = plan["training"]["request"]["create_training_job"].clone();
    planned["AlgorithmSpecification"]["TrainingImage"] = facts["image"].clone();
    assert_eq!(job["request"], planned);

    let sent = site.aws.asked("PutObject");
    assert_eq!(site.train(0)["run"], report["run"]);
    assert_eq!(site.aws.asked("CreateTrainingJob"), 1);
    // Another machine finds the finished job, and judges what it left.
    site.forget();
    let found = site.train(0);
    assert_eq!(found["metrics"], report["metrics"]);
    assert_eq!(found["jobs"], report["jobs"]);
    assert_eq!(site.aws.jobs().len(), 1);
    assert_eq!(site.aws.asked("PutObject"), sent);
}

#[test]
fn validation_as_a_job_gets_the_model_of_the_job_that_trained() {
    let site = Site::new(TRAIN);
    let place = "[destinations.cloud]\n";
    site.project.replace(
        "mlaction.toml",
        place,
        &format!("{place}validate_on = \"job\"\n"),
    );
    let report = site.train(0);
    assert_eq!(report["metrics"][0]["value"].to_string(), "0.97");
    assert_eq!(site.aws.jobs().len(), 2);
    // Trained anew, it is validated anew.
    let output = site
        .command(&["train", "--force", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let jobs = site.aws.jobs();
    let names = jobs.iter().map(|job| job["name"].as_str().unwrap());
    let ends: Vec<&str> = names.map(|name| name.split_at(name.len() - 7).1).collect();
    assert_eq!(ends, ["1-train", "alidate", "2-train", "alidate"]);
    let channels = jobs[3]["request"]["InputDataConfig"].as_array().unwrap();
    let model = channels.last().unwrap()["DataSource"]["S3DataSource"]["S3Uri"].as_str();
    assert!(
        model.unwrap().ends_with("-2-train/output/model.tar.gz"),
        "{model:?}"
    );
}

#[test]
fn a_killed_run_is_taken_up_by_the_next_one() {
    // It runs still when the command is gone.
    let site = Site::new(&format!("/busybox sleep 4; {TRAIN}"));
    let mut child = site.training();
    child.kill().unwrap();
    child.wait().unwrap();
    let report = site.train(0);
    assert_eq!(report["status"], "passed");
    assert_eq!(site.aws.jobs().len(), 1);
    assert_eq!(report["curves"]["loss"]["count"], 2);
}

#[test]
fn a_failure_is_told_in_the_programs_words_and_tried_again_under_another_name() {
    let site = Site::new("/busybox echo 'boom: no rows' > /opt/ml/output/failure; exit 3");
    let report = site.train(20);
    assert_eq!(report["status"], "job_failed");
    let reason = report["reason"].as_str().unwrap();
    assert!(
        reason.contains("boom: no rows") && reason.contains("exit code: 3"),
        "{reason}"
    );
    site.forget();
    site.train(20);
    let names: Vec<Value> = site
        .aws
        .jobs()
        .iter()
        .map(|job| job["name"].clone())
        .collect();
    assert!(
        names[0].as_str().unwrap().ends_with("-1-train"),
        "{names:?}"
    );
    assert!(
        names[1].as_str().unwrap().ends_with("-2-train"),
        "{names:?}"
    );
}

#[test]
fn limits_have_their_own_outcome() {
    let site = Site::new("exec /busybox sleep 300");
    site.aws.set("quota", &json!({"ml.m5.xlarge": 0}));
    let report = site.train(23);
    assert_eq!(report["status"], "no_capacity");
    assert!(
        report["hint"].as_str().unwrap().contains("Service Quotas"),
        "{report}"
    );
    site.aws.set("quota", &json!({"ml.m5.xlarge": null}));
    site.aws.set("capacity", &json!({"ml.m5.xlarge": 0}));
    site.aws
        .set("scale", &json!({"capacity_patience": 0, "grace": 0}));
    let report = site.train(23);
    assert!(
        report["reason"].as_str().unwrap().contains("CapacityError"),
        "{report}"
    );
    site.aws.set("capacity", &json!({"ml.m5.xlarge": null}));
    site.project.replace("mlaction.toml", "\"10m\"", "\"1s\"");
    let report = site.train(22);
    assert_eq!(report["status"], "timed_out");
    assert!(
        report["reason"]
            .as_str()
            .unwrap()
            .contains("(1 s) was over"),
        "{report}"
    );
}

#[test]
fn what_goes_wrong_on_the_way_makes_no_second_job() {
    let site = Site::new(TRAIN);
    let faults = [
        once("throttle", "GetAuthorizationToken"),
        once("truncate", "GetAuthorizationToken"),
        once("reset-after", "CreateTrainingJob"),
        once("internal", "ListTags"),
        once("cut", "ListTags"),
        once("truncate", "ListTags"),
        once("throttle", "DescribeTrainingJob"),
        once("internal", "DescribeTrainingJob"),
        once("truncate", "DescribeTrainingJob"),
        once("reset-before", "GetLogEvents"),
        once("truncate", "GetLogEvents"),
        once("throttle", "DescribeLogStreams"),
        once("internal", "PutObject"),
        once("cut", "GetObject"),
    ];
    site.aws.set("faults", &json!(faults));
    let report = site.train(0);
    assert_eq!(report["status"], "passed");
    assert_eq!(report["curves"]["loss"]["count"], 2, "{report}");
    assert_eq!(site.aws.jobs().len(), 1);
    assert_eq!(site.aws.faults(), json!([]));
}

#[test]
fn a_launch_that_nobody_can_be_sure_of_is_stopped_unless_jobs_are_left() {
    for leaves in [false, true] {
        let site = Site::new("trap 'exit 0' TERM\n/busybox sleep 300 &\nwait\n");
        if leaves {
            let place = "[destinations.cloud]\n";
            let more = format!("{place}on_cancel = \"leave\"\n");
            site.project.replace("mlaction.toml", place, &more);
        }
        let denied = json!({"fault": "denied", "operation": "DescribeTrainingJob", "times": 100});
        let faults = json!([once("reset-after", "CreateTrainingJob"), denied]);
        site.aws.set("faults", &faults);
        let output = site.command(&["train"]).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{said}");
        let status = &site.aws.jobs()[0]["status"];
        match leaves {
            true => {
                assert_eq!(status, "InProgress");
                assert!(said.contains("the job may run: `aws sagemaker"), "{said}");
            }
            false => {
                assert_ne!(status, "InProgress");
                assert!(said.contains("was told to stop"), "{said}");
            }
        }
    }
}
