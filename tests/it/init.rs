//! `mlaction init`.

use std::path::{Path, PathBuf};

use crate::project::{Project, mlaction, stderr, stdout};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(folder).unwrap().to_path_buf())
        .collect();
    all.sort();
    all
}

#[test]
fn a_new_project_has_every_part_and_its_own_name() {
    let place = Project::empty();
    place.run(&["init", "churn model"], 0);
    let folder = place.path().join("churn model");
    let written = files(&folder);
    for part in [
        "mlaction.toml",
        "README.md",
        ".gitignore",
        ".dockerignore",
        ".pre-commit-config.yaml",
        "dvc.yaml",
        ".dvc/config",
        "data/README.md",
        "data/train.dvc",
        "data/train/penguins.csv",
        "data/held_out/penguins.csv",
        "data_processing/cleaning.py",
        "data_processing/exploration.py",
        "data_processing/preprocessing.py",
        "model/train.py",
        "model/validate.py",
        "model/requirements.txt",
        "model/Dockerfile",
        "serve/app.py",
        "tests/test_data_format.py",
        "tests/test_data_features.py",
        "tests/test_model_info.py",
        "tests/test_api.py",
        ".github/workflows/train.yml",
        ".github/workflows/serve.yml",
        ".github/workflows/report.yml",
        "docs/data-versioning.md",
        "docs/deployment.md",
    ] {
        assert!(
            written.contains(&PathBuf::from(part)),
            "{part} is missing in {written:?}"
        );
    }
    let config = std::fs::read_to_string(folder.join("mlaction.toml")).unwrap();
    assert!(config.contains("name = \"churn-model\""), "{config}");
    let listed = stdout(&place.run(&["init", "--list", "other"], 0));
    assert_eq!(listed.lines().count(), written.len());
    assert!(!place.path().join("other").exists());
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn the_new_project_has_no_mistakes_and_a_plan() {
    let place = Project::empty();
    place.run(&["init", "demo"], 0);
    place.run(&["-C", "demo", "check"], 0);
    let plan = stdout(&place.run(&["-C", "demo", "plan"], 0));
    for part in [
        "Plan for demo",
        "b3:",
        "held_out",
        "accuracy",
        "model/train.py",
    ] {
        assert!(plan.contains(part), "{part} in {plan}");
    }
}

#[test]
fn adopting_writes_what_is_missing_and_lists_what_it_left_alone() {
    let place = Project::empty();
    place.write("README.md", "mine");
    place.write("model/train.py", "mine too");
    let refused = place.run(&["init"], 2);
    assert!(stderr(&refused).contains("--adopt"), "{}", stderr(&refused));
    assert_eq!(files(place.path()).len(), 2);
    let listed = stdout(&place.run(&["init", "--name", "demo", "--list"], 0));
    assert!(
        listed.contains("keep   README.md") && listed.contains("write  model/validate.py"),
        "{listed}"
    );
    let adopted = stderr(&place.run(&["init", "--adopt", "--name", "demo"], 0));
    assert!(
        adopted.contains("README.md") && adopted.contains("model/train.py"),
        "{adopted}"
    );
    assert_eq!(
        std::fs::read_to_string(place.path().join("README.md")).unwrap(),
        "mine"
    );
    assert_eq!(
        std::fs::read_to_string(place.path().join("model/train.py")).unwrap(),
        "mine too"
    );
    assert!(place.path().join("model/validate.py").is_file());
    let before = files(place.path());
    place.run(&["init", "--adopt", "--name", "demo"], 0);
    assert_eq!(files(place.path()), before);
}

#[test]
fn what_is_in_the_way_is_named_before_anything_is_written() {
    let place = Project::empty();
    place.write("model", "a file where a folder is needed");
    std::os::unix::fs::symlink("/", place.path().join("serve")).unwrap();
    let errors = stderr(&place.run(&["init", "--adopt", "--name", "demo"], 2));
    assert!(
        errors.contains("model` is no folder") && errors.contains("serve` is no folder"),
        "{errors}"
    );
    assert!(!place.path().join("mlaction.toml").exists());
}

#[test]
fn a_folder_that_gives_no_name_needs_one_and_a_bad_name_is_refused() {
    let place = Project::empty();
    assert!(stderr(&place.run(&["init", "___"], 2)).contains("--name"));
    assert!(
        stderr(&place.run(&["init", "demo", "--name", "a b"], 2))
            .contains("`a b` is not a project's name")
    );
    assert!(files(place.path()).is_empty());
}

#[test]
fn an_init_that_is_killed_leaves_no_half_project() {
    let place = Project::empty();
    for _ in 0..20 {
        let mut child = mlaction(place.path(), &["init", "demo"]).spawn().unwrap();
        std::thread::yield_now();
        child.kill().unwrap();
        child.wait().unwrap();
        let folder = place.path().join("demo");
        if folder.exists() {
            place.run(&["-C", "demo", "check"], 0);
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
    place.run(&["init", "demo"], 0);
    assert_eq!(
        std::fs::read_dir(place.path()).unwrap().count(),
        1,
        "leftovers"
    );
}
