//! The engine's own store, for images that nobody else needs.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::RemoveImageOptions;

use super::ImageRef;
use crate::error::{Error, ExitCode, Result};

/// Longest wait for an answer about one image.
const ASKING: Duration = Duration::from_secs(30);

/// The image of that name in the engine, by its id.
///
/// # Errors
/// The engine does not answer.
pub async fn find(docker: &Docker, name: &str) -> Result<Option<ImageRef>> {
    let failed = |cause: String| {
        Error::new(
            ExitCode::Build,
            format!("cannot ask the engine for `{name}`"),
        )
        .because(cause)
    };
    let asked = tokio::time::timeout(ASKING, docker.inspect_image(name)).await;
    match asked.map_err(|_| failed(format!("no answer within {} seconds", ASKING.as_secs())))? {
        Ok(image) => Ok(image.id.map(|digest| ImageRef {
            repository: String::new(),
            digest,
        })),
        Err(EngineError::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Takes a name away from an image; without another name, the image goes with it.
pub async fn forget(docker: &Docker, name: &str) {
    let removed = docker.remove_image(name, None::<RemoveImageOptions>, None);
    // NOTE: an image that stays is found by nobody: its name says what it does not hold.
    let _ = tokio::time::timeout(ASKING, removed).await;
}
