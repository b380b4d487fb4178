//! Builds by BuildKit: a session of our own over the Engine API with differential file sync.
//!
//! ```text
//! Control.Solve, Control.Status  →  the engine's BuildKit
//! FileSync, Auth, Secrets, Health ←  asked by it, over a session
//! ```
//!
//! All of it lives in one future: when that is dropped, both connections close, and the engine
//! cancels the build. Sources: <https://github.com/moby/buildkit/tree/master/session> and
//! <https://github.com/tonistiigi/fsutil>.

mod auth;
mod failure;
mod filter;
mod follow;
mod link;
mod session;
mod solve;
mod status;
mod sync;

use std::pin::pin;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::{DiskUsageRequest, SolveResponse, StatusRequest};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, MissedTickBehavior};

use super::build::{Build, Unproven};
use super::progress::BuildEvent;
use super::secrets::Secrets;
use crate::error::{Error, ExitCode, Result};

use link::Link;
pub use link::Way;
pub(super) use link::is_absent;
use session::{Session, Shared};
use status::Tracker;

/// How often figures of the transfer are given out.
const TICK: Duration = Duration::from_millis(100);

/// How long an engine may be silent in a build. It asks every session for its health once in 1 s
/// (20.10) or 5 s (28), so this is not about how long a step takes.
const SILENCE: Duration = Duration::from_secs(120);

/// How long the last words of a build may take to arrive after its end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What BuildKit calls a context that it keeps.
const LOCAL: &str = "source.local";

/// A session with an engine's BuildKit.
pub(super) struct BuildKit<'a> {
    build: &'a Build<'a>,
    session: Session,
    shared: Shared,
    link: Link,
}

impl<'a> BuildKit<'a> {
    /// Opens a session.
    ///
    /// # Errors
    /// The engine has no BuildKit ([`is_absent`]), or no connection to it can be made.
    pub(super) async fn open(
        build: &'a Build<'a>,
        secrets: Secrets,
    ) -> Result<Self, link::Refused> {
        let shared = Shared::new(build, secrets);
        let session = Session::new(build.context);
        let link = Link::open(build.engine, &session, shared.routes(), build.way).await?;
        Ok(Self {
            build,
            session,
            shared,
            link,
        })
    }

    /// What the engine keeps of contexts from builds before, in bytes: the largest of them.
    pub(super) async fn kept(&mut self) -> u64 {
        let request = DiskUsageRequest {
            filter: vec![format!("type=={LOCAL}")],
            ..DiskUsageRequest::default()
        };
        let Self { link, .. } = self;
        let usage = tokio::time::timeout(SILENCE, link.control.disk_usage(request));
        let usage = tokio::select! {
            usage = usage => usage,
            () = &mut link.serving => return 0,
        };
        let records = match usage {
            Ok(Ok(usage)) => usage.into_inner().record,
            _ => return 0,
        };
        let sizes = records
            .iter()
            .filter_map(|record| u64::try_from(record.size).ok());
        sizes.max().unwrap_or_default()
    }

    /// Builds, and gives the image as the engine has it.
    ///
    /// # Errors
    /// A step failed, a file changed while it was read, the engine is gone.
    pub(super) async fn build(
        self,
        events: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<Unproven> {
        let Self {
            build,
            session,
            shared,
            link,
        } = self;
        let Link {
            mut control,
            mut serving,
        } = link;
        let reference = session::random();
        let request = solve::request(build, &session, &reference);
        let mut watching = control.clone();
        let watched = StatusRequest { r#ref: reference };
        let opening = async move {
            watching
                .status(watched)
                .await
                .map(tonic::Response::into_inner)
        };
        let mut updates = pin!(futures_util::stream::once(opening).try_flatten().fuse());
        let mut solving = pin!(control.solve(request));
        let mut tracker = Tracker::new(shared.secrets());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut sent, mut heard) = ((0, 0), Instant::now());
        let mut solved = None;
        loop {
            tokio::select! {
                biased;
                error = shared.failed() => return Err(error),
                update = updates.next(), if !updates.is_done() => {
                    // What failed is in the answer to the call itself.
                    if let Some(Ok(update)) = update {
                        heard = Instant::now();
                        tracker.take(update, events);
                    }
                }
                answer = &mut solving, if solved.is_none() => {
                    solved = Some((answer, Instant::now()));
                }
                () = &mut serving, if solved.is_none() => {
                    return Err(gone("it closed the session"));
                }
                _ = ticks.tick() => {
                    let now = shared.sent();
                    if now != sent {
                        sent = now;
                        events(transfer(sent));
                    }
                    let heard = heard.max(shared.asked_last());
                    if heard.elapsed() > SILENCE {
                        return Err(gone("it has been silent for two minutes"));
                    }
                }
            }
            if let Some((_, since)) = &solved
                && (updates.is_done() || since.elapsed() > LAST_WORDS)
            {
                break;
            }
        }
        tracker.end(events);
        let now = shared.sent();
        if now != sent {
            events(transfer(now));
        }
        match solved {
            Some((Ok(response), _)) => Ok(Unproven {
                id: image_id(response.into_inner())?,
                foreign: tracker.foreign().map(str::to_owned),
            }),
            Some((Err(status), _)) => Err(failure::error(&status, &tracker, build)),
            None => Err(gone("it did not answer")),
        }
    }
}

fn transfer((bytes, files): (u64, u64)) -> BuildEvent {
    let files = Some(files);
    BuildEvent::Transfer { bytes, files }
}

/// The id of what was built: of the configuration, or of the manifest in containerd's store.
fn image_id(response: SolveResponse) -> Result<String> {
    let id = response.exporter_response.get("containerimage.digest");
    id.cloned()
        .ok_or_else(|| gone("it did not name the image that it built"))
}

fn gone(why: &str) -> Error {
    Error::new(ExitCode::Build, "the engine broke the build off")
        .because(why)
        .hint("look at the engine's own log (`journalctl -u docker`), then build again")
}
