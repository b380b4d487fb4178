//! What SageMaker says of a job, in the words of a list.

use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::{
    ResourceConfig, SecondaryStatus, Tag, TrainingJob, TrainingJobStatus,
};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;

use super::super::names::TAG_PREFIX;
use super::super::plan::SagemakerPlan;
use super::super::{account, cost, state};
use crate::report::jobs::Instances;
use crate::report::text;

/// Longest reason of a failure, in characters (service model, `FailureReason`).
const REASON: usize = 1024;

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedJob {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// `InProgress`, `Completed`, `Failed`, `Stopping`, `Stopped`, or what AWS adds to these.
    pub status: String,
    /// What it is doing, or how it ended, in SageMaker's own word.
    pub phase: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it was made (UTC).
    pub created_at: Option<Timestamp>,
    /// Since when its instances train (UTC).
    pub training_since: Option<Timestamp>,
    /// When it ended (UTC).
    pub ended_at: Option<Timestamp>,
    /// What it runs on.
    pub instances: Vec<Instances>,
    /// Seconds that each instance is billed for, when it has ended.
    pub billed_seconds: Option<u32>,
    /// What it cost, by the price in mlaction.toml; none without one, or before its end.
    pub cost: Option<f64>,
    /// mlaction's tags, without what they begin with.
    pub tags: IndexMap<String, String>,
}

/// Both forms of a job have the same fields, by the same names.
macro_rules! info {
    ($job:expr, $tags:expr, $plan:expr) => {{
        let status = $job.training_job_status().map(TrainingJobStatus::as_str);
        let phase = $job.secondary_status().map(SecondaryStatus::as_str);
        ListedJob {
            name: text::line($job.training_job_name().unwrap_or_default(), 63),
            arn: text::line($job.training_job_arn().unwrap_or_default(), 256),
            status: text::line(status.unwrap_or_default(), 80),
            phase: text::line(phase.or(status).unwrap_or_default(), 80),
            reason: $job
                .failure_reason()
                .map(|reason| text::line(reason, REASON)),
            created_at: $job.creation_time().and_then(moment),
            training_since: $job.training_start_time().and_then(moment),
            ended_at: $job.training_end_time().and_then(moment),
            instances: cost::priced(
                &$plan.settings,
                $job.resource_config().map(instances).unwrap_or_default(),
            ),
            billed_seconds: $job
                .billable_time_in_seconds()
                .and_then(|seconds| u32::try_from(seconds).ok()),
            cost: None,
            tags: own($tags),
        }
        .reckoned()
    }};
}

impl ListedJob {
    /// Of what a search finds.
    pub(super) fn of_record(job: &TrainingJob, plan: &SagemakerPlan) -> Self {
        info!(job, job.tags(), plan)
    }

    /// Of what a job's description says.
    pub(super) fn of_answer(
        job: &DescribeTrainingJobOutput,
        tags: &[Tag],
        plan: &SagemakerPlan,
    ) -> Self {
        info!(job, tags, plan)
    }

    fn reckoned(mut self) -> Self {
        self.cost = self.billed_seconds.and_then(|seconds| self.costs(seconds));
        self
    }

    /// What its instances cost for so many seconds; none without a price.
    #[must_use]
    pub fn costs(&self, seconds: u32) -> Option<f64> {
        cost::amount(&self.instances, seconds)
    }

    /// One of mlaction's tags, by its name without what all begin with.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// Whether it runs, or is about to.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !state::has_ended(&self.status)
    }

    /// How many hosts it has.
    #[must_use]
    pub fn hosts(&self) -> usize {
        let count = self.instances.iter().map(|one| one.count).sum::<u32>();
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Seconds for which it has trained until now or until its end.
    #[must_use]
    pub fn trained_seconds(&self, now: Timestamp) -> Option<u32> {
        let until = self.ended_at.unwrap_or(now);
        let seconds = until.as_second() - self.training_since?.as_second();
        u32::try_from(seconds).ok()
    }
}

fn moment(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

/// mlaction's own tags, which anybody may have written.
fn own(tags: &[Tag]) -> IndexMap<String, String> {
    let pairs = tags.iter().filter_map(|tag| {
        let key = tag.key()?.strip_prefix(TAG_PREFIX)?;
        Some((text::line(key, 128), text::line(tag.value()?, 256)))
    });
    let mut all: IndexMap<String, String> = pairs.collect();
    all.sort_keys();
    all
}

/// The instances that the job has, or asks for: types and numbers.
fn instances(resources: &ResourceConfig) -> Vec<(String, u32)> {
    let first = resources.instance_preferences().first();
    let first = first.and_then(|first| {
        let count = u32::try_from(first.instance_count()?).ok()?;
        Some((first.instance_type()?.as_str().to_owned(), count))
    });
    match account::instances(resources) {
        none if none.is_empty() => first.into_iter().collect(),
        had => had,
    }
}
