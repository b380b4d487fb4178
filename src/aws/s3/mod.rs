//! Amazon S3: local data goes in once, results come out, small files are written under a
//! condition.
//!
//! Data lies under its content address, `PREFIX/b3-HASH/`, so what is there is never changed and
//! never sent again. There is no list of what was finished: what S3 lists is what is there.
//!
//! Who uploads needs `s3:ListBucket` and `s3:ListBucketMultipartUploads` on the bucket, and on its
//! objects `s3:PutObject`, `s3:ListMultipartUploadParts`, `s3:AbortMultipartUpload`; who collects
//! needs `s3:GetObject`. The parts of an upload that nobody goes on with cost money until they are
//! removed: a lifecycle rule of the bucket should (`AbortIncompleteMultipartUpload`, after days).

mod download;
mod objects;
mod problem;
mod source;
mod sync;
mod unfinished;
mod upload;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client as Sdk;
use aws_sdk_s3::config::Config;
use aws_sdk_s3::types::ObjectStorageClass;
use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::aws::damaged::Whole;
use crate::error::Result;

pub use download::Incoming;
pub use objects::{Object, Put};
pub use sync::{Progress, Synced, folder};

/// A body of which nothing moves for so long is given up. The kernel holds megabytes of what is
/// sent: on a slow line, nothing is asked for in tens of seconds although all goes well.
const STALL: Duration = Duration::from_secs(60);

/// One request with a body is answered after this long, and the time that it takes on a slow line,
/// in bytes a second, to send all bodies that are under way with it.
const ANSWER: Duration = Duration::from_secs(30);
const SLOW: u64 = 110 * 1000;

/// How often a body is sent at most when no answer comes in time.
const SENDINGS: u32 = 3;

/// Bytes that are read, hashed or handed on at once.
const CHUNK: usize = 256 * 1024;

/// How often something is tried at most that the SDK does not repeat.
const ATTEMPTS: u32 = 5;

/// A bucket, in the region of a configuration.
#[derive(Debug, Clone)]
pub struct Bucket {
    sdk: Sdk,
    name: String,
    region: String,
}

/// An object as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its whole key.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// Changes with the content.
    pub etag: String,
    /// It lies in an archive, and cannot be read before it is restored.
    pub is_archived: bool,
}

impl Bucket {
    /// The bucket; nobody is asked.
    #[must_use]
    pub fn new(name: &str, config: &SdkConfig) -> Self {
        let stall = StalledStreamProtectionConfig::enabled()
            .grace_period(STALL)
            .build();
        let own = aws_sdk_s3::config::Builder::from(config)
            .stalled_stream_protection(stall)
            .interceptor(Whole)
            .retry_classifier(Whole);
        Self {
            sdk: Sdk::from_conf(own.build()),
            name: name.to_owned(),
            region: config
                .region()
                .map(|region| region.as_ref().to_owned())
                .unwrap_or_default(),
        }
    }

    /// `s3://BUCKET/KEY`.
    #[must_use]
    pub fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// All objects whose keys begin with the prefix, in the order of their keys.
    ///
    /// # Errors
    /// AWS refuses, or does not answer.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut all: Vec<Listed> = Vec::new();
        loop {
            let after = all.last().map(|last| last.key.clone());
            let (page, is_last) = self.page(prefix, after).await?;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The next objects with a prefix, a thousand at most, and whether these are the last.
    async fn page(&self, prefix: &str, after: Option<String>) -> Result<(Vec<Listed>, bool)> {
        let call = self.sdk.list_objects_v2().bucket(&self.name);
        let answer = call
            .prefix(prefix)
            .set_start_after(after)
            .send()
            .await
            .map_err(|error| self.failed("list what is in S3", "s3:ListBucket", None, &error))?;
        let listed = |object: &aws_sdk_s3::types::Object| {
            Some(Listed {
                key: object.key()?.to_owned(),
                size: object.size().and_then(|size| u64::try_from(size).ok())?,
                etag: object.e_tag().unwrap_or_default().to_owned(),
                is_archived: matches!(
                    object.storage_class(),
                    Some(ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive)
                ),
            })
        };
        let page: Vec<Listed> = answer.contents().iter().filter_map(listed).collect();
        let is_last = !answer.is_truncated().unwrap_or(false) || page.is_empty();
        Ok((page, is_last))
    }
}

/// The deadlines of a request with a body, when so many bytes are under way at most.
fn body_deadlines(bytes: u64) -> aws_sdk_s3::config::Builder {
    let attempt = ANSWER + Duration::from_secs(bytes / SLOW);
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * SENDINGS)
        .build();
    Config::builder().timeout_config(timeouts)
}

/// A checksum as S3 writes it. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
fn written(crc: u64) -> String {
    BASE64_STANDARD.encode(crc.to_be_bytes())
}
