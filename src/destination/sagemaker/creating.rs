//! A request for a job that is under way, and how it is taken back: no attempt more is made, and
//! what the last one made is stopped as soon as it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_sagemaker::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sagemaker::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sagemaker::error::BoxError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::job::SagemakerDestination;
use super::stop::{self, Told};
use crate::error::{Error, ExitCode, Result};

/// The word to stop is given again after so long.
const AGAIN: Duration = Duration::from_millis(500);

/// AWS must hear the word to stop within this time once the launch is answered.
const DEAF: Duration = Duration::from_secs(20);

/// A request that is under way: it goes on when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Creating {
    answered: watch::Receiver<bool>,
    is_withdrawn: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
}

impl Creating {
    /// One that is not sent yet; the sender says when it is answered.
    pub(super) fn new() -> (Self, watch::Sender<bool>) {
        let (sender, answered) = watch::channel(false);
        let creating = Self {
            answered,
            is_withdrawn: Arc::default(),
            sent: Arc::default(),
        };
        (creating, sender)
    }

    /// Sends nothing any more once it is withdrawn, and counts what is sent.
    pub(super) fn guard(&self) -> impl Intercept + 'static {
        Guard {
            is_withdrawn: self.is_withdrawn.clone(),
            sent: self.sent.clone(),
        }
    }

    /// Whether it was sent more than once: what the last answer says may be the doing of an attempt
    /// before.
    pub(super) fn was_repeated(&self) -> bool {
        self.sent.load(Ordering::SeqCst) > 1
    }
}

#[derive(Debug)]
struct Guard {
    is_withdrawn: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "Guard"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.is_withdrawn.load(Ordering::SeqCst) {
            return Err("the launch was taken back".into());
        }
        self.sent.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl SagemakerDestination {
    /// Takes a launch back. While it is not answered, what is not there yet may come: the word to
    /// stop is given again and again, and the last time after the answer.
    pub(super) async fn take_back(&self, name: &str, mut creating: Creating) -> Result<()> {
        creating.is_withdrawn.store(true, Ordering::SeqCst);
        let mut answered_at = None;
        loop {
            if *creating.answered.borrow() {
                answered_at.get_or_insert_with(Instant::now);
            }
            let is_deaf = answered_at.is_some_and(|at| at.elapsed() > DEAF);
            match stop::tell(&self.sdk, &self.plan.settings, name).await {
                Ok(Told::Heard) => return Ok(()),
                Ok(Told::Absent) if answered_at.is_some() => return Ok(()),
                Err(error) if is_deaf => return Err(error),
                Ok(Told::Absent) | Err(_) => {}
            }
            match answered_at {
                Some(_) => sleep(AGAIN).await,
                None => {
                    let answered = creating.answered.wait_for(|is_answered| *is_answered);
                    // NOTE: the next word is due with or without an answer.
                    let _ = timeout(AGAIN, answered).await;
                }
            }
        }
    }

    /// What somebody must know who does not wait until the launch is taken back.
    pub(crate) fn unsure(&self) -> Error {
        let error = Error::new(
            ExitCode::Cancelled,
            "cancelled during the launch of the job",
        );
        match &self.name {
            Some(name) => error.hint(format!(
                "it may be there, or come yet: {}",
                stop::by_hand(&self.plan.settings, name)
            )),
            None => error,
        }
    }

    /// A launch that failed without an answer: a job that nobody waits for costs money.
    pub(super) async fn given_up(&self, name: &str, error: Error) -> Error {
        match stop::tell(&self.sdk, &self.plan.settings, name).await {
            Ok(Told::Heard) => error.hint("the job is there, and was told to stop: run again"),
            Ok(Told::Absent) => error,
            Err(_) => {
                let by_hand = stop::by_hand(&self.plan.settings, name);
                error.also(&format!("or {by_hand}"))
            }
        }
    }
}
