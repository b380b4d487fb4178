//! The log of a job: late, of several hosts, of a spot job that was interrupted.

use std::process::Stdio;

use serde_json::json;

use super::{Site, TRAIN};
use crate::project::{stderr, stdout};

/// Forty lines, each with the name of its host.
const COUNTING: &str = r#"
host=$(/busybox hostname)
i=1
while /busybox test $i -le 40; do /busybox echo "$host says $i"; i=$((i+1)); done
/busybox echo 0.97 > /opt/ml/model/model.txt
"#;

/// Goes on where it was: its first attempt never ends by itself.
const RESUMING: &str = r#"
cd /opt/ml/checkpoints
if /busybox test -f epoch; then
  /busybox echo "goes on after epoch $(/busybox cat epoch)"
  /busybox echo "epoch=2 loss=0.25"
  /busybox echo 0.97 > /opt/ml/model/model.txt
else
  /busybox echo "epoch=1 loss=0.5"
  /busybox echo 1 > epoch
  /busybox sleep 300
fi
"#;

fn with(site: &Site, settings: &str) {
    let place = "[destinations.cloud]\n";
    let more = format!("{place}{settings}\n");
    site.project.replace("mlaction.toml", place, &more);
}

fn log(site: &Site) -> String {
    stdout(&site.project.run(&["logs"], 0))
}

#[test]
fn lines_that_come_after_the_end_of_the_job_are_not_lost() {
    let site = Site::new(TRAIN);
    site.aws.set("scale", &json!({"log_delay": 1.5}));
    let report = site.train(0);
    assert_eq!(report["curves"]["loss"]["count"], 2, "{report}");
    assert_eq!(log(&site).matches("epoch=").count(), 2);
}

#[test]
fn a_log_that_grows_all_the_time_is_not_asked_for_all_the_time() {
    let chatter = "i=1; while /busybox test $i -le 60; do /busybox echo \"line $i\"; /busybox usleep 100000; i=$((i+1)); done\n";
    let site = Site::new(&format!("{chatter}{TRAIN}"));
    site.project
        .replace("mlaction.toml", "poll = \"1s\"", "poll = \"3s\"");
    site.train(0);
    assert!(log(&site).contains("line 60\n"));
    // Six looks for each question about the state: one in half a second, and some at the end.
    let asked = site.aws.asked("GetLogEvents");
    assert!(asked <= 40, "{asked}");
    assert!(site.aws.asked("DescribeLogStreams") <= 25);
}

#[test]
fn lines_of_several_hosts_say_whose_they_are_and_keep_their_order() {
    let site = Site::new(COUNTING);
    with(&site, "instances = 2");
    site.train(0);
    let log = log(&site);
    for host in ["algo-1", "algo-2"] {
        let own = format!("{host} | ");
        let own = log.lines().filter_map(|line| line.strip_prefix(&own));
        let wanted: Vec<String> = (1..=40)
            .map(|count| format!("{host} says {count}"))
            .collect();
        assert_eq!(own.collect::<Vec<&str>>(), wanted);
    }
    // The validation's container has none.
    assert_eq!(log.matches(" | ").count(), 80, "{log}");
}

#[test]
fn a_spot_job_that_is_interrupted_goes_on_and_its_log_is_whole() {
    let site = Site::new(RESUMING);
    with(&site, "spot = true\nmax_wait = \"20m\"\ncheckpoints = true");
    let mut command = site.command(&["train", "--json"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    // The checkpoint is written right after the line.
    site.aws.until(|jobs| {
        let runs = jobs
            .first()
            .map(|job| job["runs"].as_array().unwrap().len());
        runs > Some(0) && site.aws.asked("GetLogEvents") > 1
    });
    let name = site.aws.jobs()[0]["name"].as_str().unwrap().to_owned();
    site.aws
        .set(&format!("interrupt/{name}"), &json!({"grace": 0}));
    let output = child.wait_with_output().unwrap();
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let log = log(&site);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(
        lines,
        [
            "epoch=1 loss=0.5",
            "goes on after epoch 1",
            "epoch=2 loss=0.25"
        ]
    );
    let job = &site.aws.jobs()[0];
    assert_eq!(job["attempts"], 2);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["curves"]["loss"]["count"], 2, "{report}");
    // The stand-in bills 30% of the time, in whole seconds.
    let saved = report["jobs"][0]["spot_saving"].as_f64();
    assert!(saved.is_some_and(|saved| saved > 0.0), "{report}");
}
