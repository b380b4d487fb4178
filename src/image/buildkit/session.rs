//! What the engine may ask of us while it builds, and how our side of it is kept.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    health_check_response::ServingStatus,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use http::header::{HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::super::build::Build;
use super::super::context::Context;
use super::super::secrets::Secrets;
use super::auth::Logins;
use super::sync::Files;
use crate::error::Error;

/// Methods that a session offers. Token exchange is left to the engine: without `FetchToken` it
/// asks for the credentials themselves.
const METHODS: &[&str] = &[
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
];

/// Who a session is.
pub(super) struct Session {
    /// Known to the engine alone.
    pub(super) id: String,
    /// What names the context to the engine from one build to the next, so that only changes are
    /// sent.
    shared_key: String,
}

impl Session {
    pub(super) fn new(context: &Context) -> Self {
        let root = context.root();
        let path = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let mut hash = blake3::Hasher::new_derive_key("mlaction build context, version 1");
        // NOTE: two machines may have different files of the same size and time at one path.
        hash.update(rustix::system::uname().nodename().to_bytes());
        hash.update(&[0]);
        hash.update(path.as_os_str().as_encoded_bytes());
        if let Ok(meta) = std::fs::metadata(&path) {
            hash.update(&meta.dev().to_le_bytes());
            hash.update(&meta.ino().to_le_bytes());
        }
        Self {
            id: random(),
            shared_key: hash.finalize().to_hex().to_string(),
        }
    }

    /// What introduces the session: headers of an upgrade, or metadata of a call.
    pub(super) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        let mut add = |name: &'static str, value: &str| {
            // All of them are hexadecimal or written above.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.push((HeaderName::from_static(name), value));
            }
        };
        add("x-docker-expose-session-uuid", &self.id);
        add("x-docker-expose-session-name", "mlaction");
        add("x-docker-expose-session-sharedkey", &self.shared_key);
        for method in METHODS {
            add("x-docker-expose-session-grpc-method", method);
        }
        headers
    }
}

/// A name that nobody else has.
pub(super) fn random() -> String {
    let mut hash = blake3::Hasher::new();
    for _ in 0..4 {
        // The standard library's keys are random, and others for each.
        hash.update(&RandomState::new().build_hasher().finish().to_le_bytes());
    }
    hash.update(&std::process::id().to_le_bytes());
    hash.finalize().to_hex()[..32].to_owned()
}

/// What the services and the build share.
#[derive(Clone)]
pub(super) struct Shared {
    files: Files,
    logins: Logins,
    secrets: Secrets,
    meter: Arc<Meter>,
    failure: Failure,
    asked: Arc<watch::Sender<Instant>>,
}

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Meter {
    bytes: AtomicU64,
    files: AtomicU64,
}

impl Meter {
    pub(super) fn add_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn add_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }
}

/// The first thing that went wrong on our side; the engine only sees that a call failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    first: Arc<Mutex<Option<Error>>>,
    failed: Arc<tokio::sync::Notify>,
}

impl Failure {
    pub(super) fn set(&self, error: Error) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
        drop(first);
        self.failed.notify_one();
    }

    async fn wait(&self) -> Error {
        loop {
            let first = self
                .first
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            match first {
                Some(error) => return error,
                None => self.failed.notified().await,
            }
        }
    }
}

impl Shared {
    pub(super) fn new(build: &Build<'_>, secrets: Secrets) -> Self {
        let meter = Arc::new(Meter::default());
        let failure = Failure {
            first: Arc::default(),
            failed: Arc::default(),
        };
        Self {
            files: Files::new(
                build.context.clone(),
                &build.request.dockerfile,
                Arc::clone(&meter),
                failure.clone(),
            ),
            logins: Logins::new(build.credentials.clone(), failure.clone()),
            secrets,
            meter,
            failure,
            asked: Arc::new(watch::Sender::new(Instant::now())),
        }
    }

    /// The services.
    pub(super) fn routes(&self) -> Routes {
        let alive = Alive {
            asked: Arc::clone(&self.asked),
        };
        Routes::new(HealthServer::new(alive))
            .add_service(FileSyncServer::new(self.files.clone()))
            .add_service(AuthServer::new(self.logins.clone()))
            .add_service(SecretsServer::new(self.secrets.clone()))
            .prepare()
    }

    /// Waits for something to go wrong on our side.
    pub(super) async fn failed(&self) -> Error {
        self.failure.wait().await
    }

    /// Bytes and files that were sent.
    pub(super) fn sent(&self) -> (u64, u64) {
        let Meter { bytes, files } = &*self.meter;
        (bytes.load(Ordering::Relaxed), files.load(Ordering::Relaxed))
    }

    /// When the engine last asked whether we are there.
    pub(super) fn asked_last(&self) -> Instant {
        *self.asked.borrow()
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

/// NOTE: without this service an engine cancels the build after its first look.
struct Alive {
    asked: Arc<watch::Sender<Instant>>,
}

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = futures_util::stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.asked.send_replace(Instant::now());
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("health is not listed"))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("health is not watched"))
    }
}
