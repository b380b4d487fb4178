//! The guard: an event that has this repository's rights whoever caused it must not run code of
//! a fork. A run builds and runs what lies in the workspace, beside the token and the credentials
//! of the workflow.
//!
//! `actions/checkout` refuses the same for `pull_request_target` and `workflow_run`, but neither
//! for `issue_comment` nor for what other programs fetch. The guard goes by the commit that is
//! checked out; files that were put into the workspace beside it are not seen.
//! <https://github.com/actions/checkout/blob/v7.0.1/src/unsafe-pr-checkout-helper.ts>

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::event::{Event, PullRequest};
use super::names;
use crate::error::{Error, ExitCode, Result};

/// Bytes of a reference's file, and of the file with all packed references.
const MOST_REF: u64 = 4096;
const MOST_PACKED: u64 = 64 * 1024 * 1024;

/// The folder of the record.
const RECORD: &str = ".mlaction";

/// References that name references.
const MOST_STEPS: usize = 5;

/// The commit that is checked out where a folder lies, from Git's files alone. Nothing without a
/// repository, or when its form is another one: whoever asks must take that for a stranger's.
/// <https://git-scm.com/docs/gitrepository-layout>
#[must_use]
pub fn head_of(workspace: &Path) -> Option<String> {
    let folder = git_folder(workspace)?;
    // A worktree of a repository has its own HEAD and shares the branches.
    let shared = match read(&folder.join("commondir"), MOST_REF) {
        Some(path) => folder.join(path.trim()),
        None => folder.clone(),
    };
    let mut value = read(&folder.join("HEAD"), MOST_REF)?;
    for _ in 0..MOST_STEPS {
        let Some(name) = value.strip_prefix("ref:") else {
            return names::sha(value.trim());
        };
        let name = names::reference(name.trim()).filter(|name| name.starts_with("refs/"))?;
        value = resolve(&[&folder, &shared], &name)?;
    }
    None
}

/// Where Git keeps what it knows of the checkout that a folder lies in.
fn git_folder(workspace: &Path) -> Option<PathBuf> {
    let workspace = workspace.canonicalize().ok()?;
    let entry = workspace.ancestors().map(|folder| folder.join(".git"));
    let entry = entry.into_iter().find(|path| path.exists())?;
    if entry.is_dir() {
        return Some(entry);
    }
    let text = read(&entry, MOST_REF)?;
    let target = text.strip_prefix("gitdir:")?.trim();
    Some(entry.parent()?.join(target))
}

/// What a reference says, from a file of its own or from the packed ones.
fn resolve(folders: &[&PathBuf], name: &str) -> Option<String> {
    let loose = folders
        .iter()
        .find_map(|folder| read(&folder.join(name), MOST_REF));
    loose.or_else(|| {
        let packed = folders
            .iter()
            .find_map(|folder| read(&folder.join("packed-refs"), MOST_PACKED))?;
        packed.lines().find_map(|line| {
            let (sha, found) = line.split_once(' ')?;
            (found == name).then(|| sha.to_owned())
        })
    })
}

/// A small text file; nothing when it is not there or not small.
fn read(path: &Path, most: u64) -> Option<String> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(most + 1)
        .read_to_string(&mut text)
        .ok()?;
    (text.len() as u64 <= most).then_some(text)
}

/// Refuses a record of runs that came with the code: its results would be taken for those of runs.
///
/// # Errors
/// The commit has one, by Git's list of the files that were checked out.
pub fn refuse_record(root: &Path) -> Result<()> {
    let Some(index) = git_folder(root).and_then(|folder| std::fs::read(folder.join("index")).ok())
    else {
        return Ok(());
    };
    let name = RECORD.as_bytes();
    let is_listed = |at: usize| matches!(index.get(at + name.len()), Some(b'/' | 0));
    let mut places = memchr::memmem::find_iter(&index, name);
    if !places.any(is_listed) {
        return Ok(());
    }
    let message = format!("the commit has a `{RECORD}`, the record of runs");
    Err(Error::new(ExitCode::Config, message)
        .because("its results would be taken for those of runs here")
        .hint(format!(
            "`git rm -r --cached {RECORD}`; `mlaction init` keeps it out of Git"
        )))
}

/// Decides whether what lies in the workspace may be run.
///
/// `own_sha` is the commit of the workflow itself (`GITHUB_SHA`), `pull_request` the one that the
/// event concerns, as GitHub tells it now, and `allowed` the workflow's own word.
///
/// # Errors
/// The event has this repository's rights, and the code may be anybody's.
pub fn judge(
    event: &Event,
    workspace_head: Option<&str>,
    own_sha: Option<&str>,
    pull_request: Option<&PullRequest>,
    allowed: bool,
) -> Result<()> {
    let is_at = |sha: Option<&str>| {
        let pair = workspace_head.zip(sha);
        pair.is_some_and(|(head, sha)| head.eq_ignore_ascii_case(sha))
    };
    let is_own = || {
        is_at(own_sha)
            || is_at(event.own_run().as_deref())
            || pull_request.is_some_and(|one| !one.is_fork)
    };
    // Whatever started it: a pull request that is known to be a fork's is a stranger's, unless the
    // run has no rights either.
    let is_of_fork = pull_request.is_some_and(|one| one.is_fork) && !event.is_without_rights();
    let is_risk = event.is_privileged() || is_of_fork;
    if !is_risk || allowed || is_own() {
        return Ok(());
    }
    let what = match pull_request {
        Some(pull_request) => format!("pull request {} of a fork", pull_request.number),
        None => "a pull request that is not known".to_owned(),
    };
    let head = match workspace_head {
        Some(head) => format!("is at {head}"),
        None => "shows no commit".to_owned(),
    };
    let own = own_sha.unwrap_or("unknown");
    let message = format!("the code in the workspace may be that of {what}: it is not run");
    let cause = format!(
        "`{}` gives a run this repository's token, secrets and cloud credentials, whoever caused it, and the workspace {head}, not at the workflow's own commit ({own})",
        event.name
    );
    Err(Error::new(ExitCode::Usage, message).because(cause).hint(
        "check out the workflow's own commit, or train on `pull_request`, which gives a fork nothing; if every such run is looked at by somebody before it starts, say `allow_fork_code: true` (`--allow-fork-code`): other people's code then runs with the workflow's rights",
    ))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::*;

    const HEAD: &str = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";
    const OWN: &str = "0f9a8b7c6d5e4f3a8b0a5f2c9d1e4b7a6f3c2d1e";

    fn event(name: &str) -> Event {
        let run = json!({ "head_sha": HEAD, "head_repository": { "id": 1 } });
        let payload = json!({ "repository": { "id": 1 }, "workflow_run": run });
        Event::sample(name, payload)
    }

    fn pull_request(is_fork: bool) -> PullRequest {
        PullRequest {
            number: 7,
            head_sha: HEAD.to_owned(),
            head_repository: None,
            head_ref: "changes".to_owned(),
            base_ref: "main".to_owned(),
            base_sha: OWN.to_owned(),
            is_fork,
        }
    }

    #[test]
    fn code_of_a_fork_is_refused_where_it_would_have_rights() {
        let (own, fork) = (pull_request(false), pull_request(true));
        for (name, head, pull_request, allowed, fine) in [
            ("pull_request", Some(HEAD), Some(&fork), false, true),
            ("push", None, None, false, true),
            ("pull_request_target", Some(OWN), Some(&fork), false, true),
            ("pull_request_target", Some(HEAD), Some(&own), false, true),
            ("pull_request_target", Some(HEAD), Some(&fork), false, false),
            ("pull_request_target", Some(HEAD), Some(&fork), true, true),
            ("pull_request_target", Some(HEAD), None, false, false),
            ("pull_request_target", None, Some(&fork), false, false),
            ("issue_comment", Some(HEAD), Some(&fork), false, false),
            ("issue_comment", Some(HEAD), None, false, false),
            ("issue_comment", Some(OWN), None, false, true),
            // A run of this repository's own branch, checked out where it was.
            ("workflow_run", Some(HEAD), None, false, true),
            (
                "workflow_run",
                Some(&HEAD.replace('e', "d")),
                None,
                false,
                false,
            ),
            ("workflow_run", None, None, false, false),
        ] {
            let judged = judge(&event(name), head, Some(OWN), pull_request, allowed);
            assert_eq!(
                judged.is_ok(),
                fine,
                "{name} {head:?} {pull_request:?} {allowed}"
            );
        }
    }

    #[test]
    fn a_workspace_and_a_workflow_without_commits_are_not_alike() {
        let judged = judge(&event("issue_comment"), None, None, None, false);
        let error = judged.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Usage);
        assert!(error.advice().unwrap().contains("--allow-fork-code"));
    }

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let settings = [
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b.c",
            "-c",
            "commit.gpgsign=false",
        ];
        let output = Command::new("git")
            .args(settings)
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn the_commit_is_found_as_git_finds_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("repository");
        std::fs::create_dir_all(folder.join("model/deep")).unwrap();
        assert_eq!(head_of(&folder.join("nothing")), None);
        git(
            &folder,
            &["init", "--quiet", "--initial-branch", "feature/x"],
        );
        assert_eq!(head_of(&folder), None, "there is no commit");
        git(
            &folder,
            &["commit", "--quiet", "--allow-empty", "-m", "one"],
        );
        let commit = git(&folder, &["rev-parse", "HEAD"]);
        let is_found =
            |folder: &Path| assert_eq!(head_of(folder).as_ref(), Some(&commit), "{folder:?}");
        is_found(&folder);
        is_found(&folder.join("model/deep"));
        let tree = place.path().join("tree");
        git(
            &folder,
            &[
                "worktree",
                "add",
                "--quiet",
                "-b",
                "other",
                tree.to_str().unwrap(),
            ],
        );
        is_found(&tree);
        git(&folder, &["pack-refs", "--all"]);
        is_found(&folder);
        is_found(&tree);
        git(&folder, &["checkout", "--quiet", "--detach"]);
        is_found(&folder);
    }

    #[test]
    fn a_strange_repository_has_no_commit() {
        let place = tempfile::tempdir().unwrap();
        let git = place.path().join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        std::fs::write(git.join("refs/heads/loop"), "ref: refs/heads/loop").unwrap();
        std::fs::write(place.path().join("outside"), HEAD).unwrap();
        for text in [
            "",
            "ref: refs/../../outside",
            "ref: /etc/passwd",
            "ref: refs/heads/loop",
            "ref: refs/heads/none",
            "0123",
            "\u{fffd}",
        ] {
            std::fs::write(git.join("HEAD"), text).unwrap();
            assert_eq!(head_of(place.path()), None, "{text}");
        }
    }
}
