//! One file to S3: whole, or in parts of which those that arrived once are not sent again.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use crc_fast::{CrcAlgorithm, checksum_combine};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::source::{Meter, Piece, Source};
use super::{Bucket, body_deadlines, written};
use crate::data::fingerprint::DataError;
use crate::data::opened::Seen;
use crate::error::{Error, ExitCode, Result};
use crate::plan::inputs::data_error;

/// A file up to this size is sent whole.
pub(super) const WHOLE: u64 = 16 * MIB;

/// Size of a part; more when there would be more than [`PARTS`].
const PART: u64 = 8 * MIB;

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PARTS: u64 = 10_000;

/// What all requests carry together: enough to fill a fast line, and little to send again over a
/// slow one after a kill.
pub(super) const IN_FLIGHT: u64 = 64 * MIB;

/// Parts of one file at once.
const PARTS_AT_ONCE: usize = 16;

const MIB: u64 = 1024 * 1024;

/// A permit stands for so many bytes, and a request has one at least.
const PERMIT: u64 = 64 * 1024;

/// Uploads that share one bound.
pub(super) struct Upload<'b> {
    bucket: &'b Bucket,
    in_flight: Semaphore,
    /// Bytes that are in S3 or on their way.
    total: Arc<AtomicU64>,
    /// Most bytes that are on their way at once.
    at_once: u64,
}

/// Why a file in parts is not there.
enum Failure {
    /// Somebody else finished the upload, or gave it up.
    Gone,
    Changed(DataError),
    Refused(Error),
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Changed(error)
    }
}

/// A part that S3 has.
struct Part {
    number: i32,
    length: u64,
    crc: u64,
    etag: String,
    meter: Arc<Meter>,
}

/// A part as S3 lists it.
struct There {
    size: u64,
    crc: String,
    etag: String,
}

impl<'b> Upload<'b> {
    /// For so many bytes.
    pub(super) fn new(bucket: &'b Bucket, bytes: u64, total: Arc<AtomicU64>) -> Self {
        Self {
            bucket,
            in_flight: Semaphore::new((IN_FLIGHT / PERMIT) as usize),
            total,
            at_once: bytes.min(IN_FLIGHT),
        }
    }

    /// Brings a file under a key, when it is the one that was seen; an upload in parts that was
    /// begun is gone on with.
    pub(super) async fn file(
        &self,
        key: String,
        path: PathBuf,
        seen: Seen,
        begun: Option<String>,
    ) -> Result<()> {
        let what = format!("upload `{}`", path.display());
        let opened = Source::open(path, seen).await;
        let source = opened.map_err(|error| data_error(&error))?;
        let file = OneFile {
            upload: self,
            key: &key,
            source: &source,
            what: &what,
        };
        if source.size() <= WHOLE {
            return file.whole().await;
        }
        match file.in_parts(begun).await {
            Err(Failure::Gone) => {}
            ended => return ended.map_err(Failure::into_error),
        }
        let there = self.bucket.list(&key).await?;
        match there.iter().find(|object| object.key == key) {
            Some(object) if object.size == source.size() => {
                let meter = Meter::new(&self.total);
                meter.finish(source.size());
                meter.keep();
                Ok(())
            }
            _ => file.in_parts(None).await.map_err(Failure::into_error),
        }
    }

    async fn permit(&self, bytes: u64) -> Result<SemaphorePermit<'_>> {
        let permits = bytes.clamp(PERMIT, IN_FLIGHT).div_ceil(PERMIT) as u32;
        let permit = self.in_flight.acquire_many(permits).await;
        permit.map_err(|error| Error::new(ExitCode::Internal, error.to_string()))
    }
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Gone => Error::new(ExitCode::Data, "an upload was given up by somebody else")
                .hint("run again; a lifecycle rule may end unfinished uploads too early"),
            Self::Changed(error) => data_error(&error),
            Self::Refused(error) => error,
        }
    }
}

/// A file that is being uploaded.
struct OneFile<'u, 'b> {
    upload: &'u Upload<'b>,
    key: &'u str,
    source: &'u Source,
    what: &'u str,
}

impl OneFile<'_, '_> {
    async fn whole(&self) -> Result<()> {
        let Bucket { sdk, name, .. } = self.upload.bucket;
        let _permit = self.upload.permit(self.source.size()).await?;
        let piece = self.source.piece(0..self.source.size()).await;
        let piece = piece.map_err(|error| data_error(&error))?;
        let meter = Meter::new(&self.upload.total);
        let call = sdk.put_object().bucket(name).key(self.key);
        let sent = call
            .content_length(piece.len() as i64)
            .checksum_crc64_nvme(written(piece.crc))
            .body(piece.body(&meter))
            .customize()
            .disable_payload_signing()
            .config_override(body_deadlines(self.upload.at_once))
            .send()
            .await;
        if let Err(error) = sent {
            self.source
                .unchanged()
                .map_err(|error| data_error(&error))?;
            return Err(self.failed("s3:PutObject", &error));
        }
        meter.finish(piece.len());
        meter.keep();
        Ok(())
    }

    async fn in_parts(&self, begun: Option<String>) -> Result<(), Failure> {
        let (id, there) = match begun {
            Some(id) => {
                let there = self.there(&id).await?;
                (id, there)
            }
            None => (self.begin().await?, HashMap::new()),
        };
        let ended = self.parts(&id, &there).await;
        if let Err(Failure::Changed(_)) = &ended {
            // Its parts are of no use to anybody. What cannot be given up now is left to the
            // bucket's lifecycle rule.
            let Bucket { sdk, name, .. } = self.upload.bucket;
            let call = sdk.abort_multipart_upload().bucket(name).key(self.key);
            let _ = call.upload_id(id).send().await;
        }
        ended
    }

    async fn begin(&self) -> Result<String, Failure> {
        let Bucket { sdk, name, .. } = self.upload.bucket;
        let call = sdk.create_multipart_upload().bucket(name).key(self.key);
        let begun = call
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .send()
            .await
            .map_err(|error| self.refused("s3:PutObject", &error))?;
        let id = begun.upload_id().map(str::to_owned);
        id.ok_or_else(|| Failure::Refused(self.incomplete("an upload without an id")))
    }

    /// Sends what is missing, and makes one object of all parts.
    async fn parts(&self, id: &str, there: &HashMap<i32, There>) -> Result<(), Failure> {
        let parts = stream::iter(ranges(self.source.size()))
            .map(|(number, range)| self.part(id, number, range, there.get(&number)))
            .buffer_unordered(PARTS_AT_ONCE)
            .try_collect::<Vec<Part>>()
            .await;
        let mut parts = parts?;
        parts.sort_by_key(|part| part.number);
        let crc = parts.iter().fold(None, |before, part| match before {
            None => Some(part.crc),
            Some(crc) => Some(checksum_combine(
                CrcAlgorithm::Crc64Nvme,
                crc,
                part.crc,
                part.length,
            )),
        });
        let completed = parts.iter().map(|part| {
            let completed = CompletedPart::builder().part_number(part.number);
            completed
                .e_tag(&part.etag)
                .checksum_crc64_nvme(written(part.crc))
                .build()
        });
        let all = CompletedMultipartUpload::builder().set_parts(Some(completed.collect()));
        let Bucket { sdk, name, .. } = self.upload.bucket;
        let call = sdk.complete_multipart_upload().bucket(name).key(self.key);
        let object = call
            .upload_id(id)
            .mpu_object_size(self.source.size() as i64)
            .multipart_upload(all.build())
            .send()
            .await
            .map_err(|error| self.refused("s3:PutObject", &error))?;
        // NOTE: stand-ins give a checksum of checksums, which real S3 has not for this algorithm.
        let is_whole = object.checksum_type() == Some(&ChecksumType::FullObject);
        let found = object.checksum_crc64_nvme().filter(|_| is_whole);
        match (found, crc.map(written)) {
            (Some(found), Some(crc)) if found != crc => Err(Failure::Refused(
                self.incomplete("the object has another checksum than the file"),
            )),
            _ => {
                parts.iter().for_each(|part| part.meter.keep());
                Ok(())
            }
        }
    }

    async fn part(
        &self,
        id: &str,
        number: i32,
        range: Range<u64>,
        there: Option<&There>,
    ) -> Result<Part, Failure> {
        let permit = self.upload.permit(range.end - range.start).await;
        let _permit = permit.map_err(Failure::Refused)?;
        let piece = self.source.piece(range).await?;
        let meter = Meter::new(&self.upload.total);
        let is_there =
            |there: &&There| there.size == piece.len() && there.crc == written(piece.crc);
        let etag = match there.filter(is_there) {
            Some(there) => there.etag.clone(),
            None => self.send(id, number, &piece, &meter).await?,
        };
        meter.finish(piece.len());
        Ok(Part {
            number,
            length: piece.len(),
            crc: piece.crc,
            etag,
            meter,
        })
    }

    async fn send(
        &self,
        id: &str,
        number: i32,
        piece: &Piece,
        meter: &Arc<Meter>,
    ) -> Result<String, Failure> {
        let Bucket { sdk, name, .. } = self.upload.bucket;
        let call = sdk.upload_part().bucket(name).key(self.key).upload_id(id);
        let sent = call
            .part_number(number)
            .content_length(piece.len() as i64)
            .checksum_crc64_nvme(written(piece.crc))
            .body(piece.body(meter))
            .customize()
            .disable_payload_signing()
            .config_override(body_deadlines(self.upload.at_once))
            .send()
            .await;
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) => {
                self.source.unchanged()?;
                return Err(self.refused("s3:PutObject", &error));
            }
        };
        let etag = sent.e_tag().map(str::to_owned);
        etag.ok_or_else(|| Failure::Refused(self.incomplete("a part without an ETag")))
    }

    /// The parts that S3 has of an upload.
    async fn there(&self, id: &str) -> Result<HashMap<i32, There>, Failure> {
        let Bucket { sdk, name, .. } = self.upload.bucket;
        let mut there = HashMap::new();
        let mut after = None;
        loop {
            let call = sdk.list_parts().bucket(name).key(self.key).upload_id(id);
            let page = call
                .set_part_number_marker(after)
                .send()
                .await
                .map_err(|error| self.refused("s3:ListMultipartUploadParts", &error))?;
            there.extend(page.parts().iter().filter_map(|part| {
                let found = There {
                    size: part.size()?.try_into().ok()?,
                    crc: part.checksum_crc64_nvme()?.to_owned(),
                    etag: part.e_tag()?.to_owned(),
                };
                Some((part.part_number()?, found))
            }));
            after = page.next_part_number_marker().map(str::to_owned);
            if !page.is_truncated().unwrap_or(false) || after.is_none() {
                return Ok(there);
            }
        }
    }

    fn refused<E>(&self, action: &str, cause: &SdkError<E>) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = cause.as_service_error().and_then(|error| error.code());
        match code {
            Some("NoSuchUpload") => Failure::Gone,
            _ => Failure::Refused(self.failed(action, cause)),
        }
    }

    fn failed<E>(&self, action: &str, cause: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let bucket = self.upload.bucket;
        bucket.failed(self.what, action, Some(self.key), cause)
    }

    fn incomplete(&self, what: &str) -> Error {
        Error::new(ExitCode::Data, format!("cannot {}", self.what))
            .because(format!("S3 answered with {what}"))
            .hint("run again")
    }
}

/// The parts of a file of this size, with their numbers: the same each time, so that one run can
/// go on where another was killed.
fn ranges(size: u64) -> impl Iterator<Item = (i32, Range<u64>)> {
    let part = PART.max(size.div_ceil(PARTS).next_multiple_of(MIB));
    let starts = (0..size).step_by(usize::try_from(part).unwrap_or(usize::MAX));
    (1..).zip(starts.map(move |start| start..size.min(start + part)))
}
