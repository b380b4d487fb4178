//! Hashes of large files that were read before. A file of which size, times and inode say that it
//! is the same is not read again; a dry run of a hundred gigabytes takes milliseconds then.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::Stat;

use crate::atomic;

/// Smaller files are read as fast as they are looked up.
const LEAST: u64 = 1024 * 1024;

/// A file that changed so few seconds ago may change again within one tick of its clock.
const UNSETTLED: i64 = 2;

/// What must be the same for a file to be the same. The time of the last change of the inode
/// cannot be set by a program, so a file that was written to is never taken for the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Inode {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Inode {
    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// In nanoseconds since 1970.
    pub(crate) fn modified_nanoseconds(&self) -> i64 {
        let (seconds, nanoseconds) = self.modified;
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(nanoseconds)
    }
}

impl From<&Metadata> for Inode {
    fn from(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl From<&Stat> for Inode {
    #[allow(
        clippy::unnecessary_fallible_conversions,
        clippy::useless_conversion,
        reason = "the types of these fields differ from system to system"
    )]
    fn from(stat: &Stat) -> Self {
        let nanoseconds = |value| i64::try_from(value).unwrap_or_default();
        Self {
            device: u64::try_from(stat.st_dev).unwrap_or_default(),
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }
}

/// The files of one project, as far as they were read.
#[derive(Debug, Default)]
pub struct Known {
    file: PathBuf,
    /// Seconds since 1970, before the first file was opened.
    now: i64,
    before: HashMap<Inode, blake3::Hash>,
    seen: Mutex<HashMap<Inode, blake3::Hash>>,
    read: AtomicU64,
}

impl Known {
    /// What is known of a project, now; nothing when it was never read.
    #[must_use]
    pub fn load(cache: &Path, project: &Path, now: i64) -> Self {
        let name = blake3::hash(project.as_os_str().as_encoded_bytes()).to_hex();
        let file = cache.join("hashes").join(&name[..16]);
        let before = std::fs::read(&file)
            .ok()
            .and_then(|bytes| decode(&bytes))
            .unwrap_or_default();
        Self {
            file,
            now,
            before,
            ..Self::default()
        }
    }

    /// The hash of a file that is still the same.
    pub(super) fn get(&self, meta: &Metadata) -> Option<blake3::Hash> {
        let inode = Inode::from(meta);
        let hash = *self.before.get(&inode)?;
        self.note(meta, hash);
        Some(hash)
    }

    /// Remembers the hash of a file that was read, if it is large.
    pub(super) fn note(&self, meta: &Metadata, hash: blake3::Hash) {
        if meta.len() >= LEAST {
            self.note_any(meta.into(), hash);
        }
    }

    /// The hash of a file of any size that is still the same.
    pub(crate) fn get_any(&self, inode: &Inode) -> Option<blake3::Hash> {
        let hash = *self.before.get(inode)?;
        self.note_any(*inode, hash);
        Some(hash)
    }

    /// Remembers the hash of a file of any size that was read.
    pub(crate) fn note_any(&self, inode: Inode, hash: blake3::Hash) {
        if inode.changed.0 < self.now - UNSETTLED {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(inode, hash);
        }
    }

    /// Counts bytes that were read.
    pub(super) fn add(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The bytes read so far, for those who watch.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Keeps what was seen for the next time, and forgets the rest.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn save(self) -> io::Result<()> {
        let seen = self
            .seen
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if seen == self.before {
            return Ok(());
        }
        std::fs::create_dir_all(atomic::folder_of(&self.file))?;
        atomic::write(&self.file, encode(&seen))
    }
}

/// What the file starts with; another version of it is not read.
const FORMAT: &[u8] = b"mlaction hashes 2\n";

/// Bytes of one number, and of one file: seven numbers and its hash.
const NUMBER: usize = size_of::<u64>();
const RECORD: usize = 7 * NUMBER + blake3::OUT_LEN;

/// Tens of thousands of files are read and written in milliseconds; the last bytes are the hash
/// of the others.
fn encode(files: &HashMap<Inode, blake3::Hash>) -> Vec<u8> {
    let mut bytes = FORMAT.to_vec();
    bytes.reserve(files.len() * RECORD + blake3::OUT_LEN);
    for (inode, hash) in files {
        let Inode {
            device,
            inode,
            size,
            modified,
            changed,
        } = *inode;
        for number in [device, inode, size] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [modified.0, modified.1, changed.0, changed.1] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(hash.as_bytes());
    }
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    bytes
}

/// Nothing when the file was cut off, or something else wrote it.
fn decode(bytes: &[u8]) -> Option<HashMap<Inode, blake3::Hash>> {
    let (content, hash) = bytes.split_last_chunk::<{ blake3::OUT_LEN }>()?;
    if blake3::hash(content) != *hash {
        return None;
    }
    let (records, rest) = content.strip_prefix(FORMAT)?.as_chunks::<RECORD>();
    if !rest.is_empty() {
        return None;
    }
    let record = |record: &[u8; RECORD]| {
        let (numbers, hash) = record.split_last_chunk::<{ blake3::OUT_LEN }>()?;
        let [device, inode, size, modified @ .., seconds, nanoseconds] =
            numbers.as_chunks::<NUMBER>().0
        else {
            return None;
        };
        let [modified_seconds, modified_nanoseconds] = modified else {
            return None;
        };
        let inode = Inode {
            device: u64::from_le_bytes(*device),
            inode: u64::from_le_bytes(*inode),
            size: u64::from_le_bytes(*size),
            modified: (
                i64::from_le_bytes(*modified_seconds),
                i64::from_le_bytes(*modified_nanoseconds),
            ),
            changed: (
                i64::from_le_bytes(*seconds),
                i64::from_le_bytes(*nanoseconds),
            ),
        };
        Some((inode, blake3::Hash::from_bytes(*hash)))
    };
    records.iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fingerprint::{Content, fingerprint};

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_not() {
        let inode = Inode {
            device: 1,
            inode: 2,
            size: 3,
            modified: (-4, 5),
            changed: (6, 7),
        };
        let files = HashMap::from([(inode, blake3::hash(b"x"))]);
        let mut bytes = encode(&files);
        assert_eq!(decode(&bytes), Some(files));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        bytes[FORMAT.len()] ^= 1;
        assert_eq!(decode(&bytes), None);
    }

    #[test]
    fn a_large_file_is_read_again_when_it_changed_and_only_then() {
        let place = tempfile::tempdir().unwrap();
        let (data, cache) = (place.path().join("data"), place.path().join("cache"));
        std::fs::create_dir(&data).unwrap();
        let large = data.join("large");
        std::fs::write(&large, vec![1; LEAST as usize]).unwrap();
        std::fs::write(data.join("small"), "2").unwrap();
        let changed = large.metadata().unwrap().ctime();
        let look = |now| {
            let known = Known::load(&cache, &data, now);
            let hash = fingerprint(&data, Content::Data, &known).unwrap().hash;
            let read = known.bytes();
            known.save().unwrap();
            (hash, read)
        };

        let (hash, read) = look(changed + UNSETTLED);
        assert_eq!(read, LEAST + 1);
        assert_eq!(
            look(changed + 100),
            (hash.clone(), LEAST + 1),
            "it was not settled"
        );
        assert_eq!(look(changed + 100), (hash.clone(), 1));

        let modified = large.metadata().unwrap().modified().unwrap();
        std::fs::write(&large, vec![3; LEAST as usize]).unwrap();
        std::fs::File::open(&large)
            .unwrap()
            .set_modified(modified)
            .unwrap();
        let (other, read) = look(changed + 100);
        assert_ne!(other, hash);
        assert_eq!(read, LEAST + 1);

        std::fs::write(
            cache
                .join("hashes")
                .read_dir()
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
                .path(),
            "[[",
        )
        .unwrap();
        assert_eq!(
            look(changed + 100),
            (other, LEAST + 1),
            "a broken cache is no cache"
        );
    }
}
