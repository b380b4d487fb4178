//! One object to a file, whole or not at all.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use crc_fast::{CrcAlgorithm, Digest};
use tokio::task::spawn_blocking;

use super::objects::{code, pause};
use super::{ATTEMPTS, Bucket, CHUNK, written};
use crate::atomic;
use crate::error::{Error, ExitCode, IoContext as _, Result, chain};

/// A connection that brought so much before it broke was good: the count of attempts begins again.
const GOOD: u64 = 1024 * 1024;

/// How often an object is fetched that arrives damaged each time.
const DAMAGED: u32 = 3;

/// An object that is on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downloaded {
    /// Its size.
    pub bytes: u64,
    /// S3 had a checksum of the whole object, and what arrived has the same. It has none of
    /// objects that were sent in parts with an older algorithm.
    pub is_verified: bool,
}

/// What the first answer says about the object.
struct Promise {
    etag: String,
    size: u64,
    crc: Option<String>,
    /// Another checksum, which the SDK compares when the body comes in one piece.
    has_other: bool,
}

/// What has arrived.
struct Arrived {
    file: Arc<File>,
    bytes: u64,
    crc: Digest,
}

/// Why a body ended early.
enum Broken {
    Connection(String),
    Disk(Error),
}

impl Bucket {
    /// Downloads an object to a file, which appears when it is complete. After a broken connection
    /// the rest is fetched; what arrived damaged is fetched anew.
    ///
    /// # Errors
    /// There is no such object, or it changes meanwhile; what arrives is damaged; the file cannot
    /// be written; AWS refuses, or does not answer.
    pub async fn download(
        &self,
        key: &str,
        to: &Path,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Downloaded> {
        let mut attempt = 1;
        loop {
            match self.whole(key, to, progress).await? {
                Ok(downloaded) => return Ok(downloaded),
                Err(error) if attempt == DAMAGED => return Err(error),
                Err(_) => pause(&mut attempt).await,
            }
        }
    }

    /// One download; the inner error is that of damage.
    async fn whole(
        &self,
        key: &str,
        to: &Path,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Result<Downloaded>> {
        let what = format!("download `{}`", self.uri(key));
        let writing = || format!("cannot write `{}`", to.display());
        let part = atomic::file_in(atomic::folder_of(to)).doing(writing)?;
        let mut arrived = Arrived {
            file: Arc::new(part.reopen().doing(writing)?),
            bytes: 0,
            crc: Digest::new(CrcAlgorithm::Crc64Nvme),
        };
        let answer = self.get(&what, key, None).await?;
        let promise = Promise::of(&answer);
        let mut body = answer.body;
        let (mut attempt, mut is_whole) = (1, true);
        loop {
            let before = arrived.bytes;
            let cause = match arrived.take(body, to, progress).await {
                Ok(()) if arrived.bytes == promise.size => break,
                Err(Broken::Connection(cause)) if arrived.bytes >= promise.size => {
                    return Ok(Err(damaged(&what, &cause)));
                }
                Ok(()) => "the body ended early".to_owned(),
                Err(Broken::Connection(cause)) => cause,
                Err(Broken::Disk(error)) => return Err(error),
            };
            is_whole = false;
            if arrived.bytes - before >= GOOD {
                attempt = 1;
            }
            if attempt == ATTEMPTS {
                return Err(self.broken(&what, &cause));
            }
            pause(&mut attempt).await;
            let rest = Some((arrived.bytes, promise.etag.as_str()));
            body = self.get(&what, key, rest).await?.body;
        }
        let crc = written(arrived.crc.finalize());
        if promise
            .crc
            .as_ref()
            .is_some_and(|promised| *promised != crc)
        {
            return Ok(Err(damaged(&what, "its checksum is another one")));
        }
        part.persist(to).doing(writing)?;
        Ok(Ok(Downloaded {
            bytes: promise.size,
            is_verified: promise.crc.is_some() || is_whole && promise.has_other,
        }))
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
        let others = [
            answer.checksum_crc32(),
            answer.checksum_crc32_c(),
            answer.checksum_sha1(),
            answer.checksum_sha256(),
        ];
        let crc = answer.checksum_crc64_nvme().filter(|_| is_whole);
        Self {
            etag: answer.e_tag().unwrap_or_default().to_owned(),
            size: answer
                .content_length()
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or_default(),
            crc: crc.map(str::to_owned),
            has_other: is_whole && others.iter().any(Option::is_some),
        }
    }
}

impl Arrived {
    /// Writes a body down, as far as it comes.
    async fn take(
        &mut self,
        mut body: ByteStream,
        to: &Path,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Broken> {
        let mut held = Vec::with_capacity(2 * CHUNK);
        loop {
            let next = body.next().await;
            if let Some(Ok(bytes)) = &next {
                held.extend_from_slice(bytes);
                if held.len() < CHUNK {
                    continue;
                }
            }
            held = self.write(held, to).await.map_err(Broken::Disk)?;
            progress(self.bytes);
            match next {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Broken::Connection(chain(&error))),
                None => return Ok(()),
            }
        }
    }

    /// Gives the buffer back, empty.
    async fn write(&mut self, mut held: Vec<u8>, to: &Path) -> Result<Vec<u8>> {
        let writing = || format!("cannot write `{}`", to.display());
        self.crc.update(&held);
        self.bytes += held.len() as u64;
        let file = self.file.clone();
        let write = move || {
            let written = (&*file).write_all(&held);
            held.clear();
            written.map(|()| held)
        };
        spawn_blocking(write).await.doing(writing)?.doing(writing)
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
