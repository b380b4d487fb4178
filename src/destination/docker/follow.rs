//! A container's output, followed into the run's log: nothing lost, nothing twice.
//!
//! The engine is asked for timestamps, which say where to go on when the connection breaks.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::problem;
use crate::error::{Error, ExitCode, Result};

/// So many broken connections in a row, each of them short, are the end.
const MAX_BREAKS: u32 = 10;

/// A connection that held for so long was not short.
const HELD: Duration = Duration::from_secs(10);

/// The first and the longest pause before the next connection.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// An ended container whose stream gives nothing for so long has given everything.
const QUIET: Duration = Duration::from_secs(2);

/// Seconds that are read again after a break, as the streams of a container have no common order.
const OVERLAP: i64 = 5;

/// Most bytes of a line that is held back until it is whole.
const LINE: usize = 64 * 1024;

/// Bytes kept of the end of each stream.
const TAIL: usize = 8 * 1024;

/// Longest last line, in characters.
const MAX_LAST: usize = 500;

/// The end of what a host wrote: standard output and standard error.
type Tails = Arc<Mutex<[Vec<u8>; 2]>>;

/// One container that is followed.
#[derive(Debug)]
pub(super) struct Following {
    task: JoinHandle<Result<()>>,
    ended: watch::Sender<bool>,
    tails: Tails,
}

impl Following {
    /// Starts to follow a container. With a host's name, every line begins with it.
    pub(super) fn start(docker: &Docker, container: &str, host: Option<&str>, log: File) -> Self {
        let (ended, receiver) = watch::channel(false);
        let tails = Tails::default();
        let lines = Lines {
            log,
            prefix: host.map(|host| format!("{host} | ")),
            streams: Default::default(),
            tails: Arc::clone(&tails),
        };
        let task = follow(docker.clone(), container.to_owned(), receiver, lines);
        Self {
            task: tokio::spawn(task),
            ended,
            tails,
        }
    }

    /// The container has ended: waits until everything that it wrote is in the log.
    pub(super) async fn finish(&mut self) -> Result<()> {
        self.ended.send_replace(true);
        match (&mut self.task).await {
            Ok(done) => done,
            Err(error) => {
                Err(Error::new(ExitCode::Internal, "cannot follow the job's output").because(error))
            }
        }
    }

    /// Whether the output cannot be followed any more.
    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// The last line on standard error, else on standard output.
    pub(super) fn last_line(&self) -> Option<String> {
        let tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        let last = |tail: &[u8]| {
            let text = String::from_utf8_lossy(tail);
            let line = text
                .rsplit(['\n', '\r'])
                .map(str::trim)
                .find(|line| !line.is_empty());
            line.map(|line| line.chars().take(MAX_LAST).collect())
        };
        last(&tails[1]).or_else(|| last(&tails[0]))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    docker: Docker,
    container: String,
    mut ended: watch::Receiver<bool>,
    mut lines: Lines,
) -> Result<()> {
    let mut breaks = 0;
    let mut pause = PAUSES.0;
    loop {
        let is_over = *ended.borrow();
        let opened = Instant::now();
        lines.resume();
        let mut stream = std::pin::pin!(docker.logs(&container, Some(lines.options(!is_over))));
        let broken = loop {
            tokio::select! {
                output = stream.next() => match output {
                    Some(Ok(output)) => {
                        if lines.take(&output).map_err(|error| unwritable(&error))? {
                            (breaks, pause) = (0, PAUSES.0);
                        }
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                },
                () = quiet_after(&mut ended) => break None,
            }
        };
        if broken.is_none() && is_over {
            return lines.finish().map_err(|error| unwritable(&error));
        }
        breaks = if opened.elapsed() > HELD {
            1
        } else {
            breaks + 1
        };
        if breaks > MAX_BREAKS {
            let broken = broken.unwrap_or(EngineError::RequestTimeoutError);
            return Err(problem::engine("cannot follow the job's output", &broken));
        }
        if *ended.borrow() {
            if broken.is_some() {
                tokio::time::sleep(pause).await;
            }
        } else {
            // NOTE: an error says that nobody waits for the end; then the task is aborted.
            let _ = tokio::time::timeout(pause, ended.changed()).await;
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn unwritable(error: &io::Error) -> Error {
    Error::new(ExitCode::Internal, "cannot write the run's log").because(error)
}

/// Returns some time after the container has ended.
async fn quiet_after(ended: &mut watch::Receiver<bool>) {
    if ended.wait_for(|ended| *ended).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(QUIET).await;
}

/// What was read of one stream of a container.
#[derive(Debug, Default)]
struct Stream {
    /// The time of the last message, and how many messages had it.
    last: Option<(Timestamp, u64)>,
    /// After a break: how many messages of that time were seen again.
    repeated: Option<u64>,
    /// The start of a line, while lines are held back.
    pending: Vec<u8>,
}

impl Stream {
    /// Whether a message was there before the break.
    fn is_repeated(&mut self, time: Timestamp) -> bool {
        if let (Some(repeated), Some((last, count))) = (&mut self.repeated, self.last) {
            if time < last {
                return true;
            }
            if time == last && *repeated < count {
                *repeated += 1;
                return true;
            }
        }
        self.repeated = None;
        self.last = match self.last {
            Some((last, count)) if last == time => Some((last, count + 1)),
            _ => Some((time, 1)),
        };
        false
    }
}

/// The way of a container's output into the log.
#[derive(Debug)]
struct Lines {
    log: File,
    prefix: Option<String>,
    streams: [Stream; 2],
    tails: Tails,
}

impl Lines {
    fn resume(&mut self) {
        for stream in &mut self.streams {
            stream.repeated = stream.last.map(|_| 0);
        }
    }

    fn options(&self, follow: bool) -> LogsOptions {
        let last = self.streams.iter().filter_map(|stream| stream.last).max();
        let since = last.map_or(0, |(time, _)| (time.as_second() - OVERLAP).max(0));
        LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(follow)
            // NOTE: the library's number ends in 2038; everything is read again then.
            .since(i32::try_from(since).unwrap_or(0))
            .build()
    }

    /// Takes one message; says whether it is new.
    fn take(&mut self, output: &LogOutput) -> io::Result<bool> {
        let (index, message) = match output {
            LogOutput::StdErr { message } => (1, message),
            LogOutput::StdOut { message }
            | LogOutput::StdIn { message }
            | LogOutput::Console { message } => (0, message),
        };
        let (time, text) = timed(message);
        let stream = &mut self.streams[index];
        if time.is_some_and(|time| stream.is_repeated(time)) {
            return Ok(false);
        }
        {
            let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
            let tail = &mut tails[index];
            tail.extend_from_slice(text);
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
        let Some(prefix) = &self.prefix else {
            self.log.write_all(text)?;
            return Ok(true);
        };
        stream.pending.extend_from_slice(text);
        if text.ends_with(b"\n") || stream.pending.len() > LINE {
            write_line(&mut self.log, prefix, &mut stream.pending)?;
        }
        Ok(true)
    }

    fn finish(&mut self) -> io::Result<()> {
        for stream in &mut self.streams {
            if let Some(prefix) = &self.prefix
                && !stream.pending.is_empty()
            {
                write_line(&mut self.log, prefix, &mut stream.pending)?;
            }
        }
        Ok(())
    }
}

/// One write, so that the lines of several hosts never mix.
fn write_line(log: &mut File, prefix: &str, pending: &mut Vec<u8>) -> io::Result<()> {
    let mut line = prefix.as_bytes().to_vec();
    line.append(pending);
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    log.write_all(&line)
}

/// A message's time and text; all of it is text when it does not begin with a time.
fn timed(message: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let end = message.iter().take(40).position(|byte| *byte == b' ');
    let time = end.and_then(|end| {
        let text = std::str::from_utf8(&message[..end]).ok()?;
        Some((text.parse::<Timestamp>().ok()?, &message[end + 1..]))
    });
    match time {
        Some((time, text)) => (Some(time), text),
        None => (None, message),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use bytes::Bytes;

    use super::*;

    fn lines(prefix: Option<&str>) -> (Lines, File) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = Lines {
            log: file.reopen().unwrap(),
            prefix: prefix.map(str::to_owned),
            streams: Default::default(),
            tails: Tails::default(),
        };
        (lines, file.reopen().unwrap())
    }

    fn out(second: u32, text: &str) -> LogOutput {
        let message = format!("2026-01-01T00:00:{second:02}.000000005+00:00 {text}");
        LogOutput::StdOut {
            message: Bytes::from(message),
        }
    }

    fn written(mut file: File) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn after_a_break_nothing_comes_twice_and_nothing_is_lost() {
        let (mut lines, log) = lines(None);
        for (second, text) in [(1, "a\n"), (2, "b\n"), (2, "c\n")] {
            lines.take(&out(second, text)).unwrap();
        }
        lines.resume();
        for (second, text) in [(1, "a\n"), (2, "b\n"), (2, "c\n"), (2, "d\n"), (3, "e")] {
            lines.take(&out(second, text)).unwrap();
        }
        lines.resume();
        // What is there again only in part does not hide what is new.
        for (second, text) in [(2, "d\n"), (3, "e"), (3, "f")] {
            lines.take(&out(second, text)).unwrap();
        }
        assert_eq!(written(log), "a\nb\nc\nd\nef");
    }

    #[test]
    fn the_lines_of_several_hosts_are_whole_and_named() {
        let (mut lines, log) = lines(Some("algo-2 | "));
        let error = LogOutput::StdErr {
            message: Bytes::from("2026-01-01T00:00:01Z oh\n"),
        };
        lines.take(&out(1, "half")).unwrap();
        lines.take(&error).unwrap();
        lines.take(&out(1, " whole\n")).unwrap();
        lines.take(&out(2, "end")).unwrap();
        lines.finish().unwrap();
        assert_eq!(
            written(log),
            "algo-2 | oh\nalgo-2 | half whole\nalgo-2 | end\n"
        );
    }
}
