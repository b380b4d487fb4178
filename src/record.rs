//! The run record: `.mlaction/runs/RUN/`, complete enough to make the report again.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::destination::process::supervise;
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::metrics::pieces::Splitter;
use crate::plan::{PastRun, Plan};
use crate::run::measured::Measured;

/// Where the environment of a run in containers says under which tag its image was made.
pub const IMAGE_TAG: &str = "tag";

/// The jobs' output, byte by byte.
pub const LOG: &str = "log.txt";
/// The packed model.
pub const MODEL: &str = "model.tar.gz";
/// What the jobs gave; with the plan, enough to judge the run again.
pub const METRICS: &str = "metrics.json";
/// The report as a value.
pub const REPORT: &str = "report.json";
/// The report for a pull request.
pub const REPORT_MARKDOWN: &str = "report.md";
/// The report as a page.
pub const REPORT_HTML: &str = "report.html";
const PLAN: &str = "plan.json";
const STATE: &str = "state.json";
/// Ends the name of the file, beside the folder of runs, that is locked while one is made.
const MAKING: &str = "lock";
/// Locked as long as a mlaction works on the run.
const LOCK: &str = "lock";

/// A longer file is no run's state.
const MOST_STATE_BYTES: u64 = 64 * 1024;

/// Most bytes read from the end of a log to find its last lines.
const TAIL_BYTES: u64 = 64 * 1024;

/// Where a project's runs are.
#[must_use]
pub fn runs_dir(root: &Path) -> PathBuf {
    root.join(".mlaction/runs")
}

/// Where a run is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The run's id.
    pub run: String,
    /// Its content hash.
    pub content_hash: String,
    /// Its attempt.
    pub attempt: u32,
    /// When it started (UTC).
    pub started_at: Timestamp,
    /// The process of mlaction that works on it.
    pub process: u32,
    /// What it is doing, or how it ended.
    pub phase: Phase,
    /// When it was last judged again without training (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_at: Option<Timestamp>,
}

/// A run's phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name", deny_unknown_fields)]
pub enum Phase {
    /// mlaction works on it.
    Running,
    /// Trained and validated.
    Complete {
        /// When (UTC).
        finished_at: Timestamp,
    },
    /// The training job was launched and left: its result is collected later.
    Detached {
        /// The job's name.
        job: String,
    },
    /// A job did not succeed, or the run was cancelled.
    Ended {
        /// Why.
        reason: String,
    },
}

/// One run's folder.
#[derive(Debug)]
pub struct Record {
    folder: PathBuf,
    state: State,
    /// Held until the record is dropped; the kernel lets go of it when mlaction is killed.
    _lock: File,
}

impl Record {
    /// Makes the folder under a temporary name and renames it; it must not be there.
    ///
    /// # Errors
    /// The run exists already, or the project cannot be written.
    pub fn create(plan: &Plan) -> Result<Self> {
        let runs = runs_dir(&plan.root);
        std::fs::create_dir_all(&runs).doing(|| format!("cannot create `{}`", runs.display()))?;
        keep_out_of_git(&plan.root.join(".mlaction"))?;
        // Held until the folder has its own lock: who sweeps meanwhile would take it for a leftover.
        let _made = atomic::lock_file(&runs.with_extension(MAKING))
            .and_then(|file| file.lock().map(|()| file))
            .doing(|| format!("cannot lock `{}`", runs.display()))?;
        let making = atomic::folder_in(&runs)
            .doing(|| format!("cannot create a folder in `{}`", runs.display()))?;
        let lock = lock(making.path())?;
        let state = State {
            run: plan.run.clone(),
            content_hash: plan.content_hash.clone(),
            attempt: plan.attempt,
            started_at: plan.created_at,
            process: std::process::id(),
            phase: Phase::Running,
            judged_at: None,
        };
        let mut record = Self {
            folder: making.path().to_path_buf(),
            state,
            _lock: lock,
        };
        record.write_json(STATE, &record.state)?;
        record.write_json(PLAN, plan)?;
        let log = record.folder.join(LOG);
        File::create(&log).doing(|| format!("cannot create `{}`", log.display()))?;
        let folder = runs.join(&plan.run);
        std::fs::rename(making.path(), &folder).map_err(|error| {
            let failed = Error::new(
                ExitCode::Usage,
                format!("run {} is already there", plan.run),
            )
            .because(error);
            failed.hint("another mlaction has just started it; `mlaction runs` shows it")
        })?;
        record.folder = folder;
        let _renamed = making.keep();
        Ok(record)
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A finished run, to be judged again.
    ///
    /// # Errors
    /// It is no run, or cannot be locked.
    pub fn open(folder: PathBuf) -> Result<Self> {
        let lock = lock(&folder)?;
        let state = read_json(&folder, STATE)?;
        Ok(Self {
            folder,
            state,
            _lock: lock,
        })
    }

    /// Notes that a finished run was judged again: it is the last one now.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn judged(&mut self, at: Timestamp) -> Result<()> {
        self.state.judged_at = Some(at);
        self.write_json(STATE, &self.state)
    }

    /// Notes a phase.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn enter(&mut self, phase: Phase) -> Result<()> {
        self.state.phase = phase;
        self.write_json(STATE, &self.state)
    }

    /// Writes a document to a temporary name and renames it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let what = || format!("cannot write `{}`", self.folder.join(name).display());
        let text = serde_json::to_string_pretty(value).doing(what)?;
        write(&self.folder, name, &text)
    }

    /// Removes the working folders of the jobs; gives a word when some of it stays.
    pub fn clean(&self) -> Option<String> {
        let work = self.folder.join("work");
        let removed = std::fs::remove_dir_all(&work).or_else(|error| match error.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => {
                // A job may have left folders that cannot be written.
                make_writable(&work);
                std::fs::remove_dir_all(&work)
            }
        });
        let error = removed.err()?;
        Some(format!("`{}` is left behind: {error}", work.display()))
    }

    /// Keeps the checkpoints of a job that lost its mlaction.
    fn keep_checkpoints(&self) {
        let from = self.folder.join("work/train/checkpoints");
        let some = std::fs::read_dir(&from).is_ok_and(|mut entries| entries.next().is_some());
        if some {
            // NOTE: what cannot be moved is lost with the rest of the working folder.
            let _ = std::fs::rename(from, self.folder.join("checkpoints"));
        }
    }
}

/// Gives the owner every right on the folders below, as far as that goes.
fn make_writable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    // NOTE: what stays as it is shows when it is removed.
    let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    for entry in entries.filter_map(std::result::Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// A repository that was there before mlaction does not ignore its folder.
fn keep_out_of_git(folder: &Path) -> Result<()> {
    let path = folder.join(".gitignore");
    if path.metadata().is_ok_and(|meta| meta.len() > 0) {
        return Ok(());
    }
    std::fs::write(&path, "*\n").doing(|| format!("cannot write `{}`", path.display()))
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let what = || format!("cannot lock `{}`", path.display());
    let file = atomic::lock_file(&path).doing(what)?;
    // NOTE: others hold it for a moment only, to see whether it is held.
    file.lock().doing(what)?;
    Ok(file)
}

/// Writes a text into a record under a temporary name and renames it.
///
/// # Errors
/// The folder cannot be written.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    atomic::write(&path, text).doing(|| format!("cannot write `{}`", path.display()))
}

/// The states of all runs, oldest first. Folders that are no runs are left out.
#[must_use]
pub fn states(root: &Path) -> Vec<State> {
    let entries = std::fs::read_dir(runs_dir(root))
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut states: Vec<State> = entries
        .map(|entry| entry.path())
        .filter(|folder| !atomic::is_temporary(folder))
        .filter_map(|folder| serde_json::from_slice(&state_file(&folder)?).ok())
        .collect();
    states.sort_by(|a, b| (a.started_at, &a.run).cmp(&(b.started_at, &b.run)));
    states
}

/// The bytes of a run's state. Others may have put the folder there: a link is not followed, and
/// what is longer than any state is none.
fn state_file(folder: &Path) -> Option<Vec<u8>> {
    let path = folder.join(STATE);
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    if !is_file(&path) || folder.is_symlink() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path).ok()?.take(MOST_STATE_BYTES + 1);
    file.read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MOST_STATE_BYTES).then_some(bytes)
}

/// The runs as the plan wants to know them.
#[must_use]
pub fn past(root: &Path) -> Vec<PastRun> {
    states(root)
        .into_iter()
        .map(
            |State {
                 run,
                 content_hash,
                 attempt,
                 started_at: _,
                 process: _,
                 phase,
                 judged_at: _,
             }| PastRun {
                run,
                content_hash,
                attempt,
                completed_at: match phase {
                    Phase::Complete { finished_at } => Some(finished_at),
                    Phase::Running | Phase::Detached { .. } | Phase::Ended { .. } => None,
                },
            },
        )
        .collect()
}

/// The last lines of a log, empty ones left out.
#[must_use]
pub fn tail(log: &Path, lines: usize) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let mut all = Vec::new();
    let mut keep = |piece: crate::metrics::pieces::Piece<'_>| {
        let text = piece.text.trim_end();
        if !text.is_empty() {
            all.push(text.chars().take(500).collect::<String>());
        }
    };
    let mut splitter = Splitter::new();
    splitter.push(&read().unwrap_or_default(), &mut keep);
    splitter.finish(&mut keep);
    all.split_off(all.len().saturating_sub(lines))
}

/// Reads the plan of a run.
///
/// # Errors
/// It is not there, or of another form.
pub fn load_plan(folder: &Path) -> Result<Plan> {
    read_json(folder, PLAN)
}

/// Reads a document of a record.
///
/// # Errors
/// It is not there, or of another form.
pub fn read_json<T: serde::de::DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let path = folder.join(name);
    let failed = |cause: String| {
        Error::new(ExitCode::Report, format!("cannot use `{}`", path.display()))
            .because(cause)
            .hint("the run has not ended, or another version of mlaction wrote it; `mlaction train --force` makes a new one")
    };
    let text = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
}

/// Whether a finished run still has what it gave: its metrics, and the model that they belong to.
#[must_use]
pub fn is_whole(root: &Path, run: &str) -> bool {
    let folder = runs_dir(root).join(run);
    let measured: Result<Measured> = read_json(&folder, METRICS);
    measured.is_ok_and(|measured| {
        let kept = measured.model.filter(|model| model.sha256.is_some());
        kept.is_none_or(|model| {
            let file = folder.join(&model.file).metadata();
            file.is_ok_and(|meta| meta.is_file() && meta.len() == model.bytes)
        })
    })
}

/// The run that was trained or judged last.
#[must_use]
pub fn last(states: &[State]) -> Option<&State> {
    states
        .iter()
        .max_by_key(|state| state.judged_at.unwrap_or(state.started_at))
}

/// Whether the mlaction that works on a run is still there.
#[must_use]
pub fn is_alive(root: &Path, state: &State) -> bool {
    is_worked_on(&runs_dir(root).join(&state.run))
}

/// Whether a mlaction works on the run in a folder just now.
#[must_use]
pub fn is_worked_on(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK));
    lock.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The run that another mlaction is making of the same content just now.
#[must_use]
pub fn running(root: &Path, content_hash: &str) -> Option<State> {
    states(root).into_iter().find(|state| {
        state.phase == Phase::Running && state.content_hash == content_hash && is_alive(root, state)
    })
}

/// Closes the runs whose mlaction was killed, and says so.
///
/// # Errors
/// A record cannot be written.
pub fn explain_interrupted(root: &Path) -> Result<Vec<String>> {
    sweep(&runs_dir(root));
    let mut lines = Vec::new();
    for state in states(root) {
        if state.phase != Phase::Running || is_alive(root, &state) {
            continue;
        }
        let folder = runs_dir(root).join(&state.run);
        supervise::wait_for_end(&folder);
        // It may have been closed, or have ended by itself, since its state was read.
        let mut record = Record::open(folder)?;
        if record.state.phase != Phase::Running {
            continue;
        }
        lines.push(format!(
            "run {} was interrupted: its mlaction (process {}) ended before the run did; cleaned up",
            state.run, state.process
        ));
        record.enter(Phase::Ended {
            reason: "interrupted: mlaction ended before the run did".to_owned(),
        })?;
        record.keep_checkpoints();
        lines.extend(record.clean());
        atomic::sweep(&record.folder);
    }
    Ok(lines)
}

/// Removes the folders of runs that were killed before they had their name.
fn sweep(runs: &Path) {
    let lock = File::open(runs.with_extension(MAKING));
    if !lock.as_ref().is_ok_and(|file| file.try_lock().is_ok()) {
        return;
    }
    let entries = std::fs::read_dir(runs).into_iter().flatten();
    for folder in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if atomic::is_temporary(&folder) && !is_worked_on(&folder) {
            // NOTE: what cannot be removed now is removed another time.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
