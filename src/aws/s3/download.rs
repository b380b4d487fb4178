//! One object as a stream: read while it arrives, so that a large one needs neither memory nor disk.

use std::io::{self, Read};

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use bytes::{Buf as _, Bytes};
use crc_fast::{CrcAlgorithm, Digest};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::objects::{code, pause};
use super::{ATTEMPTS, Bucket, CHUNK, written};
use crate::error::{Error, ExitCode, IoContext as _, Result, chain};

/// A connection that brought so much before it broke was good: the count of attempts begins again.
const GOOD: u64 = 1024 * 1024;

/// How often an object is fetched that arrives damaged each time.
const DAMAGED: u32 = 3;

/// Pieces that are ready while the reader is busy.
const DEPTH: usize = 8;

/// What the first answer says about the object.
struct Promise {
    etag: String,
    size: u64,
    crc: Option<String>,
}

/// What has arrived.
struct Arrived {
    to: mpsc::Sender<io::Result<Bytes>>,
    bytes: u64,
    crc: Digest,
}

/// Why a body ended early.
enum Broken {
    Connection(String),
    /// The reader has what it wants.
    Unwanted,
}

/// An object that arrives, for a thread that may wait.
#[derive(Debug)]
pub struct Incoming {
    from: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Bucket {
    /// Hands an object of a size to `read`, on a thread of its own, while it arrives. After a broken
    /// connection the rest is fetched. Once `read` has ended, nothing more is fetched; when it read
    /// to the end, what arrived has the checksum of the whole object that S3 has. S3 has none of
    /// objects that were sent in parts with an older algorithm. What arrives damaged is fetched
    /// anew, for `read` to begin anew.
    ///
    /// # Errors
    /// There is no such object, or it changes meanwhile; what arrives is damaged; AWS refuses, or
    /// does not answer; what `read` says.
    pub async fn stream<T: Send + 'static>(
        &self,
        key: &str,
        size: u64,
        read: impl Fn(Incoming) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            match self.whole(key, size, read.clone()).await? {
                Ok(read) => return Ok(read),
                Err(error) if attempt == DAMAGED => return Err(error),
                Err(_) => pause(&mut attempt).await,
            }
        }
    }

    /// One download; the inner error is that of damage.
    async fn whole<T: Send + 'static>(
        &self,
        key: &str,
        size: u64,
        read: impl FnOnce(Incoming) -> Result<T> + Send + 'static,
    ) -> Result<Result<T>> {
        let what = format!("download `{}`", self.uri(key));
        let answer = self.get(&what, key, None).await?;
        if Promise::of(&answer).size != size {
            return Ok(Err(damaged(&what, "its size is another one")));
        }
        let (to, from) = mpsc::channel(DEPTH);
        let incoming = Incoming {
            from,
            current: Bytes::new(),
        };
        let reading = spawn_blocking(move || read(incoming));
        let arrived = Arrived {
            to: to.clone(),
            bytes: 0,
            crc: Digest::new(CrcAlgorithm::Crc64Nvme),
        };
        let poured = self.pour(&what, key, answer, arrived).await;
        if !matches!(poured, Ok(Ok(()))) {
            // NOTE: a reader that is gone needs no word.
            let _ = to.send(Err(io::Error::other("the download broke"))).await;
        }
        drop(to);
        let read = reading.await.doing(|| format!("cannot {what}"))?;
        match poured? {
            Ok(()) => read.map(Ok),
            Err(damage) => Ok(Err(damage)),
        }
    }

    /// Hands on what arrives; the inner error is that of damage.
    async fn pour(
        &self,
        what: &str,
        key: &str,
        answer: GetObjectOutput,
        mut arrived: Arrived,
    ) -> Result<Result<()>> {
        let promise = Promise::of(&answer);
        let mut body = answer.body;
        let mut attempt = 1;
        loop {
            let before = arrived.bytes;
            let cause = match arrived.take(body).await {
                Ok(()) if arrived.bytes == promise.size => break,
                Err(Broken::Unwanted) => return Ok(Ok(())),
                Err(Broken::Connection(cause)) if arrived.bytes >= promise.size => {
                    return Ok(Err(damaged(what, &cause)));
                }
                Ok(()) => "the body ended early".to_owned(),
                Err(Broken::Connection(cause)) => cause,
            };
            if arrived.bytes - before >= GOOD {
                attempt = 1;
            }
            if attempt == ATTEMPTS {
                return Err(self.broken(what, &cause));
            }
            pause(&mut attempt).await;
            let rest = Some((arrived.bytes, promise.etag.as_str()));
            body = self.get(what, key, rest).await?.body;
        }
        let crc = written(arrived.crc.finalize());
        match promise.crc {
            Some(promised) if promised != crc => {
                Ok(Err(damaged(what, "its checksum is another one")))
            }
            _ => Ok(Ok(())),
        }
    }

    /// The object, or what comes from a byte on, if it is the same object still.
    async fn get(
        &self,
        what: &str,
        key: &str,
        rest: Option<(u64, &str)>,
    ) -> Result<GetObjectOutput> {
        let call = self.sdk.get_object().bucket(&self.name).key(key);
        let call = call.checksum_mode(ChecksumMode::Enabled);
        let call = match rest {
            Some((from, etag)) => call.range(format!("bytes={from}-")).if_match(etag),
            None => call,
        };
        let failed = |why: &str| Error::new(ExitCode::Data, format!("cannot {what}: {why}"));
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(match code(&error) {
                    Some("NoSuchKey") => failed("there is no such object"),
                    Some("PreconditionFailed") => failed("it changed meanwhile").hint("run again"),
                    _ => self.failed(what, "s3:GetObject", Some(key), &error),
                });
            }
        };
        if let Some((from, _)) = rest {
            let range = answer.content_range().unwrap_or_default();
            if !range.starts_with(&format!("bytes {from}-")) {
                return Err(failed("S3 sent another part than was asked for"));
            }
        }
        Ok(answer)
    }
}

impl Promise {
    fn of(answer: &GetObjectOutput) -> Self {
        let is_whole = answer.checksum_type() != Some(&ChecksumType::Composite);
        let crc = answer.checksum_crc64_nvme().filter(|_| is_whole);
        Self {
            etag: answer.e_tag().unwrap_or_default().to_owned(),
            size: answer
                .content_length()
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or_default(),
            crc: crc.map(str::to_owned),
        }
    }
}

impl Arrived {
    /// Hands a body on, as far as it comes.
    async fn take(&mut self, mut body: ByteStream) -> Result<(), Broken> {
        let mut held = Vec::with_capacity(CHUNK);
        loop {
            let next = body.next().await;
            if let Some(Ok(bytes)) = &next {
                held.extend_from_slice(bytes);
                if held.len() < CHUNK {
                    continue;
                }
            }
            self.crc.update(&held);
            self.bytes += held.len() as u64;
            if !held.is_empty() {
                let piece = std::mem::replace(&mut held, Vec::with_capacity(CHUNK));
                let sent = self.to.send(Ok(Bytes::from(piece))).await;
                sent.map_err(|_| Broken::Unwanted)?;
            }
            match next {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Broken::Connection(chain(&error))),
                None => return Ok(()),
            }
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

fn damaged(what: &str, cause: &str) -> Error {
    Error::new(
        ExitCode::Data,
        format!("cannot {what}: what arrived is not what S3 has"),
    )
    .because(cause)
    .hint("run again; when it happens again, a proxy or the memory of this machine is damaged")
}
