//! Training on SageMaker by the binary as a user types it, against the stand-in that really runs
//! the jobs.

mod fault_table;
mod faults;
mod interrupts;
mod killed;
mod lines;
mod runs;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::containers::engines;
use super::support::images;
use super::support::stand_in::{BUCKET, StandIn};
use super::support::tool;
use crate::project::{Project, stderr, stdout};

const CONFIG: &str = r#"[project]
name = "NAME"
destination = "cloud"

[image]
context = "image"
dockerfile = "image/Dockerfile"

[registry]
kind = "ecr"
region = "us-east-1"

[data.train]
path = "data/train"
[data.held_out]
path = "data/held_out"

[training]
entry_point = "model/train.py"
channels = ["train"]
container_entrypoint = ["/busybox", "sh", "/train.sh"]
max_runtime = "10m"

[validation]
entry_point = "model/validate.py"
channels = ["held_out"]
container_entrypoint = ["/busybox", "sh", "/validate.sh"]

[[metrics.definitions]]
name = "loss"
regex = "loss=([0-9.]+)"

[gates.accuracy]
min = 0.5

[destinations.cloud]
kind = "sagemaker"
region = "us-east-1"
role = "arn:aws:iam::123456789012:role/training"
s3 = "s3://BUCKET/ml"
instance_type = "ml.m5.xlarge"
poll = "1s"
price_per_hour = 3600
price_source = "a test"
"#;

pub(super) const TRAIN: &str = r#"
/busybox echo "epoch=1 loss=0.5"
/busybox cat /opt/ml/input/data/train/rows.csv > /opt/ml/model/model.txt
/busybox echo "epoch=2 loss=0.25"
"#;

const VALIDATE: &str = r#"
/busybox tar -xzf /opt/ml/input/data/model/model.tar.gz -C /opt/ml/output/data
/busybox test -s /opt/ml/input/data/held_out/rows.csv || exit 1
/busybox echo "{\"accuracy\": $(/busybox cat /opt/ml/output/data/model.txt)}" > /opt/ml/output/data/metrics.json
"#;

/// A project whose jobs go to a stand-in.
pub(super) struct Site {
    pub(super) project: Project,
    pub(super) name: String,
    engine: String,
    pub(super) aws: Arc<StandIn>,
}

impl Site {
    /// With a stand-in of its own.
    #[track_caller]
    pub(super) fn new(train: &str) -> Self {
        Self::at(Arc::new(StandIn::start(&engine())), train)
    }

    #[track_caller]
    fn at(aws: Arc<StandIn>, train: &str) -> Self {
        let project = Project::new();
        let unique = project.path().file_name().unwrap().to_str().unwrap();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("cloud-{}", unique.to_lowercase());
        let config = CONFIG.replace("NAME", &name).replace("BUCKET", BUCKET);
        project.write("mlaction.toml", &config);
        let files = "COPY busybox /\nCOPY train.sh validate.sh /\n";
        // What other tests take out of the engine is not this image: the label makes another id.
        let dockerfile = format!("FROM scratch\nLABEL of={name}\n{files}");
        project.write("image/Dockerfile", &dockerfile);
        project.write("image/train.sh", train);
        project.write("image/validate.sh", VALIDATE);
        std::fs::copy(tool("busybox"), project.path().join("image/busybox")).unwrap();
        Self {
            project,
            name,
            engine: engine(),
            aws,
        }
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        command
            .envs(self.aws.environment())
            .env("DOCKER_HOST", &self.engine);
        command
    }

    /// Trains, and gives the report.
    #[track_caller]
    pub(super) fn train(&self, code: i32) -> Value {
        let output = self.command(&["train", "--json"]).output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{out}{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// Trains, and leaves the command when the job's program runs.
    #[track_caller]
    pub(super) fn training(&self) -> Child {
        let mut command = self.command(&["train"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        self.aws.until_training();
        child
    }

    /// The same project in another folder.
    pub(super) fn moved(mut self) -> Self {
        let elsewhere = Project::empty();
        let mut copy = Command::new("cp");
        let copied = copy
            .args(["--recursive", "--no-target-directory"])
            .arg(self.project.path())
            .arg(elsewhere.path())
            .status();
        assert!(copied.unwrap().success());
        self.project = elsewhere;
        self
    }

    /// What another machine would know: nothing.
    pub(super) fn forget(&self) {
        std::fs::remove_dir_all(self.project.path().join(".mlaction")).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        images::remove(&self.engine, &format!("reference=*/{}", self.name));
    }
}

fn engine() -> String {
    engines().swap_remove(0)
}

pub(super) fn signal(child: &Child, signal: Signal) {
    let process = i32::try_from(child.id()).unwrap();
    kill_process(Pid::from_raw(process).unwrap(), signal).unwrap();
}
