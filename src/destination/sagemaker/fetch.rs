//! A job's results, out of S3 and into the record of the run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use flate2::read::GzDecoder;

use super::job::SagemakerDestination;
use super::location::Location;
use crate::aws::s3::Bucket;
use crate::destination::unpack::{Links, Names, Unpacked};
use crate::destination::{Artifacts, results};
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::metrics::Number;

/// An archive may hold so many times its own size, and this much besides.
const MOST_RATIO: u64 = 200;
const MOST_FREE: u64 = 1024 * 1024 * 1024;

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
        let there = bucket.list(place.key()).await?;
        let mut model_at = None;
        for (file, part, links) in [
            ("model.tar.gz", "model", Links::Refuse),
            ("output.tar.gz", "output/data", Links::Keep),
        ] {
            let key = format!("{}{file}", place.key());
            if !there.iter().any(|object| object.key == key) {
                continue;
            }
            let archive = base.join(file);
            bucket.download(&key, &archive, &mut |_| {}).await?;
            unpack(archive, base.join(part), part, links).await?;
            if part == "model" {
                model_at = Some(bucket.uri(&key));
            }
        }
        let mut artifacts = results::artifacts(&base, &self.run).await?;
        artifacts.model_at = model_at;
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

/// Unpacks an archive to a folder, and removes it.
async fn unpack(archive: PathBuf, to: PathBuf, part: &'static str, links: Links) -> Result<()> {
    let what = || format!("cannot unpack `{part}`");
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut unpacked = Unpacked::new(&to, links, Names::Bare)?;
        let reading = || format!("cannot read `{}`", archive.display());
        let file = File::open(&archive).doing(reading)?;
        let size = file.metadata().doing(reading)?.len();
        let most = size.saturating_mul(MOST_RATIO).saturating_add(MOST_FREE);
        let mut reader = Bounded {
            inner: GzDecoder::new(io::BufReader::new(file)),
            left: most,
        };
        unpacked.unpack(&mut reader)?;
        // The checksum comes at the end, behind the archive.
        io::copy(&mut reader, &mut io::sink()).map_err(|error| {
            Error::new(ExitCode::JobFailed, "cannot read what the job left behind").because(error)
        })?;
        std::fs::remove_file(&archive).doing(reading)?;
        unpacked.finish()
    });
    let left_out = unpacking.await.doing(what)??;
    let folder = part.split_once('/');
    let (part, below) = folder.unwrap_or((part, ""));
    let left_out = left_out.iter().map(|name| Path::new(below).join(name));
    results::say_left_out(part, &left_out.collect())
}

/// A reader that refuses to go on for ever.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other("the archive is out of all proportion: it would fill the disk")
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    async fn unpacked(bytes: &[u8]) -> Result<()> {
        let place = tempfile::tempdir().unwrap();
        let archive = place.path().join("a.tar.gz");
        std::fs::write(&archive, bytes).unwrap();
        let done = unpack(
            archive.clone(),
            place.path().join("to"),
            "model",
            Links::Refuse,
        )
        .await;
        assert_eq!(archive.exists(), done.is_err());
        done
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

    #[tokio::test]
    async fn an_archive_comes_whole_or_not_at_all() {
        let whole = archive(100_000);
        unpacked(&whole).await.unwrap();
        let mut spoilt = whole.clone();
        *spoilt.last_mut().unwrap() ^= 1;
        for bytes in [
            &whole[..whole.len() - 4],
            &whole[..whole.len() / 2],
            &spoilt,
        ] {
            let error = unpacked(bytes).await.unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::JobFailed, "{error}");
        }
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
