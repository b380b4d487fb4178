//! Jobs in the cloud. The stand-in for AWS and its registry are at addresses of this machine, where
//! engines take a registry without TLS: the container is in this machine's own network.

use serde_json::{Value, json};

use super::{check_out, post, start};
use crate::with_rig::sagemaker::{Site, TRAIN};
use crate::with_rig::support::github::GitHub;
use crate::with_rig::support::runner::{Container, Ended, Kind, Runner, Step};

/// A project whose jobs go to the stand-in for AWS, and its repository.
pub(super) struct Cloud {
    pub(super) github: GitHub,
    pub(super) site: Site,
}

impl Cloud {
    #[track_caller]
    pub(super) fn new(train: &str) -> Self {
        Self {
            github: GitHub::start(),
            site: Site::new(train),
        }
    }

    #[track_caller]
    pub(super) fn job(&self, event: &str) -> Runner {
        let project = &self.site.project;
        let mut runner = Runner::new(&self.github, event, project.path());
        check_out(&runner, project);
        runner.kind = Kind {
            network: Some("host".to_owned()),
            ..Kind::default()
        };
        for (name, value) in self.site.aws.environment() {
            runner.set(&name, &value);
        }
        runner
    }

    #[track_caller]
    pub(super) fn start(&self, step: &Step<'_>, set: &[(&str, &str)]) -> Container {
        start(&self.github, step, set)
    }

    #[track_caller]
    pub(super) fn post(&self, step: &Step<'_>) -> Ended {
        post(&self.github, step, &[])
    }

    #[track_caller]
    fn runs(&self, step: &Step<'_>, set: &[(&str, &str)]) -> Ended {
        let ended = self.start(step, set).wait();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        ended
    }

    /// The only comment on the first pull request.
    #[track_caller]
    pub(super) fn comment(&self) -> Value {
        let mut comments = self.github.comments(1);
        assert_eq!(comments.len(), 1, "{comments:?}");
        comments.remove(0)
    }
}

#[test]
fn a_pull_request_is_trained_in_the_cloud() {
    let cloud = Cloud::new(TRAIN);
    cloud.github.pull(&json!({}));
    let runner = cloud.job("pull_request?number=1");
    let step = runner.step();
    cloud.runs(&step, &[]);
    let [job] = &cloud.site.aws.jobs()[..] else {
        panic!("one job is wanted: {:?}", cloud.site.aws.jobs());
    };
    let outputs = step.outputs();
    assert_eq!(outputs["job"], *job["name"].as_str().unwrap());
    assert!(outputs["image"].contains("@sha256:"), "{outputs:?}");
    assert!(outputs["cost"].parse::<f64>().unwrap() > 0.0, "{outputs:?}");
    let body = cloud.comment()["body"].clone();
    assert!(body.as_str().unwrap().contains("0.97"), "{body}");
    assert_eq!(cloud.github.checks()[0]["conclusion"], "success");
    cloud.github.no_invalid_requests();
}

/// `long-job-detached.yml`.
#[test]
fn what_a_pull_request_left_running_is_reported_by_a_schedule() {
    let cloud = Cloud::new(TRAIN);
    cloud.github.pull(&json!({}));
    let runner = cloud.job("pull_request?number=1");
    let step = runner.step();
    cloud.runs(&step, &[("detach", "true")]);
    let begun = cloud.comment();
    let job = step.outputs()["job"].clone();
    assert_eq!(cloud.github.checks()[0]["status"], "in_progress");
    let ended = cloud.post(&step);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    cloud
        .site
        .aws
        .until(|jobs| jobs[0]["status"] == "Completed");

    // Another machine, another day.
    cloud.site.forget();
    let runner = cloud.job("schedule");
    let step = runner.step();
    cloud.runs(&step, &[("command", "collect")]);
    let comment = cloud.comment();
    assert_eq!(comment["id"], begun["id"]);
    let body = comment["body"].as_str().unwrap();
    assert!(body.contains("0.97"), "{body}");
    assert_eq!(step.outputs()["job"], job);
    let checks = cloud.github.checks();
    assert_eq!(
        checks.last().unwrap()["conclusion"],
        "success",
        "{checks:?}"
    );
    cloud.github.no_invalid_requests();
}
