//! Whether an image in an engine is the one that a registry has under a digest.

use serde::Deserialize;

use super::oci::Client;
use super::reference::Repository;
use super::{ImageRef, publish_error};
use crate::error::Result;

/// A manifest of one image, as far as its identity goes.
#[derive(Deserialize)]
struct Content {
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Config {
    digest: String,
}

/// Whether the engine's image `id` is `image`. An engine calls an image by the digest of its
/// config, or with containerd's store by that of its manifest.
///
/// # Errors
/// The registry cannot be asked.
pub(super) async fn is_same(client: &Client, image: &ImageRef, id: &str) -> Result<bool> {
    if image.digest == id {
        return Ok(true);
    }
    let repository = Repository::parse(&image.repository).map_err(publish_error)?;
    let pinned = repository.pinned(&image.digest).map_err(publish_error)?;
    let Some((_, body)) = client.read(&pinned).await? else {
        return Ok(false);
    };
    let content: Option<Content> = serde_json::from_slice(&body).ok();
    let config = content.and_then(|content| content.config);
    Ok(config.is_some_and(|config| config.digest == id))
}
