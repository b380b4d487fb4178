//! A job's results, out of S3 and into the record of the run.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use flate2::read::GzDecoder;

use super::job::SagemakerDestination;
use super::location::Location;
use crate::aws::s3::{Bucket, Listed};
use crate::destination::unpack::{Links, Names, Unpacked, find, out_of_proportion, unreadable};
use crate::destination::{Artifacts, results};
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::metrics::Number;
use crate::metrics::file::MAX_BYTES;
use crate::report::ModelInfo;

/// An archive may hold so many times its own size, and this much besides.
const MOST_RATIO: u64 = 200;
const MOST_FREE: u64 = 1024 * 1024 * 1024;

/// The file that a job's metrics are in.
const METRICS: &str = "metrics.json";

impl SagemakerDestination {
    pub(super) async fn bring(&self, answer: &DescribeTrainingJobOutput) -> Result<Artifacts> {
        let name = answer.training_job_name().unwrap_or_default();
        let base = self.run.join("work").join(&self.role);
        let what = || format!("cannot create `{}`", base.display());
        std::fs::create_dir_all(&base).doing(what)?;
        let place = answer.output_data_config();
        let place = place
            .and_then(|place| place.s3_output_path())
            .unwrap_or_default();
        let place = Location::parse(place.trim_end_matches('/')).map_err(|reason| {
            Error::new(ExitCode::JobFailed, "cannot find the job's results").because(reason)
        })?;
        let place = place.join(&format!("{name}/output/"));
        let bucket = Bucket::new(place.bucket(), &self.config);
        let mut model = None;
        let mut output = None;
        for object in bucket.list(place.key()).await? {
            match object.key.strip_prefix(place.key()) {
                Some("model.tar.gz") => model = Some(object),
                Some("output.tar.gz") => output = Some(object),
                _ => {}
            }
        }
        if let Some(object) = &output {
            unpack(&bucket, object, &base, "output/data", Links::Keep).await?;
        }
        let mut artifacts = match (&model, self.plan.settings.keep_model) {
            (Some(object), true) => {
                unpack(&bucket, object, &base, "model", Links::Refuse).await?;
                results::artifacts(&base, &self.run).await?
            }
            (Some(object), false) => left(&bucket, object, &base).await?,
            (None, _) => results::artifacts(&base, &self.run).await?,
        };
        artifacts.model_at = model.map(|object| bucket.uri(&object.key));
        artifacts.last_metrics = last_metrics(answer);
        Ok(artifacts)
    }
}

/// The last value of each metric as SageMaker read it from the log, in 32 bits.
fn last_metrics(answer: &DescribeTrainingJobOutput) -> Vec<(String, Number)> {
    let metrics = answer.final_metric_data_list().iter();
    metrics
        .filter_map(|metric| {
            let value = Number::parse(&metric.value()?.to_string())?;
            Some((metric.metric_name()?.to_owned(), value))
        })
        .collect()
}

/// Unpacks an archive into a folder while it arrives.
async fn unpack(
    bucket: &Bucket,
    object: &Listed,
    base: &Path,
    part: &'static str,
    links: Links,
) -> Result<()> {
    let (to, size) = (base.join(part), object.size);
    let unpacking = bucket.stream(&object.key, size, move |archive| {
        // What a damaged download left.
        if let Err(error) = std::fs::remove_dir_all(&to)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error).doing(|| format!("cannot remove `{}`", to.display()));
        }
        unpacked(archive, size, &to, links)
    });
    let left_out = unpacking.await?;
    let folder = part.split_once('/');
    let (part, below) = folder.unwrap_or((part, ""));
    let left_out = left_out.iter().map(|name| Path::new(below).join(name));
    results::say_left_out(part, &left_out.collect())
}

/// Unpacks an archive of a size into a folder, and names what was left out.
fn unpacked(archive: impl Read, size: u64, to: &Path, links: Links) -> Result<BTreeSet<PathBuf>> {
    let most = most(size);
    let mut unpacked = Unpacked::new(to, links, Names::Bare)?.at_most(most);
    let mut archive = BufReader::new(archive);
    let mut reader = Bounded {
        inner: GzDecoder::new(&mut archive),
        left: most,
    };
    unpacked.unpack(&mut reader)?;
    // The checksum comes at the end, behind the archive; and S3 has one of all.
    io::copy(&mut reader, &mut io::sink())
        .and_then(|_| io::copy(&mut archive, &mut io::sink()))
        .map_err(unreadable)?;
    unpacked.finish()
}

/// What is known of a model that stays in S3. It is read for its `metrics.json` only, as far as
/// that, and only when the job has written none elsewhere.
async fn left(bucket: &Bucket, object: &Listed, base: &Path) -> Result<Artifacts> {
    let mut metrics = results::metrics(base)?;
    if metrics.is_empty() {
        let size = object.size;
        let finding = bucket.stream(&object.key, size, move |archive| found(archive, size));
        if let Some(content) = finding.await? {
            let file = base.join("metrics.json");
            let what = || format!("cannot write `{}`", file.display());
            std::fs::write(&file, content).doing(what)?;
            metrics.push(file);
        }
    }
    Ok(Artifacts {
        output: Some(base.join("output/data")),
        model: Some(ModelInfo {
            file: bucket.uri(&object.key),
            sha256: None,
            bytes: object.size,
        }),
        metrics,
        ..Artifacts::default()
    })
}

/// The `metrics.json` of an archive of a size.
fn found(archive: impl Read, size: u64) -> Result<Option<Vec<u8>>> {
    let reader = Bounded {
        inner: GzDecoder::new(BufReader::new(archive)),
        left: most(size),
    };
    // One byte more than is taken, so that it is seen to be too large.
    find(reader, Names::Bare, METRICS, MAX_BYTES as u64 + 1)
}

/// Bytes that an archive may have without its compression.
fn most(size: u64) -> u64 {
    size.saturating_mul(MOST_RATIO).saturating_add(MOST_FREE)
}

/// A reader that refuses to go on for ever.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(out_of_proportion)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn unpack(bytes: &[u8]) -> Result<BTreeSet<PathBuf>> {
        let place = tempfile::tempdir().unwrap();
        let to = place.path().join("to");
        unpacked(bytes, bytes.len() as u64, &to, Links::Refuse)
    }

    fn archive(length: u64) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(length);
        header.set_mode(0o644);
        tar.append_data(&mut header, "zeros", io::repeat(0).take(length))
            .unwrap();
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn an_archive_comes_whole_or_not_at_all() {
        let whole = archive(100_000);
        unpack(&whole).unwrap();
        let mut spoilt = whole.clone();
        *spoilt.last_mut().unwrap() ^= 1;
        for bytes in [
            &whole[..whole.len() - 4],
            &whole[..whole.len() / 2],
            &spoilt,
        ] {
            let error = unpack(bytes).unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::JobFailed, "{error}");
        }
    }

    #[test]
    fn an_archive_is_read_until_its_metrics_are_found() {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, content) in [("sub/metrics.json", "no"), ("./metrics.json", "{}")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_bytes())
                .unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(MOST_FREE);
        tar.append_data(&mut header, "zeros", io::repeat(0).take(MOST_FREE))
            .unwrap();
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        // What comes behind it would be a bomb.
        let half = &bytes[..bytes.len() / 2];
        assert_eq!(found(half, 0).unwrap().unwrap(), b"{}");
        let none = archive(1_000);
        assert_eq!(found(&*none, none.len() as u64).unwrap(), None);
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&[0; 100_000]).unwrap();
        let bytes = encoder.finish().unwrap();
        let mut reader = Bounded {
            inner: GzDecoder::new(&*bytes),
            left: 50_000,
        };
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("proportion"), "{error}");
    }
}
