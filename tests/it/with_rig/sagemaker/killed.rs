//! `kill -9` at moments drawn by lot over the whole life of a run, each followed by what a user
//! types then: the same command.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Site, TRAIN};

/// How often it is killed, and how many runs go on at once, each against a stand-in of its own.
const MOMENTS: usize = 20;
const LANES: usize = 2;

/// Draws the same moments again: the number that a failed test has printed.
const SEED: &str = "MLACTION_TEST_SEED";

/// A file that is sent in three parts.
const LARGE: usize = 17 << 20;
const PARTS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The request of this number was made, and this time is over.
    Later(usize, Duration),
    /// The request of this number is there, and nothing is done about it.
    Before(usize),
    /// The request of this number is done, and the answer is on its way.
    After(usize),
    /// Results are fetched, and this time is over.
    Fetched(Duration),
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_made_good_by_the_same_command() {
    let seed = std::env::var(SEED).ok().map_or_else(clock, |seed| {
        seed.parse().expect("MLACTION_TEST_SEED is a number")
    });
    note(&format!("{SEED}={seed}"));
    let mut lot = Lot(seed);
    // Which part of a run, which kind of moment, how many milliseconds.
    let draws: Vec<(f64, u64, u64)> = (0..MOMENTS)
        .map(|index| {
            let part = (index as f64 + lot.part()) / MOMENTS as f64;
            (part, lot.next() % 3, lot.next() % 200)
        })
        .collect();
    thread::scope(|scope| {
        for lane in 0..LANES {
            let draws = &draws;
            scope.spawn(move || {
                let site = Site::new(TRAIN);
                let requests = requests_of_a_run(&site);
                let draws = draws.iter().enumerate().skip(lane).step_by(LANES);
                for (number, (part, kind, milliseconds)) in draws {
                    // How often the log is read differs: the last part of a run is another moment.
                    let request = 1 + (part * requests as f64 * 0.9) as usize;
                    let moment = match kind {
                        _ if number + 2 >= MOMENTS => {
                            Moment::Fetched(Duration::from_millis(5 * milliseconds))
                        }
                        0 => Moment::Later(request, Duration::from_millis(*milliseconds)),
                        1 => Moment::Before(request),
                        _ => Moment::After(request),
                    };
                    killed_at(&site, number, moment);
                }
            });
        }
    });
}

/// Nothing of the image, the data and the job is there yet.
fn content(site: &Site, number: &str) {
    let train = format!("# {number}\n{TRAIN}");
    site.project.write("image/train.sh", &train);
    for file in 1..4 {
        let name = format!("data/train/more-{file}.csv");
        site.project.write(&name, &format!("{number}, {file}\n"));
    }
    let large: Vec<u8> = number.bytes().cycle().take(LARGE).collect();
    std::fs::write(site.project.path().join("data/train/large.bin"), large).unwrap();
}

fn requests_of_a_run(site: &Site) -> usize {
    // The first run of a project makes the repository, too.
    site.train(0);
    content(site, "whole");
    let before = site.aws.requests(0).len();
    site.train(0);
    site.aws.requests(before).len()
}

fn killed_at(site: &Site, number: usize, moment: Moment) {
    content(site, &format!("moment {number}"));
    let (requests, jobs) = (site.aws.requests(0).len(), site.aws.jobs().len());
    let hold = |fault: &str, request: usize| {
        let fault = json!({"fault": fault, "skip": request - 1});
        site.aws.set("faults", &fault);
    };
    match moment {
        Moment::Later(..) | Moment::Fetched(_) => {}
        Moment::Before(request) => hold("timeout-before", request),
        Moment::After(request) => hold("timeout-after", request),
    }
    let mut command = site.command(&["train"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let is_so = |seen: &[Value]| match moment {
        Moment::Later(request, _) => seen.len() >= request,
        Moment::Before(_) | Moment::After(_) => seen.iter().any(|one| !one["fault"].is_null()),
        Moment::Fetched(_) => seen.iter().any(|one| one["operation"] == "GetObject"),
    };
    while !is_so(&site.aws.requests(requests)) && child.try_wait().unwrap().is_none() {
        // NOTE: the journal is the only sign; the command ends in any case.
        thread::sleep(Duration::from_millis(10));
    }
    if let Moment::Later(_, time) | Moment::Fetched(time) = moment {
        // NOTE: no state is waited for: the moment is what was drawn.
        thread::sleep(time);
    }
    let has_ended = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    site.aws.forget_faults();
    let seen = site.aws.requests(requests);
    let last = seen
        .last()
        .map_or("", |last| last["operation"].as_str().unwrap());
    note(&format!(
        "{number}: {moment:?}, {} requests, {last}, ended: {has_ended}",
        seen.len()
    ));
    // Half of the re-runs are on another machine, with the same files.
    if number % 4 < 2 && site.project.path().join(".mlaction").exists() {
        site.forget();
    }

    is_complete(site, &site.train(0));
    let made = &site.aws.jobs()[jobs..];
    assert_eq!(made.len(), 1, "{moment:?}: {made:?}");
    assert_eq!(made[0]["status"], "Completed");
    nothing_was_sent_twice(&site.aws.requests(requests), &moment);
}

fn is_complete(site: &Site, report: &Value) {
    assert_eq!(report["status"], "passed", "{report}");
    assert_eq!(report["metrics"][0]["value"].to_string(), "0.97");
    assert_eq!(report["curves"]["loss"]["count"], 2, "{}", report["curves"]);
    assert!(
        report["lineage"]["model"]["bytes"].as_u64() > Some(0),
        "{}",
        report["lineage"]
    );
    let facts = &report["lineage"]["environment"];
    assert!(facts["image"].is_string(), "{facts}");
    for fact in ["name", "billed_seconds"] {
        assert!(!report["jobs"][0][fact].is_null(), "{report}");
    }
    let run = site
        .project
        .path()
        .join(".mlaction/runs")
        .join(report["run"].as_str().unwrap());
    for file in [
        "report.json",
        "report.md",
        "report.html",
        "metrics.json",
        "model.tar.gz",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
    assert_eq!(log.matches("epoch=1 loss=0.5\n").count(), 1, "{log}");
    assert_eq!(log.matches("epoch=2 loss=0.25\n").count(), 1, "{log}");
}

/// Of what S3 and the registry took in both runs, nothing was sent again.
fn nothing_was_sent_twice(requests: &[Value], moment: &Moment) {
    let took = |operation: &str| -> Vec<&str> {
        let requests = requests.iter().filter(|request| {
            let status = request["status"].as_u64().unwrap_or_default();
            request["operation"] == operation && (200..300).contains(&status)
        });
        requests
            .map(|request| request["subject"].as_str().unwrap())
            .collect()
    };
    let mut objects = took("PutObject");
    objects.sort_unstable();
    let sent = objects.len();
    objects.dedup();
    assert_eq!(objects.len(), sent, "{moment:?}: {objects:?}");
    assert!(took("UploadPart").len() <= PARTS, "{moment:?}");
    assert!(took("CompleteMultipartUpload").len() <= 1, "{moment:?}");
    let manifests = took("PutManifest");
    assert!(manifests.len() <= 1, "{moment:?}: {manifests:?}");
}

#[expect(
    clippy::print_stderr,
    reason = "whoever sees the test fail needs the seed"
)]
fn note(text: &str) {
    eprintln!("{text}");
}

fn clock() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().subsec_nanos().into()
}

/// Numbers by lot: `SplitMix64`, <https://prng.di.unimi.it/splitmix64.c>.
struct Lot(u64);

impl Lot {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
