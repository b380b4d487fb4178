//! Jobs that are stopped, time out, or lose their mlaction.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::project::{Project, stderr, stdout};

#[test]
fn an_interrupt_stops_the_job_and_keeps_the_record() {
    let project = Project::new();
    let child = start(&project, SLEEPS);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(stdout(&project.run(&["runs"], 0)).contains("cancelled"));
    assert!(stdout(&project.run(&["report"], 0)).contains("cancelled during train"));
    assert!(stdout(&project.run(&["logs"], 0)).contains("started"));
}

#[test]
fn the_job_may_save_before_it_ends_and_a_second_interrupt_does_not_wait() {
    let project = Project::new();
    let saves = "import signal, sys, os\ndef save(*_):\n    open(BASE + '/model/saved', 'w').write('x')\n    print('saved', flush=True)\n    sys.exit(143)\nsignal.signal(signal.SIGTERM, save)\n";
    let child = start(&project, &format!("{saves}{SLEEPS}"));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert!(stdout(&project.run(&["logs"], 0)).contains("saved"));
    assert!(project.runs()[0].join("model.tar.gz").is_file());

    let project = Project::new();
    let (child, mut said) = start_and_listen(&project, &format!("{STUBBORN}{SLEEPS}"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(said.any(|line| line.unwrap().contains("once more to end it at once")));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let job = job(&project);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert!(!is_there(job));
}

#[test]
fn a_job_that_runs_too_long_is_stopped_and_reported() {
    let project = Project::new();
    project.replace(
        "mlaction.toml",
        "channels = [\"train\"]",
        "channels = [\"train\"]\nmax_runtime = \"1s\"",
    );
    project.write(
        "model/train.py",
        &format!("BASE = ''\nprint('started')\n{SLEEPS}"),
    );
    let output = project.run(&["train"], 22);
    assert!(
        stdout(&output).contains("train ran longer than 1.0 s"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn the_same_content_is_not_trained_twice_at_once() {
    let project = Project::new();
    let mut child = start(&project, SLEEPS);
    let refused = stderr(&project.run(&["train"], 2));
    assert!(
        refused.contains("is training the same content just now"),
        "{refused}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn kill_9_leaves_no_process_and_the_next_run_explains() {
    let project = Project::new();
    let mut child = start(&project, SLEEPS);
    child.kill().unwrap();
    child.wait().unwrap();
    let job = job(&project);
    wait_until(|| !is_there(job));
    project.write("model/train.py", "import sys; sys.exit(1)");
    assert!(stderr(&project.run(&["train"], 20)).contains("was interrupted"));
    assert!(stdout(&project.run(&["runs"], 0)).contains("interrupted"));
    let first = project
        .runs()
        .into_iter()
        .find(|run| run.join("work").exists());
    assert!(
        first.is_none_or(|run| run.join("train.exit.json").exists()),
        "the killed run was not cleaned up"
    );
}

#[test]
fn a_hangup_stops_the_job_gracefully_and_packing_can_be_stopped() {
    let project = Project::new();
    let child = start(&project, SLEEPS);
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));

    let project = Project::new();
    let large = "f = open(BASE + '/model/large', 'w')\nf.truncate(1 << 40)\nimport time\n";
    let mut child = start(&project, large);
    wait_until(|| project.runs()[0].join("train.exit.json").is_file());
    // A signal that comes before mlaction has seen the job end stops the job, and what it saved is
    // packed; one more stops that, too.
    wait_until(|| {
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_paused_supervisor_and_a_job_in_another_group_can_be_stopped() {
    let project = Project::new();
    let child = start(&project, SLEEPS);
    let mlaction = child.id();
    let children = std::fs::read_to_string(format!("/proc/{mlaction}/task/{mlaction}/children"));
    let supervisor: i32 = children.unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(supervisor).unwrap(), Signal::STOP).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert!(!is_there(job(&project)));

    let project = Project::new();
    let leaves = "os.setpgid(0, os.getpgid(os.getppid()))\n";
    let child = start(&project, &format!("{leaves}{SLEEPS}"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert!(!is_there(job(&project)));
}

#[test]
fn checkpoints_outlive_a_killed_mlaction() {
    let project = Project::new();
    let saves = "open(BASE + '/checkpoints/one', 'w').write('x')\n";
    let mut child = start(&project, &format!("{saves}{SLEEPS}"));
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    project.write("model/train.py", "raise SystemExit(1)");
    project.run(&["train"], 20);
    let kept = |run: &std::path::PathBuf| run.join("checkpoints/one").is_file();
    assert!(project.runs().iter().any(kept));
}

#[test]
fn a_run_that_was_killed_before_it_had_its_name_is_no_run() {
    let project = Project::new();
    project.run(&["train"], 0);
    let state = format!(
        ".mlaction/runs/{}/state.json",
        project.runs()[0].file_name().unwrap().display()
    );
    project.write(
        ".mlaction/runs/.mlaction-tmp-x/state.json",
        &project.read(&state),
    );
    assert_eq!(
        stdout(&project.run(&["runs"], 0)).matches("demo-").count(),
        1
    );
    project.run(&["train", "--force"], 0);
    assert_eq!(project.runs().len(), 2, "{:?}", project.runs());
}

#[test]
fn killing_mlaction_and_its_supervisor_leaves_no_job_either() {
    let project = Project::new();
    let mut child = start(&project, &format!("{STUBBORN}{SLEEPS}"));
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let supervisor: i32 = std::fs::read_to_string(children)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let job = job(&project);
    child.kill().unwrap();
    kill_process(Pid::from_raw(supervisor).unwrap(), Signal::KILL).unwrap();
    child.wait().unwrap();
    wait_until(|| !is_there(job));
}

#[test]
fn what_a_job_left_running_ends_with_it() {
    let project = Project::new();
    let detached = "import subprocess\nleft = subprocess.Popen(['sleep', '600'], start_new_session=True)\nopen(PID, 'w').write(str(left.pid))\nprint('started', flush=True)\n";
    project.write(
        "model/train.py",
        &format!("PID = {:?}\n{detached}", project.path().join("pid")),
    );
    project.run(&["train"], 20);
    assert!(!is_there(job(&project)));
}

const SLEEPS: &str = "import time\ntime.sleep(600)\n";
const STUBBORN: &str = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n";

/// Starts a training that says that it runs, writes its process id, and goes on with `program`.
fn start(project: &Project, program: &str) -> Child {
    start_and_listen(project, program).0
}

fn start_and_listen(project: &Project, program: &str) -> (Child, Lines<BufReader<ChildStderr>>) {
    let pid = project.path().join("pid");
    let (setup, rest) = program.split_at(program.find("import time").unwrap());
    project.write(
        "model/train.py",
        &format!("import os\nBASE = os.environ['SAGEMAKER_BASE_DIR']\n{setup}open({pid:?}, 'w').write(str(os.getpid()))\nprint('started', flush=True)\n{rest}"),
    );
    let mut child = project
        .command(&["train"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains("started")),
        "the job did not start"
    );
    (child, lines)
}

fn job(project: &Project) -> u32 {
    project.read("pid").trim().parse().unwrap()
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[track_caller]
fn wait_until(mut done: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !done() {
        assert!(
            started.elapsed().as_secs() < 30,
            "it did not happen within 30 s"
        );
        std::thread::yield_now();
    }
}
