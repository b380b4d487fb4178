//! Brings an image from a registry into the engine that will run it.

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use crate::error::{Error, ExitCode, Result};
use crate::registry::ImageRef;
use crate::registry::engine_push::Logins;
use crate::registry::push_stream::signed_in;
use crate::registry::reference::Repository;
use crate::report::text;
use crate::talk::Talk;

/// Pulls an image by its digest with the login of its registry, unless the engine has it.
///
/// # Errors
/// No credentials, or the engine cannot get it.
pub(super) async fn pull(
    docker: &Docker,
    image: &ImageRef,
    logins: &impl Logins,
    talk: &Talk,
) -> Result<()> {
    let name = image.to_string();
    if docker.inspect_image(&name).await.is_ok() {
        return Ok(());
    }
    let repository = Repository::parse(&image.repository)
        .map_err(|reason| Error::new(ExitCode::Publish, reason))?;
    let login = logins.login(false).await?;
    let docker = signed_in(docker, &repository, login.as_ref());
    let options = CreateImageOptionsBuilder::new().from_image(&name).build();
    let step = talk.step("pull");
    let mut answers = std::pin::pin!(docker.create_image(Some(options), None, None));
    while let Some(answer) = answers.next().await {
        let failed = |cause: String| {
            Error::new(ExitCode::Publish, format!("the engine cannot pull {name}"))
                .because(cause)
                .hint("can the engine reach the registry, and may these credentials pull from it?")
        };
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        if let Some(error) = answer.error_detail.and_then(|detail| detail.message) {
            return Err(failed(error));
        }
        step.now(text::plain(&answer.status.unwrap_or_default()));
    }
    step.end(&name);
    Ok(())
}
