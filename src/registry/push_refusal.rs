//! Why an engine could not push, read from its words: errors arrive inside a stream that began
//! with "200 OK", as text for people.

use super::answers::sign_in;
use super::credentials::{self, Login};
use super::publish_error;
use super::reference::Repository;
use crate::error::{Error, ExitCode};
use crate::report::text;

/// Longest quotation of an engine, in characters.
const QUOTED: usize = 400;

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The registry wants credentials and the engine sent none.
    NoCredentials,
    /// The credentials were good once.
    Expired,
    /// The registry does not know the credentials.
    Unauthorized,
    /// The registry knows who asks, and says no.
    Denied,
    /// There is no such repository, and pushing does not create it.
    NoRepository,
    /// The tag is there already and must not be moved.
    ImmutableTag,
    /// The registry's storage is full.
    NoSpace,
    /// The engine has no such image any more.
    NoImage,
    /// The engine does not trust the registry, or speaks HTTPS where it speaks HTTP.
    Tls,
    /// The host's name leads nowhere.
    NoHost,
    /// The registry has a fault of its own that the engine's repetitions did not pass.
    Failing,
    /// The registry is away, busy or broken: it may work in a moment.
    Away,
    /// Something else.
    Other,
}

/// Words of engines (20.10 to 29) and of the registries behind them, in lower case. The first
/// row that fits decides, so the specific ones come first.
const WORDS: &[(Refusal, &[&str])] = &[
    (
        Refusal::NoImage,
        &["does not exist locally", "no such image"],
    ),
    (Refusal::NoCredentials, &["no basic auth credentials"]),
    (
        Refusal::ImmutableTag,
        &["immutable", "cannot be overwritten", "tag invalid"],
    ),
    (
        Refusal::Expired,
        &["token has expired", "token is expired", "expiredtoken"],
    ),
    (
        Refusal::NoSpace,
        &[
            "no space left",
            "insufficient storage",
            "quota exceeded",
            "507 ",
        ],
    ),
    (
        Refusal::NoRepository,
        &[
            "name unknown",
            "name_unknown",
            "repository does not exist",
            "repository name not known",
            "does not exist in the registry",
        ],
    ),
    (
        Refusal::Unauthorized,
        &[
            "unauthorized",
            "authentication required",
            "incorrect username or password",
            "401 ",
        ],
    ),
    (
        Refusal::Denied,
        &["denied", "not authorized", "forbidden", "403 "],
    ),
    (
        Refusal::Tls,
        &[
            "x509",
            "certificate",
            "gave http response to https client",
            "tls: ",
        ],
    ),
    (Refusal::NoHost, &["no such host", "server misbehaving"]),
    (
        Refusal::Failing,
        &["internal server error", "unknown: unknown error"],
    ),
    (
        Refusal::Away,
        &[
            "connection refused",
            "connection reset",
            "broken pipe",
            "eof",
            "timeout",
            "deadline exceeded",
            "closed network connection",
            "no route to host",
            "network is unreachable",
            "toomanyrequests",
            "too many requests",
            "blob upload unknown",
            "blob_upload_unknown",
            "blob unknown",
            "bad gateway",
            "service unavailable",
            "received unexpected http status: 5",
        ],
    ),
];

impl Refusal {
    /// The kind that an engine's words mean.
    #[must_use]
    pub fn read(said: &str) -> Self {
        let said = said.to_lowercase();
        let fits = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let row = WORDS.iter().find(|(_, words)| fits(words));
        row.map_or(Self::Other, |(kind, _)| *kind)
    }

    /// Whether the same push may work in a moment, with fresh credentials. The name of an image that
    /// is still there is given anew by each attempt.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Away | Self::Expired | Self::NoImage)
    }

    /// The error for it.
    pub(crate) fn error(self, said: &str, to: &Repository, login: Option<&Login>) -> Error {
        let host = to.host();
        let user = match login {
            Some(login) if login.is_token => "the identity token".to_owned(),
            Some(login) => format!("the password of `{}`", login.user),
            None => "no credentials".to_owned(),
        };
        let error = match self {
            Self::NoCredentials => {
                credentials::error(format!("`{host}` wants credentials, and there are none"))
                    .hint(sign_in(host))
            }
            Self::Unauthorized if login.is_none() => {
                credentials::error(format!("`{host}` wants credentials, and there are none"))
                    .hint(sign_in(host))
            }
            Self::Unauthorized => credentials::error(format!("`{host}` does not accept {user}"))
                .hint(format!("it is wrong, expired or revoked: {}", sign_in(host))),
            Self::Expired => credentials::error(format!("the token for `{host}` has expired"))
                .hint("renew the credentials; a fresh token was tried already"),
            Self::Denied => credentials::error(format!("`{host}` denies pushing to `{to}`"))
                .hint("ask its owner for the right to push, or correct `repository` in `mlaction.toml`"),
            Self::NoRepository => publish_error(format!("there is no repository `{to}`"))
                .hint("create it, or correct `repository` in `mlaction.toml`: this registry makes none by itself"),
            Self::ImmutableTag => publish_error(format!("a tag in `{to}` cannot be overwritten"))
                .hint("the repository's tags are immutable: delete the tag there when it must go"),
            Self::NoSpace => publish_error(format!("the registry `{host}` has no space left"))
                .hint("delete images there and collect its garbage, or give it more space"),
            Self::NoImage => Error::new(ExitCode::Publish, "the image to push is not in the engine any more")
                .hint("something removed it meanwhile (`docker image prune`?): run again"),
            Self::Tls => publish_error(format!("the engine has no trusted connection to `{host}`"))
                .hint(format!("give the engine the certificate authority in /etc/docker/certs.d/{host}/ca.crt; for HTTP without TLS name the host in its `insecure-registries`")),
            Self::NoHost => publish_error(format!("the engine cannot find the host `{host}`"))
                .hint("correct `repository` in `mlaction.toml`, or the DNS of the engine's machine"),
            Self::Failing => publish_error(format!("the registry `{host}` cannot store the image"))
                .hint("its storage is too full for a layer, or cannot be written: its logs say which; what was pushed stays there"),
            Self::Away => publish_error(format!("the registry `{host}` went away during the push, again and again"))
                .hint("what was pushed stays there: run again when it works; its logs say more"),
            Self::Other => publish_error(format!("the engine could not push to `{to}`")),
        };
        error.because(text::line(said.trim(), QUOTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_engines_and_registries_are_told_apart() {
        for (said, kind) in [
            ("no basic auth credentials", Refusal::NoCredentials),
            (
                "unauthorized: authentication required",
                Refusal::Unauthorized,
            ),
            (
                "denied: Your authorization token has expired. Reauthenticate and try again.",
                Refusal::Expired,
            ),
            (
                "denied: requested access to the resource is denied",
                Refusal::Denied,
            ),
            (
                "denied: User: arn:aws:sts::1:x is not authorized to perform: ecr:InitiateLayerUpload on resource: y",
                Refusal::Denied,
            ),
            (
                "name unknown: The repository with name 'app' does not exist in the registry with id '123456789012'",
                Refusal::NoRepository,
            ),
            (
                "tag invalid: The image tag 'in-1' already exists in the 'app' repository and cannot be overwritten because the repository is immutable.",
                Refusal::ImmutableTag,
            ),
            (
                "error from registry: The image tag 'in-1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable.",
                Refusal::ImmutableTag,
            ),
            (
                "An image does not exist locally with the tag: localhost:1/a",
                Refusal::NoImage,
            ),
            (
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                Refusal::Away,
            ),
            (
                "Patch \"http://x/v2/a/blobs/uploads/u\": write tcp 1->2: write: connection reset by peer",
                Refusal::Away,
            ),
            ("Put \"http://x\": EOF", Refusal::Away),
            (
                "received unexpected HTTP status: 503 Service Unavailable",
                Refusal::Away,
            ),
            (
                "received unexpected HTTP status: 500 Internal Server Error",
                Refusal::Failing,
            ),
            (
                "write /var/lib/registry/x: no space left on device",
                Refusal::NoSpace,
            ),
            (
                "Get \"https://x/v2/\": x509: certificate signed by unknown authority",
                Refusal::Tls,
            ),
            (
                "http: server gave HTTP response to HTTPS client",
                Refusal::Tls,
            ),
            (
                "dial tcp: lookup nowhere.invalid on 1.1.1.1:53: no such host",
                Refusal::NoHost,
            ),
            ("something new", Refusal::Other),
        ] {
            assert_eq!(Refusal::read(said), kind, "{said}");
        }
    }
}
