//! That what runs is what the record names, whatever else is called the same.

use std::process::Command;

use super::images::{Images, docker, json, project, push};
use super::support::registry::{PASSWORD, Registry};
use crate::project::{Project, stderr, stdout};

fn with_registry(name: &str, registry: &Registry) -> (Project, String) {
    let project = project(name);
    let repository = format!("{}/team/{name}", registry.host());
    let table = format!("\n[registry]\nkind = \"oci\"\nrepository = \"{repository}\"\n");
    project.write("mlaction.toml", &(project.read("mlaction.toml") + &table));
    (project, repository)
}

#[test]
fn another_image_of_the_same_name_is_never_launched() {
    let _images = Images("namesake");
    let registry = Registry::start();
    let (project, repository) = with_registry("namesake", &registry);
    let pushed = json(&push(&project, PASSWORD, &["image", "push", "--json"], 0));
    // Who may use the engine can give the name to anything.
    let evil = tempfile::tempdir().unwrap();
    std::fs::copy("/bin/busybox", evil.path().join("busybox")).unwrap();
    std::fs::write(evil.path().join("train.sh"), "/busybox echo not that image").unwrap();
    let dockerfile = "FROM scratch\nCOPY busybox train.sh /\n";
    std::fs::write(evil.path().join("Dockerfile"), dockerfile).unwrap();
    let name = format!("mlaction/namesake:{}", pushed["tag"].as_str().unwrap());
    docker(&[
        "build",
        "--quiet",
        "--tag",
        &name,
        &evil.path().display().to_string(),
    ]);

    let report = push(&project, PASSWORD, &["train", "--json"], 0);
    let said = stderr(&report);
    assert!(
        said.contains("epoch=1 loss=0.5") && !said.contains("not that"),
        "{said}"
    );
    let image = json(&report)["lineage"]["environment"]["image"].clone();
    let digest = pushed["image"]["digest"].as_str().unwrap();
    assert_eq!(image, format!("{repository}@{digest}"));
    let _ = Command::new("docker")
        .args(["rmi", "--force", image.as_str().unwrap()])
        .output();
}

#[test]
fn what_is_published_stays_whatever_is_forced() {
    let _images = Images("forced");
    let registry = Registry::start();
    let (project, _) = with_registry("forced", &registry);
    let first = json(&push(
        &project,
        PASSWORD,
        &["image", "push", "--force", "--json"],
        0,
    ));
    assert_eq!(first["built"], true);
    let again = stderr(&push(&project, PASSWORD, &["image", "push", "--force"], 2));
    assert!(
        again.contains("published already") && again.contains("build argument"),
        "{again}"
    );
    let here = json(&project.run(&["image", "build", "--force", "--json"], 0));
    assert_eq!(here["built"], true);
}

#[test]
fn another_base_image_trains_again() {
    let _images = Images("based");
    let project = project("based");
    let base = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("base.txt"), text).unwrap();
        std::fs::write(
            folder.path().join("Dockerfile"),
            "FROM scratch\nCOPY base.txt /\n",
        )
        .unwrap();
        let place = folder.path().display().to_string();
        docker(&["build", "--quiet", "--tag", "mlaction/based:base", &place]);
    };
    project.write(
        "image/Dockerfile",
        "FROM mlaction/based:base\nCOPY busybox train.sh /\n",
    );
    base("1");
    let plan = json(&project.run(&["image", "build", "--dry-run", "--json"], 0));
    assert_eq!(plan["tag"], serde_json::Value::Null);
    project.run(&["train"], 0);
    let reused = stderr(&project.run(&["train"], 0));
    assert!(reused.contains("reused"), "{reused}");
    base("2");
    let again = stderr(&project.run(&["train"], 0));
    assert!(
        again.contains("a base image is another one") && !again.contains("reused"),
        "{again}"
    );
    let reused = stderr(&project.run(&["train"], 0));
    assert!(reused.contains("reused"), "{reused}");
}

#[test]
fn a_secret_from_a_file_is_for_the_step_that_asks_and_not_in_the_context() {
    let _images = Images("secretive");
    let project = project("secretive");
    project.write("image/token", "t0ken-of-the-index");
    // A step that the engine has done before says nothing.
    let now = std::time::SystemTime::now();
    project.write("image/unique", &format!("{now:?}"));
    let table = "\n[image.secrets]\ntoken = { file = \"image/token\" }\n";
    project.write("mlaction.toml", &(project.read("mlaction.toml") + table));
    project.write(
        "image/Dockerfile",
        "FROM scratch\nCOPY . /\nRUN --mount=type=secret,id=token [\"/busybox\", \"sh\", \"-c\", \
         \"/busybox test -s /run/secrets/token && /busybox test ! -e /token && /busybox cat /run/secrets/token\"]\n",
    );
    let built = project.run(&["image", "build", "--verbose"], 0);
    let said = stdout(&built) + &stderr(&built);
    assert!(said.contains("***") && !said.contains("t0ken-of"), "{said}");
    project.write("image/Dockerfile", "FROM scratch\nCOPY token /\n");
    let refused = stderr(&project.run(&["image", "build"], 3));
    assert!(
        refused.contains("COPY token: credentials are kept out"),
        "{refused}"
    );
}
