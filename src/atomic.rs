//! Files that appear whole or not at all: written under a temporary name, then renamed.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::{NamedTempFile, TempDir};

/// How temporary names begin.
const PREFIX: &str = ".mlaction-tmp-";

/// A temporary file, with the permissions that any new file gets.
///
/// # Errors
/// The folder cannot be written.
pub fn file_in(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(PermissionsExt::from_mode(0o666))
        .tempfile_in(folder)
}

/// A temporary folder, with the permissions that any new folder gets.
///
/// # Errors
/// The folder cannot be written.
pub fn folder_in(folder: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(PermissionsExt::from_mode(0o777))
        .tempdir_in(folder)
}

/// Writes a file, or replaces it.
///
/// # Errors
/// The folder cannot be written; what was there is there still.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let mut file = file_in(folder_of(path))?;
    file.write_all(content.as_ref())?;
    Ok(file.persist(path).map(drop)?)
}

/// Opens a file that serves as a lock. It is made when it is not there; what is there is not
/// changed, and no link is followed.
///
/// # Errors
/// It cannot be opened.
pub fn lock_file(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

/// The folder that a path's last part lies in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Whether the name is that of a temporary file or folder.
#[must_use]
pub fn is_temporary(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
}

/// Removes the temporary files that a killed process left in a folder.
pub fn sweep(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if is_temporary(&path) {
            // NOTE: what cannot be removed now is removed another time.
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_what_a_killed_process_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, "old").unwrap();
        write(&path, "new").unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_ne!(mode & 0o044, 0, "others may read it: {mode:o}");
        std::mem::forget(file_in(folder.path()).unwrap());
        sweep(folder.path());
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "new");
        assert!(write(&folder.path().join("none/a"), "").is_err());
    }
}
