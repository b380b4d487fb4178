//! What SageMaker answers in place of what it was asked for.

use aws_sdk_sagemaker::error::{ProvideErrorMetadata, SdkError};

use super::job::SagemakerDestination;
use super::settings::SagemakerSettings;
use crate::aws::errors::Doing;
use crate::error::{Error, ExitCode};
use crate::registry::plan::Partition;

/// What a request that may work later is refused with.
const PASSING: &[&str] = &[
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "ServiceUnavailable",
    "InternalFailure",
    "InternalServerError",
    "ExpiredTokenException",
    "ExpiredToken",
    "RequestExpired",
];

impl SagemakerDestination {
    /// The error of a call about a job.
    pub(super) fn failed<E>(
        &self,
        what: &str,
        action: &str,
        name: &str,
        cause: &SdkError<E>,
    ) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        of_job(&self.plan.settings, what, action, name, cause)
    }
}

/// The error of a call about a job.
pub(super) fn of_job<E>(
    settings: &SagemakerSettings,
    what: &str,
    action: &str,
    name: &str,
    cause: &SdkError<E>,
) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let region = &settings.region;
    let partition = Partition::of(region).map_or("aws", Partition::name);
    let account = settings.role.split(':').nth(4).unwrap_or("*");
    let doing = Doing {
        what,
        action,
        resource: &format!("arn:{partition}:sagemaker:{region}:{account}:training-job/{name}"),
        region,
        code: ExitCode::JobFailed,
    };
    let error = doing.error(cause);
    match is_lasting(cause) {
        true => error,
        false => error.passing(),
    }
}

/// Whether AWS answered with this code.
pub(super) fn is_code<E: ProvideErrorMetadata>(cause: &SdkError<E>, code: &str) -> bool {
    code_of(cause) == Some(code)
}

fn code_of<E: ProvideErrorMetadata>(cause: &SdkError<E>) -> Option<&str> {
    cause.as_service_error()?.code()
}

/// What AWS says.
pub(super) fn message<E: ProvideErrorMetadata>(cause: &SdkError<E>) -> String {
    let error = cause.as_service_error().and_then(|error| error.message());
    error.unwrap_or_default().to_owned()
}

/// Whether AWS says that it is its own fault: the work may be done or not.
pub(super) fn is_aws_own<E>(cause: &SdkError<E>) -> bool {
    cause
        .raw_response()
        .is_some_and(|answer| answer.status().is_server_error())
}

/// Whether there is no such job.
pub(super) fn is_absent<E: ProvideErrorMetadata>(cause: &SdkError<E>) -> bool {
    is_code(cause, "ResourceNotFound")
        || is_code(cause, "ValidationException") && message(cause).contains("not found")
}

/// Whether the next time gives the same answer.
pub(super) fn is_lasting<E: ProvideErrorMetadata>(cause: &SdkError<E>) -> bool {
    code_of(cause).is_some_and(|code| !PASSING.contains(&code)) && !is_aws_own(cause)
}
