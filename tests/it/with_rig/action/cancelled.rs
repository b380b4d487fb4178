//! Somebody cancels the workflow: GitHub's runner sends SIGINT, and kills 10 s later.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{Site, held};
use crate::project::stderr;
use crate::with_rig::support::runner::Runner;

const PULL: &str = "pull_request?number=1";
const KILLED: Duration = Duration::from_secs(10);

/// Starts a training that takes ten minutes.
fn endless(site: &Site, job: &Runner) -> Child {
    let train = "import time\nprint('started', flush=True)\ntime.sleep(600)\n";
    site.project.write("model/train.py", train);
    let step = job.step();
    let mut command = site.project.command(&["train"]);
    command.envs(step.environment());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_run_that_is_cancelled_says_so_before_the_runner_kills_it() {
    // Once its plan was told, and as early as can be.
    for operation in ["issues/create-comment", "checks/create"] {
        let site = Site::with_pull();
        let job = site.job(PULL);
        let child = endless(&site, &job);
        site.github.until_asked(operation);
        let cancelled = Instant::now();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        held(&child.wait_with_output().unwrap(), 130);
        assert!(cancelled.elapsed() < KILLED, "{:?}", cancelled.elapsed());
        assert_eq!(site.check()["conclusion"], "cancelled", "{operation}");
        let (_, body) = site.comment(1);
        assert!(body.contains("cancelled"), "{operation} {body}");
    }
}

#[test]
fn a_github_that_does_not_answer_keeps_no_cancelled_run() {
    let site = Site::with_pull();
    let hangs = json!({"fault": "timeout-before", "operation": "issues/list-comments"});
    site.github.faults(&hangs);
    let job = site.job(PULL);
    let child = endless(&site, &job);
    site.github.until_asked("issues/list-comments");
    let cancelled = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    held(&output, 130);
    assert!(cancelled.elapsed() < KILLED, "{:?}", cancelled.elapsed());
    let said = stderr(&output);
    assert!(
        said.contains("GitHub was not told how the run ended"),
        "{said}"
    );
}

#[test]
fn a_run_that_is_cancelled_before_its_plan_trains_nothing() {
    let site = Site::with_pull();
    let hangs = json!({"fault": "timeout-before", "operation": "repos/get-content"});
    site.github.faults(&hangs);
    let job = site.job(PULL);
    let child = endless(&site, &job);
    site.github.until_asked("repos/get-content");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    held(&output, 130);
    assert!(!stderr(&output).contains("train …"), "{}", stderr(&output));
    assert_eq!(site.writes(), Vec::<String>::new());
    assert!(!site.project.path().join(".mlaction/runs").exists());
}
