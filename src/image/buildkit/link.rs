//! The two connections of a build: calls to the engine, and the session that it calls back on.
//!
//! Engines up to API 1.52 turn connections into gRPC at `/grpc` and `/session`. Later ones still
//! do and plan not to (<https://github.com/moby/moby/blob/master/api/docs/CHANGELOG.md>, v1.53);
//! they speak gRPC on the socket itself, where the session is a tunnel through `Control.Session`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::BytesMessage;
use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use futures_util::StreamExt as _;
use http::{StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};

use super::session::Session;
pub(crate) use crate::image::engine::Refused;
use crate::image::engine::{Engine, Pipe};

/// How long the connection for calls may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Largest message from the engine, in bytes; logs come in pieces of less.
const LARGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// Largest headers and trailers of a call, in bytes: those of a failed one hold the Dockerfile and
/// stacks, and those of a transfer every name that the Dockerfile copies.
const LARGEST_HEADERS: u32 = 4 * 1024 * 1024;

/// Bytes of the session that wait to go through the tunnel.
const TUNNEL: usize = 256 * 1024;

/// The first API version whose engines speak gRPC on the socket itself.
const NATIVE_SINCE: (usize, usize) = (1, 52);

/// How gRPC gets to an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through `/grpc` and `/session`.
    Upgrade,
    /// On the socket itself.
    Native,
}

/// Our side of the session; ends when the session does.
type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct Link {
    pub(super) control: ControlClient<Channel>,
    pub(super) serving: Serving,
}

/// Whether a refusal means that the engine has no such endpoint.
pub(crate) fn is_absent(refused: &Refused) -> bool {
    let Refused::Answer(status, _) = refused else {
        return false;
    };
    [
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::GONE,
        StatusCode::NOT_IMPLEMENTED,
    ]
    .contains(status)
}

impl Link {
    /// Connects the way that is asked for, else the one that the engine has.
    pub(super) async fn open(
        engine: &Engine,
        session: &Session,
        routes: Routes,
        way: Option<Way>,
    ) -> Result<Self, Refused> {
        match way {
            Some(Way::Native) => Self::native(engine, session, routes).await,
            Some(Way::Upgrade) => Self::upgrade(engine, session, routes).await,
            None => match Self::upgrade(engine, session, routes.clone()).await {
                Err(refused) if is_absent(&refused) && engine.facts().api >= NATIVE_SINCE => {
                    Self::native(engine, session, routes).await
                }
                result => result,
            },
        }
    }

    async fn upgrade(engine: &Engine, session: &Session, routes: Routes) -> Result<Self, Refused> {
        let headers = session.headers();
        let (pipe, control) = futures_util::future::try_join(
            engine.upgrade("/session", &headers),
            control(engine, Way::Upgrade),
        )
        .await?;
        Ok(Self {
            control,
            serving: Box::pin(serve(pipe, routes)),
        })
    }

    async fn native(engine: &Engine, session: &Session, routes: Routes) -> Result<Self, Refused> {
        let control = control(engine, Way::Native).await?;
        let (ours, theirs) = tokio::io::duplex(TUNNEL);
        let (mut reading, mut writing) = tokio::io::split(theirs);
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let mut request =
            tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
        for (name, value) in session.headers() {
            let name = MetadataKey::<Ascii>::from_bytes(name.as_str().as_bytes());
            let value = MetadataValue::try_from(value.as_bytes());
            if let (Ok(name), Ok(value)) = (name, value) {
                request.metadata_mut().append(name, value);
            }
        }
        let mut calling = control.clone();
        let up = async move {
            let mut buffer = vec![0; TUNNEL];
            while let Ok(count) = reading.read(&mut buffer).await {
                let data = buffer[..count].to_vec();
                if count == 0 || sender.send(BytesMessage { data }).await.is_err() {
                    return;
                }
            }
        };
        let down = async move {
            let Ok(answer) = calling.session(request).await else {
                return;
            };
            let mut messages = answer.into_inner();
            while let Some(Ok(message)) = messages.next().await {
                if writing.write_all(&message.data).await.is_err() {
                    return;
                }
            }
        };
        let serving = serve(Pipe::new(ours), routes);
        // The session is at its end when any of its parts is.
        let serving = async move {
            tokio::select! {
                () = up => {}
                () = down => {}
                () = serving => {}
            }
        };
        Ok(Self {
            control,
            serving: Box::pin(serving),
        })
    }
}

/// Answers the engine's calls until the connection ends.
async fn serve(pipe: Pipe, routes: Routes) {
    let service = TowerToHyperService::new(routes);
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server.max_header_list_size(LARGEST_HEADERS);
    // How it ends says nothing that the build's own end does not.
    let _ = server.serve_connection(TokioIo::new(pipe), service).await;
}

async fn control(engine: &Engine, way: Way) -> Result<ControlClient<Channel>, Refused> {
    let dialer = Dialer {
        engine: engine.clone(),
        way,
    };
    let channel = Endpoint::from_static("http://docker")
        .connect_timeout(DEADLINE)
        .http2_max_header_list_size(LARGEST_HEADERS)
        .connect_with_connector(dialer)
        .await
        .map_err(|error| Refused::Io(std::io::Error::other(error)))?;
    Ok(ControlClient::new(channel)
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(LARGEST_MESSAGE))
}

struct Dialer {
    engine: Engine,
    way: Way,
}

impl tonic::codegen::Service<Uri> for Dialer {
    type Response = TokioIo<Pipe>;
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (engine, way) = (self.engine.clone(), self.way);
        Box::pin(async move {
            let pipe = match way {
                Way::Upgrade => engine.upgrade("/grpc", &[]).await?,
                Way::Native => engine.endpoint().dial().await.map_err(Refused::Io)?,
            };
            Ok(TokioIo::new(pipe))
        })
    }
}
