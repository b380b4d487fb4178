//! The file that a job's output goes to, read as it grows.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::PollError;
use crate::error::{IoContext as _, Result};

/// Most that one call hands out, in bytes.
const CHUNK: u64 = 1024 * 1024;

/// A job's log, from where it ended when it was opened.
#[derive(Debug)]
pub(super) struct JobLog {
    path: PathBuf,
    read: u64,
}

impl JobLog {
    /// The log of a run's record; what is in it already belongs to the jobs before.
    pub(super) fn of(run: &Path) -> Self {
        let path = run.join(crate::record::LOG);
        let read = path.metadata().map_or(0, |meta| meta.len());
        Self { path, read }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, for a job that writes to its end.
    pub(super) fn appended(&self) -> Result<File> {
        let opened = File::options().create(true).append(true).open(&self.path);
        opened.doing(|| format!("cannot write `{}`", self.path.display()))
    }

    /// Bytes that appeared since the last call.
    pub(super) fn more(&mut self) -> std::result::Result<Vec<u8>, PollError> {
        let mut read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.read))?;
            let mut bytes = Vec::new();
            self.read += file.take(CHUNK).read_to_end(&mut bytes)? as u64;
            Ok(bytes)
        };
        read().map_err(|error| PollError::Transient(error.to_string()))
    }
}
