//! That the container of an Action is started and cancelled here as a runner does.

use std::time::Duration;

use serde_json::json;

use super::github::ASK;
use super::images::docker;
use super::support::github::GitHub;
use super::support::runner::{Action, Runner};

/// An image of busybox; it is gone when the test ends.
struct Image(String);

impl Image {
    #[track_caller]
    fn new(name: &str, main: &str, post: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        std::fs::copy("/bin/busybox", folder.path().join("busybox")).unwrap();
        write("main", &format!("#!/busybox sh\n{ASK}\n{main}"));
        write("post", &format!("#!/busybox sh\n{post}"));
        let dockerfile = format!(
            "FROM scratch\nLABEL of={name}\nCOPY busybox main post /\n\
             RUN [\"/busybox\", \"chmod\", \"755\", \"/main\", \"/post\"]\nENTRYPOINT [\"/main\"]\n"
        );
        write("Dockerfile", &dockerfile);
        let tag = format!("mlaction-test-runner:{name}");
        let place = folder.path().to_str().unwrap();
        docker(&["build", "--quiet", "--tag", &tag, place]);
        Self(tag)
    }

    fn action(&self) -> Action<'_> {
        Action {
            image: &self.0,
            arguments: &["action", "two words"],
            inputs: &[("github_token", "t"), ("working-directory", "")],
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let mut docker = std::process::Command::new("docker");
        let _ = docker.args(["rmi", "--force", &self.0]).output();
    }
}

#[test]
fn a_container_gets_and_gives_what_a_runner_takes() {
    let image = Image::new(
        "gets",
        r#"set -eu
        echo "arguments=$#/$2 $(/busybox pwd) $HOME $GITHUB_WORKSPACE $GITHUB_EVENT_PATH $CI"
        # A shell drops variables with a hyphen.
        /busybox tr '\0' '\n' </proc/1/environ | /busybox grep ^INPUT_
        /busybox test -s "$GITHUB_EVENT_PATH" && /busybox test -S /var/run/docker.sock
        /busybox cat file && echo "$NOTE"
        ask issues/1/comments '{"body": "from within"}'
        echo job=j-1 >>"$GITHUB_OUTPUT"
        echo job=j-1 >>"$GITHUB_STATE"
        echo told >&2"#,
        r#"echo "post $1 of $STATE_job with $INPUT_GITHUB_TOKEN"; exit 3"#,
    );
    let github = GitHub::start_for_containers();
    github.pull(&json!({}));
    let workspace = tempfile::tempdir().unwrap();
    std::fs::write(workspace.path().join("file"), "checked out\n").unwrap();
    let mut runner = Runner::new(&github, "pull_request?number=1", workspace.path());
    runner.set("GITHUB_TOKEN", github.token());
    let place = workspace.path().to_str().unwrap();
    runner.set("NOTE", &format!("at {place}"));
    let step = runner.step();
    let ended = step.run(&image.action()).wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let wanted = "arguments=2/two words /github/workspace /github/home /github/workspace \
                  /github/workflow/event.json true\n";
    assert!(ended.log.contains(wanted), "{}", ended.log);
    // Only whole paths are those of the container.
    for wanted in [
        "INPUT_GITHUB_TOKEN=t\n",
        "INPUT_WORKING-DIRECTORY=\n",
        "checked out\n",
        &format!("at {place}\n"),
        "told\n",
    ] {
        assert!(ended.log.contains(wanted), "{wanted} {}", ended.log);
    }
    assert_eq!(step.outputs()["job"], "j-1");
    assert_eq!(github.comments(1)[0]["body"], "from within");
    github.no_invalid_requests();

    let ended = step.post(&image.action(), "/post").wait();
    assert_eq!(ended.code, Some(3));
    assert!(
        ended.log.contains("post action of j-1 with t\n"),
        "{ended:?}"
    );
    assert!(!ended.runs_on);
}

#[test]
fn a_program_that_hears_the_first_signal_is_not_sent_another() {
    let main =
        "trap 'echo stopped; exit 130' INT\necho ready\nwhile :; do /busybox sleep 0.1; done";
    let image = Image::new("hears", main, "");
    let github = GitHub::start();
    let workspace = tempfile::tempdir().unwrap();
    let runner = Runner::new(&github, "schedule", workspace.path());
    let container = runner.step().run(&image.action());
    container.until("ready");
    let ended = container.cancel();
    assert_eq!((ended.code, &*ended.signals), (Some(130), &["INT"][..]));
    assert!(ended.log.ends_with("stopped\n") && !ended.runs_on);
    assert!(ended.took < Duration::from_millis(7500), "{ended:?}");
}

/// The first process of a container has no signals but those that it takes.
#[test]
fn a_program_that_hears_no_signal_outlives_its_step() {
    let image = Image::new("deaf", "echo ready; exec /busybox sleep 300", "");
    let github = GitHub::start();
    let workspace = tempfile::tempdir().unwrap();
    let runner = Runner::new(&github, "schedule", workspace.path());
    let container = runner.step().run(&image.action());
    container.until("ready");
    let ended = container.cancel();
    assert_eq!(ended.signals, ["INT", "TERM", "KILL"]);
    assert!(ended.runs_on && ended.code.is_none(), "{ended:?}");
    assert!(ended.took >= Duration::from_secs(10), "{ended:?}");
}
