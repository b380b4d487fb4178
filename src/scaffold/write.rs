//! Writes a new project: a temporary name first, then a rename, and never over what is there.

use std::fs::TryLockError;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::File;
use crate::atomic;
use crate::error::{Error, ExitCode, IoContext as _, Result};

/// Ends the name of the folder where files are written before they get their place.
const STAGING: &str = ".mlaction-init";

/// What would become of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is written.
    Written,
    /// A file is there already and is left alone.
    LeftAlone,
    /// It cannot be written: something else stands at its place, or on the way to it.
    Blocked(String),
}

/// What would become of each file in a folder.
#[must_use]
pub fn fates(folder: &Path, files: &[File]) -> Vec<Fate> {
    files.iter().map(|file| fate(folder, file.path)).collect()
}

fn fate(folder: &Path, path: &str) -> Fate {
    let mut place = folder.to_path_buf();
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        place.push(part);
        let is_last = parts.peek().is_none();
        match place.symlink_metadata() {
            Err(_) => return Fate::Written,
            Ok(meta) if is_last && meta.is_dir() => {
                return Fate::Blocked(format!("`{}` is a folder", place.display()));
            }
            Ok(_) if is_last => return Fate::LeftAlone,
            Ok(meta) if meta.is_dir() => {}
            // A link may lead out of the project: nothing is written through it.
            Ok(_) => return Fate::Blocked(format!("`{}` is no folder", place.display())),
        }
    }
    Fate::LeftAlone
}

/// Writes a project into a folder that does not exist yet: all of it or nothing.
///
/// The files are written beside the folder under a hidden name, and that is renamed. What an
/// interrupted call left there is removed by the next one.
///
/// # Errors
/// The folder cannot be written, or another `init` writes the same folder now.
pub fn new_folder(folder: &Path, files: &[File]) -> Result<()> {
    let parent = atomic::folder_of(folder);
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    std::fs::create_dir_all(parent).doing(|| format!("cannot create `{}`", parent.display()))?;
    staged(parent, &format!(".{name}{STAGING}"), |staging| {
        for file in files {
            write_new(staging, file, &staging.join(file.path))?;
        }
        std::fs::rename(staging, folder).doing(|| format!("cannot create `{}`", folder.display()))
    })
}

/// Lends a folder for what is half-written; what an interrupted call left there goes first.
fn staged<T>(parent: &Path, name: &str, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let staging = parent.join(name);
    let lock = parent.join(format!("{name}.lock"));
    let guard =
        atomic::lock_file(&lock).doing(|| format!("cannot write in `{}`", parent.display()))?;
    if let Err(TryLockError::WouldBlock) = guard.try_lock() {
        return Err(Error::new(
            ExitCode::Usage,
            format!(
                "another `mlaction init` is writing in `{}`",
                parent.display()
            ),
        ));
    }
    let done = remove(&staging)
        .and_then(|()| {
            std::fs::create_dir(&staging).doing(|| format!("cannot create `{}`", staging.display()))
        })
        .and_then(|()| work(&staging));
    // NOTE: the first error is the one to report; what cannot be removed now, the next call removes.
    let _ = remove(&staging);
    let _ = std::fs::remove_file(&lock);
    done
}

/// Whether a name in a project's folder is one that only `init` uses, for a moment.
#[must_use]
pub fn is_staging(name: &str) -> bool {
    name.starts_with(STAGING)
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).doing(|| format!("cannot remove `{}`", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Writes what is missing into a folder that exists; gives the files that it wrote.
///
/// # Errors
/// A file cannot be written; those before it are complete.
pub fn missing(folder: &Path, files: &[File]) -> Result<Vec<&'static str>> {
    staged(folder, STAGING, |staging| {
        let mut written = Vec::new();
        for file in files {
            if fate(folder, file.path) == Fate::Written
                && write_new(staging, file, &folder.join(file.path))?
            {
                written.push(file.path);
            }
        }
        Ok(written)
    })
}

/// Writes one file unless it is there; says whether it did.
fn write_new(staging: &Path, file: &File, path: &Path) -> Result<bool> {
    let what = || format!("cannot write `{}`", path.display());
    std::fs::create_dir_all(atomic::folder_of(path)).doing(what)?;
    let mut temporary = atomic::file_in(staging).doing(what)?;
    temporary.write_all(&file.content).doing(what)?;
    match temporary.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error).doing(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &'static str) -> File {
        File {
            path,
            content: b"new".to_vec(),
        }
    }

    #[test]
    fn what_is_there_is_never_touched_and_nothing_goes_through_links() {
        let place = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("README.md"), "mine").unwrap();
        std::fs::create_dir(at("dvc.yaml")).unwrap();
        std::os::unix::fs::symlink(outside.path(), at("model")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        let files = [
            "README.md",
            "dvc.yaml",
            "model/train.py",
            "dangling",
            "data/a.csv",
        ]
        .map(file);
        let fates = fates(place.path(), &files);
        assert_eq!(fates[0], Fate::LeftAlone);
        assert!(matches!(fates[1], Fate::Blocked(_)));
        assert!(matches!(fates[2], Fate::Blocked(_)));
        assert_eq!(fates[3], Fate::LeftAlone);
        assert_eq!(fates[4], Fate::Written);
        assert_eq!(missing(place.path(), &files).unwrap(), ["data/a.csv"]);
        assert_eq!(std::fs::read_to_string(at("README.md")).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_new_folder_is_there_whole_or_not_at_all_and_leftovers_go() {
        let place = tempfile::tempdir().unwrap();
        let staging = place.path().join(".demo.mlaction-init");
        std::fs::create_dir(&staging).unwrap();
        std::fs::write(staging.join("half"), "x").unwrap();
        let folder = place.path().join("demo");
        let impossible = [file("a"), file("a/b")];
        assert!(new_folder(&folder, &impossible).is_err());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        new_folder(&folder, &[file("a"), file("b/c")]).unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(folder.join("b/c").is_file() && !folder.join("half").exists());
    }
}
