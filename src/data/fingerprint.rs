//! Content fingerprints of files and folders: the same names and bytes give the same hash on
//! every machine, whatever the times, owners and order on disk.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use blake3::hazmat::{
    ChainingValue, HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root,
    merge_subtrees_root,
};
use walkdir::{DirEntry, WalkDir};

use super::known::Known;
use super::opened::{Opened, is_same};

/// Read buffer of one thread; memory does not grow with the data.
const BUFFER: usize = 256 * 1024;

/// A file up to this size is hashed by one thread; all threads share a larger one.
const LARGE: u64 = 32 * 1024 * 1024;

/// The part of a large file that a thread takes at once: a power of two, as a subtree of the
/// hash must be.
const PIECE: u64 = 4 * 1024 * 1024;

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
    /// Code without what an installer leaves in it.
    Package,
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
    pub(crate) fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn changed(path: &Path) -> Self {
        Self::new(path, "it changed while it was read")
    }
}

/// Fingerprints a file or folder. Links are followed, as data caches link files. Files that are
/// [`Known`] are not read.
///
/// # Errors
/// Missing or unreadable files, special files, loops of links, files that change while they
/// are read.
pub fn fingerprint(root: &Path, content: Content, known: &Known) -> Result<Fingerprint, DataError> {
    let files = walk(root, content)?;
    let hashed = hash_files(files.len(), |index| Opened::new(&files[index].1), known)?;
    let names = files.iter().map(|(name, _)| name.as_path());
    Ok(Fingerprint {
        hash: combined(names.zip(&hashed)),
        files: files.len() as u64,
        bytes: hashed.iter().map(|(_, file)| file.len()).sum(),
    })
}

/// The hash of files that are in order, by their names, whether they are programs, and their bytes.
pub(super) fn combined<'f>(
    files: impl Iterator<Item = (&'f Path, &'f (blake3::Hash, Metadata))>,
) -> String {
    let mut all = blake3::Hasher::new_derive_key("mlaction fingerprint v1");
    for (name, (hash, file)) in files {
        let name = name.as_os_str().as_encoded_bytes();
        let executable = file.permissions().mode() & 0o111 != 0;
        all.update(&(name.len() as u64).to_le_bytes()).update(name);
        all.update(&[u8::from(executable)]).update(hash.as_bytes());
    }
    format!("b3:{}", all.finalize().to_hex())
}

/// The files that a fingerprint covers, relative to the root; empty for a root that is a file.
///
/// # Errors
/// A missing root, loops of links.
pub fn names(root: &Path, content: Content) -> Result<Vec<PathBuf>, DataError> {
    Ok(walk(root, content)?
        .into_iter()
        .map(|(name, _)| name)
        .collect())
}

/// The BLAKE3 hash of each file: a small one in one thread, the pieces of large ones in all.
/// Files are opened by their number, large ones several times.
pub(crate) fn hash_files<'p>(
    count: usize,
    open: impl Fn(usize) -> Result<Opened<'p>, DataError> + Sync,
    known: &Known,
) -> Result<Vec<(blake3::Hash, Metadata)>, DataError> {
    let small = in_parallel(count, |index, buffer| {
        let file = open(index)?;
        if let Some(hash) = known.get(&file.meta) {
            return Ok((Some(hash), file.meta));
        }
        if file.meta.len() > LARGE {
            return Ok((None, file.meta));
        }
        let mut hasher = blake3::Hasher::new();
        file.read(0..file.meta.len(), buffer, known, &mut hasher)?;
        let hash = hasher.finalize();
        known.note(&file.meta, hash);
        Ok((Some(hash), file.meta))
    })?;
    let pieces: Vec<(usize, u64)> = (0..)
        .zip(&small)
        .filter(|(_, (hash, _))| hash.is_none())
        .flat_map(|(index, (_, meta))| {
            let starts = (0..meta.len()).step_by(PIECE as usize);
            starts.map(move |start| (index, start))
        })
        .collect();
    let mut values = in_parallel(pieces.len(), |piece, buffer| {
        let (index, start) = pieces[piece];
        let (file, meta) = (open(index)?, &small[index].1);
        if !is_same(&file.meta, meta) {
            return Err(file.changed());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(start);
        let range = start..meta.len().min(start + PIECE);
        file.read(range, buffer, known, &mut hasher)?;
        Ok(hasher.finalize_non_root())
    })?
    .into_iter();
    let hashes = small.into_iter().map(|(hash, meta)| {
        let hash = hash.unwrap_or_else(|| {
            let pieces = usize::try_from(meta.len().div_ceil(PIECE)).unwrap_or(usize::MAX);
            let pieces: Vec<ChainingValue> = values.by_ref().take(pieces).collect();
            let (left, right) = halves(meta.len(), &pieces);
            let hash = merge_subtrees_root(&left, &right, Mode::Hash);
            known.note(&meta, hash);
            hash
        });
        (hash, meta)
    });
    Ok(hashes.collect())
}

/// Whether a file or folder below `root` may have changed since then, in content, name or
/// permissions. The time is in seconds since 1970 (UTC).
///
/// # Errors
/// Something cannot be looked at.
pub fn is_touched(root: &Path, since: i64) -> Result<bool, DataError> {
    for entry in WalkDir::new(root).follow_links(true) {
        let entry = entry.map_err(|error| DataError::new(root, error))?;
        let meta = entry
            .metadata()
            .map_err(|error| DataError::new(root, error))?;
        // A link may have been pointed somewhere else.
        let link = entry.path().symlink_metadata();
        if meta.ctime() >= since || link.is_ok_and(|link| link.ctime() >= since) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does numbered work in threads, each with a read buffer; gives the results in order, or the
/// first error.
fn in_parallel<T: Send>(
    count: usize,
    work: impl Fn(usize, &mut [u8]) -> Result<T, DataError> + Sync,
) -> Result<Vec<T>, DataError> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut buffer = vec![0; BUFFER];
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break done;
            }
            let result = work(index, &mut buffer);
            if result.is_err() {
                // The others need not go on.
                next.store(count, Ordering::Relaxed);
            }
            done.push((index, result));
        }
    };
    let threads = match count {
        // Asking for the number of processors reads several files.
        0 | 1 => 1,
        _ => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .clamp(1, 8)
            .min(count),
    };
    let mut done: Vec<(usize, Result<T, DataError>)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(results) => done.extend(results),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The files below a root, in order: name in the hash, and where to read it.
pub(super) fn walk(root: &Path, content: Content) -> Result<Vec<(PathBuf, PathBuf)>, DataError> {
    let kind = std::fs::metadata(root).map_err(|error| DataError::new(root, error))?;
    if !kind.is_dir() {
        return Ok(vec![(PathBuf::new(), root.to_path_buf())]);
    }
    let belongs = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let is_made = name.ends_with(".egg-info")
            || entry.depth() == 1 && ["build", "dist"].contains(&name.as_ref());
        let is_code = !NOT_CODE.contains(&name.as_ref()) && !name.ends_with(".pyc");
        // What a root is called does not matter.
        entry.depth() == 0
            || match content {
                Content::Data => true,
                Content::Code => is_code,
                Content::Package => is_code && !is_made,
            }
    };
    let entries = WalkDir::new(root)
        .follow_links(true)
        .into_iter()
        .filter_entry(belongs);
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| DataError::new(root, error))?;
        if entry.file_type().is_dir() {
            continue;
        }
        let name = entry
            .path()
            .strip_prefix(root)
            .unwrap_or(entry.path())
            .to_path_buf();
        files.push((name, entry.into_path()));
    }
    files.sort_by(|(a, _), (b, _)| {
        a.as_os_str()
            .as_encoded_bytes()
            .cmp(b.as_os_str().as_encoded_bytes())
    });
    Ok(files)
}

/// The two subtrees under the root of `size` bytes, from the values of their pieces.
fn halves(size: u64, pieces: &[ChainingValue]) -> (ChainingValue, ChainingValue) {
    let left = left_subtree_len(size);
    let middle = usize::try_from(left / PIECE).unwrap_or(usize::MAX);
    let subtree = |size: u64, pieces: &[ChainingValue]| match pieces {
        [value] => *value,
        _ => {
            let (left, right) = halves(size, pieces);
            merge_subtrees_non_root(&left, &right, Mode::Hash)
        }
    };
    (
        subtree(left, &pieces[..middle]),
        subtree(size - left, &pieces[middle..]),
    )
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
        fingerprint(folder.path(), content, &Known::default())
            .unwrap()
            .hash
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
        let found = fingerprint(one.path(), Content::Data, &Known::default()).unwrap();
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
        let none = Known::default();
        let place = folder(&[]);
        let error = fingerprint(&place.path().join("gone"), Content::Data, &none).unwrap_err();
        assert!(error.to_string().contains("gone"));
        let _socket = std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
        let error = fingerprint(place.path(), Content::Data, &none).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("it is a special file (pipe, socket or device)"),
            "{error}"
        );
        std::fs::remove_file(place.path().join("socket")).unwrap();
        let pipe = place.path().join("pipe");
        let status = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(status.unwrap().success());
        let error = fingerprint(&pipe, Content::Data, &none).unwrap_err();
        assert!(error.to_string().ends_with("(pipe, socket or device)"));
        std::fs::remove_file(pipe).unwrap();
        std::os::unix::fs::symlink("nowhere", place.path().join("a-link")).unwrap();
        assert!(fingerprint(place.path(), Content::Data, &none).is_err());
    }

    #[test]
    fn a_large_file_has_the_hash_of_its_bytes() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("large");
        for size in [
            LARGE + 1,
            LARGE + PIECE,
            LARGE + 3 * PIECE - 1,
            2 * LARGE,
            2 * LARGE + 1025,
        ] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 1021 + at % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let known = Known::default();
            let hashed = hash_files(1, |_| Opened::new(&path), &known).unwrap();
            assert_eq!(hashed[0].0, blake3::hash(&bytes), "{size} bytes");
            assert_eq!(known.bytes(), size);
        }
    }

    #[test]
    fn a_fingerprint_never_changes() {
        let known = folder(&[("b.csv", "2"), ("a/x.csv", "1")]);
        assert_eq!(
            hash(&known, Content::Data),
            "b3:6928b881303a36d0eda15231e8b597405f5f538a7569ef9741456f7e1116e04c"
        );
    }
}
