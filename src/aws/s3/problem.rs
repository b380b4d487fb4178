//! What S3 refuses, in words.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::Bucket;
use crate::aws::errors::Doing;
use crate::error::{Error, ExitCode};
use crate::registry::plan::Partition;
use crate::report::text;

impl Bucket {
    /// The error of a call about the bucket or one of its keys.
    pub(super) fn failed<E>(
        &self,
        what: &str,
        action: &str,
        key: Option<&str>,
        cause: &SdkError<E>,
    ) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let partition = Partition::of(&self.region).map_or("aws", Partition::name);
        let name = &self.name;
        let object = key.map(|key| format!("/{key}")).unwrap_or_default();
        let doing = Doing {
            what,
            action,
            resource: &format!("arn:{partition}:s3:::{name}{object}"),
            region: &self.region,
            code: ExitCode::Data,
        };
        let answered = cause.as_service_error();
        let Some(code) = answered.and_then(ProvideErrorMetadata::code) else {
            return doing.error(cause);
        };
        let message = answered
            .and_then(ProvideErrorMetadata::message)
            .unwrap_or_default();
        let error = |failed: String| {
            let words = format!("{}: {}", text::line(code, 80), text::line(message, 500));
            Error::new(ExitCode::Data, failed).because(words)
        };
        match code {
            "NoSuchBucket" => error(format!("cannot {what}: there is no bucket `{name}`"))
                .hint("check its name, and that the credentials are those of the right partition"),
            "InvalidBucketName" => error(format!("cannot {what}: `{name}` is no name for a bucket"))
                .hint("a name has 3 to 63 lowercase letters, digits, dots and hyphens, without `s3://`"),
            "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                let headers = cause.raw_response().map(|answer| answer.headers());
                let found = headers.and_then(|headers| headers.get("x-amz-bucket-region"));
                let found = found.or_else(|| expected_region(message));
                let own = &self.region;
                let error = error(format!("cannot {what}: the bucket `{name}` is not in `{own}`"));
                match found {
                    Some(found) => error.hint(format!("it is in `{}`: the job must run there too, or take a bucket in `{own}`", text::line(found, 40))),
                    None => error.hint(format!("take a bucket in `{own}`, or set the region that it is in")),
                }
            }
            "InvalidObjectState" => error(format!("cannot {what}: it lies in an archive"))
                .hint("restore the object, or exempt the prefix from the bucket's lifecycle rule"),
            "BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch" => {
                error(format!("cannot {what}: what S3 got is not what was sent"))
                    .hint("run again; when it happens again, a proxy or the memory of this machine is damaged")
            }
            "EntityTooLarge" | "EntityTooSmall" | "InvalidPart" | "InvalidPartOrder" => {
                error(format!("cannot {what}: S3 refuses its parts")).hint("run again")
            }
            _ => doing.error(cause),
        }
    }
}

/// The region in `the region 'us-east-1' is wrong; expecting 'eu-west-1'`.
fn expected_region(message: &str) -> Option<&str> {
    message.split_once("expecting '")?.1.split('\'').next()
}
