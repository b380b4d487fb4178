//! Raw connections to an engine, and those that it turns into HTTP/2 (`/session`, `/grpc`).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::{Endpoint, Engine, tls};

/// How long a connection may take to be there.
const DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of a refusal that are read.
const LONGEST_REFUSAL: usize = 16 * 1024;

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, whatever carries it.
pub(crate) struct Pipe(Box<dyn Io>);

impl Pipe {
    pub(crate) fn new(io: impl Io + 'static) -> Self {
        Self(Box::new(io))
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

/// Why an engine did not turn a connection into HTTP/2.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It answered something else.
    Answer(StatusCode, String),
    /// There was no answer.
    Io(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(status, text) => write!(f, "{status}: {}", text.trim()),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl Endpoint {
    /// A new connection.
    pub(crate) async fn dial(&self) -> io::Result<Pipe> {
        let connecting = async {
            match self {
                Self::Unix(path) => Ok(Pipe::new(UnixStream::connect(path).await?)),
                Self::Tcp(address) => Ok(Pipe::new(tcp(address).await?)),
                Self::Tls {
                    address,
                    certificates,
                } => {
                    let stream = tcp(address).await?;
                    Ok(Pipe::new(
                        tls::connect(stream, address, certificates).await?,
                    ))
                }
            }
        };
        tokio::time::timeout(DEADLINE, connecting)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

async fn tcp(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Engine {
    /// A connection that the engine turned into HTTP/2 without TLS.
    pub(crate) async fn upgrade(
        &self,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Pipe, Refused> {
        let upgrading = self.upgrade_within(path, headers);
        tokio::time::timeout(DEADLINE, upgrading)
            .await
            .unwrap_or_else(|_| Err(Refused::Io(io::ErrorKind::TimedOut.into())))
    }

    async fn upgrade_within(
        &self,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Pipe, Refused> {
        let other = |error: hyper::Error| Refused::Io(io::Error::other(error));
        let pipe = self.endpoint.dial().await.map_err(Refused::Io)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(pipe))
            .await
            .map_err(other)?;
        // Ends with the upgrade, or when `sender` is gone.
        tokio::spawn(connection.with_upgrades());
        let (major, minor) = self.facts.api;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("/v{major}.{minor}{path}"))
            .header(HOST, "docker")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|error| Refused::Io(io::Error::other(error)))?;
        let response = sender.send_request(request).await.map_err(other)?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let body = Limited::new(response.into_body(), LONGEST_REFUSAL)
                .collect()
                .await;
            let bytes = body
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Err(Refused::Answer(status, text));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(other)?;
        Ok(Pipe::new(TokioIo::new(upgraded)))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
