//! AWS's errors in words: what is missing, on which side, what to do.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};

use super::damaged::DAMAGED;
use crate::error::{Error, ExitCode, chain};
use crate::report::text;

/// Longest quotation of AWS, in characters.
const QUOTED: usize = 500;

/// What was done when the error came.
#[derive(Debug, Clone, Copy)]
pub struct Doing<'a> {
    /// In words, e.g. `create the repository`.
    pub what: &'a str,
    /// The IAM action, e.g. `ecr:CreateRepository`.
    pub action: &'a str,
    /// The resource's ARN, or `*`.
    pub resource: &'a str,
    /// The region that was asked.
    pub region: &'a str,
    /// The exit code for what is no matter of credentials.
    pub code: ExitCode,
}

/// Words that AWS uses for "this identity is over".
const EXPIRED: &[&str] = &["ExpiredTokenException", "ExpiredToken", "RequestExpired"];

/// Words that AWS uses for "this is no valid identity".
const BAD_IDENTITY: &[&str] = &[
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "InvalidToken",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
];

/// Words that AWS uses for "not now".
const BUSY: &[&str] = &[
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "SlowDown",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

/// Words that AWS uses for a fault of its own.
const BROKEN: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServerException",
];

impl Doing<'_> {
    /// The error of a call.
    pub fn error<E, R>(&self, cause: &SdkError<E, R>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        match cause.as_service_error() {
            Some(error) => {
                let code = error.code().unwrap_or("an error without a code");
                self.answered(code, error.message().unwrap_or_default())
            }
            None => match told(cause) {
                Some(error) => error.clone().prevents(self.what),
                None => self.unanswered(&chain(cause)),
            },
        }
    }

    /// AWS answered with an error.
    #[must_use]
    pub fn answered(&self, code: &str, message: &str) -> Error {
        let Self {
            what,
            region,
            code: exit,
            ..
        } = self;
        let cause = format!("{}: {}", text::line(code, 80), text::line(message, QUOTED));
        let credentials = |message: String| Error::new(ExitCode::Credentials, message);
        let error = match code {
            "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => {
                return self.denied(message).because(cause);
            }
            code if EXPIRED.contains(&code) => {
                credentials(format!("cannot {what}: the AWS credentials have expired"))
                    .hint("renew them: `aws sso login`; in GitHub Actions, `aws.role_to_assume` has mlaction do it by itself")
            }
            code if is_of_another_time(code, message) => {
                credentials(format!("cannot {what}: this machine's clock is wrong"))
                    .hint("set the clock: AWS refuses requests that are 5 minutes off")
            }
            "InvalidSignatureException" | "SignatureDoesNotMatch" => {
                credentials(format!("cannot {what}: the AWS secret key is wrong"))
                    .hint("check AWS_SECRET_ACCESS_KEY for missing or added characters")
            }
            code if BAD_IDENTITY.contains(&code) => {
                credentials(format!("cannot {what}: AWS does not know the credentials"))
                    .hint(format!("check AWS_ACCESS_KEY_ID or the profile; for keys of another partition or a region that the account has not enabled (`{region}`?) AWS says the same"))
            }
            code if BUSY.contains(&code) => {
                Error::new(*exit, format!("cannot {what}: AWS takes no more requests for now"))
                    .hint("wait and run again, or ask for a higher quota")
            }
            code if BROKEN.contains(&code) => {
                Error::new(*exit, format!("cannot {what}: AWS has a fault of its own"))
                    .hint("run again in a while; <https://health.aws.amazon.com> says what is known")
            }
            "LimitExceededException" => {
                Error::new(*exit, format!("cannot {what}: a quota is exhausted"))
                    .hint("delete what is not needed, or ask for a higher quota in Service Quotas")
            }
            code if code == "KmsException" || code.starts_with("KMS.") => Error::new(*exit, format!("cannot {what}: the KMS key cannot be used"))
                .hint("check `kms_key`: it must be enabled, in the same region, and its policy must let you use it"),
            _ => Error::new(*exit, format!("cannot {what}")),
        };
        error.because(cause)
    }

    /// The permission that is missing, and on which side.
    fn denied(&self, message: &str) -> Error {
        let Self {
            what,
            action,
            resource,
            ..
        } = self;
        let action = between(message, "to perform: ", " ").unwrap_or(action);
        let resource = between(message, "on resource: ", " ").unwrap_or(resource);
        // Amazon S3 quotes it.
        let resource = resource.trim_matches('"');
        let caller = between(message, "User: ", " ");
        let (own, others) = (caller.and_then(account), account(resource));
        let who = caller.unwrap_or("the caller");
        let error = Error::new(
            ExitCode::Credentials,
            format!("cannot {what}: `{action}` is not allowed"),
        );
        let is_foreign = matches!((own, others), (Some(own), Some(others)) if own != others);
        let place = others.unwrap_or("the owner's account");
        error.hint(if message.contains("explicit deny") {
            let kind = between(message, "explicit deny in a", "policy").unwrap_or(" ");
            let kind = kind.trim_start_matches('n').trim();
            format!("a {kind} policy forbids it: ask who owns that policy; allowing more elsewhere does not help")
        } else if message.contains("no resource-based policy") {
            format!("on the side of account {place}: its policy for `{resource}` must allow `{action}` to `{who}`")
        } else if message.contains("service control policy") {
            format!("the organisation's service control policies must allow `{action}`")
        } else if message.contains("no permissions boundary") {
            format!("the permissions boundary of `{who}` must allow `{action}`")
        } else if message.contains("no session policy") {
            format!("the session policy with which `{who}` was assumed must allow `{action}`")
        } else if is_foreign {
            let own = own.unwrap_or_default();
            format!("on both sides: in account {own}, a policy of `{who}` must allow `{action}` on `{resource}`; in account {place}, the policy of the resource must allow it too")
        } else {
            format!("give `{who}` a policy that allows `{action}` on `{resource}`")
        })
    }

    /// AWS was not asked, or did not answer.
    fn unanswered(&self, cause: &str) -> Error {
        let Self {
            what,
            region,
            code: exit,
            ..
        } = self;
        let has = |words: &[&str]| words.iter().any(|word| cause.contains(word));
        let error = if has(&[
            "no providers in chain",
            "credentials provider",
            "credential provider",
            "loading credentials",
            "CredentialsNotLoaded",
            "identity",
        ]) {
            let expired = has(&["expired", "Expired"]);
            let error = Error::new(
                ExitCode::Credentials,
                match expired {
                    true => format!("cannot {what}: the AWS credentials have expired"),
                    false => format!("cannot {what}: there are no AWS credentials"),
                },
            );
            error.hint("set AWS_PROFILE and run `aws sso login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; in GitHub Actions name a role in `aws.role_to_assume` (`permissions: id-token: write`)")
        } else if has(&[DAMAGED]) {
            Error::new(
                *exit,
                format!("cannot {what}: AWS's answers do not arrive whole"),
            )
            .hint("run again; when it happens again, something on the way cuts them: a proxy (HTTPS_PROXY)?")
        } else if has(&["certificate", "Certificate", "tls", "TLS"]) {
            Error::new(
                *exit,
                format!("cannot {what}: no trusted connection to AWS"),
            )
            .hint("add the certificate authority of your network to the file in SSL_CERT_FILE")
        } else {
            Error::new(
                *exit,
                format!("cannot {what}: AWS in `{region}` does not answer"),
            )
            .hint("check the region's name, the network, HTTPS_PROXY and AWS_ENDPOINT_URL")
        };
        error.because(text::line(cause, QUOTED))
    }
}

/// Whether a call failed because the credentials are of no use: they have expired, AWS does not
/// know them, or there are none.
pub fn is_without_credentials<E, R>(cause: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let code = cause.as_service_error().map(|error| error.code());
    match code {
        Some(code) => {
            code.is_some_and(|code| EXPIRED.contains(&code) || BAD_IDENTITY.contains(&code))
        }
        None => sources(cause).any(|source| source.is::<CredentialsError>()),
    }
}

/// Our own words, when signing in is what failed.
fn told<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e Error> {
    sources(cause).find_map(|source| source.downcast_ref())
}

/// An error and what it was caused by, all the way down.
fn sources<'e>(
    cause: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(cause), |error| error.source())
}

/// Whether a request was refused for the time that it was signed with.
fn is_of_another_time(code: &str, message: &str) -> bool {
    let words = ["Signature expired", "not yet current"];
    code == "RequestTimeTooSkewed"
        || code == "InvalidSignatureException" && words.iter().any(|words| message.contains(words))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split(after).next().unwrap_or(rest)).filter(|found| !found.is_empty())
}

/// The account in an ARN.
fn account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| account.len() == 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(message: &str) -> String {
        let doing = Doing {
            what: "create the repository",
            action: "ecr:CreateRepository",
            resource: "arn:aws:ecr:eu-west-1:111111111111:repository/app",
            region: "eu-west-1",
            code: ExitCode::Publish,
        };
        let error = doing.answered("AccessDeniedException", message);
        assert_eq!(error.exit_code(), ExitCode::Credentials);
        error.advice().unwrap().to_owned()
    }

    #[test]
    fn a_missing_permission_is_named_with_its_side() {
        let user = "User: arn:aws:sts::111111111111:assumed-role/ci/run is not authorized to perform: ecr:PutImage on resource: arn:aws:ecr:eu-west-1:";
        let own = hint(&format!(
            "{user}111111111111:repository/app because no identity-based policy allows the ecr:PutImage action"
        ));
        assert_eq!(
            own,
            "give `arn:aws:sts::111111111111:assumed-role/ci/run` a policy that allows `ecr:PutImage` on `arn:aws:ecr:eu-west-1:111111111111:repository/app`"
        );
        let both = hint(&format!("{user}222222222222:repository/app"));
        assert!(
            both.starts_with("on both sides: in account 111111111111,")
                && both.contains("in account 222222222222,"),
            "{both}"
        );
        let theirs = hint(&format!(
            "{user}222222222222:repository/app because no resource-based policy allows the ecr:PutImage action"
        ));
        assert!(
            theirs.starts_with("on the side of account 222222222222:"),
            "{theirs}"
        );
        let deny = hint(&format!(
            "{user}111111111111:repository/app with an explicit deny in a service control policy"
        ));
        assert!(
            deny.starts_with("a service control policy forbids it"),
            "{deny}"
        );
        let deny = hint(&format!(
            "{user}111111111111:repository/app with an explicit deny in an identity-based policy"
        ));
        assert!(
            deny.starts_with("a identity-based policy forbids it")
                || deny.starts_with("an identity-based"),
            "{deny}"
        );
        assert!(hint("Access denied").contains("`ecr:CreateRepository`"));
    }
}
