//! What is known of detached runs, in S3.

use std::collections::HashSet;
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Launched, SCHEMA_VERSION};
use crate::aws::s3::{Bucket, Object, Put};
use crate::destination::sagemaker::location::Location;
use crate::destination::sagemaker::names;
use crate::destination::sagemaker::plan::SagemakerPlan;
use crate::error::{Error, ExitCode, Result};
use crate::report::{Report, json};

/// The folder for all of it.
const RUNS: &str = "runs";

/// A job's report.
const REPORT: &str = "report.json";

/// Who collects a job has it for so long, and longer for as long as it lives.
const LEASE: Duration = Duration::from_secs(600);

/// Before a claim that could not be renewed is tried again.
const AGAIN: Duration = Duration::from_secs(20);

/// How often two write the same object at once before it is given up.
const MOST: u32 = 10;

/// One run's documents.
#[derive(Debug, Clone)]
pub(super) struct Store {
    bucket: Bucket,
    folder: Location,
}

/// Who collects a job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    by: String,
    until: Timestamp,
}

/// The right to collect a job.
#[derive(Debug)]
pub(super) struct Held {
    store: Store,
    key: String,
    by: String,
    etag: String,
}

impl Store {
    pub(super) fn new(
        plan: &SagemakerPlan,
        config: &SdkConfig,
        project: &str,
        content_hash: &str,
    ) -> Self {
        let name = names::checkpoints(project, content_hash);
        let folder = plan.root.join(&format!("{RUNS}/{name}"));
        Self {
            bucket: Bucket::new(folder.bucket(), config),
            folder,
        }
    }

    fn key(&self, name: &str) -> String {
        self.folder.join(name).key().to_owned()
    }

    /// Keeps the run for those who collect it, in place of an earlier one of the same content.
    pub(super) async fn keep(&self, launched: &Launched) -> Result<()> {
        let key = self.key("plan.json");
        let content = written(launched)?;
        let mut put = self.bucket.put_if_absent(&key, content.clone()).await?;
        for _ in 0..MOST {
            put = match put {
                Put::Written { .. } => return Ok(()),
                Put::Refused(Some(Object { etag, .. })) => {
                    self.bucket
                        .put_if_match(&key, content.clone(), &etag)
                        .await?
                }
                Put::Refused(None) => self.bucket.put_if_absent(&key, content.clone()).await?,
            };
        }
        let message = format!("cannot write `{}`", self.bucket.uri(&key));
        Err(Error::new(ExitCode::Data, message).because("others write it all the time"))
    }

    /// The run as it was launched.
    pub(super) async fn launched(&self) -> Result<Launched> {
        let key = self.key("plan.json");
        let failed = |cause: String| {
            let message = format!("cannot use `{}`", self.bucket.uri(&key));
            Error::new(ExitCode::Data, message)
                .because(cause)
                .hint("`mlaction train` at the same commit takes the job's result, too")
        };
        let Some(object) = self.bucket.read(&key).await? else {
            return Err(failed("it is not there".to_owned()));
        };
        let launched: Launched = serde_json::from_slice(&object.content)
            .map_err(|error| failed(format!("another version of mlaction wrote it: {error}")))?;
        match launched.schema_version {
            SCHEMA_VERSION => Ok(launched),
            other => Err(failed(format!(
                "it has the form {other}, not {SCHEMA_VERSION}"
            ))),
        }
    }

    /// The right to collect a job, unless another has it: then, who.
    pub(super) async fn claim(&self, job: &str, by: &str) -> Result<Result<Held, String>> {
        let key = self.key(&format!("{job}/collecting.json"));
        let mut put = self.bucket.put_if_absent(&key, claim(by, LEASE)?).await?;
        for _ in 0..MOST {
            let object = match put {
                Put::Written { etag } => {
                    return Ok(Ok(Held {
                        store: self.clone(),
                        key,
                        by: by.to_owned(),
                        etag,
                    }));
                }
                Put::Refused(object) => object,
            };
            let Some(Object { content, etag }) = object else {
                put = self.bucket.put_if_absent(&key, claim(by, LEASE)?).await?;
                continue;
            };
            // NOTE: what cannot be read is nobody's.
            if let Ok(other) = serde_json::from_slice::<Claim>(&content)
                && is_held(other.until)
            {
                return Ok(Err(other.by));
            }
            let mine = claim(by, LEASE)?;
            put = self.bucket.put_if_match(&key, mine, &etag).await?;
        }
        Ok(Err("others".to_owned()))
    }

    /// Where a job's report is.
    pub(super) fn report_key(&self, job: &str) -> String {
        self.key(&format!("{job}/{REPORT}"))
    }

    /// Writes a job's report, unless one is there; says whether it did.
    pub(super) async fn deliver(&self, job: &str, report: &Report) -> Result<bool> {
        let key = self.report_key(job);
        let put = self
            .bucket
            .put_if_absent(&key, json::render(report)?)
            .await?;
        Ok(matches!(put, Put::Written { .. }))
    }
}

impl Held {
    /// Keeps the right for as long as it is polled; ends when another has it, or when it could not
    /// be renewed in time.
    pub(super) async fn keep(&mut self) -> Result<()> {
        let mut renewed = Instant::now();
        loop {
            let is_fresh = renewed.elapsed() < LEASE / 3;
            tokio::time::sleep(if is_fresh { LEASE / 3 } else { AGAIN }).await;
            match self.write(LEASE).await {
                Ok(()) => renewed = Instant::now(),
                Err(error) if error.exit_code() == ExitCode::Report => return Err(error),
                Err(error) if renewed.elapsed() >= LEASE => return Err(error),
                // It holds still.
                Err(_) => {}
            }
        }
    }

    /// Gives the right back, so that the job can be tried again.
    pub(super) async fn give_back(mut self) -> Result<()> {
        self.write(Duration::ZERO).await
    }

    async fn write(&mut self, lease: Duration) -> Result<()> {
        let content = claim(&self.by, lease)?;
        match self
            .store
            .bucket
            .put_if_match(&self.key, content, &self.etag)
            .await?
        {
            Put::Written { etag } => {
                self.etag = etag;
                Ok(())
            }
            Put::Refused(_) => Err(Error::new(
                ExitCode::Report,
                "another mlaction collects the job now",
            )),
        }
    }
}

/// The keys of the reports of a destination.
pub(super) async fn reports(plan: &SagemakerPlan, config: &SdkConfig) -> Result<HashSet<String>> {
    let under = plan.root.join(&format!("{RUNS}/"));
    let bucket = Bucket::new(under.bucket(), config);
    let all = bucket.list(under.key()).await?.into_iter();
    let keys = all.map(|object| object.key);
    Ok(keys.filter(|key| key.ends_with(REPORT)).collect())
}

/// Whether a claim until then holds. Nobody claims a job for longer than a lease; clocks differ.
fn is_held(until: Timestamp) -> bool {
    let now = Timestamp::now();
    let most = now.saturating_add(LEASE * 2).unwrap_or(Timestamp::MAX);
    until > now && until <= most
}

fn claim(by: &str, lease: Duration) -> Result<String> {
    let until = Timestamp::now()
        .saturating_add(lease)
        .unwrap_or(Timestamp::MAX);
    written(&Claim {
        by: by.to_owned(),
        until,
    })
}

fn written(document: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(document)
        .map_err(|error| Error::new(ExitCode::Internal, "cannot write JSON").because(error))
}
