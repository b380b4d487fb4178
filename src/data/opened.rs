//! Files that are read, and whether they are still what they were.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::fingerprint::DataError;
use super::known::Known;

/// A regular file that is being read.
pub(crate) struct Opened<'p> {
    path: &'p Path,
    file: File,
    pub(super) meta: Metadata,
}

impl<'p> Opened<'p> {
    pub(crate) fn new(path: &'p Path) -> Result<Self, DataError> {
        let special = || DataError::new(path, "it is a special file (pipe, socket or device)");
        // NOTE: without O_NONBLOCK, opening a pipe waits for somebody to write to it.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(|error| match Errno::from_io_error(&error) {
                Some(Errno::NXIO) => special(),
                _ => DataError::new(path, error),
            })?;
        let opened = Self::from_file(path, file)?;
        match opened.meta.is_file() {
            true => Ok(opened),
            false => Err(special()),
        }
    }

    /// A file that was opened another way.
    pub(crate) fn from_file(path: &'p Path, file: File) -> Result<Self, DataError> {
        match file.metadata() {
            Ok(meta) => Ok(Self { path, file, meta }),
            Err(error) => Err(DataError::new(path, error)),
        }
    }

    pub(crate) fn meta(&self) -> &Metadata {
        &self.meta
    }

    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// Hands a range to the hasher; the file must be the same after that.
    pub(super) fn read(
        &self,
        range: Range<u64>,
        buffer: &mut [u8],
        known: &Known,
        hasher: &mut blake3::Hasher,
    ) -> Result<(), DataError> {
        let mut at = range.start;
        while at < range.end {
            let most =
                usize::try_from(range.end - at).map_or(buffer.len(), |left| left.min(buffer.len()));
            match self.file.read_at(&mut buffer[..most], at) {
                Ok(0) => return Err(self.changed()),
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    known.add(read);
                    at += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(DataError::new(self.path, error)),
            }
        }
        match self.file.metadata() {
            Ok(after) if is_same(&self.meta, &after) => Ok(()),
            Ok(_) => Err(self.changed()),
            Err(error) => Err(DataError::new(self.path, error)),
        }
    }

    pub(crate) fn changed(&self) -> DataError {
        DataError::changed(self.path)
    }
}

/// Whether a file is the one that was seen before, with the content that it had.
pub(super) fn is_same(before: &Metadata, now: &Metadata) -> bool {
    Seen::from(before) == Seen::from(now)
}

/// What must be the same for a file to be the one that was read. Its owner, its permissions and
/// the number of its names may be others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Seen {
    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

impl From<&Metadata> for Seen {
    fn from(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}
