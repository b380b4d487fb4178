//! The container of an Action, started and cancelled as the runner does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Step, text};

/// How long the runner waits after each signal to the `docker` command.
/// <https://github.com/actions/runner/blob/v2.336.0/src/Runner.Sdk/ProcessInvoker.cs>
const SIGNALS: [(Signal, &str, Duration); 3] = [
    (Signal::INT, "INT", Duration::from_millis(7500)),
    (Signal::TERM, "TERM", Duration::from_millis(2500)),
    (Signal::KILL, "KILL", PATIENCE),
];

/// What takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `action.yml` says: the image, `args`, and every input with its value, `""` if it has none.
pub(crate) struct Action<'a> {
    pub(crate) image: &'a str,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) inputs: &'a [(&'a str, &'a str)],
}

/// A running container. It is gone when it is dropped.
pub(crate) struct Container {
    process: Process,
    begun: Instant,
    lines: Receiver<String>,
    ended: Receiver<ExitStatus>,
    log: RefCell<String>,
}

/// The `docker` command, and what it started. Both are gone when it is dropped.
#[derive(Debug)]
struct Process {
    name: String,
    /// The process itself: a number can be another's by and by.
    docker: OwnedFd,
}

/// How a container ended. One that runs on does so until this is dropped.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Of the `docker` command; none where that was killed.
    pub(crate) code: Option<i32>,
    /// Standard output and standard error.
    pub(crate) log: String,
    /// Since the start, or since the cancellation.
    pub(crate) took: Duration,
    /// The signals that it took.
    pub(crate) signals: Vec<&'static str>,
    /// The container runs on although the `docker` command is gone.
    pub(crate) runs_on: bool,
    _process: Process,
}

impl Container {
    #[track_caller]
    pub(super) fn start(
        step: &Step<'_>,
        action: &Action,
        entrypoint: Option<&str>,
        state: &BTreeMap<String, String>,
    ) -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("mlaction-runner_{:x}_{number:x}", std::process::id());
        let temp = step.runner.temp.path();
        let kind = &step.runner.kind;
        let mut folders = vec![
            (temp.join("_github_home"), "/github/home"),
            (temp.join("_github_workflow"), "/github/workflow"),
            (temp.join("_runner_file_commands"), "/github/file_commands"),
            (step.runner.workspace.clone(), "/github/workspace"),
        ];
        if kind.has_temp {
            folders.push((temp.to_owned(), "/github/runner_temp"));
        }
        let mut variables = step.environment();
        variables.extend(state.clone());
        for (name, value) in action.inputs {
            let name = name.replace(' ', "_").to_uppercase();
            variables.insert(format!("INPUT_{name}"), (*value).to_owned());
        }
        variables.insert("HOME".to_owned(), text(&folders[0].0));

        let mut docker = Command::new("docker");
        docker.args(["run", "--name", &name, "--label", "mlaction.test-runner"]);
        docker.args(["--workdir", "/github/workspace", "--rm"]);
        // Names only: the values are in the environment of the command, and with them its HOME.
        for (name, value) in &variables {
            docker.args(["-e", name]).env(name, inside(&folders, value));
        }
        docker.args(["-e", "GITHUB_ACTIONS=true", "-e", "CI=true"]);
        if let Some(entrypoint) = entrypoint {
            docker.args(["--entrypoint", entrypoint]);
        }
        if let Some(network) = &kind.network {
            docker.args(["--network", network]);
        }
        if kind.has_engine {
            docker.args(["-v", "/var/run/docker.sock:/var/run/docker.sock"]);
        }
        for (outside, inside) in &folders {
            docker.args(["-v", &format!("{}:{inside}", outside.display())]);
        }
        docker.arg(action.image).args(action.arguments);
        Self::spawn(name, docker)
    }

    #[track_caller]
    fn spawn(name: String, mut docker: Command) -> Self {
        let begun = Instant::now();
        docker.stdin(Stdio::null());
        docker.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = docker.spawn().unwrap();
        let (line, lines) = channel();
        forward(child.stdout.take().unwrap(), line.clone());
        forward(child.stderr.take().unwrap(), line);
        let docker = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        Self {
            process: Process { name, docker },
            begun,
            lines,
            ended: reap(child),
            log: RefCell::default(),
        }
    }

    /// Waits until the container says something.
    #[track_caller]
    pub(crate) fn until(&self, words: &str) {
        while !self.log.borrow().contains(words) {
            let line = self.lines.recv_timeout(PATIENCE);
            let log = &mut *self.log.borrow_mut();
            let line = line.unwrap_or_else(|_| panic!("it does not say {words:?}:\n{log}"));
            *log += &line;
        }
    }

    /// Stops the program where it is: it hears no other signal, and does not end.
    #[track_caller]
    pub(crate) fn freeze(&self) {
        // NOTE: a signal thaws what `docker pause` has stopped.
        let mut docker = Command::new("docker");
        docker.args(["kill", "--signal", "STOP", &self.process.name]);
        let output = docker.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn wait(self) -> Ended {
        let status = self.ended.recv_timeout(PATIENCE);
        let status = status.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log.borrow()));
        let begun = self.begun;
        self.end(begun, status, Vec::new())
    }

    /// Cancels the step: SIGINT, 7.5 s later SIGTERM, 2.5 s later SIGKILL, each to the `docker`
    /// command alone.
    #[track_caller]
    pub(crate) fn cancel(self) -> Ended {
        let begun = Instant::now();
        let mut sent = Vec::new();
        for (signal, name, patience) in SIGNALS {
            // It may have ended by itself.
            let _ = pidfd_send_signal(&self.process.docker, signal);
            sent.push(name);
            if let Ok(status) = self.ended.recv_timeout(patience) {
                return self.end(begun, status, sent);
            }
        }
        panic!("the docker command survives:\n{}", self.log.borrow());
    }

    fn end(self, since: Instant, status: ExitStatus, signals: Vec<&'static str>) -> Ended {
        let took = since.elapsed();
        let mut log = self.log.take();
        log.extend(self.lines.iter());
        let filter = format!("name=^{}$", self.process.name);
        let mut listed = Command::new("docker");
        listed.args(["ps", "--quiet", "--filter", &filter]);
        Ended {
            code: status.code(),
            log,
            took,
            signals,
            runs_on: !listed.output().unwrap().stdout.is_empty(),
            _process: self.process,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.docker, Signal::KILL);
        let mut docker = Command::new("docker");
        let _ = docker.args(["rm", "--force", &self.name]).output();
    }
}

/// Hands the lines of a stream on. The last one may have no end.
fn forward(stream: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let _ = lines.send(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
    });
}

fn reap(mut child: Child) -> Receiver<ExitStatus> {
    let (end, ended) = channel();
    std::thread::spawn(move || {
        let _ = end.send(child.wait().unwrap());
    });
    ended
}

/// A path within one of the folders, as the container has it. What only contains a path stays.
fn inside(folders: &[(PathBuf, &str)], value: &str) -> String {
    for (outside, inside) in folders {
        if let Some(rest) = value.strip_prefix(&*text(outside))
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("{inside}{rest}");
        }
    }
    value.to_owned()
}
