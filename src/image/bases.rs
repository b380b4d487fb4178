//! Base images that a Dockerfile does not pin: which ones they are just now.

use std::time::Duration;

use bollard::Docker;

use crate::plan::image::Base;

/// Longest wait for an answer about one image.
const ASKING: Duration = Duration::from_secs(30);

/// The bases with the digests that the engine knows; what is in the engine is what it builds from.
pub async fn resolve(docker: &Docker, bases: &[Base]) -> Vec<Base> {
    let mut resolved = Vec::new();
    for base in bases {
        let digest = match &base.digest {
            Some(digest) => Some(digest.clone()),
            None => in_engine(docker, &base.reference).await,
        };
        resolved.push(Base {
            digest,
            ..base.clone()
        });
    }
    resolved
}

/// The digest under which the engine pulled an image, or its id when it was not pulled.
async fn in_engine(docker: &Docker, reference: &str) -> Option<String> {
    let asked = docker.inspect_image(reference);
    let image = tokio::time::timeout(ASKING, asked).await.ok()?.ok()?;
    let digests = image.repo_digests.unwrap_or_default();
    let digest = digests.first().and_then(|name| name.split_once('@'));
    digest.map(|(_, digest)| digest.to_owned()).or(image.id)
}
