//! Why a role cannot be taken on with a token of GitHub, in words.

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::StatusCode;
use serde::Deserialize;

use crate::error::{Error, ExitCode, chain};
use crate::report::text;
use crate::transport::Failure;

/// Longest quotation, in characters.
const QUOTED: usize = 300;

/// GitHub's part in IAM, where it is not an installation of one's own.
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// What is asked for with an ID token.
#[derive(Debug, Clone)]
pub(in crate::aws) struct Session {
    /// ARN of the role.
    pub(in crate::aws) role: String,
    /// For whom the token is made out.
    pub(in crate::aws) audience: String,
    /// Its name.
    pub(in crate::aws) name: String,
}

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: Error,
    /// Another attempt gives the same.
    pub(super) is_lasting: bool,
}

impl Refusal {
    fn lasting(error: Error) -> Self {
        Self {
            error,
            is_lasting: true,
        }
    }

    fn passing(error: Error) -> Self {
        Self {
            error,
            is_lasting: false,
        }
    }
}

/// What a token says of itself. Nothing in it is secret, and nothing of it is trusted.
#[derive(Debug, Default, Deserialize)]
struct Claims {
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
}

impl Session {
    fn error(&self, why: &str) -> Error {
        let message = format!("cannot take on the role `{}`: {why}", self.role);
        Error::new(ExitCode::Credentials, message)
    }

    /// The job has no right to ask for a token.
    pub(super) fn without_right(&self) -> Refusal {
        let error = self.error("this job may not ask GitHub for an ID token");
        let error = error.because(
            "ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN are not set, or are none",
        );
        Refusal::lasting(error.hint(
            "write `permissions: { id-token: write, contents: read }` into the workflow's job; pull requests from forks and of Dependabot never have that right",
        ))
    }

    /// GitHub answered with something else than a token.
    pub(super) fn no_token(&self, status: StatusCode, body: &[u8]) -> Refusal {
        let said = text::line(&String::from_utf8_lossy(body), QUOTED);
        let error = self.error("GitHub gives no ID token");
        let error = error.because(format!("it answered {status}: {said}"));
        match status.as_u16() {
            400..=428 | 430..=499 => Refusal::lasting(error.hint(
                "the right to ask for one ends with the job; does `permissions: id-token: write` stand in it?",
            )),
            _ => Refusal::passing(error.hint("https://www.githubstatus.com says whether Actions works")),
        }
    }

    /// GitHub did not answer.
    pub(super) fn unanswered(&self, failure: &Failure) -> Refusal {
        let cause = match failure {
            Failure::Unreachable(cause) | Failure::Tls(cause) | Failure::Broken(cause) => {
                text::line(cause, QUOTED)
            }
            Failure::TooSlow => "there was no answer in time".to_owned(),
            Failure::TooLong => "the answer has no end".to_owned(),
        };
        let error = self.error("GitHub is not reached for an ID token");
        let error = error.because(cause);
        Refusal::passing(
            error.hint("check HTTPS_PROXY and NO_PROXY, and the runner's way to GitHub"),
        )
    }

    /// Nothing came in time, or nothing of use.
    pub(super) fn silent(&self) -> Refusal {
        let error = self.error("there was no answer in time");
        Refusal::passing(error.hint("run again; check the network between this runner and AWS"))
    }

    /// AWS refused, or did not answer. `token` is what was sent.
    pub(super) fn refused<E>(&self, cause: &SdkError<E>, token: &str) -> Refusal
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Some(answer) = cause.as_service_error() else {
            let error = self.error("AWS does not answer");
            let error = error.because(text::line(&chain(cause), QUOTED));
            return Refusal::passing(
                error
                    .hint("check the region's name, the network, HTTPS_PROXY and AWS_ENDPOINT_URL"),
            );
        };
        let code = answer.code().unwrap_or("an error without a code");
        let message = answer.message().unwrap_or_default();
        let claims = claims(token);
        let refusal = self.answered(code, message, &claims);
        let quoted = format!("{}: {}", text::line(code, 80), text::line(message, QUOTED));
        let is_aws_own = cause
            .raw_response()
            .is_some_and(|answer| answer.status().is_server_error());
        Refusal {
            error: refusal.error.because(quoted),
            is_lasting: refusal.is_lasting && !is_aws_own,
        }
    }

    fn answered(&self, code: &str, message: &str, claims: &Claims) -> Refusal {
        let Self { role, audience, .. } = self;
        let account = role.split(':').nth(4).unwrap_or_default();
        let issuer = claims.iss.trim_start_matches("https://");
        let subject = text::line(&claims.sub, QUOTED);
        match code {
            "AccessDenied" | "AccessDeniedException" => Refusal::lasting(
                self.error("it does not trust this job, or it does not exist").hint(format!(
                    "its trust policy must allow `sts:AssumeRoleWithWebIdentity` to the provider `{issuer}` with `{issuer}:aud` = `{audience}` and `{issuer}:sub` = `{subject}`, letter by letter (docs/sagemaker.md, \"Signing in\")"
                )),
            ),
            "InvalidIdentityToken" if message.contains("verification key") => Refusal::passing(
                self.error("AWS could not ask GitHub about the ID token").hint("run again"),
            ),
            "InvalidIdentityToken" if message.contains("audience") => Refusal::lasting(
                self.error("the ID token is made out for somebody else").hint(format!(
                    "add `{audience}` to the audiences of the identity provider `{issuer}` in account {account}, or set `aws.audience` to one that it has"
                )),
            ),
            "InvalidIdentityToken" => {
                let issuer = if claims.iss.is_empty() { ISSUER } else { &claims.iss };
                Refusal::lasting(self.error("AWS does not accept the ID token").hint(format!(
                    "account {account} needs an identity provider in IAM: `aws iam create-open-id-connect-provider --url {issuer} --client-id-list {audience}`"
                )))
            }
            "ExpiredTokenException" | "ExpiredToken" => Refusal::passing(
                self.error("a new ID token had expired before AWS saw it")
                    .hint("set this machine's clock"),
            ),
            "ValidationError" if message.contains("DurationSeconds") => Refusal::lasting(
                self.error("its sessions may not last so long")
                    .hint("lower `aws.role_duration`, or raise the role's maximum session duration; credentials are renewed all the same"),
            ),
            "RegionDisabledException" => Refusal::lasting(
                self.error("AWS STS is not active in this region")
                    .hint(format!("activate it for account {account} in IAM")),
            ),
            "IDPCommunicationError" | "Throttling" | "ThrottlingException" | "ServiceUnavailable" => {
                Refusal::passing(self.error("AWS has no time for it").hint("run again"))
            }
            _ => Refusal::lasting(self.error("AWS refuses").hint(format!(
                "the role is `aws.role_to_assume`, or the variable {}",
                crate::aws::settings::ROLE_VARIABLE
            ))),
        }
    }
}

/// What a token says, whoever signed it.
fn claims(token: &str) -> Claims {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&json).unwrap_or_default()
}
