//! Pushes an image from an engine, with progress, repetition and proof.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use futures_util::StreamExt as _;
use futures_util::future::join;
use serde::Deserialize;
use tokio::time::Instant;

use super::credentials::Login;
use super::oci::{Client, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX};
use super::push_name::PushName;
use super::push_refusal::Refusal;
use super::push_stream::{Account, Amount, events};
use super::reference::{Reference, Repository};
use super::{Manifest, publish_error};
use crate::error::{Error, Result};
use crate::image::BuiltImage;
use crate::transport::{pause, seed};

/// How often a push is begun at most. The engine itself repeats each layer five times.
const ATTEMPTS: u32 = 5;

/// How often when the registry says that it has a fault of its own: one that passes, or a full disk.
const FAILING: u32 = 3;

/// No new attempt begins after this.
const WHOLE: Duration = Duration::from_secs(2 * 3600);

/// An engine that says nothing for so long hangs: it tells every half megabyte otherwise, and a
/// registry may need minutes to take over a layer of gigabytes.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// What a push is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushProgress {
    /// Layers move.
    Moving(Amount),
    /// The registry went away; the push begins again after a pause. Layers that are there stay.
    Again {
        /// The attempt that begins, from 2.
        attempt: u32,
        /// Time until then.
        pause: Duration,
        /// The engine's words.
        because: String,
    },
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest that the registry has now: read from it, and hashed here.
    pub manifest: Manifest,
    /// Compressed bytes of the layers that were sent. Layers that were there count nothing, nor do
    /// the parts of layers that were lost in interrupted attempts.
    pub sent: u64,
    /// Layers that were sent.
    pub pushed: usize,
    /// Layers of the image.
    pub layers: usize,
    /// How many attempts it took.
    pub attempts: u32,
}

/// Signs an engine in for pushing and pulling: a login for each attempt, so that a token can be
/// fresh.
#[expect(
    async_fn_in_trait,
    reason = "the crate is the only user, on a single-threaded runtime"
)]
pub trait Logins {
    /// A login that is good for a while; nothing for registries without. `is_fresh` asks for a new
    /// one: the last was refused as expired.
    async fn login(&self, is_fresh: bool) -> Result<Option<Login>>;
}

/// What the pushed image must be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// `os/architecture[/variant]`.
    pub platform: &'a str,
    /// Whether Docker's own manifest is wanted and no other, as SageMaker does.
    pub docker_types: bool,
}

/// Pushes an image under a tag and reads back what the registry has there.
///
/// The name that the push needs in the engine is removed afterwards, unless it was there before:
/// here, or by [`super::push_name::sweep`] when mlaction was killed.
///
/// # Errors
/// The registry's refusal in words ([`Refusal`]); an engine that hangs or fails; a registry that
/// has something else under the tag afterwards; a manifest of an unwanted type.
#[expect(
    clippy::too_many_arguments,
    reason = "each is one thing that only the caller knows"
)]
pub async fn push(
    docker: &Docker,
    client: &Client,
    built: &BuiltImage,
    repository: &Repository,
    tag: &str,
    wanted: Wanted<'_>,
    logins: &impl Logins,
    progress: &mut dyn FnMut(PushProgress),
) -> Result<Pushed> {
    let target = repository.tagged(tag).map_err(publish_error)?;
    // A registry may need minutes before the first word.
    let docker = docker.clone().with_timeout(SILENCE);
    let name = PushName::new(&docker, built, &target).await;
    let done = attempts(&docker, client, &target, &name, wanted, logins, progress).await;
    let proof = async {
        let done = done?;
        match &done.refused {
            // Somebody was faster with the same content.
            Some((Refusal::ImmutableTag, _)) if super::is_content_address(tag) => {}
            Some((_, error)) => return Err(error.clone()),
            None => {}
        }
        proven(&docker, client, built, &target, wanted, &done).await
    };
    join(name.take_back(), proof).await.1
}

/// How a push ended, with all its attempts.
struct Done {
    account: Account,
    attempts: u32,
    refused: Option<(Refusal, Error)>,
}

async fn attempts(
    docker: &Docker,
    client: &Client,
    target: &Reference,
    name: &PushName<'_>,
    wanted: Wanted<'_>,
    logins: &impl Logins,
    progress: &mut dyn FnMut(PushProgress),
) -> Result<Done> {
    let (deadline, seed) = (Instant::now() + WHOLE, seed());
    let mut all = Account::default();
    let mut attempt = 1;
    let mut is_expired = false;
    loop {
        let login = logins.login(is_expired).await?;
        name.give().await?;
        let (account, result) =
            once(docker, client, target, wanted, login.as_ref(), progress).await;
        all.add(&account);
        let said = match result {
            Ok(()) => {
                all.digest = account.digest;
                return Ok(Done {
                    account: all,
                    attempts: attempt,
                    refused: None,
                });
            }
            Err(EngineError::DockerStreamError { error }) => error,
            Err(EngineError::DockerResponseServerError { message, .. }) => message,
            Err(cause) => {
                return Err(publish_error("the engine broke off the push")
                    .because(cause)
                    .hint("look at the engine's logs (`journalctl -u docker`)"));
            }
        };
        let kind = Refusal::read(&said);
        let most = match kind {
            Refusal::Failing => FAILING,
            kind if kind.is_passing() => ATTEMPTS,
            _ => 1,
        };
        if attempt >= most || Instant::now() > deadline {
            let error = kind.error(&said, target.repository(), login.as_ref());
            return Ok(Done {
                account: all,
                attempts: attempt,
                refused: Some((kind, error)),
            });
        }
        is_expired = kind == Refusal::Expired;
        let pause = pause(attempt, seed);
        attempt += 1;
        progress(PushProgress::Again {
            attempt,
            pause,
            because: crate::report::text::line(&said, 200),
        });
        tokio::time::sleep(pause).await;
    }
}

/// One attempt: what it did, and how it ended.
async fn once(
    docker: &Docker,
    client: &Client,
    target: &Reference,
    wanted: Wanted<'_>,
    login: Option<&Login>,
    progress: &mut dyn FnMut(PushProgress),
) -> (Account, std::result::Result<(), EngineError>) {
    let (mut account, mut is_probed) = (Account::default(), false);
    let tag = target.tag().unwrap_or_default();
    let platform = Some(wanted.platform);
    let mut events = std::pin::pin!(events(docker, target.repository(), tag, platform, login));
    loop {
        let event = match tokio::time::timeout(SILENCE, events.next()).await {
            Ok(None) => return (account, Ok(())),
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(cause))) => return (account, Err(cause)),
            Err(_) => return (account, Err(EngineError::RequestTimeoutError)),
        };
        // NOTE: an engine repeats a layer for a minute and keeps the registry's reason to itself: a
        // full disk looks like any other fault. Its own words are had by asking it directly.
        let is_retrying = |status: &str| status.starts_with("Retrying in");
        if !is_probed && event.status.as_deref().is_some_and(is_retrying) {
            is_probed = true;
            if let Some(error) = client.fullness(target).await {
                return (account, Err(EngineError::DockerStreamError { error }));
            }
        }
        if account.take(&event) {
            progress(PushProgress::Moving(account.amount()));
        }
    }
}

/// A manifest, as far as the proof needs it.
#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    layers: Vec<Blob>,
}

#[derive(Deserialize)]
struct Blob {
    digest: String,
    size: u64,
}

/// Reads what the registry has under the tag, and holds it against what the engine said.
async fn proven(
    docker: &Docker,
    client: &Client,
    built: &BuiltImage,
    target: &Reference,
    wanted: Wanted<'_>,
    done: &Done,
) -> Result<Pushed> {
    let host = target.repository().host();
    let Some((manifest, body)) = client.read(target).await? else {
        return Err(publish_error(format!(
            "`{target}` was pushed, and `{host}` does not have it"
        ))
        .hint("its storage lost it, or something deletes tags there: look at its logs"));
    };
    if let Some(said) = &done.account.digest
        && *said != manifest.digest
        && !super::is_content_address(target.tag().unwrap_or_default())
    {
        return Err(publish_error(format!("`{target}` is not what was pushed"))
            .because(format!(
                "the engine pushed `{said}`, `{host}` has `{}`",
                manifest.digest
            ))
            .hint(
                "somebody pushed the same tag meanwhile: give each its own, or wait for the other",
            ));
    }
    check_type(target, &manifest, wanted)?;
    let content: Content = serde_json::from_slice(&body).map_err(|_| {
        publish_error(format!(
            "`{host}` gave a manifest of `{target}` that is none"
        ))
    })?;
    let image = docker.inspect_image(&built.id).await.ok();
    let layers = image
        .and_then(|image| image.root_fs?.layers)
        .unwrap_or_default();
    // An engine names a layer by its digest before compression, or after it (containerd's store).
    let was_sent = |(index, blob): &(usize, &Blob)| {
        let names = layers.get(*index).into_iter().chain([&blob.digest]);
        names.into_iter().any(|name| done.account.was_pushed(name))
    };
    let blobs = content.layers.iter().enumerate();
    let sent: Vec<u64> = blobs.filter(was_sent).map(|(_, blob)| blob.size).collect();
    Ok(Pushed {
        manifest,
        sent: sent.iter().sum(),
        pushed: sent.len(),
        layers: content.layers.len(),
        attempts: done.attempts,
    })
}

fn check_type(target: &Reference, manifest: &Manifest, wanted: Wanted<'_>) -> Result<()> {
    let media_type = manifest.media_type.as_str();
    let cause = match media_type {
        DOCKER_LIST | OCI_INDEX => format!(
            "it is a list of images (`{media_type}`), not the one for `{}`",
            wanted.platform
        ),
        DOCKER_MANIFEST => return Ok(()),
        _ if !wanted.docker_types => return Ok(()),
        media_type => {
            format!("its manifest is `{media_type}`, and SageMaker takes Docker's own only")
        }
    };
    Err(publish_error(format!("`{target}` has an unwanted form"))
        .because(cause)
        .hint("build with BuildKit and without attestations, which `mlaction` asks for; an engine with the containerd image store makes other forms by its classic builder"))
}
