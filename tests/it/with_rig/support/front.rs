//! A door in front of a registry: it passes requests on as they are, and does what the registry
//! behind it does not.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A request with its whole body.
pub(crate) type Asked = Request<Bytes>;

/// Answers a request instead of the registry, or leaves it to the registry. It may block.
type Rule = dyn Fn(&Asked) -> Option<Response<Bytes>> + Send + Sync;

type Body = BoxBody<Bytes, hyper::Error>;

/// A running front. It ends when it is dropped.
pub(crate) struct Front {
    port: u16,
    seen: Arc<Mutex<Vec<(Method, String)>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// A front of `host:port`, on a free port of this machine.
    pub(crate) fn start(
        upstream: &str,
        rule: impl Fn(&Asked) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let door = Door {
            upstream: upstream.to_owned(),
            rule: Arc::new(rule),
            seen: seen.clone(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        // Tests that wait for a program do not run a front meanwhile: it has its own thread.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = door.serve(TcpListener::from_std(listener).unwrap()) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            seen,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Methods and paths of the requests since the last time that somebody asked.
    pub(crate) fn seen(&self) -> Vec<(Method, String)> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[derive(Clone)]
struct Door {
    upstream: String,
    rule: Arc<Rule>,
    seen: Arc<Mutex<Vec<(Method, String)>>>,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

impl Door {
    async fn serve(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let door = self.clone();
            let service = service_fn(move |request| door.clone().answer(request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let asked = Request::from_parts(parts, body.collect().await?.to_bytes());
        let entry = (asked.method().clone(), asked.uri().path().to_owned());
        self.seen.lock().unwrap().push(entry);
        let rule = self.rule.clone();
        let judged = tokio::task::spawn_blocking(move || (rule(&asked), asked));
        let (own, asked) = judged.await.unwrap();
        if let Some(own) = own {
            return Ok(own.map(|body| Full::new(body).map_err(|never| match never {}).boxed()));
        }
        let (mut parts, body) = asked.into_parts();
        // The header `Host` stays: the registry names the front in its answers.
        let path = parts.uri.path_and_query().unwrap();
        let uri = format!("http://{}{path}", self.upstream);
        parts.uri = uri.parse::<Uri>().unwrap();
        let passed = Request::from_parts(parts, Full::new(body));
        let answer = self.client.request(passed).await.unwrap();
        Ok(answer.map(|body| body.boxed()))
    }
}
