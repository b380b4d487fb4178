//! Builds by the classic builder, for engines without BuildKit: the context as a streamed tar.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bollard::Docker;
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures_util::StreamExt as _;

use super::context::Context;
use super::progress::BuildEvent;
use super::{BuildRequest, Network};
use crate::error::{Error, ExitCode, Result};

/// Builds, and gives the image the request's name.
///
/// # Errors
/// The context cannot be read, or a step fails.
pub async fn build(
    docker: &Docker,
    request: &BuildRequest,
    name: &str,
    no_cache: bool,
    context: &Context,
    events: &mut dyn FnMut(BuildEvent),
) -> Result<()> {
    if !request.secrets.is_empty() {
        let error = Error::new(ExitCode::Build, "the classic builder has no build secrets");
        return Err(error.hint("use an engine with BuildKit, or take `secrets` out of [image]"));
    }
    // A name that no file of the context has: `COPY .` must not find it twice.
    let dockerfile = match context.dockerfile_name().filter(|name| context.keeps(name)) {
        Some(name) => name.to_owned(),
        None => format!(
            ".dockerfile-{}",
            &blake3::hash(context.dockerfile()).to_hex()[..16]
        ),
    };
    let map = |pairs: &indexmap::IndexMap<String, String>| -> HashMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let mut options = BuildImageOptionsBuilder::new()
        .dockerfile(&dockerfile)
        .t(name)
        .rm(true)
        .forcerm(true)
        .nocache(no_cache)
        .platform(&request.platform)
        .buildargs(&map(&request.build_args))
        .labels(&map(&request.labels))
        .cachefrom(&request.cache_from)
        .version(BuilderVersion::BuilderV1);
    if let Some(target) = &request.target {
        options = options.target(target);
    }
    if request.network == Network::None {
        options = options.networkmode("none");
    }
    let mut more = Vec::new();
    if context.dockerfile_name() != Some(dockerfile.as_str()) {
        more.push((dockerfile, context.dockerfile().to_vec()));
    }
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let pieces = context.tar(more).inspect(move |piece| {
        let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        counter.fetch_add(bytes, Ordering::Relaxed);
    });
    let mut answers = std::pin::pin!(docker.build_image(
        options.build(),
        None,
        Some(bollard::body_try_stream(pieces)),
    ));
    let mut step = String::new();
    while let Some(answer) = answers.next().await {
        let failed = |cause: String| {
            let what = match step.as_str() {
                "" => "the build failed".to_owned(),
                step => format!("the build failed at `{step}`"),
            };
            Error::new(ExitCode::Build, what).because(cause)
        };
        let answer = answer.map_err(|error| failed(cause(&error)))?;
        if let Some(error) = answer.error_detail.and_then(|detail| detail.message) {
            return Err(failed(error));
        }
        let text = answer.stream.unwrap_or_default();
        match text
            .trim_end()
            .strip_prefix("Step ")
            .and_then(|rest| rest.split_once(" : "))
        {
            Some((number, instruction)) => {
                step = crate::report::text::plain(instruction);
                events(BuildEvent::Step(format!("{number} {instruction}")));
            }
            None if text.trim() == "---> Using cache" => events(BuildEvent::Cached),
            None if text.starts_with(" --->") || text.starts_with("Removing intermediate") => {}
            None if !text.trim().is_empty() => events(BuildEvent::Log(text)),
            None => events(BuildEvent::Sent(sent.load(Ordering::Relaxed))),
        }
    }
    Ok(())
}

/// The innermost cause: a file that changed while it was read, rather than a request that broke.
fn cause(error: &bollard::errors::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
