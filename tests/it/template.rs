//! The project that `init` writes, driven as a user would: with its real libraries, DVC, pytest
//! and the linters of workflows. `make test` installs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::project::{Project, mlaction, stderr, stdout};

/// The interpreter that has the template's libraries and the linters.
pub(crate) fn python() -> PathBuf {
    std::env::var_os("MLACTION_TEST_PYTHON")
        .map(PathBuf::from)
        .expect("MLACTION_TEST_PYTHON is not set: `make test` installs what these tests drive and sets it")
}

/// A new project, and a command line in it that shares the environments of earlier test runs.
struct Demo {
    place: Project,
}

impl Demo {
    fn new() -> Self {
        let place = Project::empty();
        place.run(&["init", "demo"], 0);
        Self { place }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("demo")
    }

    fn read(&self, name: &str) -> String {
        self.place.read(&format!("demo/{name}"))
    }

    #[track_caller]
    fn replace(&self, name: &str, from: &str, to: &str) {
        self.place.replace(&format!("demo/{name}"), from, to);
    }

    /// The binary, with what installers need to know about this machine's network.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = mlaction(&self.path(), arguments);
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let is_installers = ["PIP_", "UV_", "SSL_CERT_"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            if is_installers || name == "MLACTION_CACHE_DIR" {
                command.env(&*name, value);
            }
        }
        command
    }

    #[track_caller]
    fn mlaction(&self, arguments: &[&str], code: i32) -> (String, String) {
        let output = self.command(arguments).output().unwrap();
        let texts = (stdout(&output), stderr(&output));
        assert_eq!(
            output.status.code(),
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            texts.0,
            texts.1
        );
        texts
    }

    /// Runs a program of the test environment in the project.
    #[track_caller]
    fn tool(&self, arguments: &[&str]) -> String {
        run_tool(&self.path(), arguments)
    }
}

#[track_caller]
pub(crate) fn run_tool(folder: &Path, arguments: &[&str]) -> String {
    let bin = python().parent().unwrap().to_path_buf();
    let mut path = vec![bin.clone()];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let program = Some(bin.join(arguments[0])).filter(|program| program.is_file());
    let output = Command::new(program.unwrap_or_else(|| arguments[0].into()))
        .args(&arguments[1..])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("DVC_NO_ANALYTICS", "1")
        .env("HOME", folder.parent().unwrap())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap_or_else(|error| panic!("{arguments:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{arguments:?}: {}\nstdout:\n{}\nstderr:\n{}",
        output.status,
        stdout(&output),
        stderr(&output)
    );
    stdout(&output)
}

fn report(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[track_caller]
fn metric<'r>(report: &'r Value, name: &str) -> &'r Value {
    let rows = report["metrics"].as_array().unwrap();
    rows.iter()
        .find(|row| row["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {rows:?}"))
}

#[test]
fn from_an_empty_folder_to_a_gate_that_fails_when_the_model_breaks() {
    let demo = Demo::new();
    let (first, _) = demo.mlaction(&["train", "--json"], 0);
    let first = report(&first);
    let accuracy = metric(&first, "accuracy")["value"].as_f64().unwrap();
    assert!(accuracy >= 0.95, "{accuracy}");
    assert!(
        first["confusion_matrix"]["labels"]
            .as_array()
            .unwrap()
            .len()
            == 3
    );
    assert!(first["curves"]["train_loss"]["count"].as_u64().unwrap() > 5);
    assert!(
        first["lineage"]["environment"]["python"]
            .as_str()
            .unwrap()
            .starts_with("3.")
    );
    let run = first["run"].as_str().unwrap();
    for file in [
        "plan.json",
        "log.txt",
        "metrics.json",
        "model.tar.gz",
        "report.json",
        "report.md",
        "report.html",
    ] {
        assert!(
            demo.path()
                .join(".mlaction/runs")
                .join(run)
                .join(file)
                .is_file(),
            "{file}"
        );
    }

    demo.mlaction(&["baseline", "set"], 0);
    let started = std::time::Instant::now();
    let (again, said) = demo.mlaction(&["train"], 0);
    assert!(
        started.elapsed().as_secs_f64() < 1.0,
        "{:?}",
        started.elapsed()
    );
    assert!(
        said.contains("reused") && again.contains("passed"),
        "{said}{again}"
    );

    let (broken, _) = demo.mlaction(&["train", "--json", "--set", "features=body_mass_g"], 30);
    let broken = report(&broken);
    assert_eq!(broken["status"], "gate_failed");
    let gate = &metric(&broken, "accuracy")["gate"];
    assert_eq!(gate["outcome"], "fail");
    let reason = gate["reason"].as_str().unwrap();
    assert!(
        reason.contains(&format!(
            "from the baseline's {}",
            metric(&first, "accuracy")["value"]
        )),
        "{reason}"
    );
    assert_eq!(broken["baseline"]["run"], run);
}

#[test]
fn two_trainings_give_the_same_model_byte_for_byte() {
    let demo = Demo::new();
    let digest = |arguments: &[&str]| {
        report(&demo.mlaction(arguments, 0).0)["lineage"]["model"]["sha256"].clone()
    };
    assert_eq!(
        digest(&["train", "--json"]),
        digest(&["train", "--json", "--force"])
    );
}

#[test]
fn uv_makes_the_environment_where_it_is_installed() {
    let demo = Demo::new();
    let bin = python().parent().unwrap().to_path_buf();
    let programs = demo.place.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(bin.join("uv"), programs.join("uv")).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::iter::once(programs).chain(std::env::split_paths(&path));
    let output = demo
        .command(&["train", "--quiet"])
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("MLACTION_CACHE_DIR", demo.place.path().join("fresh"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    let venvs = std::fs::read_dir(demo.place.path().join("fresh/venvs")).unwrap();
    let made = venvs
        .map(|entry| entry.unwrap().path().join("pyvenv.cfg"))
        .find(|file| file.is_file())
        .unwrap();
    assert!(std::fs::read_to_string(made).unwrap().contains("uv = "));
}

#[test]
fn its_own_tests_pass() {
    let demo = Demo::new();
    let said = demo.tool(&["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    assert!(
        said.contains(" passed") && !said.contains("skipped"),
        "{said}"
    );
}

#[test]
fn dvc_reproduces_the_pipeline_and_shows_what_a_change_did() {
    let demo = Demo::new();
    for git in [
        &["init", "-q"][..],
        &["add", "-A"],
        &[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "commit",
            "-qm",
            "first",
        ],
    ] {
        demo.tool(&[&["git"], git].concat());
    }
    assert!(
        !demo.tool(&["git", "ls-files"]).contains("penguins.csv"),
        "DVC tracks the data, not Git"
    );
    demo.tool(&["dvc", "repro"]);
    assert!(demo.tool(&["dvc", "status"]).contains("up to date"));
    for git in [
        &["add", "-A"][..],
        &[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "commit",
            "-qm",
            "trained",
        ],
    ] {
        demo.tool(&[&["git"], git].concat());
    }
    demo.replace(
        "mlaction.toml",
        "features = \"\"",
        "features = \"body_mass_g\"",
    );
    demo.tool(&["dvc", "repro"]);
    let diff = demo.tool(&["dvc", "metrics", "diff", "--json"]);
    assert!(diff.contains("accuracy") && diff.contains("diff"), "{diff}");
}

#[test]
fn its_workflows_pass_the_linters() {
    let demo = Demo::new();
    let workflows =
        ["train", "serve", "report"].map(|name| format!(".github/workflows/{name}.yml"));
    let workflows: Vec<&str> = workflows.iter().map(String::as_str).collect();
    demo.tool(&[&["actionlint"], workflows.as_slice()].concat());
    demo.tool(&["zizmor", "--offline", "--no-progress", ".github"]);
    demo.tool(
        &[
            &[
                "check-jsonschema",
                "--builtin-schema",
                "vendor.github-workflows",
            ],
            workflows.as_slice(),
        ]
        .concat(),
    );
}

#[test]
fn its_name_is_in_no_file_of_another_project() {
    let demo = Demo::new();
    assert!(
        demo.read("README.md").starts_with("# demo"),
        "{}",
        demo.read("README.md")
    );
}
