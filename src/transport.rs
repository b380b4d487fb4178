//! HTTP for registries, token servers and GitHub: pooled connections, TLS when it is needed, proxies,
//! deadlines, bounded bodies and bounded repetition.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioExecutor;

use crate::error::chain;

/// A TCP connection stands after this long, or the host is unreachable.
const CONNECT: Duration = Duration::from_secs(10);

/// A request with its whole answer takes no longer than this.
const WHOLE: Duration = Duration::from_secs(60);

/// How often one request is sent at most.
const ATTEMPTS: u32 = 5;

/// A registry that asks for a longer pause than this has refused.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Registries take and give manifests of at most 4 MiB.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>
const MAX_BODY: usize = 4 * 1024 * 1024;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What was answered, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection: name, route, port.
    Unreachable(String),
    /// No trust: certificate, protocol.
    Tls(String),
    /// No whole answer in time.
    TooSlow,
    /// The connection ended, or what came is no HTTP.
    Broken(String),
    /// The answer is larger than any that is expected.
    TooLong,
}

/// Connections to registries and their token servers.
pub(crate) struct Transport {
    proxies: Matcher,
    clients: Mutex<HashMap<Route, Sender>>,
    seed: u64,
    /// Most bytes of an answer's body.
    most: usize,
}

/// How a request leaves this machine.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Route {
    Plain,
    Tls,
    /// TLS through a proxy.
    Proxy(Uri),
}

#[derive(Clone)]
enum Sender {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
    Proxy(Box<Client<HttpsConnector<ToProxy>, Full<Bytes>>>),
}

impl Transport {
    /// Connections as the environment wants them (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, in
    /// capitals or not); `seed` decides the jitter of pauses.
    pub(crate) fn new(env: &BTreeMap<String, String>, seed: u64) -> Self {
        let set = |name: &str| {
            let value = env.get(&name.to_lowercase()).or_else(|| env.get(name));
            value.cloned().unwrap_or_default()
        };
        let proxies = Matcher::builder()
            .all(set("ALL_PROXY"))
            .https(set("HTTPS_PROXY"))
            .no(set("NO_PROXY"))
            .build();
        Self {
            proxies,
            clients: Mutex::default(),
            seed,
            most: MAX_BODY,
        }
    }

    /// Takes longer answers, of so many bytes.
    #[must_use]
    pub(crate) fn with_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Sends a request, again after a pause while the server is busy or the connection breaks.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Failure> {
        let mut attempt = 1;
        loop {
            let result = tokio::time::timeout(WHOLE, self.once(call)).await;
            let result = result.unwrap_or(Err(Failure::TooSlow));
            let pause = match &result {
                Ok(answer) if is_busy(&call.method, answer.status) => {
                    match retry_after(&answer.headers) {
                        Some(asked) if asked > LONGEST_PAUSE => return result,
                        Some(asked) => asked,
                        None => pause(attempt, self.seed),
                    }
                }
                Err(Failure::Broken(_)) => pause(attempt, self.seed),
                _ => return result,
            };
            if attempt == ATTEMPTS {
                return result;
            }
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a request once, for those who know better when to send it again.
    pub(crate) async fn once(&self, call: &Call) -> Result<Answer, Failure> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.uri.clone();
        *request.headers_mut() = call.headers.clone();
        let response = match self.sender(&call.uri)? {
            Sender::Plain(client) => client.request(request).await,
            Sender::Tls(client) => client.request(request).await,
            Sender::Proxy(client) => client.request(request).await,
        };
        let response = response.map_err(|cause| failure(&cause))?;
        read(response, self.most).await
    }

    /// The client for a route; TLS with this machine's certificates is set up when first needed.
    fn sender(&self, uri: &Uri) -> Result<Sender, Failure> {
        // NOTE: plain HTTP is for this machine only, and nobody wants a proxy for that.
        let proxy = match uri.scheme_str() {
            Some("https") => self.proxies.intercept(uri),
            _ => None,
        };
        let route = match (&proxy, uri.scheme_str()) {
            (Some(proxy), _) => Route::Proxy(proxy.uri().clone()),
            (None, Some("https")) => Route::Tls,
            (None, _) => Route::Plain,
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = clients.get(&route) {
            return Ok(sender.clone());
        }
        let sender = match (&route, proxy) {
            (Route::Plain, _) => Sender::Plain(Client::builder(TokioExecutor::new()).build(tcp())),
            (_, Some(proxy)) => {
                let tunnel = tunnel(&proxy)?;
                let tls = tls()?.https_only().enable_http1().wrap_connector(tunnel);
                Sender::Proxy(Box::new(Client::builder(TokioExecutor::new()).build(tls)))
            }
            (_, None) => {
                let tls = tls()?.https_only().enable_http1().wrap_connector(tcp());
                Sender::Tls(Client::builder(TokioExecutor::new()).build(tls))
            }
        };
        clients.insert(route, sender.clone());
        Ok(sender)
    }
}

/// A tunnel through a proxy, which is itself reached with or without TLS.
type ToProxy = Tunnel<HttpsConnector<HttpConnector>>;

/// A connector that asks a proxy for a tunnel.
fn tunnel(proxy: &Intercept) -> Result<ToProxy, Failure> {
    let to_proxy = tls()?.https_or_http().enable_http1().wrap_connector(tcp());
    let tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
    Ok(match proxy.basic_auth() {
        Some(auth) => tunnel.with_auth(auth.clone()),
        None => tunnel,
    })
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp
}

type Tls = HttpsConnectorBuilder<hyper_rustls::builderstates::WantsSchemes>;

/// TLS that trusts what this machine trusts: its bundle, or `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn tls() -> Result<Tls, Failure> {
    let none = |cause: std::io::Error| {
        Failure::Tls(format!(
            "this machine has no certificates to check others by ({cause})"
        ))
    };
    HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(none)
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Answer, Failure> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, most).collect().await;
    let body = body.map_err(|cause| match cause.downcast_ref::<hyper::Error>() {
        Some(cause) => Failure::Broken(chain(cause)),
        None => Failure::TooLong,
    })?;
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.to_bytes(),
    })
}

/// Whether it may work in a moment. A registry that cannot store something says 500 each time; what
/// is only read is asked for again.
fn is_busy(method: &Method, status: StatusCode) -> bool {
    let reads = [Method::GET, Method::HEAD].contains(method);
    matches!(status.as_u16(), 429 | 502 | 503 | 504) || reads && status.as_u16() == 500
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    seconds.parse().ok().map(Duration::from_secs)
}

/// A pause before the next attempt: half a second, doubled each time up to 10 s, and between half
/// and all of that by the seed, so that many clients do not come back at once.
#[must_use]
pub(crate) fn pause(attempt: u32, seed: u64) -> Duration {
    let whole = Duration::from_millis(500)
        .saturating_mul(1 << attempt.saturating_sub(1).min(10))
        .min(Duration::from_secs(10));
    let share = seed.rotate_left(attempt.wrapping_mul(11)) % 1000;
    whole / 2 + whole.mul_f64(share as f64 / 2000.0)
}

/// A seed for pauses: the standard library's own random keys.
#[must_use]
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

fn failure(cause: &ClientError) -> Failure {
    let text = chain(cause);
    // NOTE: the TLS library's error is wrapped as an I/O error, several deep; its words are stable
    // enough, and a wrong guess costs only the better advice.
    let is_tls = ["certificate", "corrupt message", "handshake", "alert"];
    if cause.is_connect() {
        return match is_tls.iter().any(|word| text.contains(word)) {
            true => Failure::Tls(text),
            false => Failure::Unreachable(text),
        };
    }
    Failure::Broken(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ_by_seed() {
        let of = |seed| {
            (1..8)
                .map(|attempt| pause(attempt, seed))
                .collect::<Vec<_>>()
        };
        let (one, other) = (of(0x1234_5678_9abc_def1), of(0xfedc_ba98_7654_3213));
        assert_ne!(one, other);
        for pauses in [one, other] {
            for (pause, whole) in pauses.iter().zip([0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]) {
                assert!(
                    (whole / 2.0..=whole).contains(&pause.as_secs_f64()),
                    "{pause:?}"
                );
            }
        }
    }
}
