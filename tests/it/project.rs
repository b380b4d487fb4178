//! A throw-away project whose programs need nothing but Python's standard library.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) struct Project {
    folder: tempfile::TempDir,
}

const CONFIG: &str = r#"[project]
name = "demo"

[data.train]
path = "data/train"
[data.held_out]
path = "data/held_out"

[training]
entry_point = "model/train.py"
channels = ["train"]
hyperparameters = { bias = 0.10 }

[validation]
entry_point = "model/validate.py"
channels = ["held_out"]

[[metrics.definitions]]
name = "train_loss"
regex = "train_loss=([0-9.]+)"

[gates.accuracy]
min = 0.5
regression = { absolute = 0.02 }
"#;

const TRAIN: &str = r#"
import json, os, pathlib
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
hyperparameters = json.loads((base / "input/config/hyperparameters.json").read_text())
assert hyperparameters == {"bias": "0.10"}, hyperparameters
assert os.environ["SM_CHANNEL_TRAIN"] == str(base / "input/data/train")
assert "SECRET_TOKEN" not in os.environ
rows = (base / "input/data/train/rows.csv").read_text().split()
for epoch in range(3):
    print(f"\repoch {epoch}\repoch={epoch} train_loss={0.9 / (epoch + 1):.2f}")
(base / "model/model.json").write_text(json.dumps({"accuracy": float(rows[0])}))
"#;

const VALIDATE: &str = r#"
import json, os, pathlib, tarfile
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
with tarfile.open(base / "input/data/model/model.tar.gz") as archive:
    model = json.load(archive.extractfile("model.json"))
assert (base / "input/data/held_out/rows.csv").exists()
(base / "output/data/metrics.json").write_text(json.dumps({"accuracy": model["accuracy"], "loss": float("nan")}))
"#;

impl Project {
    pub(crate) fn new() -> Self {
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        project.write("mlaction.toml", CONFIG);
        project.write("model/train.py", TRAIN);
        project.write("model/validate.py", VALIDATE);
        project.write("data/train/rows.csv", "0.97\n");
        project.write("data/held_out/rows.csv", "1\n");
        project
    }

    /// A folder with nothing in it.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path().join(name)).unwrap();
        assert!(text.contains(from));
        self.write(name, &text.replace(from, to));
    }

    /// The binary with a clean environment, in the project.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        mlaction(self.path(), arguments)
    }

    /// Runs the binary and holds it to an exit code.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert_eq!(
            output.status.code(),
            Some(code),
            "stdout:\n{out}\nstderr:\n{err}"
        );
        output
    }

    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join(".mlaction/runs"))
            .into_iter()
            .flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// The binary in a folder, with nothing of this machine's environment but `PATH`.
pub(crate) fn mlaction(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mlaction"));
    command.args(arguments).current_dir(folder).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", folder).env("SECRET_TOKEN", "hunter2");
    command
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
