//! What must work on a machine that has nothing: no network, no Docker, nothing to write to.

use std::path::Path;
use std::process::Command;

use crate::project::{Project, stderr, stdout};
use crate::sagemaker::CLOUD;

#[test]
fn a_dry_run_needs_no_network_no_docker_and_writes_nothing() {
    let project = Project::empty();
    project.run(&["init", "demo"], 0);
    let config = project.read("demo/mlaction.toml");
    project.write("demo/mlaction.toml", &format!("{config}{CLOUD}"));
    let programs = project.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    // Neither a wrapper of a version manager nor anything that it would need.
    for (program, place) in [
        ("python3", "python3 -c 'import sys; print(sys.executable)'"),
        ("git", "command -v git"),
    ] {
        let found = Command::new("sh").args(["-c", place]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        std::os::unix::fs::symlink(found.trim(), programs.join(program)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/read_only.sh");
    let plan = |arguments: &[&str]| {
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "--net", "sh"])
            .arg(&script)
            .args(["env", "-i"])
            .arg(format!("PATH={}", programs.display()))
            .arg(env!("CARGO_BIN_EXE_mlaction"))
            .args(arguments)
            .current_dir(project.path().join("demo"))
            .output()
            .expect("`unshare` of util-linux makes the machine without anything");
        assert!(
            output.status.success(),
            "{}\n{}",
            output.status,
            stderr(&output)
        );
        stdout(&output)
    };
    let text = plan(&["train", "--dry-run"]);
    assert!(
        text.contains("Plan for demo") && text.contains("accuracy"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&plan(&["plan", "--json"])).unwrap();
    assert_eq!(json["project"], "demo");
    let text = plan(&["train", "--dry-run", "--destination", "cloud"]);
    assert!(text.contains("CreateTrainingJob"), "{text}");
}
