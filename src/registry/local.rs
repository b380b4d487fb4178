//! No registry: the engine that built an image keeps it, and its id is the digest.

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::TagImageOptionsBuilder;

use super::engine_push::PushProgress;
use super::{ImageRef, Manifest, Published, Registry, publish_error};
use crate::error::Result;
use crate::image::BuiltImage;

/// The media type of what an image's id is the digest of, in engines without containerd's store.
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Names in an engine.
pub struct Local {
    docker: Docker,
    repository: String,
}

impl Local {
    /// Images named `REPOSITORY:TAG` in an engine.
    #[must_use]
    pub fn new(docker: &Docker, repository: &str) -> Self {
        Self {
            docker: docker.clone(),
            repository: repository.to_owned(),
        }
    }

    async fn inspect(&self, name: &str) -> Result<Option<Manifest>> {
        match self.docker.inspect_image(name).await {
            Ok(image) => Ok(image.id.map(|digest| Manifest {
                digest,
                media_type: CONFIG.to_owned(),
                size: 0,
            })),
            Err(EngineError::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(None),
            Err(cause) => Err(publish_error("the engine does not say what images it has")
                .because(cause)
                .hint("check that Docker runs: `docker info`")),
        }
    }
}

impl Registry for Local {
    /// The image's id as the digest. An engine does not tell a manifest's size: it is 0.
    async fn find(&self, tag: &str) -> Result<Option<Manifest>> {
        self.inspect(&format!("{}:{tag}", self.repository)).await
    }

    async fn publish(
        &self,
        docker: &Docker,
        built: &BuiltImage,
        tag: &str,
        _progress: &mut dyn FnMut(PushProgress),
    ) -> Result<Published> {
        let gone = || {
            publish_error("the image is not in the engine any more")
                .hint("something removed it meanwhile (`docker image prune`?): run again")
        };
        let manifest = self.inspect(&built.id).await?.ok_or_else(gone)?;
        if built.name != format!("{}:{tag}", self.repository) {
            let options = TagImageOptionsBuilder::new()
                .repo(&self.repository)
                .tag(tag)
                .build();
            let named = docker.tag_image(&built.id, Some(options)).await;
            named.map_err(|cause| gone().because(cause))?;
        }
        Ok(Published {
            image: ImageRef {
                repository: String::new(),
                digest: manifest.digest.clone(),
            },
            manifest,
            pushed: None,
        })
    }

    fn repository(&self) -> &str {
        &self.repository
    }

    fn permissions(&self) -> Vec<String> {
        Vec::new()
    }
}
