//! Content fingerprints of files and folders: the same names and bytes give the same hash on
//! every machine, whatever the times, owners and order on disk.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

/// Read buffer; memory does not grow with the data.
const BUFFER: usize = 256 * 1024;

/// What is never code.
const NOT_CODE: &[&str] = &[
    ".git",
    ".mlaction",
    "__pycache__",
    ".venv",
    ".ipynb_checkpoints",
    ".DS_Store",
    ".pytest_cache",
];

/// What belongs to a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Every file.
    Data,
    /// Every file but caches and the repository itself.
    Code,
}

/// A fingerprint of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// `b3:` and 64 hexadecimal digits.
    pub hash: String,
    /// Number of files.
    pub files: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// The files, relative to the root (empty for a root that is a file), in the hash's order.
    pub paths: Vec<PathBuf>,
}

/// Why something cannot be fingerprinted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataError {
    path: PathBuf,
    reason: String,
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read `{}`: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for DataError {}

impl DataError {
    fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        }
    }
}

/// Fingerprints a file or folder. Links are followed, as data caches link files.
///
/// # Errors
/// Missing or unreadable files, special files, loops of links, files that change while they
/// are read.
pub fn fingerprint(root: &Path, content: Content) -> Result<Fingerprint, DataError> {
    let mut files = walk(root, content)?;
    files.sort_by(|(a, _), (b, _)| {
        a.as_os_str()
            .as_encoded_bytes()
            .cmp(b.as_os_str().as_encoded_bytes())
    });
    let next = std::sync::atomic::AtomicUsize::new(0);
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8)
        .min(files.len().max(1));
    let mut hashed: Vec<(usize, Result<Hashed, DataError>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut buffer = vec![0; BUFFER];
                    let mut done = Vec::new();
                    loop {
                        let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let Some((_, path)) = files.get(index) else {
                            break done;
                        };
                        done.push((index, hash_file(path, &mut buffer)));
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_default())
            .collect()
    });
    hashed.sort_by_key(|(index, _)| *index);
    let mut all = blake3::Hasher::new_derive_key("mlaction fingerprint v1");
    let mut bytes = 0;
    let count = hashed.len() as u64;
    for ((name, _), (_, file)) in files.iter().zip(hashed) {
        let Hashed {
            hash,
            size,
            executable,
        } = file?;
        let name = name.as_os_str().as_encoded_bytes();
        all.update(&(name.len() as u64).to_le_bytes()).update(name);
        all.update(&[u8::from(executable)]).update(hash.as_bytes());
        bytes += size;
    }
    Ok(Fingerprint {
        hash: format!("b3:{}", all.finalize().to_hex()),
        files: count,
        bytes,
        paths: files.into_iter().map(|(name, _)| name).collect(),
    })
}

/// The files below a root: name in the hash, and where to read it.
fn walk(root: &Path, content: Content) -> Result<Vec<(PathBuf, PathBuf)>, DataError> {
    let kind = std::fs::metadata(root).map_err(|error| DataError::new(root, error))?;
    if !kind.is_dir() {
        return Ok(vec![(PathBuf::new(), root.to_path_buf())]);
    }
    let mut builder = WalkBuilder::new(root);
    builder.standard_filters(false).follow_links(true);
    if content == Content::Code {
        builder.filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            !NOT_CODE.contains(&name.as_ref()) && !name.ends_with(".pyc")
        });
    }
    let mut files = Vec::new();
    for entry in builder.build() {
        let entry = entry.map_err(|error| DataError::new(root, error))?;
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry
            .path()
            .strip_prefix(root)
            .unwrap_or(entry.path())
            .to_path_buf();
        files.push((name, entry.into_path()));
    }
    Ok(files)
}

struct Hashed {
    hash: blake3::Hash,
    size: u64,
    executable: bool,
}

fn hash_file(path: &Path, buffer: &mut [u8]) -> Result<Hashed, DataError> {
    let failed = |error: std::io::Error| DataError::new(path, error);
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
        return Err(DataError::new(
            path,
            "it is a special file (pipe, socket or device)",
        ));
    }
    let mut file = File::open(path).map_err(failed)?;
    let before = file.metadata().map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    loop {
        let read = file.read(buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
    let after = file.metadata().map_err(failed)?;
    if size != before.len() || before.modified().ok() != after.modified().ok() {
        return Err(DataError::new(path, "it changed while it was read"));
    }
    Ok(Hashed {
        hash: hasher.finalize(),
        size,
        executable: before.permissions().mode() & 0o111 != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn hash(folder: &tempfile::TempDir, content: Content) -> String {
        fingerprint(folder.path(), content).unwrap().hash
    }

    #[test]
    fn names_and_bytes_decide_and_nothing_else() {
        let one = folder(&[("b.csv", "2"), ("a/x.csv", "1")]);
        let same = folder(&[("a/x.csv", "1"), ("b.csv", "2")]);
        assert_eq!(hash(&one, Content::Data), hash(&same, Content::Data));
        for other in [
            &[("b.csv", "2"), ("a/y.csv", "1")][..],
            &[("b.csv", "2"), ("a/x.csv", "0")],
            &[("b.csv", "2")],
        ] {
            assert_ne!(
                hash(&one, Content::Data),
                hash(&folder(other), Content::Data)
            );
        }
        let found = fingerprint(one.path(), Content::Data).unwrap();
        assert_eq!((found.files, found.bytes), (2, 2));
    }

    #[test]
    fn caches_are_not_code_but_they_are_data() {
        let clean = folder(&[("train.py", "x")]);
        let used = folder(&[
            ("train.py", "x"),
            ("__pycache__/train.cpython-311.pyc", "y"),
            ("old.pyc", "z"),
        ]);
        assert_eq!(hash(&clean, Content::Code), hash(&used, Content::Code));
        assert_ne!(hash(&clean, Content::Data), hash(&used, Content::Data));
    }

    #[test]
    fn missing_and_special_files_are_errors_that_name_them() {
        let place = folder(&[]);
        let error = fingerprint(&place.path().join("gone"), Content::Data).unwrap_err();
        assert!(error.to_string().contains("gone"));
        let _socket = std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
        let error = fingerprint(place.path(), Content::Data).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("it is a special file (pipe, socket or device)"),
            "{error}"
        );
        std::os::unix::fs::symlink("nowhere", place.path().join("a-link")).unwrap();
        assert!(fingerprint(place.path(), Content::Data).is_err());
    }
}
