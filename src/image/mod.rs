//! The training image: from a Dockerfile and its context to an image in an engine.
//!
//! ```text
//! ignore → context → address        what would be built, and its name: files only
//!              ↓
//! engine → buildkit | classic       the build itself, over the Engine API
//! ```

pub mod address;
pub mod bases;
pub mod build;
pub mod buildkit;
pub mod classic;
pub mod context;
pub mod dockerfile;
pub mod engine;
mod failure;
pub mod ignore;
pub mod progress;
mod secrets;

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// What is built: every input of a build, decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildRequest {
    /// The context's folder.
    pub context: PathBuf,
    /// The Dockerfile, inside or outside the context.
    pub dockerfile: PathBuf,
    /// `os/architecture[/variant]`.
    pub platform: String,
    /// The stage to build; the last one when it is left out.
    pub target: Option<String>,
    /// Build arguments by name.
    pub build_args: IndexMap<String, String>,
    /// Labels by name.
    pub labels: IndexMap<String, String>,
    /// What build steps may reach.
    pub network: Network,
    /// Secrets for `RUN --mount=type=secret`, by id.
    pub secrets: IndexMap<String, SecretSource>,
    /// Images whose inline cache is imported.
    pub cache_from: Vec<String>,
    /// Whether the image carries its cache for others to import.
    pub inline_cache: bool,
    /// The name that the image gets in the engine once it is proven: `REPOSITORY:in-HASH`.
    pub name: String,
}

/// What the steps of a build may reach.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The engine's own network, with the way out that it has. Never the host's.
    #[default]
    Default,
    /// Nothing.
    None,
}

/// Where a build secret comes from. Its value is in no plan, image or log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretSource {
    /// An environment variable of mlaction.
    Env(String),
    /// A file.
    File(PathBuf),
}

/// An image in an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// Its name there: `REPOSITORY:in-HASH`.
    pub name: String,
    /// Its id there: `sha256:…`.
    pub id: String,
}
