//! Registries: where images are published, and what is already there.
//!
//! ```text
//! settings → RegistryPlan                     what is decided, without asking anybody
//! open → Local | OciRepository | Ecr          one trait, `Registry`: find, publish
//!          oci (reads) · engine_push (writes) · credentials
//! ```

mod answers;
pub(crate) mod challenge;
mod credential_helper;
pub mod credentials;
pub mod ecr;
pub mod engine_push;
pub mod local;
pub mod oci;
pub mod oci_repository;
pub mod plan;
mod probe;
pub mod push_name;
pub mod push_refusal;
pub mod push_stream;
pub mod reference;
mod same;
pub mod settings;

use std::collections::BTreeMap;
use std::fmt;

use bollard::Docker;
use serde::{Deserialize, Serialize};

use self::credentials::{Credentials, Login};
use self::ecr::Ecr;
use self::engine_push::{Logins, PushProgress, Pushed};
use self::local::Local;
use self::oci_repository::OciRepository;
use self::plan::RegistryPlan;
use self::reference::Repository;

use crate::aws::Access;
use crate::aws::settings::AwsPlan;
use crate::error::{Error, ExitCode, Result};
use crate::image::BuiltImage;

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

impl ImageRef {
    /// An image that is in an engine only, by its id.
    #[must_use]
    pub fn in_engine(id: &str) -> Self {
        Self {
            repository: String::new(),
            digest: id.to_owned(),
        }
    }
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

/// What a place for images must know.
#[expect(
    async_fn_in_trait,
    reason = "the crate is the only user, on a single-threaded runtime"
)]
pub trait Registry {
    /// What is there under a tag. One request.
    async fn find(&self, tag: &str) -> Result<Option<Manifest>>;

    /// Brings an image there under a tag. A content address that is there already is taken as it
    /// is, never overwritten.
    async fn publish(
        &self,
        docker: &Docker,
        built: &BuiltImage,
        tag: &str,
        progress: &mut dyn FnMut(PushProgress),
    ) -> Result<Published>;

    /// `host[:port]/path`, or the name in the engine.
    fn repository(&self) -> &str;

    /// The IAM actions that it needs; none outside AWS.
    fn permissions(&self) -> Vec<String>;
}

/// An image that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// What to launch.
    pub image: ImageRef,
    /// What the registry has, verified by asking it.
    pub manifest: Manifest,
    /// What was sent; nothing when it was there, or stayed in the engine.
    pub pushed: Option<Pushed>,
}

impl Published {
    fn new(repository: &Repository, pushed: Pushed) -> Self {
        let manifest = pushed.manifest.clone();
        Self {
            image: ImageRef {
                repository: repository.to_string(),
                digest: manifest.digest.clone(),
            },
            manifest,
            pushed: Some(pushed),
        }
    }
}

/// A tag that is there: it is what would be pushed when it is a content address, else an error.
fn there(repository: &Repository, tag: &str, manifest: Manifest) -> Result<Published> {
    if !is_content_address(tag) {
        return Err(
            publish_error(format!("`{repository}` has the tag `{tag}` already"))
                .hint("choose another tag: what is published is never overwritten"),
        );
    }
    Ok(Published {
        image: ImageRef {
            repository: repository.to_string(),
            digest: manifest.digest.clone(),
        },
        manifest,
        pushed: None,
    })
}

/// A registry of any kind.
pub enum AnyRegistry {
    /// The engine itself.
    Local(Local),
    /// An OCI registry.
    Oci(OciRepository),
    /// Amazon ECR.
    Ecr(Ecr),
}

/// Makes a plan's registry, without asking anybody yet. `name` is the repository's in the engine
/// when there is no other; `docker_types` asks for Docker's own manifests, as SageMaker does (ECR
/// gets no others); `aws` says who asks Amazon ECR.
///
/// # Errors
/// A repository's name in the plan is none.
pub async fn open(
    plan: &RegistryPlan,
    docker: &Docker,
    name: &str,
    platform: &str,
    docker_types: bool,
    aws: Option<&AwsPlan>,
    env: &BTreeMap<String, String>,
) -> Result<AnyRegistry> {
    Ok(match plan {
        RegistryPlan::Local {} => AnyRegistry::Local(Local::new(docker, name)),
        RegistryPlan::Oci { repository } => {
            let repository = Repository::parse(repository).map_err(publish_error)?;
            let credentials = Credentials::from_environment(env);
            let oci = OciRepository::new(repository, platform, docker_types, env, credentials);
            AnyRegistry::Oci(oci)
        }
        RegistryPlan::Ecr(plan) => {
            let access = Access::new(&plan.region, aws, env).await;
            AnyRegistry::Ecr(Ecr::new(plan.clone(), platform, &access.config, env))
        }
    })
}

impl Registry for AnyRegistry {
    async fn find(&self, tag: &str) -> Result<Option<Manifest>> {
        match self {
            Self::Local(registry) => registry.find(tag).await,
            Self::Oci(registry) => registry.find(tag).await,
            Self::Ecr(registry) => registry.find(tag).await,
        }
    }

    async fn publish(
        &self,
        docker: &Docker,
        built: &BuiltImage,
        tag: &str,
        progress: &mut dyn FnMut(PushProgress),
    ) -> Result<Published> {
        match self {
            Self::Local(registry) => registry.publish(docker, built, tag, progress).await,
            Self::Oci(registry) => registry.publish(docker, built, tag, progress).await,
            Self::Ecr(registry) => registry.publish(docker, built, tag, progress).await,
        }
    }

    fn repository(&self) -> &str {
        match self {
            Self::Local(registry) => registry.repository(),
            Self::Oci(registry) => registry.repository(),
            Self::Ecr(registry) => registry.repository(),
        }
    }

    fn permissions(&self) -> Vec<String> {
        match self {
            Self::Local(registry) => registry.permissions(),
            Self::Oci(registry) => registry.permissions(),
            Self::Ecr(registry) => registry.permissions(),
        }
    }
}

impl Logins for AnyRegistry {
    async fn login(&self, is_fresh: bool) -> Result<Option<Login>> {
        match self {
            Self::Local(_) => Ok(None),
            Self::Oci(registry) => registry.login(is_fresh).await,
            Self::Ecr(registry) => registry.login(is_fresh).await,
        }
    }
}

impl AnyRegistry {
    /// Where an image is that was found or published here.
    #[must_use]
    pub fn image(&self, manifest: Manifest) -> ImageRef {
        match self {
            Self::Local(_) => ImageRef::in_engine(&manifest.digest),
            Self::Oci(_) | Self::Ecr(_) => ImageRef {
                repository: self.repository().to_owned(),
                digest: manifest.digest,
            },
        }
    }

    /// Whether the engine's image `id` is an image of this registry, and not another one that was
    /// built from the same files.
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub async fn is_same(&self, image: &ImageRef, id: &str) -> Result<bool> {
        match self {
            Self::Local(_) => Ok(image.digest == id),
            Self::Oci(registry) => same::is_same(registry.client(), image, id).await,
            Self::Ecr(registry) => same::is_same(registry.client().await?, image, id).await,
        }
    }

    /// What is not as the configuration wants it, and was respected; each said once.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Local(_) | Self::Oci(_) => Vec::new(),
            Self::Ecr(registry) => registry.warnings(),
        }
    }
}

/// An error of publishing.
pub(crate) fn publish_error(message: impl Into<String>) -> Error {
    Error::new(ExitCode::Publish, message)
}

/// How tags begin that are content addresses.
const ADDRESS_PREFIX: &str = "in-";

/// Whether a tag is a content address (`in-` and a hash): whoever pushes it pushes the same.
pub(crate) fn is_content_address(tag: &str) -> bool {
    let hex = tag.strip_prefix(ADDRESS_PREFIX).unwrap_or_default();
    hex.len() >= 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
