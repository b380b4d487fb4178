//! Credentials that live as long as mlaction does.
//!
//! ```text
//! chain     AWS's own chain, asked anew each time
//! github    an ID token of GitHub, and the role that it is taken for
//! refusal   why there are none, in words
//! Held      keeps what they give, and renews it before it expires
//! ```

mod chain;
mod github;
mod refusal;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;
use tokio::time::timeout;

pub(super) use chain::Chain;
pub(super) use github::GithubRole;
pub(super) use refusal::Session;

/// Nobody takes longer to give credentials: a request waits for them.
const LOADING: Duration = Duration::from_secs(60);

/// Who has good ones still does not wait long for others.
const RENEWING: Duration = Duration::from_secs(5);

/// Credentials that are held, and renewed when three quarters of their time are over: what fails
/// then is tried again while they are still good.
///
/// Its clones are the same, for all clients, which hold none themselves.
#[derive(Clone)]
pub struct Held {
    source: SharedCredentialsProvider,
    lease: Arc<Mutex<Option<Lease>>>,
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

/// Credentials, and when to ask for others.
struct Lease {
    credentials: Credentials,
    /// Never, for those that do not say when they expire.
    renewal: Option<SystemTime>,
}

impl Held {
    /// Holds nothing yet.
    pub(super) fn new(source: impl ProvideCredentials + 'static) -> Self {
        Self {
            source: SharedCredentialsProvider::new(source),
            lease: Arc::default(),
            now: Arc::new(SystemTime::now),
        }
    }

    /// AWS does not take them: the next request asks for others.
    pub fn forget(&self) {
        // NOTE: who has the lock is asking for others now.
        if let Ok(mut lease) = self.lease.try_lock() {
            *lease = None;
        }
    }

    async fn current(&self) -> provider::Result {
        let mut held = self.lease.lock().await;
        let now = (self.now)();
        let patience = match &*held {
            Some(lease) if lease.renewal.is_none_or(|renewal| now < renewal) => {
                return Ok(lease.credentials.clone());
            }
            Some(lease) if lease.is_good(now) => RENEWING,
            _ => LOADING,
        };
        let loaded = timeout(patience, self.source.provide_credentials()).await;
        match loaded.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(patience))) {
            Ok(credentials) => Ok(held
                .insert(Lease::new(credentials, now))
                .credentials
                .clone()),
            Err(error) => {
                let now = (self.now)();
                let lease = held.as_mut().filter(|lease| lease.is_good(now));
                lease.map(|lease| lease.put_off(now)).ok_or(error)
            }
        }
    }
}

impl Lease {
    fn new(credentials: Credentials, now: SystemTime) -> Self {
        let end = credentials.expiry();
        Self {
            renewal: end.map(|end| between(now, end, 0.75)),
            credentials,
        }
    }

    fn is_good(&self, now: SystemTime) -> bool {
        self.credentials.expiry().is_some_and(|end| now < end)
    }

    /// There are no others now: these are used, and others asked for soon.
    fn put_off(&mut self, now: SystemTime) -> Credentials {
        let end = self.credentials.expiry();
        self.renewal = end.map(|end| between(now, end, 0.25));
        self.credentials.clone()
    }
}

/// The moment when a part of the time from now to an end is over.
fn between(now: SystemTime, end: SystemTime, part: f64) -> SystemTime {
    now + end.duration_since(now).unwrap_or_default().mul_f64(part)
}

impl ProvideCredentials for Held {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.current())
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
