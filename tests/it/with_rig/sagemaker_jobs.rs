//! The commands for jobs on SageMaker that somebody launched, perhaps elsewhere.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::sagemaker::{Site, signal};
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
fn commit(project: &Project) -> String {
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
    fn run(&self, arguments: &[&str], code: i32) -> (String, String) {
        let output = self.command(arguments).output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{out}{err}");
        (out, err)
    }

    /// Waits until the newest job has logged a text.
    #[track_caller]
    fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
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

    site.project
        .replace("mlaction.toml", "kind = \"sagemaker\"", "kind = \"docker\"");
    let (_, err) = site.run(&["jobs"], 3);
    assert!(err.contains("docker"), "{err}");
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
