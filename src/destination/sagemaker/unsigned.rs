//! While a job runs, its watcher's credentials may end. The job does not mind; others may come,
//! from a file that is written anew or a single sign-on that is renewed.

use std::time::Duration;

use tokio::time::Instant;

use crate::aws::Access;
use crate::aws::credentials::Held;
use crate::config::duration;
use crate::destination::Stop;
use crate::error::{Error, ExitCode, Result};
use crate::talk::always;

/// What to do where nothing better is known.
const RENEW: &str = "renew the credentials";

/// Credentials of no use, put up with for a while.
#[derive(Debug)]
pub(super) struct Unsigned {
    credentials: Held,
    wait: Duration,
    /// Since when, and why.
    now: Option<(Instant, Error)>,
    /// Nobody wants to wait any longer.
    is_given_up: bool,
}

impl Unsigned {
    pub(super) fn new(access: &Access) -> Self {
        Self {
            credentials: access.credentials.clone(),
            wait: access.wait,
            now: None,
            is_given_up: false,
        }
    }

    /// Whether to go on without an answer; the next question asks for other credentials.
    pub(super) fn is_put_up_with(&mut self, error: Error) -> bool {
        self.credentials.forget();
        let since = match &self.now {
            Some((since, _)) => *since,
            None => {
                let wait = duration::display(self.wait);
                always(&format!(
                    "warning: {error}; the job runs on, and new credentials are waited for, {wait} at most"
                ));
                Instant::now()
            }
        };
        self.now = Some((since, error));
        self.is_given_up |= since.elapsed() >= self.wait;
        !self.is_given_up
    }

    /// AWS answers: whether it did not until now.
    pub(super) fn is_over(&mut self) -> bool {
        self.now.take().is_some()
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// The job was told to stop, or could not be. Whoever asks twice waits for nothing.
    pub(super) fn stopped(&mut self, how: Stop, told: &Result<()>) {
        let Err(error) = told else { return };
        if error.exit_code() != ExitCode::Credentials {
            return;
        }
        self.credentials.forget();
        if how == Stop::Now {
            self.now
                .get_or_insert_with(|| (Instant::now(), error.clone()));
            self.is_given_up = true;
        }
    }

    /// What becomes of the job, and how to find it.
    pub(super) fn error(&self, job: &str, destination: &str) -> Error {
        let message = format!("the job `{job}` runs on, and nobody watches it");
        let error = Error::new(ExitCode::Credentials, message);
        let (error, advice) = match &self.now {
            Some((_, cause)) => (error.because(cause), cause.advice().unwrap_or(RENEW)),
            None => (error, RENEW),
        };
        error.hint(format!(
            "{advice}. Then `mlaction train --destination {destination}` goes on with it, `mlaction watch {job} --destination {destination}` shows it, and `mlaction stop {job} --destination {destination}` stops it; until then it may cost money"
        ))
    }
}
