//! What registries' answers mean, in words: which host, what is missing, what to do.

use std::fmt;

use http::{StatusCode, Uri};
use serde::Deserialize;

use super::credentials::{self, Login};
use super::reference::Reference;
use super::{Manifest, publish_error};
use crate::error::{Error, Result};
use crate::report::text;
use crate::transport::{Answer, Failure};

/// Longest quotation of what a registry says, in characters.
const QUOTED: usize = 300;

/// A question to a registry.
pub(crate) struct Asked<'a> {
    pub(crate) reference: &'a Reference,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(reference: &'a Reference) -> Self {
        Self { reference }
    }

    fn host(&self) -> &str {
        self.reference.repository().host()
    }

    pub(crate) fn uri(&self) -> Result<Uri> {
        let repository = self.reference.repository();
        let (origin, path) = (repository.origin(), repository.path());
        format!("{origin}/v2/{path}/manifests/{}", self.reference.selector())
            .parse()
            .map_err(|cause| self.broken(cause))
    }

    /// Where uploads to the repository begin.
    pub(crate) fn uploads(&self) -> Result<Uri> {
        let repository = self.reference.repository();
        let (origin, path) = (repository.origin(), repository.path());
        format!("{origin}/v2/{path}/blobs/uploads/")
            .parse()
            .map_err(|cause| self.broken(cause))
    }

    /// What was asked for by digest must be that.
    pub(crate) fn checked(&self, manifest: Manifest) -> Result<Manifest> {
        match self.reference.digest() {
            Some(wanted) if wanted != manifest.digest => {
                Err(self.broken(format!("it gave `{}` instead", manifest.digest)))
            }
            _ => Ok(manifest),
        }
    }

    /// Whether a 404 says that there is no such image, rather than no registry.
    pub(crate) fn is_known_absence(&self, answer: &Answer) -> bool {
        let codes = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"];
        said(answer).is_some_and(|said| codes.contains(&said.code.as_str()))
    }

    /// 401: nobody, or somebody whom the registry does not know.
    pub(crate) fn unauthorized(&self, login: Option<&Login>, answer: &Answer) -> Error {
        let (host, reference) = (self.host(), self.reference);
        match login {
            None => credentials::error(format!("`{host}` wants credentials, and there are none"))
                .because(format!("they are needed for `{reference}`"))
                .hint(sign_in(host)),
            Some(login) => {
                let kind = match login.is_token {
                    true => "the identity token".to_owned(),
                    false => format!("the password of `{}`", login.user),
                };
                let error = credentials::error(format!("`{host}` does not accept {kind}"));
                let error = match said(answer) {
                    Some(said) => error.because(said),
                    None => error,
                };
                error.hint(format!(
                    "it is wrong, expired or revoked: {}",
                    sign_in(host)
                ))
            }
        }
    }

    /// The registry will send credentials where they must not go.
    pub(crate) fn distrusted(&self, cause: String) -> Error {
        let host = self.host();
        credentials::error(format!("no credentials are sent to `{host}`"))
            .because(cause)
            .hint("check the host's name; a registry with passwords needs HTTPS")
    }

    /// Any other answer that is none to the question.
    pub(crate) fn refused(&self, answer: &Answer) -> Error {
        let (host, reference) = (self.host(), self.reference);
        let repository = reference.repository();
        let said = said(answer);
        let cause = match &said {
            Some(said) => said.to_string(),
            None => format!("it answered {}", answer.status),
        };
        match answer.status {
            StatusCode::FORBIDDEN => {
                credentials::error(format!("`{host}` denies access to `{repository}`"))
                    .because(cause)
                    .hint("ask its owner for the right to pull and push there, or correct `repository` in `mlaction.toml`")
            }
            StatusCode::TOO_MANY_REQUESTS => {
                publish_error(format!("`{host}` takes no more requests for now"))
                    .because(cause)
                    .hint(format!("wait, or sign in for a higher limit: {}", sign_in(host)))
            }
            status if status.is_server_error() => {
                publish_error(format!("the registry `{host}` does not work at the moment"))
                    .because(cause)
                    .hint("try again later; its logs say more")
            }
            _ if said.is_none() => {
                publish_error(format!("`{host}` answers, but not as a registry"))
                    .because(cause)
                    .hint("check host and port: a registry answers under /v2/")
            }
            _ => publish_error(format!("`{host}` refuses to say what `{reference}` is"))
                .because(cause),
        }
    }

    /// The answer contradicts itself or the protocol.
    pub(crate) fn broken(&self, cause: impl fmt::Display) -> Error {
        let (host, reference) = (self.host(), self.reference);
        publish_error(format!("`{host}` gave a broken answer about `{reference}`"))
            .because(text::line(&cause.to_string(), QUOTED))
            .hint("a proxy or cache may stand between; try again, then tell the registry's owner")
    }

    pub(crate) fn no_platform(&self, platform: &str, found: &[String]) -> Error {
        let found = match found {
            [] => "none".to_owned(),
            found => found.join(", "),
        };
        let reference = self.reference;
        publish_error(format!("`{reference}` is not there for `{platform}`"))
            .because(format!("its platforms are: {}", text::line(&found, QUOTED)))
            .hint("choose another base image, or another `platform` in `[image]`")
    }
}

/// No answer at all.
pub(crate) fn unanswered(host: &str, failure: &Failure) -> Error {
    let quoted = |cause: &String| text::line(cause, QUOTED);
    match failure {
        Failure::Unreachable(cause) => publish_error(format!("cannot reach `{host}`"))
            .because(quoted(cause))
            .hint("check the name, the network and HTTPS_PROXY"),
        Failure::Tls(cause) => publish_error(format!("no trusted connection to `{host}`"))
            .because(quoted(cause))
            .hint("add its certificate authority to this machine or to the file in SSL_CERT_FILE; the engine needs it too, in /etc/docker/certs.d"),
        Failure::TooSlow => publish_error(format!("`{host}` did not answer within a minute"))
            .hint("try again; check the network and HTTPS_PROXY"),
        Failure::Broken(cause) => publish_error(format!("the connection to `{host}` broke, each time"))
            .because(quoted(cause))
            .hint("check that it is a registry, and its logs"),
        Failure::TooLong => publish_error(format!("`{host}` answers, but not as a registry"))
            .because("its answer is larger than 4 MiB")
            .hint("check host and port: a registry answers under /v2/"),
    }
}

/// How to give credentials for a host.
pub(crate) fn sign_in(host: &str) -> String {
    format!(
        "run `docker login {host}`, or set MLACTION_REGISTRY_USER and MLACTION_REGISTRY_PASSWORD"
    )
}

/// The first error in an answer's body.
struct Said {
    code: String,
    message: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it says {}", text::line(&self.code, 60))?;
        match self.message.as_str() {
            "" => Ok(()),
            message => write!(f, ": {}", text::line(message, QUOTED)),
        }
    }
}

/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>
fn said(answer: &Answer) -> Option<Said> {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        code: String,
        #[serde(default)]
        message: String,
    }
    let body: Body = serde_json::from_slice(&answer.body).ok()?;
    let One { code, message } = body.errors.into_iter().next()?;
    Some(Said { code, message })
}
