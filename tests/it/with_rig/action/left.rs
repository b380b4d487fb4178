//! The step that cleans up after the Action's own, whatever became of that.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::{Site, held};
use crate::project::{stderr, stdout};
use crate::with_rig::containers::engines;
use crate::with_rig::support::runner::{Runner, Step};
use crate::with_rig::support::{images, tool};

const PULL: &str = "pull_request?number=1";

const DOCKER: &str = r#"[project]
name = "NAME"
destination = "docker"

[image]
context = "image"
dockerfile = "image/Dockerfile"

[training]
entry_point = "model/train.py"
container_entrypoint = ["/busybox", "sh", "-c", "/busybox echo started; exec /busybox sleep 600"]
"#;

/// Trains until the job says that it has started, and kills the command there.
#[track_caller]
fn killed(site: &Site, step: &Step<'_>, variables: &[(&str, &str)]) {
    let mut command = site
        .project
        .command(&["train", "--no-comment", "--no-check"]);
    command
        .envs(step.environment())
        .envs(variables.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let started = lines.any(|line| {
        said.push(line.unwrap());
        said.last().is_some_and(|line| line.trim() == "started")
    });
    assert!(started, "{said:#?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs the post step as the runner does: under its name, with what the step left.
#[track_caller]
fn post(site: &Site, job: &Runner, step: &Step<'_>, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mlaction"));
    command.arg0("/mlaction-post").arg("action").env_clear();
    command
        .envs(job.step().environment())
        .envs(variables.iter().copied());
    command
        .env("INPUT_COMMAND", "train")
        .env("INPUT_FORCE", "false");
    for (name, value) in step.state() {
        command.env(format!("STATE_{name}"), value);
    }
    let output = command.current_dir(site.project.path()).output().unwrap();
    held(&output, 0);
    stdout(&output) + &stderr(&output)
}

#[test]
fn after_a_run_that_ended_there_is_nothing_to_do() {
    let site = Site::with_pull();
    let job = site.job(PULL);
    let step = job.step();
    let mut command = site.project.command(&["train"]);
    held(&command.envs(step.environment()).output().unwrap(), 0);
    let said = post(&site, &job, &step, &[]);
    assert!(said.contains("came to its end"), "{said}");
    let said = post(&site, &job, &job.step(), &[]);
    assert!(said.contains("began no run"), "{said}");
}

#[test]
fn a_killed_run_of_processes_is_explained() {
    let site = Site::with_pull();
    let train = "import time\nprint('started', flush=True)\ntime.sleep(600)\n";
    site.project.write("model/train.py", train);
    let job = site.job(PULL);
    let step = job.step();
    killed(&site, &step, &[]);
    let said = post(&site, &job, &step, &[]);
    assert!(said.contains("was killed before its end"), "{said}");
    assert!(stdout(&site.project.run(&["runs"], 0)).contains("interrupted"));
}

#[test]
fn containers_of_a_killed_run_are_removed() {
    for engine in engines() {
        let engine = match engine.contains("://") {
            true => engine,
            false => format!("unix://{engine}"),
        };
        let site = Site::with_pull();
        let unique = site.project.path().file_name().unwrap().to_str().unwrap();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("left-{}", unique.to_lowercase());
        site.project
            .write("mlaction.toml", &DOCKER.replace("NAME", &name));
        let dockerfile = format!("FROM scratch\nLABEL of={name}\nCOPY busybox /\n");
        site.project.write("image/Dockerfile", &dockerfile);
        let busybox = site.project.path().join("image/busybox");
        std::fs::copy(tool("busybox"), busybox).unwrap();
        let job = site.job(PULL);
        let step = job.step();
        let host = [("DOCKER_HOST", &*engine)];
        killed(&site, &step, &host);
        let containers = || {
            let mut docker = Command::new("docker");
            let filter = format!("name={name}");
            docker.args([
                "--host", &engine, "ps", "--all", "--quiet", "--filter", &filter,
            ]);
            stdout(&docker.output().unwrap())
        };
        assert_ne!(containers(), "", "{engine}");
        let said = post(&site, &job, &step, &host);
        assert_eq!(containers(), "", "{engine} {said}");
        assert!(said.contains("was killed before its end"), "{said}");
        assert!(stdout(&site.project.run(&["runs"], 0)).contains("interrupted"));
        images::remove(&engine, &format!("reference=*{name}*"));
    }
}
