//! What is wrong when an engine cannot be used, and what to do.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::{Endpoint, Facts};
use crate::error::{Error, ExitCode, Result};

/// The API of Docker 20.10, the oldest engine that is supported.
const OLDEST_API: (usize, usize) = (1, 41);

fn error(endpoint: &Endpoint) -> Error {
    let message = format!("cannot use the Docker Engine at {endpoint}");
    Error::new(ExitCode::Build, message)
}

/// No connection.
pub(super) fn unreachable(endpoint: &Endpoint, cause: &io::Error) -> Error {
    let hint = match (endpoint, cause.kind()) {
        (Endpoint::Unix(_), ErrorKind::NotFound) => {
            "there is no such socket. Start Docker (`systemctl start docker`, or Docker Desktop); \
             a rootless engine needs `DOCKER_HOST=unix://$XDG_RUNTIME_DIR/docker.sock`; in a \
             container, mount the socket: `-v /var/run/docker.sock:/var/run/docker.sock`"
        }
        (Endpoint::Unix(_), ErrorKind::PermissionDenied) => {
            "this user may not use the socket. Add the user to its group (`sudo usermod -aG docker \
             $USER`, then log in again), or use a rootless engine: \
             https://docs.docker.com/engine/security/rootless/"
        }
        (Endpoint::Unix(_), ErrorKind::ConnectionRefused) => {
            "the socket is there and nobody listens: the engine was stopped. Start it: `systemctl \
             start docker`"
        }
        (_, ErrorKind::ConnectionRefused) => {
            "nobody listens at that address. Is the engine started with `-H tcp://…`, and is the \
             port right (2375 without TLS, 2376 with TLS)?"
        }
        (Endpoint::Tls { .. }, ErrorKind::InvalidData | ErrorKind::NotFound) => {
            "look at `DOCKER_CERT_PATH` (`ca.pem`, `cert.pem`, `key.pem`), and whether the engine \
             at that address has TLS"
        }
        _ => "look at `DOCKER_HOST` and `docker context ls`",
    };
    error(endpoint).because(cause).hint(hint)
}

/// An answer that is none.
pub(super) fn answer(endpoint: &Endpoint, cause: &bollard::errors::Error) -> Error {
    error(endpoint)
        .because(cause)
        .hint("is it a Docker Engine that listens there? `docker version` shows what answers")
}

/// No answer.
pub(super) fn silent(endpoint: &Endpoint, waited: Duration) -> Error {
    error(endpoint)
        .because(format!("it did not answer within {} s", waited.as_secs()))
        .hint("`docker version` shows whether it answers at all; restart it if not")
}

/// An address that is not understood.
pub(super) fn address(host: &str) -> Error {
    let message = format!("cannot use the Docker Engine at `{host}`");
    let error = Error::new(ExitCode::Config, message);
    match host.split_once("://") {
        Some(("ssh", rest)) => error.because("SSH is not supported").hint(format!(
            "open a tunnel and name its end: `ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock \
             {rest}`, then `DOCKER_HOST=unix:///tmp/docker.sock`"
        )),
        _ => error
            .because("the address is not understood")
            .hint("write `unix:///path` or `tcp://host:port`"),
    }
}

/// TLS without certificates.
pub(super) fn no_certificates(host: &str) -> Error {
    let message = format!("no certificates for the Docker Engine at {host}");
    Error::new(ExitCode::Credentials, message).hint(
        "set `DOCKER_TLS_VERIFY=1` and `DOCKER_CERT_PATH` to a folder with `ca.pem`, `cert.pem` \
         and `key.pem`",
    )
}

/// A context that is not there.
pub(super) fn no_context(name: &str) -> Error {
    let message = format!("there is no Docker context `{name}`");
    Error::new(ExitCode::Config, message)
        .hint("`docker context ls` names those that are there; `DOCKER_CONTEXT` chooses one")
}

/// Whether an engine is new enough.
pub(super) fn check_age(facts: &Facts) -> Result<()> {
    let Facts { version, api, .. } = facts;
    // NOTE: other engines that speak this API have versions of their own (Podman 4: API 1.41).
    if *api >= OLDEST_API {
        return Ok(());
    }
    let message = format!(
        "the Docker Engine is too old: {version} (API {}.{})",
        api.0, api.1
    );
    Err(Error::new(ExitCode::Build, message).hint("Docker 20.10 or newer is needed"))
}
