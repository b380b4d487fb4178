//! How requests to GitHub go out: over this machine's proxies and certificates, writes a second
//! apart, again when GitHub asks for it.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use octocrab::OctoBody;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::transport::{Answer, Call, Failure, Transport, pause};

/// How often one request is sent at most.
const ATTEMPTS: u32 = 5;

/// Whoever has to wait longer has been refused: a run does not last an hour for a comment.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// The pause after a limit that says nothing about its end.
const LIMIT_PAUSE: Duration = Duration::from_secs(60);

/// Between two writes.
const BETWEEN_WRITES: Duration = Duration::from_secs(1);

/// A request with its whole answer takes no longer than this.
const WHOLE: Duration = Duration::from_secs(30);

/// The status in place of an answer that never came; its body says why.
pub(super) const NO_ANSWER: StatusCode = StatusCode::NETWORK_AUTHENTICATION_REQUIRED;

/// The way to one GitHub.
#[derive(Clone)]
pub(super) struct Wire {
    transport: Arc<Transport>,
    /// When the last write was sent.
    written: Arc<Mutex<Option<Instant>>>,
    /// Whether there is no time to keep writes apart.
    is_hurried: Arc<AtomicBool>,
    seed: u64,
}

impl Wire {
    pub(super) fn new(transport: Transport, seed: u64) -> Self {
        Self {
            transport: Arc::new(transport),
            written: Arc::default(),
            is_hurried: Arc::default(),
            seed,
        }
    }

    /// What says that writes are kept apart no longer.
    pub(super) fn is_hurried(&self) -> Arc<AtomicBool> {
        self.is_hurried.clone()
    }

    async fn send(&self, call: &Call) -> Response<Full<Bytes>> {
        let mut attempt = 1;
        loop {
            if call.method != Method::GET {
                self.wait_for_turn().await;
            }
            let answer = timeout(WHOLE, self.transport.once(call)).await;
            let answer = answer.unwrap_or(Err(Failure::TooSlow));
            let pause = match &answer {
                Ok(answer) => after_answer(&call.method, answer, attempt, self.seed),
                Err(failure) => after_failure(&call.method, failure, attempt, self.seed),
            };
            match pause.filter(|pause| attempt < ATTEMPTS && *pause <= LONGEST_PAUSE) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return response(answer, &call.uri),
            }
            attempt += 1;
        }
    }

    async fn wait_for_turn(&self) {
        let mut written = self.written.lock().await;
        if let Some(last) = *written
            && !self.is_hurried.load(Ordering::Relaxed)
        {
            tokio::time::sleep_until(last + BETWEEN_WRITES).await;
        }
        *written = Some(Instant::now());
    }
}

impl Service<Request<OctoBody>> for Wire {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<OctoBody>) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            // NOTE: it is a buffer, which is always whole.
            let body = body.collect().await.map(|body| body.to_bytes());
            let call = Call {
                method: parts.method,
                uri: parts.uri,
                headers: parts.headers,
                body: body.unwrap_or_default(),
            };
            Ok(wire.send(&call).await)
        })
    }
}

/// An answer, or words in the place of one: the client knows no other form of trouble.
fn response(answer: Result<Answer, Failure>, uri: &Uri) -> Response<Full<Bytes>> {
    let (status, headers, body) = match answer {
        Ok(answer) => (answer.status, answer.headers, answer.body),
        Err(failure) => {
            let host = uri.host().unwrap_or("GitHub");
            let message = match failure {
                Failure::Unreachable(cause) => format!("cannot reach {host}: {cause}"),
                Failure::Tls(cause) => format!("cannot trust {host}: {cause}"),
                Failure::TooSlow => format!("{host} did not answer in time"),
                Failure::Broken(cause) => format!("the connection to {host} broke: {cause}"),
                Failure::TooLong => format!("the answer of {host} is too long"),
            };
            let body = serde_json::json!({ "message": message }).to_string();
            (NO_ANSWER, HeaderMap::new(), Bytes::from(body))
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The pause before the next attempt, if there is to be one.
fn after_answer(method: &Method, answer: &Answer, attempt: u32, seed: u64) -> Option<Duration> {
    let status = answer.status.as_u16();
    if matches!(status, 403 | 429) {
        return limit(answer, attempt, Timestamp::now().as_second());
    }
    (is_repeatable(method) && matches!(status, 500 | 502 | 503 | 504)).then(|| pause(attempt, seed))
}

fn after_failure(method: &Method, failure: &Failure, attempt: u32, seed: u64) -> Option<Duration> {
    match failure {
        // Nothing was sent.
        Failure::Unreachable(_) => Some(pause(attempt, seed)),
        Failure::Broken(_) | Failure::TooSlow if is_repeatable(method) => {
            Some(pause(attempt, seed))
        }
        Failure::Broken(_) | Failure::TooSlow | Failure::Tls(_) | Failure::TooLong => None,
    }
}

/// Whether a request does the same when it is sent twice. What creates something may have done it
/// although the answer got lost.
fn is_repeatable(method: &Method) -> bool {
    *method != Method::POST
}

/// The pause that a limit asks for; nothing when the answer speaks of no limit.
fn limit(answer: &Answer, attempt: u32, now: i64) -> Option<Duration> {
    let number = |name: &str| -> Option<i64> {
        answer.headers.get(name)?.to_str().ok()?.trim().parse().ok()
    };
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds.max(0).unsigned_abs()));
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let seconds = number("x-ratelimit-reset")?.saturating_sub(now).max(0) + 1;
        return Some(Duration::from_secs(seconds.unsigned_abs()));
    }
    let text = String::from_utf8_lossy(&answer.body).to_lowercase();
    let is_limit = answer.status == StatusCode::TOO_MANY_REQUESTS || text.contains("rate limit");
    is_limit.then(|| LIMIT_PAUSE * 2_u32.pow(attempt.saturating_sub(1).min(8)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Answer {
        let pairs = headers.iter();
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: pairs
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_are_a_second_apart_as_long_as_there_is_time() {
        let wire = Wire::new(Transport::new(&BTreeMap::new(), 0), 0);
        let begun = Instant::now();
        wire.wait_for_turn().await;
        wire.wait_for_turn().await;
        assert_eq!(begun.elapsed(), BETWEEN_WRITES);
        wire.is_hurried().store(true, Ordering::Relaxed);
        wire.wait_for_turn().await;
        assert_eq!(begun.elapsed(), BETWEEN_WRITES);
    }

    #[test]
    fn a_limit_says_how_long_it_lasts_and_a_refusal_is_none() {
        let seconds =
            |answer: &Answer, attempt| limit(answer, attempt, 1_000).map(|pause| pause.as_secs());
        let secondary = "You have exceeded a secondary rate limit. Please wait.";
        assert_eq!(
            seconds(&answer(403, &[("retry-after", "7")], ""), 1),
            Some(7)
        );
        let primary = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1030"),
        ];
        assert_eq!(seconds(&answer(403, &primary, ""), 1), Some(31));
        assert_eq!(seconds(&answer(429, &[], ""), 1), Some(60));
        assert_eq!(seconds(&answer(403, &[], secondary), 2), Some(120));
        let refused = "Resource not accessible by integration";
        assert_eq!(
            seconds(&answer(403, &[("x-ratelimit-remaining", "9")], refused), 1),
            None
        );
    }

    #[test]
    fn what_creates_something_is_not_sent_twice_when_it_may_have_arrived() {
        let busy = answer(502, &[], "");
        assert_eq!(after_answer(&Method::POST, &busy, 1, 0), None);
        assert!(after_answer(&Method::PATCH, &busy, 1, 0).is_some());
        let broken = Failure::Broken(String::new());
        assert_eq!(after_failure(&Method::POST, &broken, 1, 0), None);
        let unreachable = Failure::Unreachable(String::new());
        assert!(after_failure(&Method::POST, &unreachable, 1, 0).is_some());
        assert_eq!(
            after_answer(&Method::GET, &answer(404, &[], ""), 1, 0),
            None
        );
    }
}
