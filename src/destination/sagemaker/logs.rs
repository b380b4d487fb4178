//! The log of a job as AWS keeps it, read as it grows: nothing lost, nothing twice.
//!
//! Each host writes a stream, and another one after every restart. What a stream has is read page
//! by page; the token of a page is kept only when the page is written down.

use std::io::Write;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client as Sdk;
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::types::OutputLogEvent;
use tokio::time::{Instant, sleep};

use crate::aws::damaged::Whole;
use crate::aws::errors::Doing;
use crate::error::ExitCode;
use crate::talk::always;

/// Where all training jobs of an account write. <https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html>
const GROUP: &str = "/aws/sagemaker/TrainingJobs";

/// Streams of a large cluster are looked for anew in one of so many rounds, once all are there.
const LOOKS: u32 = 3;

/// A log is read again after so long whose job has ended.
const QUIET: Duration = Duration::from_millis(300);

/// Most lines that one answer gives (`GetLogEvents`).
const MOST_LINES: usize = 10_000;

/// A page with so many lines is not the last one, most likely.
const MANY_LINES: usize = 1_000;

/// Reads the log of one job.
#[derive(Debug)]
pub struct LogReader<W> {
    sdk: Sdk,
    region: String,
    job: String,
    hosts: usize,
    out: W,
    streams: Vec<Stream>,
    rounds: u32,
    /// This round has brought something.
    is_fresh: bool,
    /// After the job's end everything was read, or cannot be read.
    is_complete: bool,
    /// Why it cannot be read.
    unreadable: Option<String>,
}

#[derive(Debug)]
struct Stream {
    name: String,
    token: Option<String>,
}

/// What a page says of those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    /// There are none for now.
    Last,
    /// There may be some: whoever looks again soon need not ask at once.
    Short,
    /// There are.
    Full,
}

impl Page {
    fn goes_on(self, has_ended: bool) -> bool {
        match self {
            Self::Last => false,
            Self::Short => has_ended,
            Self::Full => true,
        }
    }
}

impl<W: Write> LogReader<W> {
    /// Writes the log of a job with so many hosts.
    #[must_use]
    pub fn new(config: &SdkConfig, job: &str, hosts: usize, out: W) -> Self {
        let region = config.region().map(|region| region.as_ref().to_owned());
        let own = aws_sdk_cloudwatchlogs::config::Builder::from(config);
        let own = own.interceptor(Whole).retry_classifier(Whole);
        Self {
            sdk: Sdk::from_conf(own.build()),
            region: region.unwrap_or_default(),
            job: job.to_owned(),
            hosts,
            out,
            streams: Vec::new(),
            rounds: 0,
            is_fresh: false,
            is_complete: false,
            unreadable: None,
        }
    }

    /// Whether there may be something to read.
    pub(super) fn is_due(&self) -> bool {
        !self.is_complete
    }

    /// Reads what is there, and gives the reader back for the next time. Of a job that has ended,
    /// the log is complete when it is quiet and the time is over in which lines may come.
    pub(super) async fn read(mut self, settled: Option<Instant>) -> (Self, Result<(), String>) {
        self.is_fresh = false;
        let read = self.round(settled.is_some()).await;
        self.rounds = self.rounds.saturating_add(1);
        match settled {
            Some(settled) if read.is_ok() && !self.is_complete => {
                self.is_complete = !self.is_fresh && Instant::now() >= settled;
                if !self.is_complete {
                    sleep(QUIET).await;
                }
            }
            _ => {}
        }
        (self, read)
    }

    /// Why it could not be read, said once.
    pub(super) fn unreadable(&mut self) -> Option<String> {
        self.unreadable.take()
    }

    /// Reads what is there now.
    ///
    /// # Errors
    /// AWS refuses, or does not answer.
    pub async fn all(&mut self) -> Result<(), String> {
        self.round(true).await
    }

    /// Reads the last lines only, of all hosts together in the order of time; what is read next is
    /// what comes after them.
    ///
    /// # Errors
    /// AWS refuses, or does not answer.
    pub async fn tail(&mut self, lines: usize) -> Result<(), String> {
        self.discover().await?;
        let limit = i32::try_from(lines.clamp(1, MOST_LINES)).unwrap_or(i32::MAX);
        let mut last = Vec::new();
        for index in 0..self.streams.len() {
            let name = self.streams[index].name.clone();
            let call = self.sdk.get_log_events().log_group_name(GROUP);
            let call = call.log_stream_name(&name).start_from_head(false);
            let answer = match call.limit(limit).send().await {
                Ok(answer) => answer,
                Err(cause) => {
                    self.excuse("logs:GetLogEvents", &cause)?;
                    continue;
                }
            };
            let host = self.host(&name);
            let events = answer.events().iter();
            last.extend(events.map(|event| {
                let text = written(std::slice::from_ref(event), host);
                (event.timestamp().unwrap_or_default(), text)
            }));
            self.streams[index].token = answer.next_forward_token().map(str::to_owned);
        }
        last.sort_by_key(|(time, _)| *time);
        for (_, text) in last.split_off(last.len().saturating_sub(lines)) {
            self.write(&text)?;
        }
        Ok(())
    }

    /// What it wrote to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Several hosts write into one file: each line says whose it is.
    fn host<'s>(&self, stream: &'s str) -> Option<&'s str> {
        (self.hosts > 1).then(|| host_of(stream, &self.job))
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        self.out
            .write_all(text.as_bytes())
            .map_err(|error| format!("cannot write the job's log: {error}"))
    }

    async fn round(&mut self, has_ended: bool) -> Result<(), String> {
        let has_all = self.streams.len() >= self.hosts;
        if has_ended || !has_all || self.rounds.is_multiple_of(LOOKS) {
            self.discover().await?;
        }
        for index in 0..self.streams.len() {
            while !self.is_complete && self.page(index).await?.goes_on(has_ended) {}
        }
        Ok(())
    }

    /// Adds the streams that are new. Those of a host come in the order in which they were begun.
    async fn discover(&mut self) -> Result<(), String> {
        let mut token = None;
        loop {
            let call = self.sdk.describe_log_streams().log_group_name(GROUP);
            let call = call.log_stream_name_prefix(format!("{}/", self.job));
            let answer = match call.set_next_token(token).send().await {
                Ok(answer) => answer,
                Err(cause) => return self.excuse("logs:DescribeLogStreams", &cause),
            };
            for stream in answer.log_streams() {
                let Some(name) = stream.log_stream_name() else {
                    continue;
                };
                if !self.streams.iter().any(|known| known.name == name) {
                    self.streams.push(Stream {
                        name: name.to_owned(),
                        token: None,
                    });
                }
            }
            token = answer.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// Writes the next page of a stream down.
    async fn page(&mut self, index: usize) -> Result<Page, String> {
        let stream = &self.streams[index];
        let call = self.sdk.get_log_events().log_group_name(GROUP);
        let call = call.log_stream_name(&stream.name).start_from_head(true);
        let answer = match call.set_next_token(stream.token.clone()).send().await {
            Ok(answer) => answer,
            Err(cause) => {
                return self
                    .excuse("logs:GetLogEvents", &cause)
                    .map(|()| Page::Last);
            }
        };
        let text = written(answer.events(), self.host(&stream.name));
        self.write(&text)?;
        self.is_fresh |= !text.is_empty();
        let next = answer.next_forward_token().map(str::to_owned);
        // Pages may be empty; the end gives its own token again.
        let is_last = next.is_none() || next == self.streams[index].token;
        self.streams[index].token = next;
        Ok(match answer.events().len() {
            _ if is_last => Page::Last,
            1..MANY_LINES => Page::Short,
            _ => Page::Full,
        })
    }

    /// What cannot be read now is read later. A log that may not be read at all stops no job.
    fn excuse<E>(&mut self, action: &str, cause: &SdkError<E>) -> Result<(), String>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = cause.as_service_error().and_then(|error| error.code());
        if code == Some("ResourceNotFoundException") {
            // The first job of an account makes the group, and a host its stream when it writes.
            return Ok(());
        }
        let doing = Doing {
            what: "read the job's log",
            action,
            resource: &format!("log-group:{GROUP}:*"),
            region: &self.region,
            code: ExitCode::JobFailed,
        };
        let error = doing.error(cause);
        if code.is_some_and(|code| code.starts_with("AccessDenied")) {
            self.is_complete = true;
            self.unreadable = Some(error.to_string());
            always(&format!("warning: {}", error.render()));
            return Ok(());
        }
        Err(error.to_string())
    }
}

/// Lines as the log file has them.
fn written(events: &[OutputLogEvent], host: Option<&str>) -> String {
    let mut text = String::new();
    for event in events {
        if let Some(host) = host {
            text.push_str(host);
            text.push_str(" | ");
        }
        text.push_str(event.message().unwrap_or_default());
        text.push('\n');
    }
    text
}

/// `algo-1` of `JOB/algo-1-1700000000`.
fn host_of<'s>(stream: &'s str, job: &str) -> &'s str {
    let name = stream.strip_prefix(job).unwrap_or(stream);
    let name = name.trim_start_matches('/');
    let number = |end: &str| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    match name.rsplit_once('-') {
        Some((host, end)) if host.contains('-') && number(end) => host,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_says_whose_it_is() {
        assert_eq!(host_of("job-1/algo-2-1700000000", "job-1"), "algo-2");
        assert_eq!(host_of("job-1/algo-2", "job-1"), "algo-2");
        let event = |text: &str| OutputLogEvent::builder().message(text).build();
        assert_eq!(
            written(&[event("a"), event("b\rc")], Some("algo-1")),
            "algo-1 | a\nalgo-1 | b\rc\n"
        );
    }
}
