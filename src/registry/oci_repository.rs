//! A repository in any OCI registry.

use std::collections::BTreeMap;

use bollard::Docker;

use super::credentials::{Credentials, Login};
use super::engine_push::{Logins, PushProgress, Wanted, push};
use super::oci::Client;
use super::reference::Repository;
use super::{Manifest, Published, Registry, publish_error};
use crate::error::Result;
use crate::image::BuiltImage;

/// Where images go in an OCI registry.
pub struct OciRepository {
    repository: Repository,
    text: String,
    platform: String,
    docker_types: bool,
    credentials: Credentials,
    http: Client,
}

impl OciRepository {
    /// The repository, for images of one platform; `docker_types` asks for Docker's own manifests,
    /// which SageMaker insists on. Credentials of the environment are for its host.
    #[must_use]
    pub fn new(
        repository: Repository,
        platform: &str,
        docker_types: bool,
        env: &BTreeMap<String, String>,
        credentials: Credentials,
    ) -> Self {
        let credentials = credentials.configured(repository.host());
        Self {
            text: repository.to_string(),
            platform: platform.to_owned(),
            docker_types,
            http: Client::new(env, credentials.clone()),
            credentials,
            repository,
        }
    }
}

impl OciRepository {
    pub(super) fn client(&self) -> &Client {
        &self.http
    }
}

impl Logins for OciRepository {
    async fn login(&self, _is_fresh: bool) -> Result<Option<Login>> {
        self.credentials.for_host(self.repository.host()).await
    }
}

impl Registry for OciRepository {
    async fn find(&self, tag: &str) -> Result<Option<Manifest>> {
        let reference = self.repository.tagged(tag).map_err(publish_error)?;
        self.http.manifest(&reference).await
    }

    async fn publish(
        &self,
        docker: &Docker,
        built: &BuiltImage,
        tag: &str,
        progress: &mut dyn FnMut(PushProgress),
    ) -> Result<Published> {
        if super::is_content_address(tag)
            && let Some(manifest) = self.find(tag).await?
        {
            return super::there(&self.repository, tag, manifest);
        }
        let wanted = Wanted {
            platform: &self.platform,
            docker_types: self.docker_types,
        };
        let pushed = push(
            docker,
            &self.http,
            built,
            &self.repository,
            tag,
            wanted,
            self,
            progress,
        )
        .await?;
        Ok(Published::new(&self.repository, pushed))
    }

    fn repository(&self) -> &str {
        &self.text
    }

    fn permissions(&self) -> Vec<String> {
        Vec::new()
    }
}
