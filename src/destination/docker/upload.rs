//! Files into a container: a deterministic tar that is made while the engine reads it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt as _;
use indexmap::IndexMap;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use walkdir::WalkDir;

use super::plan::BASE;
use super::problem;
use crate::error::{Error, ExitCode, Result};

/// Bytes of one piece of the stream.
const CHUNK: usize = 256 * 1024;

/// Pieces that are ready while the engine is busy.
const DEPTH: usize = 4;

/// An upload of which the engine takes nothing for so long is given up.
const STALL: Duration = Duration::from_secs(300);

/// The time of every file, 1980-01-02: the first day that zip archives can hold in every time
/// zone, as programs that pack their data find out.
const TIME: u64 = 315_619_200;

/// Folders of every job, and whether anybody may write them: the image's user is not known.
const FOLDERS: &[(&str, u32)] = &[
    ("input", 0o755),
    ("input/config", 0o755),
    ("input/data", 0o755),
    ("model", 0o777),
    ("output", 0o777),
    ("output/data", 0o777),
    ("checkpoints", 0o777),
];

/// What one host gets, below `/opt/ml`.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Content of small files by name.
    pub(super) files: IndexMap<String, String>,
    /// Data channels.
    pub(super) inputs: IndexMap<String, PathBuf>,
}

/// Sends a parcel to a container that has not started.
pub(super) async fn send(docker: Docker, container: String, parcel: Parcel) -> Result<()> {
    let what = "cannot send the job's files to its container";
    let (sender, receiver) = mpsc::channel(DEPTH);
    let packing = tokio::task::spawn_blocking(move || parcel.write(Chunks::new(sender)));
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let body = ReceiverStream::new(receiver).inspect(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let options = UploadToContainerOptionsBuilder::new().path(BASE).build();
    // NOTE: the engine answers after the last byte; how long that takes is for `stalled` to judge.
    let patient = docker.with_timeout(Duration::from_secs(7 * 86_400));
    let upload =
        patient.upload_to_container(&container, Some(options), bollard::body_try_stream(body));
    let uploaded = tokio::select! {
        uploaded = upload => uploaded,
        () = stalled(&taken) => {
            return Err(problem::engine(what, &EngineError::RequestTimeoutError));
        }
    };
    let packed = packing.await;
    match (packed, uploaded) {
        (Ok(Err(Failed::Source(error))), _) => Err(*error),
        (_, Err(error)) => Err(problem::engine(what, &error)),
        (Ok(Ok(())), Ok(())) => Ok(()),
        (Ok(Err(Failed::Unwanted)) | Err(_), Ok(())) => {
            Err(Error::new(ExitCode::Internal, what).because("the engine did not read all of it"))
        }
    }
}

/// Returns when nothing has been taken for too long.
async fn stalled(taken: &AtomicU64) {
    let mut before = None;
    loop {
        let now = taken.load(Ordering::Relaxed);
        if before == Some(now) {
            return;
        }
        before = Some(now);
        tokio::time::sleep(STALL).await;
    }
}

#[derive(Debug)]
enum Failed {
    /// Nobody takes the bytes any more.
    Unwanted,
    /// Something cannot be read.
    Source(Box<Error>),
}

impl From<io::Error> for Failed {
    fn from(_: io::Error) -> Self {
        Self::Unwanted
    }
}

impl Parcel {
    fn write(&self, chunks: Chunks) -> Result<(), Failed> {
        let mut tar = tar::Builder::new(chunks);
        let written = self.entries(&mut tar);
        if matches!(written, Err(Failed::Source(_))) {
            tar.get_mut().abort();
            return written;
        }
        written?;
        let mut chunks = tar.into_inner()?;
        Ok(chunks.flush()?)
    }

    fn entries(&self, tar: &mut tar::Builder<Chunks>) -> Result<(), Failed> {
        for (name, mode) in FOLDERS {
            append(tar, Path::new(name), tar::EntryType::Directory, *mode, 0)?;
        }
        for (name, content) in &self.files {
            let name = Path::new(name);
            append(
                tar,
                name,
                tar::EntryType::Regular,
                0o644,
                content.len() as u64,
            )?;
            tar.get_mut().write_all(content.as_bytes())?;
            tar.get_mut().pad(content.len() as u64)?;
        }
        for (channel, source) in &self.inputs {
            self.channel(tar, &Path::new("input/data").join(channel), source)?;
        }
        Ok(())
    }

    /// A channel's folder; links are followed, as data caches link files.
    fn channel(
        &self,
        tar: &mut tar::Builder<Chunks>,
        to: &Path,
        source: &Path,
    ) -> Result<(), Failed> {
        append(tar, to, tar::EntryType::Directory, 0o755, 0)?;
        if source.is_file() {
            return file(
                tar,
                &to.join(source.file_name().unwrap_or_default()),
                source,
            );
        }
        let entries = WalkDir::new(source)
            .follow_links(true)
            .min_depth(1)
            .sort_by_file_name();
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(source, error))?;
            let path = entry.path();
            let name = to.join(path.strip_prefix(source).unwrap_or(path));
            match entry.file_type() {
                kind if kind.is_dir() => {
                    append(tar, &name, tar::EntryType::Directory, 0o755, 0)?;
                }
                kind if kind.is_file() => file(tar, &name, path)?,
                _ => return Err(unreadable(path, "it is neither a file nor a folder")),
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, cause: impl std::fmt::Display) -> Failed {
    let error = Error::new(ExitCode::Data, format!("cannot read `{}`", path.display()));
    Failed::Source(Box::new(error.because(cause)))
}

fn file(tar: &mut tar::Builder<Chunks>, name: &Path, path: &Path) -> Result<(), Failed> {
    let unreadable = |cause: io::Error| unreadable(path, cause);
    let mut file = File::open(path).map_err(unreadable)?;
    let before = file.metadata().map_err(unreadable)?;
    let mode = match before.permissions().mode() & 0o111 {
        0 => 0o644,
        _ => 0o755,
    };
    append(tar, name, tar::EntryType::Regular, mode, before.len())?;
    let chunks = tar.get_mut();
    let mut left = before.len();
    while left > 0 {
        let room = chunks.room()?;
        let wanted = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = match file.read(&mut room[..wanted]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        chunks.filled += read;
        left -= read as u64;
    }
    let after = file.metadata().map_err(unreadable)?;
    if left > 0 || after.len() != before.len() || after.modified().ok() != before.modified().ok() {
        let changed = format!("`{}` changed while it was sent to the job", path.display());
        let error = Error::new(ExitCode::Data, changed).hint("run again once nothing writes to it");
        return Err(Failed::Source(Box::new(error)));
    }
    Ok(chunks.pad(before.len())?)
}

/// A header; as many bytes as it says must follow.
fn append(
    tar: &mut tar::Builder<Chunks>,
    name: &Path,
    kind: tar::EntryType,
    mode: u32,
    size: u64,
) -> Result<(), Failed> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(TIME);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, io::empty())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failed::Unwanted,
            _ => unreadable(name, error),
        })
}

/// A writer whose pieces go to the body of a request.
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Chunks {
    fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            sender,
            buffer: vec![0; CHUNK],
            filled: 0,
        }
    }

    /// Room to write to; `filled` says afterwards how much of it was used.
    fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.filled == self.buffer.len() {
            self.flush()?;
        }
        Ok(&mut self.buffer[self.filled..])
    }

    /// Fills the last block of an entry.
    fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = (size % 512) as usize;
        match rest {
            0 => Ok(()),
            _ => self.write_all(&[0; 512][rest..]),
        }
    }

    /// Ends the request without its end.
    fn abort(&mut self) {
        // NOTE: a request that is gone already is as good.
        let _ = self
            .sender
            .blocking_send(Err(io::Error::other("a file of the job cannot be sent")));
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room()?;
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        let mut full = std::mem::replace(&mut self.buffer, vec![0; CHUNK]);
        full.truncate(self.filled);
        self.filled = 0;
        self.sender
            .blocking_send(Ok(Bytes::from(full)))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(parcel: Parcel) -> (Vec<u8>, Result<(), Failed>) {
        let (sender, mut receiver) = mpsc::channel(DEPTH);
        let packing = std::thread::spawn(move || parcel.write(Chunks::new(sender)));
        let mut bytes = Vec::new();
        while let Some(piece) = receiver.blocking_recv() {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(_) => break,
            }
        }
        (bytes, packing.join().unwrap())
    }

    fn parcel(source: &Path) -> Parcel {
        Parcel {
            files: IndexMap::from([("input/config/a.json".to_owned(), "{}".to_owned())]),
            inputs: IndexMap::from([("train".to_owned(), source.to_path_buf())]),
        }
    }

    #[test]
    fn the_archive_is_whole_and_the_same_each_time() {
        let place = tempfile::tempdir().unwrap();
        let long = "long-name-".repeat(20);
        std::fs::create_dir_all(place.path().join("sub/empty")).unwrap();
        let sizes = [0, 1, 511, 512, 513, CHUNK - 1, CHUNK, 3 * CHUNK + 7];
        for size in sizes {
            std::fs::write(place.path().join(format!("sub/{size}")), vec![7; size]).unwrap();
        }
        std::fs::write(place.path().join(&long), "x").unwrap();
        std::os::unix::fs::symlink("sub/511", place.path().join("link")).unwrap();
        let (bytes, done) = packed(parcel(place.path()));
        assert!(done.is_ok());
        assert_eq!(packed(parcel(place.path())).0, bytes);
        let mut seen = IndexMap::new();
        let mut archive = tar::Archive::new(&*bytes);
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            seen.insert(name, content.len());
        }
        for size in sizes {
            assert_eq!(seen[&format!("input/data/train/sub/{size}")], size);
        }
        assert_eq!(seen["input/data/train/link"], 511);
        assert_eq!(seen[&format!("input/data/train/{long}")], 1);
        assert!(seen.contains_key("input/data/train/sub/empty"));
        assert_eq!(seen["input/config/a.json"], 2);
    }

    #[test]
    fn loops_and_special_files_are_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(".", place.path().join("loop")).unwrap();
        let (_, done) = packed(parcel(place.path()));
        let Err(Failed::Source(error)) = done else {
            panic!("{done:?}");
        };
        assert!(error.to_string().contains("loop"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Data);
    }
}
