//! Events that have the repository's rights do not run a fork's code.

use serde_json::json;

use super::Site;
use crate::with_rig::sagemaker_jobs::commit;

impl Site {
    /// Makes what is in the workspace a commit, and gives its name.
    #[track_caller]
    pub(super) fn commit(&self) -> String {
        commit(&self.project)
    }

    /// Says that this is the commit of a pull request's branch.
    #[track_caller]
    pub(super) fn head(&self, number: u64, sha: &str) {
        let head = json!({"head_sha": sha});
        self.github.set(&format!("pulls/{number}"), &head);
    }

    /// The event of a new comment.
    #[track_caller]
    pub(super) fn comment_event(&self, login: &str, number: u64, body: &str) -> String {
        let comment = self.github.says(login, number, body);
        format!("issue_comment?comment={comment}")
    }
}

#[test]
fn code_of_a_fork_is_refused_before_anything_runs() {
    let site = Site::new();
    let (fork, own) = (site.github.pull_of_fork(), site.github.pull(&json!({})));
    let sha = site.commit();
    site.head(fork, &sha);
    let events = [
        format!("pull_request_target?number={fork}"),
        format!("workflow_run?number={fork}"),
        site.comment_event("alice", fork, "/train"),
    ];
    for event in &events {
        let step = site.run(event, &["train"], 2);
        assert!(step.err.contains("it is not run"), "{event} {}", step.err);
        assert!(step.err.contains("--allow-fork-code"), "{}", step.err);
        assert_eq!(site.writes(), Vec::<String>::new(), "{event}");
        assert!(!site.project.path().join(".mlaction").exists(), "{event}");
    }
    // Whoever writes the other run's files could name any pull request.
    let named = ["train", "--pull-request", &own.to_string()];
    for event in &events {
        site.run(event, &named, 2);
    }
    // A workspace without a commit may hold anything.
    let bare = Site::new();
    bare.github.pull_of_fork();
    bare.run("pull_request_target?number=1", &["train"], 2);

    let step = site.run(&events[0], &["train", "--allow-fork-code"], 0);
    assert_eq!(step.outputs["status"], "inconclusive");
    assert!(site.comment(fork).1.contains("| accuracy | 0.97 |"));

    site.head(fork, &"1".repeat(40));
    site.head(own, &sha);
    site.run(&format!("pull_request_target?number={own}"), &["train"], 0);
    assert!(site.comment(own).1.contains("| accuracy | 0.97 |"));
}

#[test]
fn the_workflows_own_commit_runs_whoever_asks() {
    let site = Site::new();
    let fork = site.github.pull_of_fork();
    let sha = site.commit();
    site.github.set("refs", &json!({"heads/main": sha}));
    let event = format!("pull_request_target?number={fork}");
    site.run(&event, &["train"], 0);
    assert!(site.comment(fork).1.contains("| accuracy | 0.97 |"));
    // What was trained is not what the fork has: a check there would say so.
    assert!(site.github.checks().is_empty());
}

#[test]
fn a_record_that_came_with_the_code_is_no_result() {
    let site = Site::with_pull();
    site.run("pull_request?number=1", &["train"], 0);
    for arguments in [&["init", "--quiet"][..], &["add", "--force", "--all"]] {
        let mut git = std::process::Command::new("git");
        git.args(arguments).current_dir(site.project.path());
        assert!(git.output().unwrap().status.success());
    }
    let step = site.run("pull_request?number=1", &["train"], 3);
    assert!(
        step.err.contains("the commit has a `.mlaction`"),
        "{}",
        step.err
    );
}

#[test]
fn a_link_leads_to_no_other_config() {
    let site = Site::with_pull();
    let path = site.project.path();
    std::fs::rename(path.join("mlaction.toml"), path.join("other.toml")).unwrap();
    std::os::unix::fs::symlink("other.toml", path.join("mlaction.toml")).unwrap();
    let step = site.run("pull_request?number=1", &["train"], 3);
    assert!(step.err.contains("is a link"), "{}", step.err);
    site.project.run(&["check"], 0);
}

#[test]
fn what_is_trained_on_lies_in_the_workspace() {
    let site = Site::with_pull();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("token"), "secret").unwrap();
    let path = site.project.path();
    let link = path.join("data/train/more");
    std::os::unix::fs::symlink(outside.path(), &link).unwrap();
    let step = site.run("pull_request?number=1", &["train"], 3);
    assert!(
        step.err.contains("leads out of the workspace"),
        "{}",
        step.err
    );
    std::fs::remove_file(&link).unwrap();
    let elsewhere = format!("path = \"{}\"", outside.path().display());
    site.project
        .replace("mlaction.toml", "path = \"data/train\"", &elsewhere);
    let step = site.run("pull_request?number=1", &["train"], 3);
    assert!(
        step.err.contains("leads out of the workspace"),
        "{}",
        step.err
    );
}

#[test]
fn secrets_of_the_build_are_the_base_branchs() {
    let site = Site::with_pull();
    let base = site.project.read("mlaction.toml");
    let file = json!({"ref": "main", "path": "mlaction.toml", "text": base});
    site.github.set("files", &file);
    let secret = "[image.secrets]\ntoken = { env = \"GITHUB_TOKEN\" }\n";
    site.project
        .write("mlaction.toml", &format!("{base}\n{secret}"));
    let step = site.run("pull_request?number=1", &["train"], 0);
    assert!(step.err.contains("`image.secrets`"), "{}", step.err);
}
