//! When the log of a job is read: side by side with the job, and to its end, which may come later
//! than the job's.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::job::{ASKING, SagemakerDestination};
use crate::error::Result;
use crate::talk::always;

/// Lines may come so long after the program that wrote them has ended.
const LATE: Duration = Duration::from_secs(5);

/// After a job's end, its log is tried to be read for so long, or for `lost_after`.
const PATIENCE: Duration = Duration::from_secs(60);

/// The log is read so many times at most while the state is asked for once.
const LOOKS: u32 = 6;

/// Before it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl SagemakerDestination {
    /// Starts to read the log, unless there is nothing to read any more; that of a job which runs,
    /// not all the time.
    fn starts_to_read(&mut self, settled: Option<Instant>) -> bool {
        let pace = self.log_pace();
        let is_soon = self.read_at.is_some_and(|at| at.elapsed() < pace);
        if settled.is_none() && is_soon {
            return self.reading.is_some();
        }
        self.read_at = Some(Instant::now());
        if let Some(reader) = self.reader.take_if(|reader| reader.is_due()) {
            self.reading = Some(tokio::spawn(reader.read(settled)));
        }
        self.reading.is_some()
    }

    /// How long it takes at least until the log of a job that runs is read again.
    pub(super) fn log_pace(&self) -> Duration {
        Duration::from_secs(self.plan.poll_seconds) / LOOKS
    }

    /// Reads on while the job runs.
    ///
    /// # Errors
    /// It cannot be read now.
    pub(super) async fn read_on(&mut self) -> Result<(), String> {
        if !self.starts_to_read(None) {
            return Ok(());
        }
        let Some(mut reading) = self.reading.take() else {
            return Ok(());
        };
        match timeout(ASKING, &mut reading).await {
            Ok(Ok((reader, read))) => {
                self.reader = Some(reader);
                read
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                self.reading = Some(reading);
                Ok(())
            }
        }
    }

    /// Reads all that comes of the log of a job that has ended. What cannot be read in a while is
    /// left, and said.
    pub(super) async fn read_out(&mut self) {
        let settled = Instant::now() + self.until_settled();
        let lost = Duration::from_secs(self.plan.lost_after_seconds);
        let until = Instant::now() + PATIENCE.min(lost);
        let mut failed = "Amazon CloudWatch Logs does not answer".to_owned();
        while self.starts_to_read(Some(settled)) {
            let Some(mut reading) = self.reading.take() else {
                return;
            };
            match timeout_at(until, &mut reading).await {
                Ok(Ok((reader, Ok(())))) => self.reader = Some(reader),
                Ok(Ok((reader, Err(reason)))) if Instant::now() + AGAIN < until => {
                    self.reader = Some(reader);
                    failed = reason;
                    sleep(AGAIN).await;
                }
                Ok(Ok((_, Err(reason)))) => return self.is_missing_lines(&reason),
                Ok(Err(error)) => return self.is_missing_lines(&error.to_string()),
                Err(_) => return self.is_missing_lines(&failed),
            }
        }
        let unreadable = self.reader.as_mut();
        if let Some(reason) = unreadable.and_then(|reader| reader.unreadable()) {
            self.warnings
                .push(format!("the log of the job is missing: {reason}"));
        }
    }

    fn is_missing_lines(&mut self, reason: &str) {
        let missing = format!("the log of the job may lack lines: {reason}");
        always(&format!("warning: {missing}"));
        self.warnings.push(missing);
    }

    /// How long lines may come yet. Who asks for the state seldom does not wait for them: they came
    /// before.
    fn until_settled(&self) -> Duration {
        let late = LATE.min(Duration::from_secs(self.plan.poll_seconds) * 2);
        let ended = self.last.as_ref().and_then(|last| last.training_end_time());
        let since = ended.map_or(0.0, |ended| {
            jiff::Timestamp::now().as_second() as f64 - ended.as_secs_f64()
        });
        // NOTE: clocks differ; a job that ends in the future has ended now.
        late.saturating_sub(Duration::from_secs_f64(since.max(0.0)))
    }
}
