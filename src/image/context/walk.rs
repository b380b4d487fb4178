//! The entries of a context in the order that `BuildKit` wants: depth first, the names of each folder
//! sorted by their bytes.

use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::Arc;

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::guard::{Place, Verdict};
use super::{Entry, Kind, Shared};
use crate::data::known::Inode;
use crate::error::{Error, ExitCode, Result};

/// Problems that are named; the others are counted.
const MOST_PROBLEMS: usize = 20;

/// Names of files that the guard keeps out which are remembered.
const MOST_GUARDED: usize = 100;

/// A walk over a context.
pub(super) struct Walk {
    shared: Arc<Shared>,
    levels: Vec<Level>,
    /// Found and not given out yet.
    ready: VecDeque<Entry>,
    problems: Vec<String>,
    more_problems: usize,
    started: bool,
    /// What only the guard kept out, up to [`MOST_GUARDED`] names.
    guarded: Vec<String>,
}

/// A folder that is being walked.
struct Level {
    folder: OwnedFd,
    /// Its name with a `/` behind it; empty for the root.
    prefix: String,
    /// What it holds, the last name first.
    rest: Vec<(CString, FileType)>,
    place: Place,
    /// Its own entry, until something in it is kept.
    pending: Option<Entry>,
}

impl Walk {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            levels: Vec::new(),
            ready: VecDeque::new(),
            problems: Vec::new(),
            more_problems: 0,
            started: false,
            guarded: Vec::new(),
        }
    }

    /// What only the guard keeps out, once the walk is at its end.
    pub(super) fn into_guarded(self) -> Vec<String> {
        self.guarded
    }

    fn problem(&mut self, name: &str, why: impl std::fmt::Display) {
        match self.problems.len() < MOST_PROBLEMS {
            true => self.problems.push(format!("{name}: {why}")),
            false => self.more_problems += 1,
        }
    }

    fn enter(&mut self, parent: Option<usize>, name: &CString, level: LevelStart) {
        let LevelStart {
            prefix,
            place,
            pending,
        } = level;
        let listed = match parent {
            Some(parent) => list(&self.levels[parent].folder, name),
            None => list(&self.shared.folder, name),
        };
        match listed {
            Ok((folder, rest)) => self.levels.push(Level {
                folder,
                prefix,
                rest,
                place,
                pending,
            }),
            Err(error) => {
                let name = prefix.trim_end_matches('/').to_owned();
                self.problem(if name.is_empty() { "." } else { &name }, error);
            }
        }
    }

    /// Looks at the next name of the innermost folder.
    fn step(&mut self) {
        let Some(depth) = self.levels.len().checked_sub(1) else {
            return;
        };
        let level = &mut self.levels[depth];
        let Some((raw, kind)) = level.rest.pop() else {
            self.levels.pop();
            return;
        };
        let name = match raw.to_str() {
            Ok(name) => format!("{}{name}", level.prefix),
            Err(_) => {
                let shown = format!("{}{}", level.prefix, raw.to_string_lossy());
                if self.shared.rules.verdict(&level.place, &shown) == Verdict::Kept {
                    self.problem(&shown, "the name is not UTF-8");
                }
                return;
            }
        };
        let stat = || rustix::fs::statat(&level.folder, &raw, AtFlags::SYMLINK_NOFOLLOW);
        let (kind, known) = match kind {
            FileType::Unknown => match stat() {
                Ok(stat) => (FileType::from_raw_mode(stat.st_mode), Some(stat)),
                Err(error) => return self.problem(&name, vanished(error)),
            },
            kind => (kind, None),
        };
        let rules = &self.shared.rules;
        let (verdict, inside) = match kind {
            FileType::Directory => {
                let (verdict, place, may_hold) = rules.enter(&level.place, &name);
                (verdict, may_hold.then_some(place))
            }
            _ => (rules.verdict(&level.place, &name), None),
        };
        if verdict != Verdict::Kept && inside.is_none() {
            if verdict == Verdict::Guarded && self.guarded.len() < MOST_GUARDED {
                self.guarded.push(name);
            }
            return;
        }
        let stat = match known.map_or_else(stat, Ok) {
            Ok(stat) => stat,
            Err(error) => return self.problem(&name, vanished(error)),
        };
        let entry = match entry(&level.folder, &raw, name, &stat) {
            Ok(entry) => entry,
            Err((name, why)) => return self.problem(&name, why),
        };
        let prefix = inside.is_some().then(|| format!("{}/", entry.name));
        let pending = match verdict {
            Verdict::Kept => {
                self.keep(entry);
                None
            }
            _ => Some(entry),
        };
        if let (Some(place), Some(prefix)) = (inside, prefix) {
            let start = LevelStart {
                prefix,
                place,
                pending,
            };
            self.enter(Some(depth), &raw, start);
        }
    }

    /// Gives out an entry, behind the folders around it.
    fn keep(&mut self, entry: Entry) {
        let around = self.levels.iter_mut();
        self.ready
            .extend(around.filter_map(|level| level.pending.take()));
        self.ready.push_back(entry);
    }
}

/// What is known of a folder before it is opened.
struct LevelStart {
    prefix: String,
    place: Place,
    pending: Option<Entry>,
}

impl Iterator for Walk {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.started {
            self.started = true;
            let root = LevelStart {
                prefix: String::new(),
                place: Place::default(),
                pending: None,
            };
            self.enter(None, &CString::from(c"."), root);
        }
        while self.ready.is_empty() && !self.levels.is_empty() {
            self.step();
        }
        if let Some(entry) = self.ready.pop_front() {
            return Some(Ok(entry));
        }
        if self.problems.is_empty() {
            return None;
        }
        let mut problems = std::mem::take(&mut self.problems);
        if self.more_problems > 0 {
            problems.push(format!("and {} more", self.more_problems));
        }
        Some(Err(Error::new(
            ExitCode::Build,
            "the build context cannot be read",
        )
        .because(problems.join("\n  "))
        .hint("name what the image does not need in `.dockerignore`")))
    }
}

/// Opens a folder, not through a link, and reads its names: the last one comes first.
fn list(parent: &OwnedFd, name: &CString) -> Result<(OwnedFd, Vec<(CString, FileType)>), String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(vanished)?;
    let reading = folder.try_clone().map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    for entry in Dir::new(reading).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    names.sort_unstable_by(|(one, _), (other, _)| other.as_bytes().cmp(one.as_bytes()));
    Ok((folder, names))
}

fn entry(
    folder: &OwnedFd,
    raw: &CString,
    name: String,
    stat: &Stat,
) -> Result<Entry, (String, String)> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Folder,
        FileType::RegularFile if !is_readable(folder, raw, stat) => {
            return Err((name, "it may not be read".to_owned()));
        }
        FileType::RegularFile => Kind::File {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
        },
        FileType::Symlink => match rustix::fs::readlinkat(folder, raw, Vec::new()) {
            Ok(target) => match target.into_string() {
                Ok(target) => Kind::Link { target },
                Err(_) => return Err((name, "the target of the link is not UTF-8".to_owned())),
            },
            Err(error) => return Err((name, vanished(error))),
        },
        _ => {
            let why = "it is a special file (pipe, socket or device)";
            return Err((name, why.to_owned()));
        }
    };
    let seen = Inode::from(stat);
    Ok(Entry {
        name,
        // What a system says of a link itself means nothing.
        mode: match &kind {
            Kind::Link { .. } => 0o777,
            _ => stat.st_mode & 0o777,
        },
        kind,
        modified: seen.modified_nanoseconds(),
        seen,
    })
}

/// Whether this process may read a file. The system is only asked when it is not plain.
fn is_readable(folder: &OwnedFd, raw: &CString, stat: &Stat) -> bool {
    stat.st_mode & 0o444 == 0o444
        || stat.st_mode & 0o400 != 0 && stat.st_uid == rustix::process::geteuid().as_raw()
        || rustix::fs::accessat(
            folder.as_fd(),
            raw,
            Access::READ_OK,
            AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW,
        ) != Err(Errno::ACCESS)
}

fn vanished(error: Errno) -> String {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => {
            "it changed while the folder was read".to_owned()
        }
        error => error.to_string(),
    }
}
