//! Base images that a Dockerfile does not pin: which ones they are just now.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::Docker;

use crate::plan::image::Base;
use crate::registry::credentials::Credentials;
use crate::registry::oci::Client;
use crate::registry::reference::Reference;

/// Longest wait for an answer about one image.
const ASKING: Duration = Duration::from_secs(30);

/// Longest wait for a registry: a build goes on without its answer.
const LOOKING_UP: Duration = Duration::from_secs(15);

/// The bases with the digests that they have just now: in the engine, which builds from what it
/// has, else in their registries. One that nobody knows stays as it is, and `say` tells why.
pub async fn resolve(
    docker: &Docker,
    bases: &[Base],
    platform: &str,
    env: &BTreeMap<String, String>,
    say: impl Fn(&str),
) -> Vec<Base> {
    let mut resolved = Vec::new();
    for base in bases {
        let digest = match &base.digest {
            Some(digest) => Some(digest.clone()),
            None => match in_engine(docker, &base.reference).await {
                Some(digest) => Some(digest),
                None => in_registry(&base.reference, platform, env)
                    .await
                    .unwrap_or_else(|reason| {
                        say(&format!("{} is not looked up: {reason}", base.reference));
                        None
                    }),
            },
        };
        resolved.push(Base {
            digest,
            ..base.clone()
        });
    }
    resolved
}

/// The digest of an image for a platform in its registry; nothing when it is not there.
async fn in_registry(
    reference: &str,
    platform: &str,
    env: &BTreeMap<String, String>,
) -> Result<Option<String>, String> {
    let reference = Reference::parse(reference).map_err(|error| error.to_string())?;
    let client = Client::new(env, Credentials::from_environment(env));
    let asked = client.manifest_for(&reference, platform);
    match tokio::time::timeout(LOOKING_UP, asked).await {
        Ok(Ok(manifest)) => Ok(manifest.map(|manifest| manifest.digest)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "its registry did not answer within {} seconds",
            LOOKING_UP.as_secs()
        )),
    }
}

/// The digest under which the engine pulled an image from the repository that is named, or its id
/// when it was not pulled from there.
async fn in_engine(docker: &Docker, reference: &str) -> Option<String> {
    let asked = docker.inspect_image(reference);
    let image = tokio::time::timeout(ASKING, asked).await.ok()?.ok()?;
    let repository = |name: &str| {
        let parsed = Reference::parse(name).ok()?;
        Some(parsed.repository().clone())
    };
    let wanted = repository(reference);
    let pulled = image.repo_digests.unwrap_or_default();
    let mut pulled = pulled.iter().filter_map(|name| name.split_once('@'));
    let digest = pulled.find(|(name, _)| repository(name) == wanted);
    digest.map(|(_, digest)| digest.to_owned()).or(image.id)
}
