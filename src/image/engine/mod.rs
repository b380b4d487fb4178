//! The Docker Engine: where it listens, what it can do, how much space it has.

mod dial;
mod endpoint;
mod problem;
mod space;
mod tls;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;

use crate::error::Result;

pub(crate) use dial::{Pipe, Refused};
pub use endpoint::{Certificates, Endpoint};
pub use space::Need;

/// How long an engine may take to answer the first questions.
const CONNECT: Duration = Duration::from_secs(10);

/// How long one answer may take to begin: an engine unpacks a whole archive before it answers.
const ANSWER: Duration = Duration::from_secs(6 * 3600);

/// A Docker Engine that answered.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: Docker,
    endpoint: Endpoint,
    facts: Facts,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its version: `28.0.4`.
    pub version: String,
    /// The API version that is spoken with it: the older one of its newest and ours.
    pub api: (usize, usize),
    /// `linux`.
    pub os: String,
    /// As in a platform: `amd64`, `arm64`.
    pub architecture: String,
    /// `overlay2`, `overlayfs`, `fuse-overlayfs`, …
    pub storage_driver: String,
    /// Whether images are in containerd's store, where an image's id is its manifest's digest and
    /// media types are OCI's unless Docker's are asked for.
    pub has_containerd_store: bool,
    /// Processors.
    pub cpus: u64,
    /// Memory in bytes.
    pub memory: u64,
    /// Where it keeps its data, on its own machine.
    pub root: PathBuf,
    /// Whether its machine is this one, and its files are seen here.
    pub is_local: bool,
}

impl Engine {
    /// Connects to the engine that the environment names: `DOCKER_HOST`, else the current context
    /// of the `docker` command, else the usual socket.
    ///
    /// # Errors
    /// No engine is there, it may not be used, or it is older than Docker 20.10.
    pub async fn connect(env: &BTreeMap<String, String>) -> Result<Self> {
        Self::at(Endpoint::from_environment(env)?).await
    }

    /// Connects to the engine at an endpoint.
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub async fn at(endpoint: Endpoint) -> Result<Self> {
        let connected = tokio::time::timeout(CONNECT, Self::ask(endpoint.clone())).await;
        connected.unwrap_or_else(|_| Err(problem::silent(&endpoint, CONNECT)))
    }

    async fn ask(endpoint: Endpoint) -> Result<Self> {
        // NOTE: the client below tells neither an absent socket from a forbidden one nor a refused
        // connection from a name that does not exist.
        let probe = endpoint.dial().await;
        drop(probe.map_err(|error| problem::unreachable(&endpoint, &error))?);
        let failed = |error: bollard::errors::Error| problem::answer(&endpoint, &error);
        let docker = endpoint.client(ANSWER).map_err(failed)?;
        let docker = docker.negotiate_version().await.map_err(failed)?;
        let info = docker.info().await.map_err(failed)?;
        let agreed = docker.client_version();
        let status = info.driver_status.unwrap_or_default();
        let root = PathBuf::from(info.docker_root_dir.unwrap_or_default());
        let here = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let facts = Facts {
            version: info.server_version.unwrap_or_default(),
            api: (agreed.major_version, agreed.minor_version),
            os: info.os_type.unwrap_or_default(),
            architecture: architecture(&info.architecture.unwrap_or_default()),
            storage_driver: info.driver.unwrap_or_default(),
            has_containerd_store: status.iter().any(|pair| {
                pair.iter()
                    .any(|word| word.starts_with("io.containerd.snapshotter"))
            }),
            cpus: unsigned(info.ncpu),
            memory: unsigned(info.mem_total),
            // A container that has the engine's socket has another name than the machine.
            is_local: matches!(endpoint, Endpoint::Unix(_))
                && info.name.as_deref() == Some(&here)
                && root.is_dir(),
            root,
        };
        problem::check_age(&facts)?;
        Ok(Self {
            docker,
            endpoint,
            facts,
        })
    }

    /// The client for all plain calls.
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it says of itself.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// A warning for a platform (`os/architecture[/variant]`) that the engine's machine can only
    /// emulate.
    #[must_use]
    pub fn emulation(&self, platform: &str) -> Option<String> {
        let Facts {
            os, architecture, ..
        } = &self.facts;
        let mut parts = platform.split('/');
        let wanted = (parts.next(), parts.next().map(self::architecture));
        if wanted == (Some(os), Some(architecture.clone())) {
            return None;
        }
        Some(format!(
            "the image is for {platform} and the engine's machine is {os}/{architecture}: build \
             steps and the container run in emulation, many times slower, or not at all where \
             QEMU is not set up (`docker run --privileged --rm tonistiigi/binfmt --install all`)"
        ))
    }
}

/// An architecture by the name that platforms use.
pub(crate) fn architecture(name: &str) -> String {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" | "armv7l" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
    .to_owned()
}

fn unsigned(number: Option<i64>) -> u64 {
    number
        .and_then(|number| number.try_into().ok())
        .unwrap_or_default()
}
