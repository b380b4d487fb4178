//! Local files on their way to S3: nothing is sent that is not what was fingerprinted.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::CHUNK;
use crate::data::fingerprint::DataError;
use crate::data::opened::{Opened, Seen};

/// A file that was fingerprinted and is open.
#[derive(Clone)]
pub(super) struct Source {
    path: Arc<Path>,
    file: Arc<File>,
    seen: Seen,
}

/// A range of a file, read once, that is the content which was fingerprinted.
pub(super) struct Piece {
    source: Source,
    range: Range<u64>,
    /// CRC64NVME. S3 computes it too, and refuses other bytes.
    pub(super) crc: u64,
    /// All of a short one.
    held: Option<Bytes>,
}

/// Counts the bytes that are on their way. Those of an attempt that failed do not count, nor those
/// of a meter that is dropped before they are kept.
pub(super) struct Meter {
    total: Arc<AtomicU64>,
    own: AtomicU64,
}

impl Source {
    pub(super) async fn open(path: PathBuf, seen: Seen) -> Result<Self, DataError> {
        blocking(path.clone(), move || {
            let opened = Opened::new(&path)?;
            if Seen::from(opened.meta()) != seen {
                return Err(opened.changed());
            }
            let file = Arc::new(opened.into_file());
            Ok(Self {
                path: path.into(),
                file,
                seen,
            })
        })
        .await
    }

    pub(super) fn size(&self) -> u64 {
        self.seen.size()
    }

    /// Reads a range for its checksum. It will be read again when it is sent, from memory most
    /// likely, and S3 refuses it when it is something else by then.
    pub(super) async fn piece(&self, range: Range<u64>) -> Result<Piece, DataError> {
        let source = self.clone();
        blocking(self.path.to_path_buf(), move || {
            let mut crc = Digest::new(CrcAlgorithm::Crc64Nvme);
            let mut buffer = vec![0; length(&range)];
            let mut at = range.start;
            while at < range.end {
                let part = length(&(at..range.end));
                source
                    .file
                    .read_exact_at(&mut buffer[..part], at)
                    .map_err(|error| match error.kind() {
                        ErrorKind::UnexpectedEof => DataError::changed(&source.path),
                        _ => DataError::new(&source.path, error),
                    })?;
                crc.update(&buffer[..part]);
                at += part as u64;
            }
            source.unchanged()?;
            Ok(Piece {
                held: (buffer.len() as u64 == range.end - range.start).then(|| buffer.into()),
                source,
                range,
                crc: crc.finalize(),
            })
        })
        .await
    }

    /// It is the same file still.
    pub(super) fn unchanged(&self) -> Result<(), DataError> {
        match self.file.metadata() {
            Ok(meta) if Seen::from(&meta) == self.seen => Ok(()),
            Ok(_) => Err(DataError::changed(&self.path)),
            Err(error) => Err(DataError::new(&self.path, error)),
        }
    }
}

impl Piece {
    pub(super) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The bytes as the body of a request, which can be sent several times.
    pub(super) fn body(&self, meter: &Arc<Meter>) -> ByteStream {
        if let Some(bytes) = &self.held {
            return ByteStream::from(bytes.clone());
        }
        let (file, range, meter) = (self.source.file.clone(), self.range.clone(), meter.clone());
        ByteStream::new(SdkBody::retryable(move || {
            SdkBody::from_body_1_x(Streamed {
                file: file.clone(),
                range: range.clone(),
                start: range.start,
                reading: None,
                meter: meter.clone(),
            })
        }))
    }
}

impl Meter {
    pub(super) fn new(total: &Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            total: total.clone(),
            own: AtomicU64::new(0),
        })
    }

    fn add(&self, bytes: u64) {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    fn restart(&self) {
        let own = self.own.swap(0, Ordering::Relaxed);
        self.total.fetch_sub(own, Ordering::Relaxed);
    }

    /// They arrived.
    pub(super) fn finish(&self, bytes: u64) {
        self.restart();
        self.add(bytes);
    }

    /// They are part of an object.
    pub(super) fn keep(&self) {
        self.own.store(0, Ordering::Relaxed);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.restart();
    }
}

/// A range that is read while it is sent.
struct Streamed {
    file: Arc<File>,
    /// What is left.
    range: Range<u64>,
    start: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    meter: Arc<Meter>,
}

impl Streamed {
    fn read_on(&mut self) {
        let (file, range) = (self.file.clone(), self.range.clone());
        let read = move || {
            let mut bytes = vec![0; length(&range)];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(bytes.into())
        };
        self.reading = (!self.range.is_empty()).then(|| spawn_blocking(read));
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.reading.is_none() {
            if self.range.is_empty() {
                return Poll::Ready(None);
            }
            if self.range.start == self.start {
                self.meter.restart();
            }
            self.read_on();
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(None);
        };
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let bytes = read.map_err(io::Error::other).flatten()?;
        self.range.start += bytes.len() as u64;
        self.meter.add(bytes.len() as u64);
        // The disk works while the network does.
        self.read_on();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.range.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.range.end - self.range.start)
    }
}

/// What is read of a range at once.
fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).map_or(CHUNK, |left| left.min(CHUNK))
}

async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> Result<T, DataError> + Send + 'static,
) -> Result<T, DataError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(DataError::new(&path, error)))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn bytes_of_an_attempt_that_failed_do_not_count() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("large");
        let content: Vec<u8> = (0..3 * CHUNK + 7).map(|at| (at / 255) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let seen = Seen::from(&path.metadata().unwrap());
        let source = Source::open(path, seen).await.unwrap();
        let piece = source.piece(1..source.size()).await.unwrap();
        assert_eq!(piece.crc, crc_fast::crc64_nvme(&content[1..]));
        let total = Arc::new(AtomicU64::new(5));
        let meter = Meter::new(&total);
        let mut first = piece.body(&meter).into_inner();
        let second = first.try_clone().unwrap();
        first.frame().await.unwrap().unwrap();
        assert_eq!(total.load(Ordering::Relaxed), 5 + CHUNK as u64);
        let sent = second.collect().await.unwrap().to_bytes();
        assert_eq!(sent, content[1..]);
        assert_eq!(total.load(Ordering::Relaxed), 5 + piece.len());
        drop((first, meter));
        drop(piece);
        assert_eq!(total.load(Ordering::Relaxed), 5);
    }
}
