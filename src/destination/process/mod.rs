//! Jobs as processes on this machine, in SageMaker's folder layout.
//!
//! A job's output goes straight into the run's log file, so nothing is lost when mlaction dies;
//! a supervisor (mlaction itself, under a hidden subcommand) holds the job's process group and
//! ends it when mlaction is gone.

pub mod environment;
mod interpreter;
pub mod plan;
mod requirements;
pub mod supervise;

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::job_log::JobLog;
use super::{Artifacts, Destination, JobState, PollError, Stop, results};
use crate::data::fingerprint::{Content, fingerprint, names};
use crate::data::known::Known;
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::plan::identity;
use crate::plan::inputs::data_error;
use plan::Request;

/// One job as a process.
#[derive(Debug)]
pub struct ProcessDestination {
    code: PathBuf,
    run: PathBuf,
    log: JobLog,
    inherited: Vec<String>,
    grace: Duration,
    job: Option<(Request, Child)>,
}

impl ProcessDestination {
    /// A place to run one job, with code from `code`, of the run whose record lies in `run`.
    #[must_use]
    pub fn new(code: &Path, run: &Path, settings: &plan::ProcessPlan) -> Self {
        Self {
            code: code.to_path_buf(),
            run: run.to_path_buf(),
            log: JobLog::of(run),
            inherited: settings.inherited.clone(),
            grace: Duration::from_secs(settings.grace_seconds),
            job: None,
        }
    }

    /// The layout on disk: config files, links to the data, a copy of the code.
    fn prepare(&self, request: &Request) -> Result<()> {
        let base = &request.base;
        for folder in [
            "input/config",
            "input/data",
            "model",
            "output/data",
            "checkpoints",
            "code",
        ] {
            let folder = base.join(folder);
            std::fs::create_dir_all(&folder)
                .doing(|| format!("cannot create `{}`", folder.display()))?;
        }
        for (name, content) in &request.files {
            let path = base.join(name);
            std::fs::write(&path, content.to_string())
                .doing(|| format!("cannot write `{}`", path.display()))?;
        }
        for (channel, source) in &request.inputs {
            let mut link = base.join("input/data").join(channel);
            if source.is_file() {
                std::fs::create_dir_all(&link)
                    .doing(|| format!("cannot create `{}`", link.display()))?;
                link.push(source.file_name().unwrap_or_default());
            }
            std::os::unix::fs::symlink(source, &link)
                .doing(|| format!("cannot link `{}`", link.display()))?;
        }
        copy_code(
            &self.code,
            &request.working_directory,
            request.code.iter().map(String::as_str),
            &request.code_fingerprint,
        )
    }

    fn exit_record(&self, request: &Request) -> PathBuf {
        self.run.join(format!("{}.exit.json", role(request)))
    }

    fn failure_reason(&self, request: &Request, exit: &supervise::Exit) -> String {
        let file = request.base.join("output/failure");
        let is_written = file.symlink_metadata().is_ok_and(|meta| meta.is_file());
        let text = match File::open(&file) {
            Ok(file) if is_written => results::failure_text(file),
            _ => String::new(),
        };
        let last = crate::record::tail(self.log.path(), 1).pop();
        results::reason(&text, &exit.to_string(), last.as_deref())
    }
}

/// Copies code, and holds the copy against the plan: what runs is what was hashed.
///
/// # Errors
/// A file cannot be copied, or the code is not the plan's any more.
pub fn copy_code<'s>(
    from: &Path,
    to: &Path,
    sources: impl Iterator<Item = &'s str>,
    fingerprint_of_plan: &str,
) -> Result<()> {
    let unread = Known::default();
    let mut copied = Vec::new();
    for source in sources {
        let (from, to) = (from.join(source), to.join(source));
        for name in names(&from, Content::Code).map_err(|error| data_error(&error))? {
            // NOTE: joining an empty name would add a slash to a file's path.
            let (from, to) = match name.as_os_str().is_empty() {
                true => (from.clone(), to.clone()),
                false => (from.join(&name), to.join(&name)),
            };
            let copy = || -> std::io::Result<()> {
                std::fs::create_dir_all(to.parent().unwrap_or(&to))?;
                std::fs::copy(&from, &to).map(drop)
            };
            copy().doing(|| format!("cannot copy `{}` to `{}`", from.display(), to.display()))?;
        }
        let copy = fingerprint(&to, Content::Code, &unread).map_err(|error| data_error(&error))?;
        copied.push((source, copy.hash));
    }
    let copied = copied.iter().map(|(path, hash)| (*path, hash.as_str()));
    match identity::combined(copied) == fingerprint_of_plan {
        true => Ok(()),
        false => Err(
            Error::new(ExitCode::Data, "the code changed after the plan was made")
                .hint("run the command again"),
        ),
    }
}

fn role(request: &Request) -> String {
    request
        .base
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// A command under the supervisor: it ends, with everything it started, when mlaction does.
pub(crate) fn supervised<'a>(
    program: &Path,
    arguments: impl Iterator<Item = &'a str>,
    grace: Duration,
    exit_record: Option<&Path>,
) -> Result<Command> {
    let own = std::env::current_exe().doing(|| "cannot find mlaction's own program".to_owned())?;
    let mut command = std::process::Command::new(own);
    command
        .arg("supervise")
        .arg("--grace")
        .arg(grace.as_millis().to_string());
    if let Some(record) = exit_record {
        command.arg("--record").arg(record);
    }
    command.arg("--").arg(program).args(arguments);
    // Its own group: Ctrl-C in a terminal reaches mlaction alone, which then decides.
    command.process_group(0).stdin(Stdio::piped());
    Ok(Command::from(command))
}

/// Ends a supervised command gracefully and waits for it.
pub(crate) async fn stop(child: &mut Child) {
    signal(child, Signal::TERM);
    if child.wait().await.is_err() {
        signal(child, Signal::KILL);
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // NOTE: a process that is already gone is what we want.
        let _ = kill_process(pid, signal);
    }
}

impl Destination for ProcessDestination {
    type Request = Request;

    async fn launch(&mut self, request: &Request) -> Result<(), Error> {
        self.prepare(request)?;
        let log = self.log.appended()?;
        let errors = log
            .try_clone()
            .doing(|| format!("cannot write `{}`", self.log.path().display()))?;
        let (program, arguments) = request
            .command
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let mut command = supervised(
            Path::new(program),
            arguments.iter().map(String::as_str),
            self.grace,
            Some(&self.exit_record(request)),
        )?;
        command
            .env_clear()
            .current_dir(&request.working_directory)
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(errors));
        for name in &self.inherited {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(&request.environment);
        let child = command
            .spawn()
            .doing(|| "cannot start the job's supervisor".to_owned())?;
        self.job = Some((request.clone(), child));
        Ok(())
    }

    async fn poll(&mut self) -> Result<JobState, PollError> {
        let Some((request, child)) = &mut self.job else {
            return Err(PollError::Permanent(Error::new(
                ExitCode::Internal,
                "the job was never launched",
            )));
        };
        match child.try_wait() {
            Ok(None) => return Ok(JobState::Running),
            Ok(Some(_)) => {}
            Err(error) => return Err(PollError::Transient(error.to_string())),
        }
        let request = request.clone();
        Ok(match supervise::Exit::read(&self.exit_record(&request)) {
            Some(exit) if exit.is_success() => JobState::Succeeded,
            Some(exit) => JobState::Failed {
                reason: self.failure_reason(&request, &exit),
            },
            None => JobState::Failed {
                reason: "the job's supervisor was killed".to_owned(),
            },
        })
    }

    async fn logs(&mut self) -> Result<Vec<u8>, PollError> {
        self.log.more()
    }

    async fn stop(&mut self, how: Stop) -> Result<(), Error> {
        if let Some((_, child)) = &self.job {
            // A supervisor that somebody paused acts on no signal but SIGKILL until it goes on.
            signal(child, Signal::CONT);
            // The supervisor turns SIGTERM into the graceful stop, and SIGINT into the hard one.
            signal(
                child,
                if how == Stop::Graceful {
                    Signal::TERM
                } else {
                    Signal::INT
                },
            );
        }
        Ok(())
    }

    async fn fetch(&mut self) -> Result<Artifacts, Error> {
        let Some((request, _)) = &self.job else {
            return Ok(Artifacts::default());
        };
        results::artifacts(&request.base, &self.run).await
    }
}
