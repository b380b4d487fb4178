//! Each fault in each phase, once and lasting: recovered from, or reported as the table says.

use std::collections::VecDeque;
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::fault_table::{CALLS, Call, Jobs, Row, SPECIAL, page};
use super::{Site, TRAIN, engine, signal};
use crate::project::{stderr, stdout};
use crate::reference::agrees;
use crate::with_rig::support::stand_in::StandIn;

/// Runs at once, and those that wait for time-outs most of the time.
const AT_ONCE: usize = 6;
const WAITING_AT_ONCE: usize = 12;

/// A file that is sent in parts.
const LARGE: usize = 17 << 20;

/// Lines come while the log is read, not only at its end.
const SLOWLY: &str = r#"
/busybox echo "epoch=1 loss=0.5"
/busybox cat /opt/ml/input/data/train/rows.csv > /opt/ml/model/model.txt
/busybox sleep 2
/busybox echo "epoch=2 loss=0.25"
"#;

/// Never ends by itself.
const ENDLESS: &str = "trap 'exit 0' TERM\n/busybox sleep 300 &\nwait\n";

#[test]
fn the_reference_of_faults_agrees() {
    agrees("reference/sagemaker-faults.md", &page());
}

/// Calls that each run makes; the first one in a project, with a large file.
const MADE: &[&str] = &[
    "BatchGetImage",
    "DescribeRepositories",
    "CreateRepository",
    "PostUpload",
    "PatchUpload",
    "PutUpload",
    "PutManifest",
    "GetManifest",
    "ListMultipartUploads",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "PutObject",
    "CreateTrainingJob",
    "DescribeTrainingJob",
    "DescribeLogStreams",
    "GetLogEvents",
    "GetObject",
];

/// A project of its own below a stand-in that others use too: faults fit by its name.
fn site(aws: &Arc<StandIn>, train: &str) -> Site {
    let site = Site::at(aws.clone(), train);
    let place = format!("\"s3://lake/{}\"", site.name);
    site.project
        .replace("mlaction.toml", "\"s3://lake/ml\"", &place);
    site
}

fn with_large_file(site: &Site) {
    let large: Vec<u8> = site.name.bytes().cycle().take(LARGE).collect();
    std::fs::write(site.project.path().join("data/train/large.bin"), large).unwrap();
}

fn jobs(site: &Site) -> Vec<Value> {
    let mut jobs = site.aws.jobs();
    let own = format!("{}-", site.name);
    jobs.retain(|job| job["name"].as_str().unwrap().starts_with(&own));
    jobs
}

/// Runs with every fault of a list once, all of which must come up.
fn recovers(aws: &Arc<StandIn>, faults: &[Value]) {
    let site = site(aws, SLOWLY);
    with_large_file(&site);
    let own = |fault: &Value| {
        let mut fault = fault.clone();
        let fits = fault["match"].as_str().unwrap_or("NAME");
        fault["match"] = json!(fits.replace("NAME", &site.name));
        fault
    };
    let faults: Vec<Value> = faults.iter().map(own).collect();
    site.aws.set("faults", &json!(faults));
    let output = site.command(&["train", "--json"]).output().unwrap();
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{faults:?}\n{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["status"], "passed", "{report}");
    assert_eq!(report["curves"]["loss"]["count"], 2, "{report}");
    assert!(report["warnings"].is_null(), "{report}");
    let jobs = jobs(&site);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let left = site.aws.faults();
    let left = left.as_array().unwrap().iter();
    let left: Vec<&Value> = left
        .filter(|fault| {
            fault["match"]
                .as_str()
                .is_some_and(|fits| fits.contains(&site.name))
        })
        .collect();
    assert!(left.is_empty(), "they did not come up: {left:?}");
}

#[test]
fn a_fault_that_comes_once_is_recovered_from_in_every_call() {
    let once = |kind: &'static str| {
        let plain = MADE
            .iter()
            .map(|operation| json!({"fault": kind, "operation": operation}));
        let lists = ["NAME%2Fdata", "NAME%2Foutput"];
        let lists = lists
            .iter()
            .map(|fits| json!({"fault": kind, "operation": "ListObjectsV2", "match": fits}));
        plain.chain(lists).collect::<Vec<Value>>()
    };
    let mut all: VecDeque<Vec<Value>> = [
        "throttle",
        "internal",
        "unavailable",
        "reset-before",
        "reset-after",
        "cut",
        "truncate",
        "slow",
    ]
    .map(once)
    .into();
    // A push is begun three times at most: two of its faults in one run.
    for index in 0..all.len() {
        let is_apart = |fault: &Value| {
            ["PatchUpload", "PutUpload"].contains(&fault["operation"].as_str().unwrap())
        };
        let apart = all[index].iter().filter(|fault| is_apart(fault)).cloned();
        let apart: Vec<Value> = apart.collect();
        all[index].retain(|fault| !is_apart(fault));
        all.push_back(apart);
    }
    // An answer that does not come is waited for half a minute: only some in one run.
    for kind in ["timeout-before", "timeout-after"] {
        let fault = |operation: &str| json!({"fault": kind, "operation": operation});
        all.push_front(vec![
            fault("BatchGetImage"),
            fault("PutObject"),
            fault("GetLogEvents"),
        ]);
        all.push_front(vec![fault("CreateTrainingJob"), fault("GetObject")]);
        all.push_front(vec![fault("UploadPart"), fault("DescribeTrainingJob")]);
        all.push_front(vec![
            fault("CompleteMultipartUpload"),
            fault("DescribeLogStreams"),
        ]);
    }
    // While a job is watched, new credentials may come.
    let expired = |operation: &str| json!({"fault": "expired", "operation": operation});
    all.push_back(vec![
        expired("DescribeTrainingJob"),
        expired("GetLogEvents"),
    ]);
    at_once(WAITING_AT_ONCE, all, |aws, faults| recovers(aws, &faults));
}

#[test]
fn a_fault_that_lasts_is_told_with_its_own_code_and_advice() {
    let rows = rows(|row| !is_hung(row));
    at_once(AT_ONCE, rows, |aws, (call, row)| lasting(aws, call, row));
}

#[test]
fn a_silence_that_lasts_is_told_with_its_own_code_and_advice() {
    let rows = rows(is_hung);
    at_once(WAITING_AT_ONCE, rows, |aws, (call, row)| {
        lasting(aws, call, row);
    });
}

/// A call is given up after two minutes without an answer.
fn is_hung(row: &Row) -> bool {
    row.faults.iter().any(|fault| fault.starts_with("timeout"))
}

fn rows(wanted: impl Fn(&Row) -> bool) -> VecDeque<(&'static Call, &'static Row)> {
    let rows = CALLS
        .iter()
        .flat_map(|call| call.rows.iter().map(move |row| (call, row)));
    rows.filter(|(_, row)| wanted(row)).collect()
}

#[test]
fn what_a_launch_is_refused_with_has_its_own_code_and_advice() {
    at_once(AT_ONCE, SPECIAL.iter().collect(), |aws, special| {
        let site = site(aws, TRAIN);
        let fault = json!({
            "fault": "error", "operation": "CreateTrainingJob", "match": site.name,
            "code": special.code, "message": special.message, "status": special.status,
        });
        site.aws.set("faults", &fault);
        let output = site.command(&["train", "--json"]).output().unwrap();
        told(&site, &output, &special.row, special.code);
    });
}

fn lasting(aws: &Arc<StandIn>, call: &Call, row: &Row) {
    let is_endless = ["DescribeTrainingJob", "StopTrainingJob"].contains(&call.operation);
    let site = site(aws, if is_endless { ENDLESS } else { TRAIN });
    if is_endless || call.phase == "watch" {
        let place = "[destinations.cloud]\n";
        let short = format!("{place}lost_after = \"6s\"\n");
        site.project.replace("mlaction.toml", place, &short);
    }
    if call.operation.contains("Part") || call.operation.contains("Multipart") {
        with_large_file(&site);
    }
    let fits = call.fits.replace("NAME", &site.name);
    // Each kind comes, and the last one stays.
    let (last, first) = row.faults.split_last().unwrap();
    let fault = |kind: &str, times: u32| json!({"fault": kind, "operation": call.operation, "match": fits, "times": times});
    let mut faults: Vec<Value> = first.iter().map(|kind| fault(kind, 1)).collect();
    faults.push(fault(last, 1000));
    site.aws.set("faults", &json!(faults));
    let mut command = site.command(&["train", "--json"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if call.phase == "cancel" {
        cancel_in_training(&site, &child);
    }
    let output = child.wait_with_output().unwrap();
    told(&site, &output, row, call.name);
}

fn cancel_in_training(site: &Site, child: &Child) {
    site.aws.until(|jobs| {
        let own = format!("{}-", site.name);
        let mut jobs = jobs.iter();
        jobs.any(|job| {
            job["name"].as_str().unwrap().starts_with(&own) && job["secondary"] == "Training"
        })
    });
    signal(child, Signal::INT);
}

/// Holds how a command ended against what the table says.
#[track_caller]
fn told(site: &Site, output: &Output, row: &Row, what: &str) {
    let said = format!("{}{}", stdout(output), stderr(output));
    // The report is JSON.
    let plain = said.replace("\\\"", "\"");
    let context = || {
        format!(
            "{what} {:?}: {:?}\n{said}",
            row.faults,
            output.status.code()
        )
    };
    assert_eq!(output.status.code(), Some(row.code), "{}", context());
    assert!(plain.contains(row.says), "{}", context());
    assert!(plain.contains(row.hint), "{}", context());
    let jobs = jobs(site);
    let states: Vec<&str> = jobs
        .iter()
        .map(|job| job["status"].as_str().unwrap())
        .collect();
    let is_so = match row.jobs {
        Jobs::NoJob => states.is_empty(),
        Jobs::Ended => states == ["Completed"],
        Jobs::Stopped => states == ["Stopped"] || states == ["Stopping"],
        Jobs::Runs => states == ["InProgress"],
    };
    assert!(is_so, "{states:?} {}", context());
}

/// Does things side by side below one stand-in; all of them, whatever becomes of some.
fn at_once<T: Send>(threads: usize, things: VecDeque<T>, work: impl Fn(&Arc<StandIn>, T) + Sync) {
    let aws = Arc::new(StandIn::start(&engine()));
    let things = Mutex::new(things);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut failed = None;
                loop {
                    let next = things.lock().unwrap().pop_front();
                    let Some(next) = next else { break };
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        work(&aws, next);
                    }));
                    failed = failed.or(done.err());
                }
                if let Some(failed) = failed {
                    std::panic::resume_unwind(failed);
                }
            });
        }
    });
}
