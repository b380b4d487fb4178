//! The one poll loop: state, logs, deadline and cancellation of a job, whatever runs it.

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::{Destination, JobState, Patience, PollError, Stop};
use crate::config::duration;
use crate::error::{Error, ExitCode, Result};

/// How often the log is read on before clock, state and interrupts are looked at again.
const LOG_READS: u32 = 64;

/// How a watched job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, without an error.
    Succeeded,
    /// With an error.
    Failed {
        /// Why, in one sentence.
        reason: String,
    },
    /// There were no machines for it.
    NoCapacity {
        /// Why, in one sentence.
        reason: String,
    },
    /// The place ended it, as its time was over.
    Expired {
        /// Which time, in one sentence.
        reason: String,
    },
    /// Somebody else stopped it.
    Stopped {
        /// What is known about it.
        reason: String,
    },
    /// We stopped it, because it ran longer than it may.
    TimedOut,
    /// We stopped it, because we were asked to.
    Cancelled,
}

/// How often the user has asked to stop: 0, 1 (gracefully), 2 or more (now).
pub type Interrupts = Receiver<u32>;

/// Follows a launched job to its end and hands every log byte to `sink`.
///
/// # Errors
/// When the job's state cannot be asked for any more; the job has then been told to stop.
pub async fn watch<D: Destination>(
    destination: &mut D,
    patience: &Patience,
    interrupts: &mut Interrupts,
    sink: &mut impl FnMut(&[u8]),
) -> Result<Outcome> {
    let started = Instant::now();
    let mut watch = Watch {
        patience,
        pause: patience.poll.0,
        failing: None,
        unheard: None,
        stopping: None,
    };
    loop {
        let state = watch.poll(destination).await?;
        let asked = *interrupts.borrow_and_update();
        if let Some(state) = state.filter(|state| *state != JobState::Running) {
            tokio::select! {
                drained = watch.drain(destination, sink) => drained?,
                // Who asks to stop now does not wait for the rest of the log.
                () = asked_again(interrupts, asked) => {}
            }
            return Ok(watch.outcome(state));
        }
        let mut wrote = false;
        for _ in 0..LOG_READS {
            let bytes = watch.logs(destination).await?;
            if bytes.is_empty() {
                break;
            }
            sink(&bytes);
            wrote = true;
        }
        let asked = *interrupts.borrow_and_update();
        let now = Instant::now();
        watch
            .stop_if_due(
                destination,
                asked,
                now,
                now - started >= patience.max_runtime,
            )
            .await?;
        watch.pause = match wrote {
            true => patience.poll.0,
            false => (watch.pause * 3 / 2).min(patience.poll.1),
        };
        let wake = watch.pause_until(now, started);
        tokio::select! {
            () = tokio::time::sleep_until(wake) => {}
            changed = interrupts.changed() => if changed.is_err() {
                // NOTE: nobody can interrupt any more; only the clock is left to wait for.
                tokio::time::sleep_until(wake).await;
            }
        }
    }
}

/// Returns when somebody has asked to stop more often than `asked`.
pub(crate) async fn asked_again(interrupts: &mut Interrupts, asked: u32) {
    // NOTE: when nobody can interrupt any more, it waits for ever.
    if interrupts.wait_for(|count| *count > asked).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    TooLong,
    Asked,
}

struct Watch<'p> {
    patience: &'p Patience,
    pause: Duration,
    /// Since when there were only errors.
    failing: Option<Instant>,
    /// Since when the job could not be told to stop.
    unheard: Option<Instant>,
    /// Why and until when a stop is under way, and how it was asked for.
    stopping: Option<(Why, Instant, Stop)>,
}

impl Watch<'_> {
    async fn poll<D: Destination>(&mut self, destination: &mut D) -> Result<Option<JobState>> {
        match destination.poll().await {
            Ok(state) => {
                self.failing = None;
                Ok(Some(state))
            }
            Err(error) => self.tolerate(destination, error).await.map(|()| None),
        }
    }

    async fn logs<D: Destination>(&mut self, destination: &mut D) -> Result<Vec<u8>> {
        match destination.logs().await {
            Ok(bytes) => Ok(bytes),
            Err(error) => self.tolerate(destination, error).await.map(|()| Vec::new()),
        }
    }

    /// The job has ended: everything that it still wrote.
    async fn drain<D: Destination>(
        &mut self,
        destination: &mut D,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<()> {
        loop {
            let bytes = self.logs(destination).await?;
            if bytes.is_empty() {
                return Ok(());
            }
            sink(&bytes);
        }
    }

    async fn tolerate<D: Destination>(
        &mut self,
        destination: &mut D,
        error: PollError,
    ) -> Result<()> {
        let since = *self.failing.get_or_insert_with(Instant::now);
        let error = match error {
            PollError::Transient(_) if since.elapsed() < self.patience.lost_after => {
                self.pause = (self.pause * 2).min(self.patience.poll.1);
                return Ok(());
            }
            PollError::Transient(reason) => {
                let lost = format!(
                    "lost sight of the job for {}",
                    duration::display(since.elapsed())
                );
                Error::new(ExitCode::JobFailed, lost)
                    .because(reason)
                    .passing()
            }
            PollError::Permanent(error) => error,
        };
        match destination.stop(Stop::Now).await {
            Ok(()) => Err(error),
            Err(cause) => Err(error.hint(format!("the job may still run: {cause}"))),
        }
    }

    async fn stop_if_due<D: Destination>(
        &mut self,
        destination: &mut D,
        asked: u32,
        now: Instant,
        too_long: bool,
    ) -> Result<()> {
        let (why, how) = match self.stopping {
            None if asked > 0 => (
                Why::Asked,
                if asked > 1 { Stop::Now } else { Stop::Graceful },
            ),
            None if too_long => (Why::TooLong, Stop::Graceful),
            Some((why, _, Stop::Graceful)) if asked > 1 => (why, Stop::Now),
            Some((why, until, _)) if now >= until => (why, Stop::Now),
            _ => return Ok(()),
        };
        // Whoever does not hear it now is told again.
        if let Err(cause) = destination.stop(how).await {
            let since = *self.unheard.get_or_insert(now);
            // Who has asked twice waits no longer.
            return match asked < 2 && now - since < self.patience.lost_after {
                true => Ok(()),
                false => Err(cause),
            };
        }
        self.unheard = None;
        self.stopping = Some((why, now + self.patience.stop_within, how));
        self.pause = self.patience.poll.0;
        Ok(())
    }

    /// The next moment at which something is to be done.
    fn pause_until(&self, now: Instant, started: Instant) -> Instant {
        let due = match self.stopping {
            Some((_, until, _)) => until,
            None => started + self.patience.max_runtime,
        };
        (now + self.pause).min(due.max(now + self.patience.poll.0))
    }

    fn outcome(&self, state: JobState) -> Outcome {
        match (self.stopping, state) {
            (Some((Why::Asked, ..)), _) => Outcome::Cancelled,
            (Some((Why::TooLong, ..)), _) => Outcome::TimedOut,
            (None, JobState::Failed { reason }) => Outcome::Failed { reason },
            (None, JobState::NoCapacity { reason }) => Outcome::NoCapacity { reason },
            (None, JobState::TimedOut { reason }) => Outcome::Expired { reason },
            (None, JobState::Stopped { reason }) => Outcome::Stopped { reason },
            (None, JobState::Succeeded | JobState::Running) => Outcome::Succeeded,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::destination::Artifacts;

    /// A destination that answers from a script and remembers what it was asked.
    struct Scripted {
        states: VecDeque<Result<JobState, PollError>>,
        polls: u32,
        stops: Vec<Stop>,
        /// So many stops are not heard.
        deaf: u32,
        /// What the job becomes when it is stopped that way.
        on_stop: Option<(Stop, JobState)>,
    }

    impl Scripted {
        fn states(states: impl IntoIterator<Item = Result<JobState, PollError>>) -> Self {
            Self {
                states: states.into_iter().collect(),
                polls: 0,
                stops: Vec::new(),
                deaf: 0,
                on_stop: None,
            }
        }

        fn ends_when(mut self, how: Stop, state: JobState) -> Self {
            self.on_stop = Some((how, state));
            self
        }
    }

    impl Destination for Scripted {
        type Request = ();

        async fn launch(&mut self, (): &()) -> Result<(), Error> {
            Ok(())
        }

        async fn poll(&mut self) -> Result<JobState, PollError> {
            self.polls += 1;
            match &self.on_stop {
                Some((how, state)) if self.stops.contains(how) => Ok(state.clone()),
                _ => self.states.pop_front().unwrap_or(Ok(JobState::Running)),
            }
        }

        async fn logs(&mut self) -> Result<Vec<u8>, PollError> {
            Ok(Vec::new())
        }

        async fn stop(&mut self, how: Stop) -> Result<(), Error> {
            if self.deaf > 0 {
                self.deaf -= 1;
                let deaf = Error::new(ExitCode::Internal, "cannot stop the job");
                return Err(deaf.because("it is deaf"));
            }
            self.stops.push(how);
            Ok(())
        }

        async fn fetch(&mut self) -> Result<Artifacts, Error> {
            Ok(Artifacts::default())
        }
    }

    const PATIENCE: Patience = Patience {
        poll: (Duration::from_millis(20), Duration::from_secs(1)),
        max_runtime: Duration::from_secs(60),
        stop_within: Duration::from_secs(130),
        lost_after: Duration::from_secs(10),
    };

    fn transient() -> Result<JobState, PollError> {
        Err(PollError::Transient("throttled".to_owned()))
    }

    async fn run(destination: &mut Scripted, interrupts: u32) -> Result<Outcome> {
        let (_sender, mut receiver) = tokio::sync::watch::channel(interrupts);
        watch(destination, &PATIENCE, &mut receiver, &mut |_| {}).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_succeeds_is_polled_until_then() {
        let mut job = Scripted::states([
            Ok(JobState::Running),
            Ok(JobState::Running),
            Ok(JobState::Succeeded),
        ]);
        assert_eq!(run(&mut job, 0).await.unwrap(), Outcome::Succeeded);
        assert_eq!((job.polls, job.stops), (3, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_somebody_else_stopped_is_not_a_success() {
        let mut job = Scripted::states([Ok(JobState::Stopped {
            reason: "by hand".to_owned(),
        })]);
        assert_eq!(
            run(&mut job, 0).await.unwrap(),
            Outcome::Stopped {
                reason: "by hand".to_owned()
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_stops_the_job_once_and_even_a_clean_exit_counts_as_timed_out() {
        let mut job = Scripted::states([]).ends_when(Stop::Graceful, JobState::Succeeded);
        let started = Instant::now();
        assert_eq!(run(&mut job, 0).await.unwrap(), Outcome::TimedOut);
        assert_eq!(job.stops, [Stop::Graceful]);
        assert!(started.elapsed() < PATIENCE.max_runtime + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_ignores_the_stop_is_killed_after_the_grace() {
        let mut job = Scripted::states([]).ends_when(
            Stop::Now,
            JobState::Stopped {
                reason: String::new(),
            },
        );
        let started = Instant::now();
        assert_eq!(run(&mut job, 1).await.unwrap(), Outcome::Cancelled);
        assert_eq!(job.stops, [Stop::Graceful, Stop::Now]);
        assert!(started.elapsed() >= PATIENCE.stop_within);
    }

    #[tokio::test(start_paused = true)]
    async fn asking_twice_kills_at_once() {
        let mut job = Scripted::states([]).ends_when(
            Stop::Now,
            JobState::Stopped {
                reason: String::new(),
            },
        );
        assert_eq!(run(&mut job, 2).await.unwrap(), Outcome::Cancelled);
        assert_eq!(job.stops, [Stop::Now]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_transient_errors_are_tolerated_and_many_in_a_row_are_not() {
        let mut job = Scripted::states([
            transient(),
            transient(),
            Ok(JobState::Running),
            transient(),
            Ok(JobState::Succeeded),
        ]);
        assert_eq!(run(&mut job, 0).await.unwrap(), Outcome::Succeeded);

        let mut job = Scripted::states(std::iter::repeat_with(transient).take(100));
        let error = run(&mut job, 0).await.unwrap_err().to_string();
        assert!(error.starts_with("lost sight of the job for 1"), "{error}");
        assert!(error.ends_with(": throttled"), "{error}");
        assert_eq!(job.stops, [Stop::Now]);
        assert!((10..20).contains(&job.polls), "{}", job.polls);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_does_not_hear_the_stop_is_told_again() {
        let mut job = Scripted::states([]).ends_when(Stop::Graceful, JobState::Succeeded);
        job.deaf = 3;
        assert_eq!(run(&mut job, 1).await.unwrap(), Outcome::Cancelled);
        assert_eq!(job.stops, [Stop::Graceful]);
        let mut job = Scripted::states([]);
        job.deaf = u32::MAX;
        let started = Instant::now();
        let error = run(&mut job, 1).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot stop the job: it is deaf");
        assert!(started.elapsed() >= PATIENCE.lost_after);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_error_is_not_repeated() {
        let gone = Error::new(ExitCode::Credentials, "no permission to describe the job");
        let mut job = Scripted::states([Err(PollError::Permanent(gone))]);
        assert_eq!(
            run(&mut job, 0).await.unwrap_err().exit_code(),
            ExitCode::Credentials
        );
        assert_eq!((job.polls, job.stops), (1, vec![Stop::Now]));
    }
}
