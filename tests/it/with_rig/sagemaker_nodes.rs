//! The example of training on several hosts (`docs/examples/multi-node`), as its reader gets it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::containers::engines;
use super::support::images;
use super::support::stand_in::{BUCKET, StandIn};
use crate::project::{Project, stderr, stdout};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/multi-node");

/// What its reader has to fill in.
const OWN: [(&str, &str); 3] = [
    ("eu-west-1", "us-east-1"),
    ("my-bucket", BUCKET),
    ("instances = 2", "instances = 2\npoll = \"1s\""),
];

/// A copy of the example, whose part for SageMaker is no comment any more.
struct Example {
    project: Project,
    name: String,
    engine: String,
    /// Not the project's folder, which is the build context: what is kept there would be in it.
    home: tempfile::TempDir,
    aws: StandIn,
}

impl Example {
    #[track_caller]
    fn new() -> Self {
        let project = Project::empty();
        for entry in walkdir::WalkDir::new(EXAMPLE).min_depth(1) {
            let entry = entry.unwrap();
            let to = entry.path().strip_prefix(EXAMPLE).unwrap();
            let to = project.path().join(to);
            match entry.file_type().is_dir() {
                true => std::fs::create_dir(to).unwrap(),
                false => drop(std::fs::copy(entry.path(), to).unwrap()),
            }
        }
        let unique = project.path().file_name().unwrap().to_str().unwrap();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("nodes-{}", unique.to_lowercase());
        let config = project.read("mlaction.toml");
        let (desk, cloud) = config.split_once("# The same on SageMaker.").unwrap();
        let cloud = cloud.split_once('\n').unwrap().1.lines();
        let cloud: Vec<&str> = cloud
            .map(|line| line.trim_start_matches("# ").trim_start_matches('#'))
            .collect();
        let mut config = format!("{desk}{}\n", cloud.join("\n"));
        for (from, to) in OWN.into_iter().chain([("\"multi-node\"", name.as_str())]) {
            assert!(config.contains(from), "{from} is not in {config}");
            let quoted = format!("\"{to}\"");
            let to = if from.starts_with('"') { &quoted } else { to };
            config = config.replace(from, to);
        }
        project.write("mlaction.toml", &config);
        let engine = engines().swap_remove(0);
        Self {
            aws: StandIn::start(&engine),
            project,
            name,
            engine,
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Trains in a place; gives the report and the training job's log.
    #[track_caller]
    fn train(&self, destination: &str) -> (Value, String) {
        let mut command = self
            .project
            .command(&["train", "--destination", destination, "--json"]);
        command
            .envs(self.aws.environment())
            .env("DOCKER_HOST", &self.engine)
            .env("HOME", self.home.path());
        let output = command.output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        assert!(output.status.success(), "{out}{err}");
        let log = stdout(&self.project.run(&["logs"], 0));
        (serde_json::from_str(&out).unwrap(), log)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        images::remove(&self.engine, &format!("reference=*/{}", self.name));
    }
}

/// The files that a host says it has.
#[track_caller]
fn files(log: &str, rank: usize) -> BTreeSet<&str> {
    let host = format!("algo-{}", rank + 1);
    let begin = format!("{host} | rank {rank} on {host}: ");
    let line = log.lines().find_map(|line| line.strip_prefix(&begin));
    let line = line.unwrap_or_else(|| panic!("no `{begin}` in\n{log}"));
    line.split_once(" in ").unwrap().1.split(", ").collect()
}

fn packed(run: &Path) -> Vec<String> {
    let file = std::fs::File::open(run.join("model.tar.gz")).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().unwrap();
    let name = |entry: tar::Entry<'_, _>| entry.path().unwrap().display().to_string();
    entries.map(|entry| name(entry.unwrap())).collect()
}

#[test]
fn two_hosts_train_one_model_on_sagemaker_and_in_the_rehearsal_alike() {
    let example = Example::new();
    let (cloud, log) = example.train("cloud");
    let [job] = &example.aws.jobs()[..] else {
        panic!("one job is wanted: {:?}", example.aws.jobs());
    };
    assert_eq!(job["request"]["ResourceConfig"]["InstanceCount"], 2);
    // Each host has half of the files, and both print.
    let (first, second) = (files(&log, 0), files(&log, 1));
    assert_eq!((first.len(), second.len()), (2, 2), "{log}");
    assert!(first.is_disjoint(&second), "{log}");
    let losses = log.lines().filter(|line| line.contains("loss="));
    assert!(losses.clone().all(|line| line.starts_with("algo-1 | ")));
    assert_eq!(losses.count(), 10, "{log}");
    assert_eq!(packed(&example.project.runs()[0]), ["weights.json"]);

    // In the rehearsal, each has all of them: the model is the same.
    let (desk, log) = example.train("desk");
    assert_eq!(files(&log, 0).len(), 4, "{log}");
    assert_eq!(files(&log, 1).len(), 4, "{log}");
    let rmse = |report: &Value| {
        let metrics = report["metrics"].as_array().unwrap();
        let metric = metrics.iter().find(|metric| metric["name"] == "rmse");
        format!("{:.6}", metric.unwrap()["value"].as_f64().unwrap())
    };
    assert_eq!(rmse(&cloud), rmse(&desk));
}
