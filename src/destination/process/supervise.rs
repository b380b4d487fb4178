//! `mlaction supervise`: runs one command so that nothing of it outlives mlaction.
//!
//! The parent holds the other end of standard input. When that end closes, the parent is gone,
//! and the command's process group is stopped: SIGTERM, the grace, SIGKILL. The supervisor is a
//! subreaper, so that what detached itself from the group comes to it and ends too. When the
//! supervisor itself is killed, the kernel kills the command: it asked for that before it began.

use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::error::{Error, ExitCode, IoContext as _, Result};

/// How long a job may take to save when mlaction itself is gone.
const ORPHAN_GRACE: Duration = Duration::from_secs(10);

/// Locked by the supervisor, beside its record, as long as its command may run.
const LOCK: &str = "supervisor.lock";

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it did not even start.
    pub not_started: Option<String>,
}

impl Exit {
    /// Reads the record of an ended command.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        Self {
            code: status.code(),
            signal: status.signal(),
            not_started: None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.not_started, self.code, self.signal) {
            (Some(reason), ..) => write!(f, "it did not start: {reason}"),
            (None, Some(code), _) => write!(f, "exit code {code}"),
            (None, None, Some(9)) => f.write_str("killed by SIGKILL (out of memory?)"),
            (None, None, Some(signal)) => write!(f, "killed by signal {signal}"),
            (None, None, None) => f.write_str("it ended without a status"),
        }
    }
}

/// Runs a command to its end. Gives the exit code for the supervisor itself.
///
/// # Errors
/// The record cannot be written, or signals cannot be caught.
pub async fn supervise(command: &[String], grace: Duration, record: Option<&Path>) -> Result<u8> {
    let _lock = record.map(lock).transpose()?;
    // NOTE: where the kernel does not know subreapers, the process group alone must do.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let mut terminate =
        signal(SignalKind::terminate()).doing(|| "cannot catch SIGTERM".to_owned())?;
    let mut interrupt =
        signal(SignalKind::interrupt()).doing(|| "cannot catch SIGINT".to_owned())?;
    let own = std::env::current_exe().doing(|| "cannot find mlaction's own program".to_owned())?;
    let mut job = std::process::Command::new(own);
    job.arg("become")
        .arg(std::process::id().to_string())
        .arg("--")
        .args(command);
    job.stdin(Stdio::null()).process_group(0);
    let exit = match tokio::process::Command::from(job).spawn() {
        Ok(mut child) => {
            let group = child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(Pid::from_raw);
            let to_group = |signal| {
                if let Some(group) = group {
                    // NOTE: a group that is already gone is what we want.
                    let _ = kill_process_group(group, signal);
                }
            };
            // NOTE: only as long as nobody has waited for it: its number may be another's after that.
            let to_job = |signal| {
                to_group(signal);
                if let Some(process) = group {
                    // It may have left for another group.
                    let _ = kill_process(process, signal);
                }
            };
            let mut parent = parent()?;
            let mut deadline: Option<Instant> = None;
            let status = loop {
                let due = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
                tokio::select! {
                    status = child.wait() => break status,
                    () = gone(&mut parent) => {
                        parent = None;
                        to_job(Signal::TERM);
                        deadline = Some(Instant::now() + grace.min(ORPHAN_GRACE));
                    }
                    _ = terminate.recv() => {
                        to_job(Signal::TERM);
                        deadline.get_or_insert_with(|| Instant::now() + grace);
                    }
                    _ = interrupt.recv() => to_job(Signal::KILL),
                    () = tokio::time::sleep_until(due) => if deadline.is_some() {
                        to_job(Signal::KILL);
                    }
                }
            };
            to_group(Signal::KILL);
            kill_adopted();
            status
                .map(Exit::from)
                .doing(|| "cannot wait for the job".to_owned())?
        }
        Err(error) => Exit {
            code: None,
            signal: None,
            not_started: Some(error.to_string()),
        },
    };
    if let Some(record) = record {
        write(record, &exit)?;
    }
    Ok(exit
        .code
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1))
}

/// The parent's end of standard input; nothing when standard input is no pipe.
///
/// NOTE: not `tokio::io::stdin()`, whose read blocks a thread that the runtime waits for at its end.
fn parent() -> Result<Option<Receiver>> {
    let stdin = rustix::io::dup(std::io::stdin()).doing(|| "cannot watch mlaction".to_owned())?;
    match Receiver::from_owned_fd(stdin) {
        Ok(pipe) => Ok(Some(pipe)),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error).doing(|| "cannot watch mlaction".to_owned()),
    }
}

/// Returns when the parent has closed its end.
async fn gone(parent: &mut Option<Receiver>) {
    match parent {
        Some(pipe) => while pipe.read_u8().await.is_ok() {},
        None => std::future::pending().await,
    }
}

/// Becomes the command, once the kernel has promised to kill it when the supervisor is gone.
///
/// # Errors
/// The supervisor is gone already, or the command cannot be started; otherwise it never returns.
pub fn become_command(supervisor: u32, command: &[String]) -> Result<u8> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::new(ExitCode::Usage, "there is no command to become"));
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .doing(|| "cannot tie the job to its supervisor".to_owned())?;
    if std::os::unix::process::parent_id() != supervisor {
        return Err(Error::new(
            ExitCode::Internal,
            "the job's supervisor is gone",
        ));
    }
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(Error::new(ExitCode::Internal, format!("cannot start `{program}`")).because(error))
}

fn lock(record: &Path) -> Result<File> {
    let path = record.with_file_name(LOCK);
    let what = || format!("cannot lock `{}`", path.display());
    let file = crate::atomic::lock_file(&path).doing(what)?;
    file.lock().doing(what)?;
    Ok(file)
}

/// Waits until no supervisor works in a run's folder: one that lost its mlaction ends its job
/// after a short grace.
pub fn wait_for_end(run: &Path) {
    if let Ok(file) = File::open(run.join(LOCK)) {
        // NOTE: the kernel lets go of the lock when the supervisor ends, however it ends.
        let _ = file.lock();
    }
}

fn write(path: &Path, exit: &Exit) -> Result<()> {
    let what = || format!("cannot write `{}`", path.display());
    let text = serde_json::to_string(exit).doing(what)?;
    crate::atomic::write(path, text).doing(what)
}

/// Kills the processes that left the group and were handed to us by the kernel.
fn kill_adopted() {
    for _ in 0..100 {
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        let pids: Vec<Pid> = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .filter_map(Pid::from_raw)
            .collect();
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            let _ = kill_process(pid, Signal::KILL);
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
        }
    }
}
