//! Builds by the classic builder, for engines without BuildKit: the context as a streamed tar.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE, Engine as _};
use bollard::errors::Error as DockerError;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::Network;
use super::build::Build;
use super::dockerfile::Dockerfile;
use super::failure::Cause;
use super::failure::instructions::{self, Counted};
use super::progress::{BuildEvent, Splitter, one_line};
use super::secrets::Hidden;
use crate::error::{Error, ExitCode, Result};

/// Last lines of a step that are remembered for its error.
const TAIL: usize = 25;

/// How often figures of the transfer are given out, at most.
const TICK: Duration = Duration::from_millis(100);

/// Builds, and gives the image's id in the engine.
///
/// # Errors
/// A step failed, a file changed while it was read, the engine is gone.
pub(super) async fn build(
    build: &Build<'_>,
    events: &mut (dyn FnMut(BuildEvent) + Send),
) -> Result<String> {
    let request = build.request;
    if !request.secrets.is_empty() {
        return Err(
            Error::new(ExitCode::Build, "the classic builder has no secrets")
                .hint("build on an engine with BuildKit (Docker 20.10 or newer)"),
        );
    }
    let files = files(build)?;
    let credentials = credentials(build).await?;
    let map = |pairs: &indexmap::IndexMap<String, String>| -> HashMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let options = BuildImageOptionsBuilder::new()
        .version(BuilderVersion::BuilderV1)
        .dockerfile(&files.dockerfile)
        .platform(&request.platform)
        .target(request.target.as_deref().unwrap_or_default())
        .buildargs(&map(&request.build_args))
        .labels(&map(&request.labels))
        .cachefrom(&request.cache_from)
        .nocache(build.no_cache)
        .networkmode(match request.network {
            Network::Default => "default",
            Network::None => "none",
        })
        .rm(true)
        .forcerm(true)
        .build();
    // What goes wrong with the context is known here and not there: the engine sees the end.
    let broken: Arc<Mutex<Option<Error>>> = Arc::default();
    let sent = Arc::new(AtomicU64::new(0));
    let (noting, counting) = (Arc::clone(&broken), Arc::clone(&sent));
    let tar = build.context.tar(files.more).map_err(move |error| {
        let own = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
            .cloned();
        let own = own.unwrap_or_else(|| {
            Error::new(ExitCode::Build, "cannot read the build context").because(&error)
        });
        *noting.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
        io::Error::from(error.kind())
    });
    let tar = tar.inspect_ok(move |bytes| {
        counting.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    });
    let body = bollard::body_try_stream(tar);
    let mut docker = build.engine.docker().clone();
    if let Some(credentials) = credentials {
        docker = docker.with_request_modifier(move |mut request| {
            let name = HeaderName::from_static("x-registry-config");
            request.headers_mut().insert(name, credentials.clone());
            request
        });
    }
    let mut answers = std::pin::pin!(docker.build_image(options, None, Some(body)));
    let mut log = Log::default();
    let mut ticks = tokio::time::interval(TICK);
    let mut told = 0;
    loop {
        let answer = tokio::select! {
            biased;
            answer = answers.next() => answer,
            _ = ticks.tick() => {
                let bytes = sent.load(Ordering::Relaxed);
                if bytes != told {
                    told = bytes;
                    events(BuildEvent::Transfer { bytes, files: None });
                }
                continue;
            }
        };
        match answer {
            Some(Ok(info)) => log.take(info, events),
            Some(Err(error)) => {
                let own = broken.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Err(own.unwrap_or_else(|| log.failed(&error, build, events)));
            }
            None => break,
        }
    }
    if let Some(error) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    log.step_ended(None, events);
    match log.id {
        Some(id) => Ok(id),
        None => inspected(build, &log.short_id).await,
    }
}

/// The whole id of the image: Podman's older versions tell its beginning only.
async fn inspected(build: &Build<'_>, short_id: &str) -> Result<String> {
    let failed = || {
        Error::new(
            ExitCode::Build,
            "the engine did not name the image that it built",
        )
    };
    if short_id.is_empty() {
        return Err(failed());
    }
    let id = build
        .engine
        .docker()
        .inspect_image(short_id)
        .await
        .map_err(|error| failed().because(error))?
        .id
        .unwrap_or_default();
    match id.split_once(':') {
        Some(_) => Ok(id),
        None if id.is_empty() => Err(failed()),
        None => Ok(format!("sha256:{id}")),
    }
}

struct MoreFiles {
    dockerfile: String,
    more: Vec<(String, Vec<u8>)>,
}

/// The Dockerfile in the archive. When it does not belong to the context, it goes in under a name
/// of its own, and a `.dockerignore` makes the engine take both away before it copies anything, as
/// the `docker` command does it:
/// <https://github.com/docker/cli/blob/master/cli/command/image/build/context.go>.
fn files(build: &Build<'_>) -> Result<MoreFiles> {
    let context = build.context;
    let bytes = context.dockerfile().to_vec();
    if let Some(name) = context.dockerfile_name().filter(|name| context.keeps(name)) {
        return Ok(MoreFiles {
            dockerfile: name.to_owned(),
            more: vec![(name.to_owned(), bytes)],
        });
    }
    let hash = blake3::hash(&bytes).to_hex();
    let dockerfile = format!(".mlaction-{}.Dockerfile", &hash[..16]);
    let path = context.root().join(".dockerignore");
    let rules = match context.keeps(".dockerignore") && path.is_file() {
        true => {
            let mut rules = std::fs::read(&path).map_err(|error| {
                Error::new(ExitCode::Build, format!("cannot read {}", path.display()))
                    .because(error)
            })?;
            rules.extend_from_slice(format!("\n{dockerfile}\n").as_bytes());
            rules
        }
        false => format!("{dockerfile}\n.dockerignore\n").into_bytes(),
    };
    Ok(MoreFiles {
        more: vec![
            (dockerfile.clone(), bytes),
            (".dockerignore".to_owned(), rules),
        ],
        dockerfile,
    })
}

/// The logins for the registries that the Dockerfile's base images are in, as a header.
///
/// NOTE: the client library writes it in the alphabet of plain Base64, which engines take for no
/// login at all when `+` or `/` is in it.
async fn credentials(build: &Build<'_>) -> Result<Option<HeaderValue>> {
    let request = build.request;
    let Ok(dockerfile) = Dockerfile::parse(build.context.dockerfile()) else {
        return Ok(None);
    };
    let reads = dockerfile.reads(
        &request.build_args,
        request.target.as_deref(),
        &request.platform,
    );
    let images = reads.map(|reads| reads.images).unwrap_or_default();
    let references = images.iter().map(|image| image.reference.as_str());
    let mut all = BTreeMap::new();
    for reference in references.chain(request.cache_from.iter().map(String::as_str)) {
        let (host, key) = match reference.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => (host, host),
            _ => ("docker.io", "https://index.docker.io/v1/"),
        };
        if all.contains_key(key) {
            continue;
        }
        if let Some(login) = build.credentials.for_host(host).await? {
            let secret = login.password.expose_secret();
            let fields = match login.is_token {
                true => serde_json::json!({ "identitytoken": secret }),
                false => serde_json::json!({ "username": login.user, "password": secret }),
            };
            all.insert(key, fields);
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    let json = serde_json::json!(all).to_string();
    // Base64 is always a header's value.
    let header = HeaderValue::from_str(&BASE64_URL_SAFE.encode(json)).ok();
    Ok(header.map(|mut header| {
        header.set_sensitive(true);
        header
    }))
}

/// What the builder has said.
#[derive(Default)]
struct Log {
    id: Option<String>,
    /// Of the last line that reads as if it named an image: a step may say anything too.
    short_id: String,
    step: Option<Step>,
    splitter: Splitter,
    tail: VecDeque<String>,
}

struct Step {
    id: String,
    name: String,
    since: Instant,
    cached: bool,
}

impl Log {
    fn take(&mut self, info: BuildInfo, events: &mut (dyn FnMut(BuildEvent) + Send)) {
        if let Some(id) = info.aux.and_then(|aux| aux.id) {
            self.id = Some(id);
        }
        if let Some(text) = info.stream {
            let mut lines = Vec::new();
            // Secrets are for BuildKit alone.
            self.splitter
                .add(text.as_bytes(), &Hidden::default(), |line| lines.push(line));
            for line in lines {
                self.line(line, events);
            }
        }
        if let (Some(status), Some(step)) = (info.status, &self.step) {
            let progress = info.progress_detail.unwrap_or_default();
            let part = format!("{} {status}", info.id.unwrap_or_default());
            let amount = |number: Option<i64>| {
                number
                    .and_then(|number| u64::try_from(number).ok())
                    .unwrap_or_default()
            };
            events(BuildEvent::StepProgress {
                step: step.id.clone(),
                part: one_line(part.trim()),
                current: amount(progress.current),
                total: amount(progress.total),
            });
        }
    }

    fn line(&mut self, line: String, events: &mut (dyn FnMut(BuildEvent) + Send)) {
        // Docker's words, and Podman's.
        let docker = || line.strip_prefix("Step ")?.split_once(" : ");
        let podman = || line.strip_prefix("STEP ")?.split_once(": ");
        let parsed = docker().or_else(podman).filter(|(place, _)| {
            place
                .chars()
                .all(|char| char.is_ascii_digit() || char == '/')
        });
        if let Some((place, instruction)) = parsed {
            self.step_ended(None, events);
            let name = format!("[{place}] {instruction}");
            events(BuildEvent::StepStarted {
                step: place.to_owned(),
                name: name.clone(),
            });
            self.tail.clear();
            self.step = Some(Step {
                id: place.to_owned(),
                name,
                since: Instant::now(),
                cached: false,
            });
            return;
        }
        if let Some(id) = line.strip_prefix("Successfully built ") {
            id.trim_end().clone_into(&mut self.short_id);
        }
        let Some(step) = &mut self.step else {
            return;
        };
        let said = line
            .trim_start()
            .strip_prefix("---> ")
            .or(line.strip_prefix("--> "));
        match said {
            Some(said) if said.starts_with("Using cache") => step.cached = true,
            Some(_) => {}
            None if line.trim().is_empty() => {}
            None if line.starts_with("Removing intermediate container ") => {}
            None => {
                if self.tail.len() == TAIL {
                    self.tail.pop_front();
                }
                self.tail.push_back(line.clone());
                let step = step.id.clone();
                events(BuildEvent::StepLog { step, line });
            }
        }
    }

    fn step_ended(
        &mut self,
        error: Option<String>,
        events: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Option<String> {
        let Step {
            id,
            name,
            since,
            cached,
        } = self.step.take()?;
        events(BuildEvent::StepEnded {
            step: id,
            cached,
            seconds: since.elapsed().as_secs_f64(),
            error,
        });
        Some(name)
    }

    fn failed(
        &mut self,
        error: &DockerError,
        build: &Build<'_>,
        events: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Error {
        let message = match error {
            DockerError::DockerStreamError { error } => error.clone(),
            DockerError::DockerResponseServerError { message, .. } => message.clone(),
            other => other.to_string(),
        };
        let message = one_line(&message);
        if let Some(line) = self.splitter.end(&Hidden::default()) {
            self.line(line, events);
        }
        let step = self.step_ended(Some(message.clone()), events);
        let cause = Cause {
            line: step.as_deref().and_then(|step| {
                instructions::line_of(build.context.dockerfile(), step, Counted::All)
            }),
            step,
            tail: self.tail.drain(..).collect(),
            message,
        };
        cause.error(build)
    }
}
