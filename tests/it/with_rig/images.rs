//! `mlaction image` and runs in containers, by the binary as a user types it.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::support::registry::{PASSWORD, Registry, USER};
use super::support::tool;
use crate::project::{Project, mlaction, stderr, stdout};

const CONFIG: &str = r#"[project]
name = "boxes"
destination = "docker"

[image]
context = "image"
dockerfile = "image/Dockerfile"

[data.train]
path = "data/train"

[training]
entry_point = "model/train.py"
container_entrypoint = ["/busybox", "sh", "/train.sh"]

[gates.accuracy]
min = 0.5
"#;

const TRAIN: &str = r#"
/busybox echo "epoch=1 loss=0.5"
/busybox cat /opt/ml/input/data/train/rows.csv > /opt/ml/model/model.txt
/busybox echo '{"accuracy": 0.9}' > /opt/ml/output/data/metrics.json
"#;

pub(super) fn docker(arguments: &[&str]) -> Output {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    output
}

/// A project of its own name, so that tests do not find the images of others.
pub(super) fn project(name: &str) -> Project {
    let project = Project::new();
    project.write("mlaction.toml", &CONFIG.replace("boxes", name));
    // Tests that take their images away take none of another test's: the label makes another id.
    let dockerfile = format!("FROM scratch\nLABEL of={name}\nCOPY busybox train.sh /\n");
    project.write("image/Dockerfile", &dockerfile);
    project.write("image/train.sh", TRAIN);
    std::fs::copy("/bin/busybox", project.path().join("image/busybox")).unwrap();
    project
}

/// Takes the images of a project away when the test ends, however it ends.
pub(super) struct Images(pub(super) &'static str);

impl Drop for Images {
    fn drop(&mut self) {
        // By name: another project may have the same image.
        let filter = format!("reference=mlaction/{}", self.0);
        let listed = Command::new("docker")
            .args([
                "images",
                "--format",
                "{{.Repository}}:{{.Tag}}",
                "--filter",
                &filter,
            ])
            .output();
        for image in stdout(&listed.unwrap()).split_whitespace() {
            let _ = Command::new("docker").args(["rmi", image]).output();
        }
    }
}

pub(super) fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

#[test]
fn an_image_is_built_once_and_again_when_its_content_changes() {
    let _images = Images("once");
    let project = project("once");
    let plan = json(&project.run(&["image", "build", "--dry-run", "--json"], 0));
    assert_eq!(plan["files"], 3);
    let first = json(&project.run(&["image", "build", "--json"], 0));
    assert_eq!(first["built"], true);
    assert_eq!(first["tag"], plan["tag"]);
    let again = project.run(&["image", "build", "--json"], 0);
    assert_eq!(json(&again)["built"], false, "{}", stderr(&again));
    assert_eq!(json(&again)["image"], first["image"]);
    project.write("image/train.sh", "changed");
    let other = json(&project.run(&["image", "build", "--json"], 0));
    assert_eq!(other["built"], true);
    assert_ne!(other["tag"], first["tag"]);
    let labels = docker(&[
        "inspect",
        "--format",
        "{{.Architecture}}",
        other["image"]["digest"].as_str().unwrap(),
    ]);
    assert_eq!(stdout(&labels).trim(), "amd64");
}

#[test]
fn a_run_in_containers_is_reported_reused_and_leaves_nothing() {
    let _images = Images("reported");
    let project = project("reported");
    let report = json(&project.run(&["train", "--json"], 0));
    assert_eq!(report["status"], "passed");
    assert_eq!(report["metrics"][0]["value"].to_string(), "0.9");
    let image = report["lineage"]["environment"]["image"].as_str().unwrap();
    assert!(image.starts_with("sha256:"), "{image}");
    assert!(stdout(&project.run(&["logs"], 0)).contains("epoch=1 loss=0.5"));
    assert!(stderr(&project.run(&["train"], 0)).contains("reused"));
    let forced = project.run(&["train", "--force"], 0);
    assert!(
        stderr(&forced).contains("nothing is built"),
        "{}",
        stderr(&forced)
    );
    assert_eq!(left("reported"), "");
}

/// Containers and volumes of a project's runs.
pub(super) fn left(project: &str) -> String {
    let name = format!("name={project}-");
    let containers = docker(&["ps", "--all", "--quiet", "--filter", &name]);
    let volumes = docker(&["volume", "ls", "--quiet", "--filter", &name]);
    stdout(&containers) + &stdout(&volumes)
}

#[test]
fn a_failing_step_shows_its_last_lines_and_ends_with_the_code_of_builds() {
    let _images = Images("failing");
    let project = project("failing");
    let failing = "FROM scratch\nCOPY busybox /\nRUN [\"/busybox\", \"sh\", \"-c\", \"/busybox echo no-such-package; /busybox false\"]\n";
    project.write("image/Dockerfile", failing);
    let output = stderr(&project.run(&["image", "build"], 10));
    assert!(output.contains("no-such-package"), "{output}");
    assert!(
        output.contains("Dockerfile, line 3") && output.contains("exit code 1"),
        "{output}"
    );
    let report = json(&project.run(&["train", "--json"], 10));
    assert_eq!(report["status"], "build_failed");
}

#[test]
fn what_cannot_be_built_is_told_before_anything_is_asked_of_an_engine() {
    let project = project("refused");
    project.write("image/.env", "TOKEN=1");
    project.write(
        "image/Dockerfile",
        "FROM scratch\nCOPY .env /\nCOPY nothing /\n",
    );
    let mut command = project.command(&["image", "build"]);
    let output = command
        .env("DOCKER_HOST", "unix:///nowhere.sock")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains(".env") && text.contains("nothing"), "{text}");
    project.write("image/Dockerfile", "FROM scratch\nCOPY busybox /\n");
    let mut command = project.command(&["image", "build"]);
    let output = command
        .env("DOCKER_HOST", "unix:///nowhere.sock")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(10));
    assert!(stderr(&output).contains("cannot use the Docker Engine at unix:///nowhere.sock"));
}

#[test]
fn kill_9_leaves_nothing_after_the_next_run() {
    let _images = Images("killed");
    let project = project("killed");
    project.write(
        "image/train.sh",
        "/busybox echo started\n/busybox sleep 600\n",
    );
    let mut child = project
        .command(&["train"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    let mut err = child.stderr.take().unwrap();
    let mut byte = [0];
    while !seen.ends_with(b"started") {
        assert_eq!(
            err.read(&mut byte).unwrap(),
            1,
            "{}",
            String::from_utf8_lossy(&seen)
        );
        seen.push(byte[0]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_ne!(left("killed"), "");
    project.write("image/train.sh", TRAIN);
    let next = project.run(&["train"], 0);
    assert_eq!(left("killed"), "", "{}", stderr(&next));
}

/// The binary, with the registry's password in its environment.
pub(super) fn push(project: &Project, password: &str, arguments: &[&str], code: i32) -> Output {
    let mut command = project.command(arguments);
    command
        .env("MLACTION_REGISTRY_USER", USER)
        .env("MLACTION_REGISTRY_PASSWORD", password);
    let output = command.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    output
}

#[test]
fn what_is_published_is_what_the_registry_has_and_is_never_sent_twice() {
    let _images = Images("published");
    let registry = Registry::start();
    let project = project("published");
    assert!(stderr(&project.run(&["image", "push"], 3)).contains("no registry to push to"));
    let repository = format!("{}/team/published", registry.host());
    let table = format!("\n[registry]\nkind = \"oci\"\nrepository = \"{repository}\"\n");
    project.write("mlaction.toml", &(project.read("mlaction.toml") + &table));

    let refused = push(&project, "wrong", &["image", "push"], 4);
    assert!(!stderr(&refused).contains("panicked"));
    let first = json(&push(&project, PASSWORD, &["image", "push", "--json"], 0));
    assert!(first["pushed_bytes"].as_u64().unwrap() > 0, "{first}");
    let tag = first["tag"].as_str().unwrap();
    let inspected = Command::new(tool("skopeo"))
        .args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"])
        .args([
            "--creds",
            &format!("{USER}:{PASSWORD}"),
            &format!("docker://{repository}:{tag}"),
        ])
        .output()
        .unwrap();
    assert!(inspected.status.success(), "{}", stderr(&inspected));
    assert_eq!(
        first["image"]["digest"].as_str().unwrap(),
        stdout(&inspected).trim()
    );
    let again = json(&push(&project, PASSWORD, &["image", "push", "--json"], 0));
    assert_eq!(again["image"], first["image"]);
    assert_eq!(
        (&again["built"], &again["pushed_bytes"]),
        (&false.into(), &serde_json::Value::Null)
    );

    // A run elsewhere, where the engine has nothing: it pulls what is launched, by digest.
    drop(Images("published"));
    let report = json(&push(&project, PASSWORD, &["train", "--json"], 0));
    let image = report["lineage"]["environment"]["image"].as_str().unwrap();
    assert_eq!(image, format!("{repository}@{}", stdout(&inspected).trim()));
    let _ = Command::new("docker")
        .args(["rmi", "--force", image])
        .output();
}

/// The template, as `init` writes it, in containers: on this machine, and from inside a container
/// that has nothing but the engine's socket.
#[test]
fn the_template_gives_the_same_metrics_as_a_process_and_from_inside_a_container() {
    let _images = Images("everywhere");
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("project");
    let run = |folder: &Path, arguments: &[&str]| {
        let output = mlaction(folder, arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}{}",
            stdout(&output),
            stderr(&output)
        );
        output
    };
    run(
        place.path(),
        &[
            "init",
            "project",
            "--name",
            "everywhere",
            "--destination",
            "docker",
        ],
    );
    let metrics = |report: serde_json::Value| -> Vec<String> {
        let metrics = report["metrics"].as_array().unwrap().iter();
        metrics
            .map(|metric| format!("{} {}", metric["name"], metric["value"]))
            .collect()
    };
    let own = run(&folder, &["train", "--json"]);
    let own = metrics(json(&own));
    assert!(own.len() > 5, "{own:?}");

    let base =
        std::env::var("MLACTION_TEST_BASE").unwrap_or("python:3.12-slim-bookworm".to_owned());
    let socket = "/var/run/docker.sock:/var/run/docker.sock";
    let created = docker(&[
        "create",
        "--volume",
        socket,
        "--workdir",
        "/project",
        &base,
        "mlaction",
        "train",
        "--json",
        "--force",
    ]);
    let container = stdout(&created).trim().to_owned();
    docker(&[
        "cp",
        env!("CARGO_BIN_EXE_mlaction"),
        &format!("{container}:/usr/local/bin/mlaction"),
    ]);
    let clean = place.path().join("clean");
    run(
        place.path(),
        &[
            "init",
            "clean",
            "--name",
            "everywhere",
            "--destination",
            "docker",
        ],
    );
    docker(&[
        "cp",
        &format!("{}/.", clean.display()),
        &format!("{container}:/project"),
    ]);
    let inside = Command::new("docker")
        .args(["start", "--attach", &container])
        .output()
        .unwrap();
    docker(&["rm", "--force", "--volumes", &container]);
    assert!(
        stderr(&inside).contains("nothing is built"),
        "{}",
        stderr(&inside)
    );
    assert_eq!(metrics(json(&inside)), own);
    assert_eq!(left("everywhere"), "");

    let mut process = mlaction(&folder, &["train", "--json", "--destination", "process"]);
    if let Some(cache) = std::env::var_os("MLACTION_CACHE_DIR") {
        process.env("MLACTION_CACHE_DIR", cache);
    }
    let process = process.output().unwrap();
    assert!(process.status.success(), "{}", stderr(&process));
    assert_eq!(metrics(json(&process)), own);
}
