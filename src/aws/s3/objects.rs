//! Small objects: read whole, and written under a condition, so that of several runs that write
//! at once exactly one wins and the others see what it wrote.

use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use http_body_util::{BodyExt as _, Limited};

use super::{ATTEMPTS, Bucket, written};
use crate::error::{Error, ExitCode, Result, chain};

/// The largest object that is read into memory.
const LARGEST: usize = 8 * 1024 * 1024;

/// The first pause before something is tried again; the next ones are twice as long each.
const PAUSE: Duration = Duration::from_millis(200);

/// A small object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// All of it.
    pub content: Bytes,
    /// For [`Bucket::put_if_match`].
    pub etag: String,
}

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// The object has the content that was to be written.
    Written {
        /// For the next write.
        etag: String,
    },
    /// The condition did not hold: this is there, or nothing is.
    Refused(Option<Object>),
}

/// When to write.
enum Condition<'a> {
    Absent,
    Match(&'a str),
}

impl Bucket {
    /// Reads a small object; none when there is none.
    ///
    /// # Errors
    /// It is larger than 8 MiB; AWS refuses, or does not answer.
    pub async fn read(&self, key: &str) -> Result<Option<Object>> {
        let what = format!("read `{}`", self.uri(key));
        let mut attempt = 1;
        loop {
            let call = self.sdk.get_object().bucket(&self.name).key(key);
            let answer = match call.send().await {
                Ok(answer) => answer,
                Err(error) if code(&error) == Some("NoSuchKey") => return Ok(None),
                Err(error) => return Err(self.failed(&what, "s3:GetObject", Some(key), &error)),
            };
            let etag = answer.e_tag().unwrap_or_default().to_owned();
            let body = Limited::new(answer.body.into_inner(), LARGEST);
            match body.collect().await {
                Ok(content) => {
                    let content = content.to_bytes();
                    return Ok(Some(Object { content, etag }));
                }
                Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                    let error = Error::new(ExitCode::Data, format!("cannot {what}"));
                    return Err(error.because("it is larger than 8 MiB"));
                }
                Err(error) if attempt == ATTEMPTS => {
                    return Err(self.broken(&what, &chain(error.as_ref())));
                }
                Err(_) => pause(&mut attempt).await,
            }
        }
    }

    /// Writes an object where none is.
    ///
    /// # Errors
    /// AWS refuses, or does not answer.
    pub async fn put_if_absent(&self, key: &str, content: impl Into<Bytes>) -> Result<Put> {
        self.put(key, content.into(), Condition::Absent).await
    }

    /// Writes an object over the one with this tag of its content.
    ///
    /// # Errors
    /// AWS refuses, or does not answer.
    pub async fn put_if_match(
        &self,
        key: &str,
        content: impl Into<Bytes>,
        etag: &str,
    ) -> Result<Put> {
        self.put(key, content.into(), Condition::Match(etag)).await
    }

    async fn put(&self, key: &str, content: Bytes, condition: Condition<'_>) -> Result<Put> {
        let what = format!("write `{}`", self.uri(key));
        let mut attempt = 1;
        loop {
            let call = self.sdk.put_object().bucket(&self.name).key(key);
            let call = match condition {
                Condition::Absent => call.if_none_match("*"),
                Condition::Match(etag) => call.if_match(etag),
            };
            let sent = call
                .content_type("application/json")
                .checksum_crc64_nvme(written(checksum(CrcAlgorithm::Crc64Nvme, &content)))
                .body(ByteStream::from(content.clone()))
                .send()
                .await;
            let error = match sent {
                Ok(sent) => {
                    let etag = sent.e_tag().unwrap_or_default().to_owned();
                    return Ok(Put::Written { etag });
                }
                Err(error) => error,
            };
            match code(&error) {
                // Two wrote at once; S3 says to try again.
                Some("ConditionalRequestConflict") if attempt < ATTEMPTS => {
                    pause(&mut attempt).await;
                }
                Some("PreconditionFailed") => {
                    return Ok(match self.read(key).await? {
                        // It was written by this call: the answer to an earlier attempt was lost.
                        Some(Object {
                            content: found,
                            etag,
                        }) if found == content => Put::Written { etag },
                        found => Put::Refused(found),
                    });
                }
                Some("NoSuchKey") => return Ok(Put::Refused(None)),
                _ => return Err(self.failed(&what, "s3:PutObject", Some(key), &error)),
            }
        }
    }

    /// The connection ended before the object did, again and again.
    pub(super) fn broken(&self, what: &str, cause: &str) -> Error {
        let region = &self.region;
        let error = format!("cannot {what}: the connection to `{region}` breaks again and again");
        Error::new(ExitCode::Data, error)
            .because(cause)
            .hint("check the network and HTTPS_PROXY, then run again")
    }
}

pub(super) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

/// Waits before the next attempt, and counts it.
pub(super) async fn pause(attempt: &mut u32) {
    tokio::time::sleep(PAUSE * 2_u32.pow(*attempt - 1)).await;
    *attempt += 1;
}
