//! What a job is doing, in our words. SageMaker may add states: one that nobody knows is said as
//! it is called, and the job goes on.

use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::types::{SecondaryStatus, TrainingJobStatus as Status};

use crate::destination::JobState;
use crate::report::text;

/// Longest reason, in characters; SageMaker's own limit (service model, `FailureReason`).
const MAX_REASON: usize = 1024;

/// How the reason begins when there were no instances.
const NO_CAPACITY: &str = "CapacityError";

/// What it is doing, in SageMaker's own word.
pub(super) fn phase(answer: &DescribeTrainingJobOutput) -> String {
    let secondary = answer.secondary_status().map(SecondaryStatus::as_str);
    let status = answer.training_job_status().map(Status::as_str);
    text::line(secondary.or(status).unwrap_or_default(), 80)
}

/// Whether a job with this status goes on no more.
pub(super) fn has_ended(status: &str) -> bool {
    matches!(status, "Completed" | "Failed" | "Stopped")
}

/// Whether it goes on, or how it ended.
pub(super) fn of(answer: &DescribeTrainingJobOutput) -> JobState {
    match answer.training_job_status() {
        Some(Status::Completed) => JobState::Succeeded,
        Some(Status::Failed) => {
            let reason = text::line(answer.failure_reason().unwrap_or_default(), MAX_REASON);
            match reason.as_str() {
                "" => JobState::Failed {
                    reason: "SageMaker gives no reason".to_owned(),
                },
                reason if reason.starts_with(NO_CAPACITY) => JobState::NoCapacity {
                    reason: reason.to_owned(),
                },
                _ => JobState::Failed { reason },
            }
        }
        Some(Status::Stopped) => stopped(answer),
        _ => JobState::Running,
    }
}

fn stopped(answer: &DescribeTrainingJobOutput) -> JobState {
    let limits = answer.stopping_condition();
    let (limit, key) = match answer.secondary_status() {
        Some(SecondaryStatus::MaxRuntimeExceeded) => (
            limits.and_then(|limits| limits.max_runtime_in_seconds()),
            "training time",
        ),
        Some(SecondaryStatus::MaxWaitTimeExceeded) => (
            limits.and_then(|limits| limits.max_wait_time_in_seconds()),
            "time with waiting for spot instances",
        ),
        _ => {
            return JobState::Stopped {
                reason: "somebody stopped it on SageMaker".to_owned(),
            };
        }
    };
    let seconds = limit
        .map(|limit| format!(" ({limit} s)"))
        .unwrap_or_default();
    JobState::TimedOut {
        reason: format!("SageMaker ended it: its {key}{seconds} was over"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str, secondary: &str) -> JobState {
        of(&DescribeTrainingJobOutput::builder()
            .training_job_status(status.into())
            .secondary_status(secondary.into())
            .build())
    }

    #[test]
    fn a_stopped_job_has_not_succeeded() {
        assert_eq!(job("Completed", "Completed"), JobState::Succeeded);
        assert!(matches!(
            job("Stopped", "Stopped"),
            JobState::Stopped { .. }
        ));
        for limit in ["MaxRuntimeExceeded", "MaxWaitTimeExceeded"] {
            assert!(matches!(job("Stopped", limit), JobState::TimedOut { .. }));
        }
        assert!(matches!(job("Failed", "Failed"), JobState::Failed { .. }));
    }

    #[test]
    fn a_state_that_nobody_knows_goes_on() {
        assert_eq!(job("Pondering", "Musing"), JobState::Running);
        assert_eq!(job("InProgress", "Musing"), JobState::Running);
        assert_eq!(job("Stopping", "Uploading"), JobState::Running);
    }
}
