//! Credentials that nobody renews but their owner, and that end while a job runs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::{EXPIRED, ends};
use crate::project::Project;
use crate::with_rig::sagemaker::{Site, TRAIN, signal};

/// Keys that are good.
const GOOD: &str = "AKIAGOOD000000000000";

/// Where the keys of the profile are.
const FILE: &str = "keys";

fn write_keys(project: &Project, key: &str) {
    let keys = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = x\n");
    project.write(FILE, &keys);
}

/// A project whose keys are in a file, and whose job runs until it finds that it may end.
fn site(wait: &str) -> Site {
    let train = format!("/busybox sleep 8\n{TRAIN}");
    let site = Site::new(&train);
    let aws = format!("[aws]\nwait_for_credentials = \"{wait}\"\n\n[registry]\n");
    site.project.replace("mlaction.toml", "[registry]\n", &aws);
    write_keys(&site.project, EXPIRED);
    site.aws.set("credentials", &json!({"enforced": true}));
    site
}

/// Trains, and leaves the command when the job's program runs.
fn training(site: &Site) -> Child {
    let mut command = site.command(&["train"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env(
            "AWS_SHARED_CREDENTIALS_FILE",
            site.project.path().join(FILE),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    site.aws.until_training();
    child
}

fn end_keys(site: &Site) {
    site.aws
        .set("credentials", &json!({"expired_keys": [EXPIRED]}));
}

/// Waits until the expired keys were refused.
#[track_caller]
fn until_refused(site: &Site) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while site.aws.refused("ExpiredTokenException") == 0 {
        assert!(Instant::now() < deadline);
        // NOTE: the journal is the only sign.
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn keys_that_are_renewed_in_their_file_go_on_with_the_job() {
    let site = site("2m");
    let child = training(&site);
    end_keys(&site);
    until_refused(&site);
    write_keys(&site.project, GOOD);
    let err = ends(&child.wait_with_output().unwrap(), 0);
    let warning = "the AWS credentials have expired";
    assert_eq!(err.matches(warning).count(), 1, "{err}");
    assert!(
        err.contains("new credentials are waited for, 2 min 0 s at most"),
        "{err}"
    );
    assert!(err.contains("AWS takes the credentials again"), "{err}");
    assert!(err.contains("epoch=2 loss=0.25"), "{err}");
    assert_eq!(site.aws.jobs().len(), 1);
}

#[test]
fn without_new_keys_the_job_is_left_and_the_next_run_takes_it_up() {
    let site = site("3s");
    let child = training(&site);
    end_keys(&site);
    let err = ends(&child.wait_with_output().unwrap(), 4);
    let jobs = site.aws.jobs();
    assert_eq!(jobs[0]["status"], "InProgress");
    let name = jobs[0]["name"].as_str().unwrap();
    for wanted in [
        &format!("the job `{name}` runs on, and nobody watches it"),
        "ExpiredTokenException",
        "it may cost money",
        "`mlaction train --destination cloud` goes on with it",
        &format!("`mlaction watch {name} --destination cloud` shows it"),
        &format!("`mlaction stop {name} --destination cloud` stops it"),
    ] {
        assert!(err.contains(wanted), "{wanted}: {err}");
    }
    assert_eq!(site.aws.asked("StopTrainingJob"), 0);
    // What the message says, typed.
    let output = site.command(&["train", "--destination", "cloud"]).output();
    ends(&output.unwrap(), 0);
    assert_eq!(site.aws.jobs().len(), 1);
    assert_eq!(site.aws.jobs()[0]["status"], "Completed");
}

#[test]
fn who_asks_twice_does_not_wait_for_new_keys() {
    let site = site("10m");
    let mut child = training(&site);
    end_keys(&site);
    until_refused(&site);
    signal(&child, Signal::INT);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut err = String::new();
    while !err.contains("once more to end it at once") {
        assert!(said.read_line(&mut err).unwrap() > 0, "{err}");
    }
    signal(&child, Signal::INT);
    let begun = Instant::now();
    said.read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{err}");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert!(err.contains("runs on, and nobody watches it"), "{err}");
}
