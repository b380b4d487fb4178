//! Registries: where images are published, and what is already there.

mod answers;
mod challenge;
mod credential_helper;
pub mod credentials;
pub mod ecr;
pub mod engine_push;
pub mod oci;
pub mod push_refusal;
pub mod push_stream;
pub mod reference;
mod transport;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ExitCode};

/// An image that cannot change: a repository and the digest of a manifest in it.
///
/// Launching takes nothing else, so that a tag that moved cannot be launched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRef {
    /// `host[:port]/path`; empty for an image that is in an engine only.
    pub repository: String,
    /// `sha256:` and 64 hexadecimal digits: the manifest's digest, or the id in the engine.
    pub digest: String,
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.repository.as_str() {
            "" => f.write_str(&self.digest),
            repository => write!(f, "{repository}@{}", self.digest),
        }
    }
}

/// A manifest that a registry has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Media type, e.g. `application/vnd.docker.distribution.manifest.v2+json`.
    pub media_type: String,
    /// Size of the manifest in bytes.
    pub size: u64,
}

/// An error of publishing.
pub(crate) fn publish_error(message: impl Into<String>) -> Error {
    Error::new(ExitCode::Publish, message)
}

/// Whether a tag is a content address (`in-` and a hash): whoever pushes it pushes the same.
pub(crate) fn is_content_address(tag: &str) -> bool {
    let hex = tag.strip_prefix("in-").unwrap_or_default();
    hex.len() >= 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}
