//! `kill -9` of the binary inside a build and inside a push, on every engine: what it leaves, and
//! that the next command makes it good.

mod building;
mod pushing;

use std::io::Read as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::support::registry::{PASSWORD, USER};
use super::support::tool;
use crate::project::{Project, stderr, stdout};

/// Longest wait for something to be seen.
const PATIENCE: Duration = Duration::from_secs(300);

const CONFIG: &str = r#"[project]
name = "NAME"
destination = "docker"

[image]
context = "image"
dockerfile = "image/Dockerfile"
builder = "BUILDER"

[training]
entry_point = "model/train.py"
"#;

const SHELL: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";

fn engines() -> Vec<String> {
    let named = std::env::var("MLACTION_TEST_ENGINES").unwrap_or_default();
    let named = match named.is_empty() {
        true => "unix:///var/run/docker.sock".to_owned(),
        false => named,
    };
    named
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect()
}

/// A project on one engine, whose images go when the test ends.
struct Site {
    engine: String,
    name: String,
    project: Project,
}

impl Site {
    fn new(engine: &str, test: &str, builder: &str) -> Self {
        let project = Project::new();
        let unique = project.path().file_name().unwrap().to_str().unwrap();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("{test}-{}", unique.to_lowercase());
        let config = CONFIG.replace("NAME", &name).replace("BUILDER", builder);
        project.write("mlaction.toml", &config);
        project.write("image/Dockerfile", SHELL);
        std::fs::copy(tool("busybox"), project.path().join("image/busybox")).unwrap();
        Self {
            engine: engine.to_owned(),
            name,
            project,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        command
            .env("DOCKER_HOST", &self.engine)
            .env("MLACTION_REGISTRY_USER", USER)
            .env("MLACTION_REGISTRY_PASSWORD", PASSWORD)
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> (serde_json::Value, String) {
        let output = self.command(arguments).output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        assert!(output.status.success(), "{}: {out}{err}", self.engine);
        (serde_json::from_str(&out).unwrap(), err)
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn try_docker(&self, arguments: &[&str]) -> Output {
        let mut docker = Command::new("docker");
        docker.args(["--host", &self.engine]).args(arguments);
        docker.output().unwrap()
    }

    #[track_caller]
    fn docker(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.try_docker(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        stdout(&output).lines().map(str::to_owned).collect()
    }

    /// Every name of the engine's images that has some words in it, sorted.
    fn names(&self, words: &str) -> Vec<String> {
        let mut names = self.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        names.retain(|name| name.contains(words));
        names.sort();
        names
    }

    /// Containers, whatever their state, with some words in their command line.
    fn containers(&self, words: &str) -> Vec<String> {
        let format = "{{.ID}} {{.Status}} {{.Command}}";
        let mut all = self.docker(&["ps", "--all", "--no-trunc", "--format", format]);
        all.retain(|line| line.contains(words));
        all
    }

    /// What a command in the image prints.
    fn prints(&self, image: &str, command: &[&str]) -> Vec<String> {
        self.docker(&[&["run", "--rm", "--network", "none", image], command].concat())
    }

    /// Containers, networks and volumes of runs.
    fn of_runs(&self) -> Vec<String> {
        let name = format!("name={}", self.name);
        let mut all = self.docker(&["ps", "--all", "--quiet", "--filter", &name]);
        all.extend(self.docker(&["volume", "ls", "--quiet", "--filter", &name]));
        all.extend(self.docker(&["network", "ls", "--quiet", "--filter", &name]));
        all
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for name in self.names(&self.name) {
            self.try_docker(&["rmi", &name]);
        }
    }
}

/// SIGKILL.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Reads what a command says until some words come.
#[track_caller]
fn until_said(child: &mut Child, words: &str) {
    let (mut said, mut byte) = (Vec::new(), [0]);
    let err = child.stderr.as_mut().unwrap();
    while !said.ends_with(words.as_bytes()) {
        let read = err.read(&mut byte).unwrap();
        assert_eq!(read, 1, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
}

/// Looks again and again until something is there to be seen.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}");
        // NOTE: engines and registries tell nobody about these things; they can be looked at only.
        std::thread::sleep(Duration::from_millis(2));
    }
}
