//! The commands for jobs on SageMaker that somebody launched, perhaps elsewhere.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::sagemaker::{Site, TRAIN, signal};
use super::support::stand_in::BUCKET;
use crate::project::{Project, stderr, stdout};

/// Two lines, and then nothing for long.
const ENDLESS: &str = r#"
trap 'echo saved > /opt/ml/model/model.txt; exit 0' TERM
/busybox echo "epoch=1 loss=0.5"
/busybox echo "epoch=2 loss=0.25"
/busybox sleep 300 &
wait
"#;

/// Makes a commit of everything, and gives its name.
pub(super) fn commit(project: &Project) -> String {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let output = git
            .args(["-c", "user.name=me", "-c", "user.email=me@example.com"])
            .args(arguments)
            .current_dir(project.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).trim().to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "all"]);
    git(&["rev-parse", "HEAD"])
}

impl Site {
    /// Runs a command that must end with a code, and gives its output.
    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str], code: i32) -> (String, String) {
        let output = self.command(arguments).output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{out}{err}");
        (out, err)
    }

    /// Waits until the newest job has logged a text.
    #[track_caller]
    fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while !self.run(&["logs", "latest"], 0).0.contains(text) {
            assert!(Instant::now() < deadline, "`{text}` is not logged");
        }
    }

    #[track_caller]
    fn listed(&self, arguments: &[&str]) -> Vec<Value> {
        let (out, _) = self.run(&[&["jobs", "--json"], arguments].concat(), 0);
        let document: Value = serde_json::from_str(&out).unwrap();
        document["jobs"].as_array().unwrap().clone()
    }
}

#[test]
fn a_job_is_listed_read_watched_and_stopped_from_another_command() {
    let site = Site::new(ENDLESS);
    let commit = commit(&site.project);
    let (out, _) = site.run(&["jobs"], 0);
    assert!(out.contains("no jobs yet"), "{out}");
    let mut training = site.training();
    site.until_logged("epoch=2");
    let [job] = &site.listed(&["--running"])[..] else {
        panic!("one job is wanted");
    };
    let name = job["name"].as_str().unwrap();
    assert_eq!(
        (&job["status"], &job["phase"]),
        (&"InProgress".into(), &"Training".into())
    );
    assert_eq!(job["tags"]["commit"], *commit);
    assert_eq!(job["instances"][0]["instance_type"], "ml.m5.xlarge");
    let (table, _) = site.run(&["jobs"], 0);
    assert!(
        table.contains(name) && table.contains(&commit[..7]),
        "{table}"
    );
    assert!(
        table.contains("so far") && !table.contains('\x1b'),
        "{table}"
    );

    // All of its log, its last line, by each name that it has.
    let lines = "epoch=1 loss=0.5\nepoch=2 loss=0.25\n";
    for which in [name, "latest", &commit, &commit[..7]] {
        assert_eq!(site.run(&["logs", which], 0).0, lines, "{which}");
    }
    assert_eq!(
        site.run(&["logs", "latest", "--tail", "1"], 0).0,
        "epoch=2 loss=0.25\n"
    );

    // Who looks on does not disturb it.
    let mut watch = site.command(&["watch", "latest"]);
    let mut watching = watch
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = BufReader::new(watching.stdout.take().unwrap());
    let mut line = String::new();
    for expected in lines.lines() {
        line.clear();
        seen.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expected);
    }
    signal(&watching, Signal::INT);
    assert_eq!(watching.wait().unwrap().code(), Some(130));
    assert_eq!(site.aws.jobs()[0]["status"], "InProgress");

    let (_, err) = site.run(&["stop", &commit[..9]], 0);
    assert!(err.contains("is told to stop"), "{err}");
    assert_eq!(training.wait().unwrap().code(), Some(21));
    let (out, err) = site.run(&["watch", name], 21);
    assert_eq!(out, lines);
    assert!(
        err.contains("Stopped") && err.contains("somebody stopped it"),
        "{err}"
    );
    let (_, err) = site.run(&["stop", name], 0);
    assert!(err.contains("has ended already: Stopped"), "{err}");
    assert_eq!(site.listed(&["--running"]), Vec::<Value>::new());
}

#[test]
fn jobs_that_are_not_there_or_not_ours_are_refused() {
    let site = Site::new("exit 0");
    let (_, err) = site.run(&["watch"], 2);
    assert!(err.contains("there are no jobs of this project"), "{err}");
    for job in ["churn-5a33cd1e8b-1-train", "5a33cd1e8b0f"] {
        let (_, err) = site.run(&["stop", job], 2);
        assert!(
            err.contains(job) && err.contains("`mlaction jobs` lists them"),
            "{err}"
        );
    }
    site.train(20);
    let name = site.listed(&[])[0]["name"].as_str().unwrap().to_owned();
    let mine = format!("name = \"{}\"", site.name);
    site.project
        .replace("mlaction.toml", &mine, "name = \"another\"");
    let (_, err) = site.run(&["stop", &name], 2);
    assert!(
        err.contains("is no job of this project") && err.contains(&site.name),
        "{err}"
    );
    assert_eq!(site.listed(&[]), Vec::<Value>::new());

    let here = Project::new();
    let err = stderr(&here.run(&["jobs"], 2));
    assert!(
        err.contains("`process` is no destination that keeps jobs"),
        "{err}"
    );
}

#[test]
fn the_log_of_a_run_here_is_read_from_its_end_and_followed() {
    let project = Project::new();
    project.run(&["train"], 0);
    let whole = stdout(&project.run(&["logs"], 0));
    let last = |count: usize| {
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        lines[lines.len() - count..].concat()
    };
    for count in 1..3 {
        let tail = stdout(&project.run(&["logs", "--tail", &count.to_string()], 0));
        assert_eq!(tail, last(count));
    }
    assert_eq!(stdout(&project.run(&["logs", "--tail", "0"], 0)), "");
    assert_eq!(
        stdout(&project.run(&["logs", "-n", "100000", "--follow"], 0)),
        whole
    );
}

/// A detached job, and its name.
#[track_caller]
fn detached(site: &Site) -> String {
    let (out, err) = site.run(&["train", "--detach"], 0);
    assert!(err.contains("mlaction collect"), "{err}");
    out.trim().to_owned()
}

#[test]
fn a_detached_job_is_collected_once_by_whoever_comes() {
    let site = Site::new(&format!("/busybox sleep 4; {TRAIN}"));
    commit(&site.project);
    let name = detached(&site);
    assert!(name.ends_with("-1-train"), "{name}");
    let runs = stdout(&site.project.run(&["runs"], 0));
    assert!(runs.contains("detached") && runs.contains(&name), "{runs}");
    let (_, err) = site.run(&["collect"], 0);
    assert!(
        err.contains("nothing to collect; 1 job runs still"),
        "{err}"
    );

    // Another checkout, on another machine, which never saw the run.
    site.forget();
    let elsewhere = site.moved();
    let (out, _) = elsewhere.run(&["collect", "--wait", "--json"], 0);
    let document: Value = serde_json::from_str(&out).unwrap();
    let [report] = &document["reports"].as_array().unwrap()[..] else {
        panic!("one report is wanted: {out}");
    };
    assert_eq!(report["status"], "passed", "{report}");
    assert_eq!(report["metrics"][0]["value"].to_string(), "0.97");
    assert_eq!(report["curves"]["loss"]["count"], 2);
    assert_eq!(elsewhere.aws.asked("CreateTrainingJob"), 1);
    let (_, err) = elsewhere.run(&["collect"], 0);
    assert!(err.contains("nothing to collect"), "{err}");
}

#[test]
fn of_two_who_collect_one_reports() {
    let site = Site::new(TRAIN);
    let name = detached(&site);
    site.aws.until(|jobs| jobs[0]["status"] == "Completed");
    let collect = || {
        let mut command = site.command(&["collect", "--json"]);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [collect(), collect()].map(|child| child.wait_with_output().unwrap());
    let reports = both.map(|output| {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
        document["reports"].as_array().unwrap().len()
    });
    assert_eq!(reports.iter().sum::<usize>(), 1, "{reports:?}");
    // The run goes on where it was left.
    let runs = stdout(&site.project.run(&["runs"], 0));
    assert_eq!(runs.lines().count(), 1, "{runs}");
    assert!(
        runs.contains("complete") && name.contains(runs.split_once(' ').unwrap().0),
        "{runs}"
    );
}

#[test]
fn a_collection_that_was_killed_is_made_good_when_its_claim_is_over() {
    let site = Site::new(TRAIN);
    let name = detached(&site);
    site.aws.until(|jobs| jobs[0]["status"] == "Completed");
    // The claim of one that is gone: written as it was, and over in some minutes.
    let key = format!(
        "{BUCKET}/ml/runs/{}/{name}/collecting.json",
        name.rsplitn(3, '-').nth(2).unwrap()
    );
    let claim = |minutes: i64| {
        let until = jiff::Timestamp::now() + jiff::Span::new().minutes(minutes);
        json!({"by": "workflow run 70", "until": until.to_string()}).to_string()
    };
    site.aws.put(&key, claim(9));
    let (_, err) = site.run(&["collect"], 0);
    assert!(err.contains("is collected by workflow run 70"), "{err}");
    site.aws.put(&key, claim(-1));
    let (out, _) = site.run(&["collect"], 0);
    assert!(out.contains("passed"), "{out}");
}

#[test]
fn a_collection_that_was_interrupted_is_not_the_last_word() {
    let site = Site::new(TRAIN);
    let slow = "if /busybox test -e /opt/ml/input/data/held_out/slow; then /busybox sleep 300; fi\n/busybox tar";
    site.project
        .replace("image/validate.sh", "/busybox tar", slow);
    site.project.write("data/held_out/slow", "1");
    detached(&site);
    site.aws.until(|jobs| jobs[0]["status"] == "Completed");
    let mut collect = site.command(&["collect", "--verbose"]);
    let mut collecting = collect
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(collecting.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("validate") {
        assert!(said.read_line(&mut line).unwrap() > 0, "{line}");
    }
    signal(&collecting, Signal::INT);
    std::io::Read::read_to_string(&mut said, &mut line).unwrap();
    assert_eq!(collecting.wait().unwrap().code(), Some(130), "{line}");
    assert!(line.contains("can be collected again"), "{line}");
    let (_, err) = site.run(&["jobs"], 0);
    assert_eq!(err, "");
    let again = site
        .command(&["collect"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let mut again = again.unwrap();
    let mut said = BufReader::new(again.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Completed") {
        assert!(
            said.read_line(&mut line).unwrap() > 0,
            "it is not collected: {line}"
        );
    }
    signal(&again, Signal::TERM);
    again.wait().unwrap();
}

#[test]
fn what_a_job_logs_is_no_command_to_a_runner() {
    let site = Site::new(&format!(
        "/busybox echo '::add-mask::a'; /busybox echo 'b ##[error]c'; {TRAIN}"
    ));
    site.train(0);
    let mut logs = site.command(&["logs", "latest"]);
    let output = logs.env("GITHUB_ACTIONS", "true").output().unwrap();
    let out = stdout(&output);
    assert!(out.starts_with("| ::add-mask::a\nb ## [error]c\n"), "{out}");
}

#[test]
fn a_plan_that_somebody_else_wrote_reads_nothing_but_the_project() {
    let site = Site::new(TRAIN);
    let name = detached(&site);
    site.aws.until(|jobs| jobs[0]["status"] == "Completed");
    let folder = name.rsplitn(3, '-').nth(2).unwrap();
    let key = format!("{BUCKET}/ml/runs/{folder}/plan.json");
    let plan = std::fs::read_to_string(
        site.project
            .path()
            .join(format!(".mlaction/runs/{folder}-1/plan.json")),
    );
    let plan: Value = serde_json::from_str(&plan.unwrap()).unwrap();
    let image =
        json!({"repository": "127.0.0.1:1/x", "digest": format!("sha256:{}", "0".repeat(64))});
    site.forget();
    let mistrusted = |at: &str, value: Value, words: &str| {
        let mut plan = plan.clone();
        *plan.pointer_mut(at).unwrap() = value;
        let document = json!({"schema_version": 1, "plan": plan, "image": image, "tag": "in-0"});
        site.aws.put(&key, document.to_string());
        let (_, err) = site.run(&["collect"], 12);
        assert!(err.contains(words), "{words}: {err}");
    };
    let inputs = "/validation/request/inputs/held_out";
    for place in ["/etc", "/etc/../root"] {
        mistrusted(inputs, place.into(), "lies outside of the project");
    }
    let elsewhere = "its destination `cloud` is another one";
    mistrusted(
        "/destination/settings/role",
        "arn:aws:iam::123456789012:role/Admin".into(),
        elsewhere,
    );
    mistrusted("/destination/root", "s3://lake/elsewhere".into(), elsewhere);
    mistrusted(
        "/baseline/location",
        "s3://lake/elsewhere.json".into(),
        "its baseline lies elsewhere",
    );
    mistrusted("/project", "../../pwned".into(), "is another one");
    let runs = stdout(&site.project.run(&["runs"], 0));
    assert!(runs.contains("no runs yet"), "{runs}");
}

#[test]
fn a_validation_that_finds_no_machines_is_tried_again() {
    let site = Site::new(TRAIN);
    let place = "[destinations.cloud]\n";
    let on_job = format!("{place}validate_on = \"job\"\n");
    site.project.replace("mlaction.toml", place, &on_job);
    detached(&site);
    site.aws.until(|jobs| jobs[0]["status"] == "Completed");
    site.aws.set("quota", &json!({"ml.m5.xlarge": 0}));
    let (_, err) = site.run(&["collect"], 23);
    assert!(err.contains("can be collected again"), "{err}");
    site.aws.set("quota", &json!({"ml.m5.xlarge": null}));
    let (out, _) = site.run(&["collect", "latest"], 0);
    assert!(out.contains("passed"), "{out}");
}

#[test]
fn what_no_job_can_be_called_is_refused_before_aws_is_asked() {
    let site = Site::new("exit 0");
    for name in ["../../etc/passwd", "", "a b", &"x".repeat(90)] {
        let (_, err) = site.run(&["stop", name], 2);
        assert!(err.contains("is no name of a job"), "{err}");
    }
    site.run(&["jobs", "--limit", "0"], 2);
    assert_eq!(site.aws.asked("DescribeTrainingJob"), 0);
}

#[test]
fn what_cannot_be_collected_here_is_collected_elsewhere() {
    let site = Site::new(TRAIN);
    detached(&site);
    site.aws.until(|jobs| jobs[0]["status"] == "Completed");
    site.project.write("data/held_out/rows.csv", "2\n");
    let (_, err) = site.run(&["collect"], 12);
    assert!(
        err.contains("is not the data to validate on") && err.contains("dvc pull"),
        "{err}"
    );
    site.project.write("data/held_out/rows.csv", "1\n");
    site.run(&["collect"], 0);
}

#[test]
fn a_detached_job_that_fails_is_reported_and_not_tried_again() {
    let site = Site::new("/busybox echo 'boom: no rows' > /opt/ml/output/failure; exit 3");
    detached(&site);
    site.aws.until(|jobs| jobs[0]["status"] == "Failed");
    let (out, _) = site.run(&["collect"], 20);
    assert!(out.contains("boom: no rows"), "{out}");
    site.run(&["collect"], 0);
    assert_eq!(site.aws.asked("CreateTrainingJob"), 1);
}

#[test]
fn only_a_destination_that_keeps_jobs_can_be_left() {
    let project = Project::new();
    let err = stderr(&project.run(&["train", "--detach"], 2));
    assert!(err.contains("do not outlive mlaction"), "{err}");
    assert_eq!(
        stdout(&project.run(&["runs"], 0)),
        "no runs yet; `mlaction train` makes one\n"
    );
}

/// What a runner says of a workflow's run for a pull request.
fn on_pull_request(command: &mut Command, run: &str) {
    command.envs([
        ("GITHUB_REPOSITORY", "org/repo"),
        ("GITHUB_REF", "refs/pull/12/merge"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_RUN_ID", run),
    ]);
}

/// Launches a job for a commit of a pull request, and leaves it.
#[track_caller]
fn launched_by(site: &Site, run: &str, content: &str) -> String {
    site.project.write("data/train/rows.csv", content);
    commit(&site.project);
    let mut command = site.command(&["train", "--detach"]);
    on_pull_request(&mut command, run);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).trim().to_owned()
}

#[test]
fn what_nobody_waits_for_is_stopped() {
    let site = Site::new(ENDLESS);
    let old = launched_by(&site, "70", "0.1\n");
    let new = launched_by(&site, "71", "0.2\n");
    let gc = |arguments: &[&str]| {
        let mut command = site.command(&[&["gc", "--json"], arguments].concat());
        on_pull_request(&mut command, "72");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let orphans = document["orphans"].as_array().unwrap().iter();
        orphans
            .map(|orphan| {
                (
                    orphan["name"].as_str().unwrap().to_owned(),
                    orphan["because"]["kind"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let superseded = vec![(old.clone(), "superseded".into())];
    assert_eq!(gc(&["--dry-run"]), superseded);
    assert!(
        site.aws
            .jobs()
            .iter()
            .all(|job| job["status"] == "InProgress")
    );
    assert_eq!(gc(&[]), superseded);
    site.aws.until(|jobs| jobs[0]["status"] == "Stopped");
    assert_eq!(gc(&[]), []);
    assert_eq!(gc(&["--closed", "12"]), [(new, "closed".into())]);
    site.aws.until(|jobs| jobs[1]["status"] == "Stopped");
}

#[test]
fn a_newer_commit_stops_the_jobs_of_older_ones_where_the_config_says_so() {
    let site = Site::new(ENDLESS);
    let place = "[destinations.cloud]\n";
    site.project.replace(
        "mlaction.toml",
        place,
        &format!("{place}supersede = true\n"),
    );
    launched_by(&site, "70", "0.1\n");
    launched_by(&site, "71", "0.2\n");
    let states = |jobs: &[Value]| -> Vec<bool> {
        jobs.iter()
            .map(|job| job["status"] == "InProgress")
            .collect()
    };
    site.aws.until(|jobs| states(jobs) == [false, true]);
    // An older run that is run again does not stop the newer one's.
    launched_by(&site, "70", "0.3\n");
    assert_eq!(states(&site.aws.jobs()), [false, true, true]);
}
