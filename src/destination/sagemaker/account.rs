//! What SageMaker says of a job, and what it cost.

use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::types::{
    ResourceConfig, SecondaryStatus, TrainingInstanceType, TrainingJobStatus as Status,
};

use super::cost;
use super::plan::SagemakerPlan;
use crate::report::Phase;
use crate::report::jobs::JobInfo;

/// Secondary states in which a job does nothing any more.
const ENDS: &[SecondaryStatus] = &[
    SecondaryStatus::Completed,
    SecondaryStatus::Failed,
    SecondaryStatus::Stopped,
    SecondaryStatus::MaxRuntimeExceeded,
    SecondaryStatus::MaxWaitTimeExceeded,
];

/// A job, as far as SageMaker has described it.
pub(super) fn of(plan: &SagemakerPlan, role: &str, answer: &DescribeTrainingJobOutput) -> JobInfo {
    let status = answer.training_job_status().map_or("", Status::as_str);
    let more = answer.secondary_status().map(SecondaryStatus::as_str);
    let seconds = |count: Option<i32>| count.and_then(|count| u64::try_from(count).ok());
    let training_seconds = seconds(answer.training_time_in_seconds());
    let billed_seconds = seconds(answer.billable_time_in_seconds());
    let instances = answer.resource_config().map(instances);
    let instances = cost::priced(&plan.settings, instances.unwrap_or_default());
    let cost = cost::of(plan, &instances, billed_seconds);
    JobInfo {
        role: role.to_owned(),
        name: answer.training_job_name().unwrap_or_default().to_owned(),
        arn: answer.training_job_arn().map(str::to_owned),
        status: status.to_owned(),
        secondary_status: more.filter(|more| *more != status).map(str::to_owned),
        phases: phases(answer),
        instances,
        training_seconds,
        billed_seconds,
        spot_saving: answer
            .enable_managed_spot_training()
            .filter(|is_spot| *is_spot)
            .and_then(|_| saving(billed_seconds?, training_seconds?)),
        cost,
    }
}

/// `1 - billed / trained`, as AWS has it.
/// <https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html>
fn saving(billed: u64, trained: u64) -> Option<f64> {
    let saved = trained.checked_sub(billed)?;
    (trained > 0).then(|| saved as f64 / trained as f64)
}

/// What it did and for how long. The step that it is in has no end yet, and is left out.
fn phases(answer: &DescribeTrainingJobOutput) -> Vec<Phase> {
    let steps = answer.secondary_status_transitions().iter();
    steps
        .filter_map(|step| {
            let status = step.status().filter(|status| !ENDS.contains(status))?;
            let seconds = step.end_time()?.as_secs_f64() - step.start_time()?.as_secs_f64();
            Some(Phase {
                name: status.as_str().to_owned(),
                seconds: (seconds.max(0.0) * 1000.0).round() / 1000.0,
            })
        })
        .collect()
}

/// The instances that a job really has: types and numbers. None while it is not known which of
/// several types it gets.
pub(super) fn instances(resources: &ResourceConfig) -> Vec<(String, u32)> {
    let one = |kind: Option<&TrainingInstanceType>, count: Option<i32>| {
        let count = u32::try_from(count.unwrap_or(1)).ok()?;
        Some((kind?.as_str().to_owned(), count))
    };
    let groups = resources.instance_groups().iter();
    let groups: Vec<_> = groups
        .filter_map(|group| one(group.instance_type(), group.instance_count()))
        .collect();
    if !groups.is_empty() {
        return groups;
    }
    let chosen = one(
        resources.selected_instance_type(),
        resources.selected_instance_count(),
    );
    let plain = || one(resources.instance_type(), resources.instance_count());
    chosen.or_else(plain).into_iter().collect()
}
