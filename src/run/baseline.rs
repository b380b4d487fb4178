//! The baseline that a run is held against, and the run that becomes the baseline.

use aws_config::SdkConfig;
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::aws::Access;
use crate::aws::s3::{Bucket, Object, Put};
use crate::context::Context;
use crate::destination::place::DestinationPlan;
use crate::destination::sagemaker::location::Location;
use crate::error::{Error, ExitCode, Result};
use crate::metrics::Source;
use crate::metrics::baseline::{Baseline, BaselineMetric, Definitions, SCHEMA_VERSION};
use crate::plan::Plan;
use crate::report::{Report, Status};
use crate::talk::Talk;

/// How often others may write it at the same moment.
const MOST: u32 = 10;

/// The baseline that a run's report makes.
#[must_use]
pub fn of(report: &Report, plan: &Plan) -> Baseline {
    Baseline {
        schema_version: SCHEMA_VERSION,
        run: report.run.clone(),
        commit: report.lineage.commit.clone(),
        created_at: Timestamp::now(),
        planned_at: Some(plan.created_at),
        data: plan.held_out(),
        validation: plan.validation_program().to_owned(),
        metrics: metrics(report, &plan.definitions()),
    }
}

/// A baseline in S3.
#[derive(Debug)]
pub struct Kept<'a> {
    bucket: Bucket,
    place: &'a Location,
}

impl<'a> Kept<'a> {
    /// The baseline at an address; nobody is asked.
    #[must_use]
    pub fn new(place: &'a Location, config: &SdkConfig) -> Self {
        Self {
            bucket: Bucket::new(place.bucket(), config),
            place,
        }
    }

    /// Reads it; none when there is none yet.
    ///
    /// # Errors
    /// AWS refuses, or does not answer; it cannot be used.
    pub async fn read(&self) -> Result<Option<Baseline>> {
        let object = self.bucket.read(self.place.key()).await?;
        object.map(|object| self.parse(&object)).transpose()
    }

    fn parse(&self, object: &Object) -> Result<Baseline> {
        Baseline::parse(&object.content).map_err(|reason| {
            let message = format!("cannot use the baseline `{}`", self.place);
            Error::new(ExitCode::Config, message)
                .because(reason)
                .hint("set it again with `mlaction baseline set`")
        })
    }

    /// Writes it, unless a run that was planned later has; says whether it did. Of several that
    /// write at once, the one that was planned last wins; `always` wins against all.
    ///
    /// # Errors
    /// AWS refuses, or does not answer.
    pub async fn write(&self, baseline: &Baseline, always: bool) -> Result<bool> {
        let text = serde_json::to_string_pretty(baseline).map_err(|error| {
            Error::new(ExitCode::Internal, "cannot write the baseline").because(error)
        })?;
        let key = self.place.key();
        for _ in 0..MOST {
            let put = match self.bucket.read(key).await? {
                None => self.bucket.put_if_absent(key, text.clone()).await?,
                Some(object) => {
                    // NOTE: what cannot be read is no baseline.
                    let other = Baseline::parse(&object.content).ok();
                    let is_later = |other: Baseline| other.planned_at > baseline.planned_at;
                    if !always && other.is_some_and(is_later) {
                        return Ok(false);
                    }
                    self.bucket
                        .put_if_match(key, text.clone(), &object.etag)
                        .await?
                }
            };
            if matches!(put, Put::Written { .. }) {
                return Ok(true);
            }
        }
        let message = format!("cannot write the baseline `{}`", self.place);
        Err(Error::new(ExitCode::Report, message).because("others write it all the time"))
    }
}

/// Who asks for the baseline of a plan that has it in S3; nobody is asked yet.
pub async fn access(plan: &Plan, context: &Context) -> Option<Access> {
    match &plan.destination {
        DestinationPlan::Sagemaker(place) if plan.baseline.location.is_some() => {
            let region = &place.settings.region;
            Some(Access::new(region, plan.aws.as_ref(), &context.env).await)
        }
        _ => None,
    }
}

/// Reads the baseline of a plan that has it in S3.
///
/// # Errors
/// AWS refuses, or does not answer; it cannot be used.
pub async fn read(plan: &mut Plan, config: &SdkConfig) -> Result<()> {
    if let Some(place) = &plan.baseline.location {
        plan.baseline.found = Kept::new(place, config).read().await?;
    }
    Ok(())
}

/// Makes a run the baseline, if its plan says so and it failed no gate.
///
/// # Errors
/// AWS refuses, or does not answer.
pub async fn set(plan: &Plan, report: &Report, config: &SdkConfig, talk: &Talk) -> Result<()> {
    let Some(place) = &plan.baseline.location else {
        return Ok(());
    };
    if !matches!(report.status, Status::Passed | Status::Inconclusive) {
        return Ok(());
    }
    if !plan.baseline.sets {
        talk.say(&format!(
            "baseline: {place} stays as it is: a clean commit of its branch sets it"
        ));
        return Ok(());
    }
    let is_written = Kept::new(place, config)
        .write(&of(report, plan), false)
        .await?;
    talk.say(&match is_written {
        true => format!("baseline: run {} in {place}", report.run),
        false => format!("baseline: {place} is that of a later run"),
    });
    Ok(())
}

/// Every metric and every value by class, so that a gate added later has a baseline.
fn metrics(report: &Report, definitions: &Definitions) -> IndexMap<String, BaselineMetric> {
    let rows = report
        .metrics
        .iter()
        .map(|row| (row.name.clone(), &row.value, row.source));
    let classes = report.per_class.iter().flat_map(|(class, values)| {
        let name = move |metric: &str| format!("per_class.{class}.{metric}");
        let values = values.iter();
        values.map(move |(metric, value)| (name(metric), value, Source::File))
    });
    let all = classes.chain(rows);
    all.map(|(name, value, source)| {
        let definition = definitions.of(&name, source).map(str::to_owned);
        let value = value.clone();
        (name, BaselineMetric { value, definition })
    })
    .collect()
}
