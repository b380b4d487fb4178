//! A container whose program is the training toolkit of AWS (package `sagemaker-training`) trains on
//! the stand-in and in the `docker` destination alike.

use serde_json::Value;

use super::containers::engines;
use super::support::images;
use super::support::stand_in::{BUCKET, StandIn};
use crate::project::{Project, stderr, stdout};

const CONFIG: &str = r#"[project]
name = "NAME"

[image]
context = "image"
dockerfile = "image/Dockerfile"

[registry]
kind = "ecr"
region = "us-east-1"

[data.train]
path = "data"

[training]
entry_point = "image/train.py"
channels = ["train"]
max_runtime = "5m"
hyperparameters = { epochs = 3, layers = [4, 2], verbose = true, mode = "good" }

[[metrics.definitions]]
name = "loss"
regex = "loss=([0-9.]+)"

[gates.rows]
min = 4

[destinations.desk]
kind = "docker"

[destinations.cloud]
kind = "sagemaker"
region = "us-east-1"
role = "arn:aws:iam::123456789012:role/training"
s3 = "s3://BUCKET/toolkit"
instance_type = "ml.m5.xlarge"
poll = "1s"
"#;

/// As the toolkit's documentation has it: the code lies in `/opt/ml/code`, the toolkit's program
/// `train` is on `PATH`.
const DOCKERFILE: &str = "\
FROM BASE
ENV SAGEMAKER_PROGRAM=train.py
COPY train.py /opt/ml/code/train.py
LABEL of=NAME
";

const TRAIN: &str = r#"
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--layers", type=str)
parser.add_argument("--verbose", type=str)
parser.add_argument("--mode", type=str)
given = parser.parse_args()
if given.mode == "fail":
    raise ValueError("the rows are not good")
hosts = json.loads(os.environ["SM_HOSTS"])
print("GIVEN", sorted(vars(given).items()), hosts, os.environ["SM_CURRENT_HOST"], os.environ["SM_MODULE_NAME"])
rows = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "rows.csv").read_text().split()
for epoch in range(given.epochs):
    print(f"epoch={epoch} loss={1 / (epoch + 1):.3f}")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("\n".join(rows))
metrics = {"rows": len(rows), "epochs": given.epochs}
pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "metrics.json").write_text(json.dumps(metrics))
"#;

struct Site {
    project: Project,
    name: String,
    engine: String,
    aws: StandIn,
}

impl Site {
    #[track_caller]
    fn new() -> Self {
        let base = std::env::var("MLACTION_TEST_TOOLKIT").expect(
            "this test needs the image that tests/rig/toolkit makes, by its name in MLACTION_TEST_TOOLKIT",
        );
        let project = Project::empty();
        let unique = project.path().file_name().unwrap().to_str().unwrap();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("toolkit-{}", unique.to_lowercase());
        let fill = |text: &str| text.replace("NAME", &name).replace("BASE", &base);
        let config = CONFIG.replace("BUCKET", BUCKET);
        project.write("mlaction.toml", &fill(&config));
        project.write("image/Dockerfile", &fill(DOCKERFILE));
        project.write("image/train.py", TRAIN);
        project.write("data/rows.csv", "1\n2\n3\n4\n");
        let engine = engines().swap_remove(0);
        Self {
            aws: StandIn::start(&engine),
            project,
            name,
            engine,
        }
    }

    /// Trains in a place; gives the report and the log.
    #[track_caller]
    fn train(&self, destination: &str, mode: &str, code: i32) -> (Value, String) {
        let mode = format!("mode={mode}");
        let arguments = [
            "train",
            "--json",
            "--destination",
            destination,
            "--set",
            &mode,
        ];
        let mut command = self.project.command(&arguments);
        command
            .envs(self.aws.environment())
            .env("DOCKER_HOST", &self.engine);
        let output = command.output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{out}{err}");
        let log = stdout(&self.project.run(&["logs"], 0));
        (serde_json::from_str(&out).unwrap(), log)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        images::remove(&self.engine, &format!("label=of={}", self.name));
    }
}

#[test]
fn it_trains_and_fails_alike_on_sagemaker_and_in_a_container() {
    let site = Site::new();
    let (cloud, cloud_log) = site.train("cloud", "good", 0);
    let (desk, desk_log) = site.train("desk", "good", 0);
    assert_eq!(cloud["status"], "passed", "{cloud}");
    assert_eq!(cloud["metrics"], desk["metrics"]);
    assert_eq!(cloud["curves"], desk["curves"]);
    assert_eq!(cloud["curves"]["loss"]["count"], 3, "{cloud_log}");
    let given = "GIVEN [('epochs', 3), ('layers', '[4, 2]'), ('mode', 'good'), ('verbose', 'True')] ['algo-1'] algo-1 train\n";
    assert!(cloud_log.contains(given), "{cloud_log}");
    assert!(desk_log.contains(given), "{desk_log}");

    // Its reason of a failure arrives: it writes `output/failure`.
    for destination in ["cloud", "desk"] {
        let (report, log) = site.train(destination, "fail", 20);
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains("ExecuteUserScriptError"), "{reason}\n{log}");
        assert!(log.contains("ValueError: the rows are not good"), "{log}");
    }
}
