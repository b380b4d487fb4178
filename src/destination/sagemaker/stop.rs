//! The word to stop.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_sagemaker::Client as Sdk;
use aws_sdk_sagemaker::config::Config;

use super::problem;
use super::settings::SagemakerSettings;
use crate::error::Result;

/// The word to stop is given in less than five seconds, or given again.
const STOPPING: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(4));

/// What became of the word to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The job stops, or has ended.
    Heard,
    /// There is no such job.
    Absent,
}

/// Tells a job to stop. One that has ended, or never began, stays as it is.
pub(super) async fn tell(sdk: &Sdk, settings: &SagemakerSettings, name: &str) -> Result<Told> {
    let (attempt, whole) = STOPPING;
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(whole)
        .build();
    let call = sdk.stop_training_job().training_job_name(name).customize();
    let call = call.config_override(Config::builder().timeout_config(timeouts));
    match call.send().await {
        Ok(_) => Ok(Told::Heard),
        Err(cause) if problem::is_absent(&cause) => Ok(Told::Absent),
        Err(cause) if problem::is_code(&cause, "ValidationException") => Ok(Told::Heard),
        Err(cause) => {
            let what = format!("stop the job `{name}`");
            let action = "sagemaker:StopTrainingJob";
            let error = problem::of_job(settings, &what, action, name, &cause);
            Err(error.hint(by_hand(settings, name)))
        }
    }
}

/// How a person stops it.
pub(super) fn by_hand(settings: &SagemakerSettings, name: &str) -> String {
    let region = &settings.region;
    format!(
        "stop it: `aws sagemaker stop-training-job --region {region} --training-job-name {name}`"
    )
}
