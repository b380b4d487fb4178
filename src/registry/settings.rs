//! `[registry]`, as it is written, and what the plan makes of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// `[registry]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Registry {
    /// Any registry of the OCI distribution specification.
    Oci {
        /// `host[:port]/path`
        repository: String,
    },
}

impl Registry {
    pub fn mistakes(&self, _project: &str) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// Where an image is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum RegistryPlan {
    /// Nowhere: it stays in the engine.
    Local,
    /// An OCI registry.
    Oci {
        /// `host[:port]/path`
        repository: String,
    },
}

impl RegistryPlan {
    pub fn new(settings: Option<Registry>, _project: &str) -> Result<Self> {
        Ok(match settings {
            None => Self::Local,
            Some(Registry::Oci { repository }) => Self::Oci { repository },
        })
    }
    pub fn repository(&self) -> &str {
        match self {
            Self::Local => "",
            Self::Oci { repository } => repository,
        }
    }
    pub fn permissions(&self) -> Vec<String> {
        Vec::new()
    }
}
