//! Files out of a container.

use std::io::{self, Read};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use tar::EntryType;
use tokio::sync::mpsc;

use super::problem;
use crate::destination::results;
use crate::destination::unpack::Unpacked;
use crate::error::{IoContext as _, Result};

/// Pieces that are ready while the disk is busy.
const DEPTH: usize = 8;

/// A download of which nothing comes for so long is given up.
const STALL: Duration = Duration::from_secs(300);

/// Most of an archive that is read to find a failure file of 1024 characters.
const FAILURE_BYTES: usize = 16 * 1024;

/// Unpacks what lies in a folder of a container; what is there already stays.
pub(super) async fn unpack(
    mut to: Unpacked,
    docker: Docker,
    container: String,
    path: String,
) -> Result<Unpacked> {
    let what = format!("cannot bring `{path}` out of the job's container");
    let (sender, receiver) = mpsc::channel(DEPTH);
    let unpacking = tokio::task::spawn_blocking(move || {
        let done = to.unpack(Chunks::new(receiver));
        (to, done)
    });
    let options = DownloadFromContainerOptionsBuilder::new()
        .path(&path)
        .build();
    let mut stream = std::pin::pin!(docker.download_from_container(&container, Some(options)));
    let ended = loop {
        let Ok(next) = tokio::time::timeout(STALL, stream.next()).await else {
            break Err(EngineError::RequestTimeoutError);
        };
        match next {
            None => break Ok(()),
            Some(Ok(piece)) => {
                if sender.send(piece).await.is_err() {
                    // The archive has ended, or cannot be unpacked.
                    break Ok(());
                }
            }
            Some(Err(error)) => break Err(error),
        }
    };
    drop(sender);
    let (unpacked, done) = unpacking.await.doing(|| what.clone())?;
    match ended {
        // A job may have removed its own folders.
        Err(error) if is_no_folder(&error) => Ok(unpacked),
        Err(error) => Err(problem::engine(&what, &error)),
        Ok(()) => done.map(|()| unpacked),
    }
}

/// Whether a container has no such folder, though it is there itself.
fn is_no_folder(error: &EngineError) -> bool {
    problem::is_absent(error) && !error.to_string().contains("No such container")
}

/// The start of a job's failure file; empty when there is none.
pub(super) async fn failure(docker: &Docker, container: &str, path: &str) -> Result<String> {
    let options = DownloadFromContainerOptionsBuilder::new()
        .path(path)
        .build();
    let mut stream = std::pin::pin!(docker.download_from_container(container, Some(options)));
    let mut start = Vec::new();
    let what = "cannot read the job's failure file";
    while start.len() < FAILURE_BYTES {
        match tokio::time::timeout(STALL, stream.next()).await {
            Err(_) => return Err(problem::engine(what, &EngineError::RequestTimeoutError)),
            Ok(None) => break,
            Ok(Some(Ok(piece))) => start.extend_from_slice(&piece),
            Ok(Some(Err(error))) if problem::is_absent(&error) => return Ok(String::new()),
            Ok(Some(Err(error))) => return Err(problem::engine(what, &error)),
        }
    }
    let mut archive = tar::Archive::new(&*start);
    let Ok(mut entries) = archive.entries() else {
        return Ok(String::new());
    };
    Ok(match entries.next() {
        Some(Ok(file)) if file.header().entry_type() == EntryType::Regular => {
            results::failure_text(file)
        }
        _ => String::new(),
    })
}

/// A reader of the pieces of a response.
struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Chunks {
    fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self {
            receiver,
            current: Bytes::new(),
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
