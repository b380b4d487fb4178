//! What a build does, as events: steps with their times, and the words of the one that failed.

use std::collections::HashMap;

use super::secrets::Hidden;
use crate::report::text::{bytes, duration, plain};

/// Something that happened in a build. Every text in it is clean for a terminal and one line.
#[derive(Debug, Clone, PartialEq)]
pub enum BuildEvent {
    /// A step began. Steps run beside one another, and BuildKit begins some twice: it looks whether it
    /// has the result, then makes it.
    StepStarted {
        /// What names the step in the events after this one.
        step: String,
        /// `[2/3] RUN pip install …`.
        name: String,
    },
    /// A line that a step wrote.
    StepLog {
        /// The step.
        step: String,
        /// The line.
        line: String,
    },
    /// How far a part of a step is, such as the layer of a base image.
    StepProgress {
        /// The step.
        step: String,
        /// The part: `sha256:…`, `extracting`.
        part: String,
        /// Bytes that are done, where it counts bytes.
        current: u64,
        /// Bytes in all; 0 when that is not known.
        total: u64,
    },
    /// A step ended.
    StepEnded {
        /// The step.
        step: String,
        /// Whether an earlier build had done it.
        cached: bool,
        /// How long it took.
        seconds: f64,
        /// Why it failed.
        error: Option<String>,
    },
    /// Files of the context that the engine asked for; the figures are those since the beginning.
    Transfer {
        /// Bytes sent.
        bytes: u64,
        /// Files sent; none when they are not counted, as in an archive.
        files: Option<u64>,
    },
    /// Something to look at that fails nothing, such as a mistake in style of the Dockerfile.
    Warning {
        /// What.
        text: String,
        /// Line of the Dockerfile, from 1.
        line: Option<u32>,
    },
}

/// A line for people, and how important it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Worth a line in a log: steps and their ends.
    Output(String),
    /// What the step itself wrote.
    Detail(String),
    /// Only what goes on just now.
    Now(String),
}

/// Turns events into lines, as a pipe or CI shows them: `#2 [1/3] RUN pip install … 12.3 s`.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    steps: HashMap<String, Step>,
    count: usize,
}

#[derive(Debug, Clone)]
struct Step {
    number: usize,
    name: String,
}

impl Lines {
    /// The lines for one event; mostly one, for some none.
    pub fn of(&mut self, event: &BuildEvent) -> Option<Line> {
        match event {
            BuildEvent::StepStarted { step, name } => {
                let Step { number, name } = self.step(step, name);
                Some(Line::Now(format!("#{number} {name}")))
            }
            BuildEvent::StepLog { step, line } => {
                let number = self.step(step, step).number;
                Some(Line::Detail(format!("#{number} {line}")))
            }
            BuildEvent::StepProgress {
                step,
                part,
                current,
                total,
            } => {
                let number = self.step(step, step).number;
                let amount = match (current, total) {
                    (0, 0) => String::new(),
                    (current, 0) => format!(" {}", bytes(*current)),
                    (current, total) => format!(" {} of {}", bytes(*current), bytes(*total)),
                };
                Some(Line::Now(format!("#{number} {part}{amount}")))
            }
            BuildEvent::StepEnded {
                step,
                cached,
                seconds,
                error,
            } => {
                let Step { number, name } = self.step(step, step);
                // What BuildKit does for itself is worth a line when it takes a while or fails.
                let is_internal = name.starts_with("[internal]") && *seconds < 1.0;
                let how = match (error, cached) {
                    (Some(_), _) => "failed".to_owned(),
                    (None, true) => "cached".to_owned(),
                    (None, false) => duration(*seconds),
                };
                let line = format!("#{number} {name} {how}");
                match is_internal && error.is_none() {
                    true => Some(Line::Now(line)),
                    false => Some(Line::Output(line)),
                }
            }
            BuildEvent::Transfer {
                bytes: count,
                files,
            } => {
                let in_files = match files {
                    None => String::new(),
                    Some(1) => " in 1 file".to_owned(),
                    Some(files) => format!(" in {files} files"),
                };
                let line = format!("sent {}{in_files}", bytes(*count));
                Some(Line::Now(line))
            }
            BuildEvent::Warning { text, line } => Some(Line::Output(match line {
                Some(line) => format!("warning: Dockerfile line {line}: {text}"),
                None => format!("warning: {text}"),
            })),
        }
    }

    fn step(&mut self, step: &str, name: &str) -> Step {
        let count = &mut self.count;
        let entry = self.steps.entry(step.to_owned()).or_insert_with(|| {
            *count += 1;
            Step {
                number: *count,
                name: name.to_owned(),
            }
        });
        entry.clone()
    }
}

/// Longest line of a build that is passed on, in bytes.
const LONGEST_LINE: usize = 4096;

/// Makes lines of what a step writes, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Adds a piece and gives out the lines that it completes, clean for a terminal and without
    /// secrets.
    pub(super) fn add(&mut self, piece: &[u8], hidden: &Hidden, mut line: impl FnMut(String)) {
        for byte in piece {
            match byte {
                b'\n' => line(self.take(self.rest.len(), hidden)),
                // The lines that progress bars write over are of no use in a log.
                b'\r' => {}
                byte => self.rest.push(*byte),
            }
            // A secret that begins within the line is there whole.
            if self.rest.len() >= LONGEST_LINE + hidden.longest {
                let end = hidden.cut(&self.rest, LONGEST_LINE);
                line(self.take(end, hidden));
            }
        }
    }

    /// The last line, when it has no end.
    pub(super) fn end(&mut self, hidden: &Hidden) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.take(self.rest.len(), hidden))
    }

    /// NOTE: hidden first: what is clean for a terminal may not be the secret's bytes any more.
    fn take(&mut self, end: usize, hidden: &Hidden) -> String {
        let taken: Vec<u8> = self.rest.drain(..end).collect();
        one_line(&String::from_utf8_lossy(&hidden.hide_bytes(&taken)))
    }
}

/// Text from a build as one clean line.
pub(super) fn one_line(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_LINE.min(text.len()));
    plain(&text[..end].replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_lines_with_their_times() {
        let mut lines = Lines::default();
        let started = |step: &str, name: &str| BuildEvent::StepStarted {
            step: step.to_owned(),
            name: name.to_owned(),
        };
        let ended = |step: &str, cached, error: Option<&str>| BuildEvent::StepEnded {
            step: step.to_owned(),
            cached,
            seconds: 12.3,
            error: error.map(str::to_owned),
        };
        let output = |text: &str| Some(Line::Output(text.to_owned()));
        lines.of(&started("a", "[1/2] FROM x"));
        lines.of(&started("b", "[2/2] RUN y"));
        let log = BuildEvent::StepLog {
            step: "b".to_owned(),
            line: "hello".to_owned(),
        };
        assert_eq!(lines.of(&log), Some(Line::Detail("#2 hello".to_owned())));
        assert_eq!(
            lines.of(&ended("a", true, None)),
            output("#1 [1/2] FROM x cached")
        );
        assert_eq!(
            lines.of(&ended("b", false, None)),
            output("#2 [2/2] RUN y 12.3 s")
        );
        let failed = ended("b", false, Some("exit code: 1"));
        assert_eq!(lines.of(&failed), output("#2 [2/2] RUN y failed"));
    }

    #[test]
    fn pieces_become_clean_lines() {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        let none = Hidden::default();
        for piece in ["a\x1b[2J", "b\nc", "d\r\n", "rest"] {
            splitter.add(piece.as_bytes(), &none, |line| lines.push(line));
        }
        assert_eq!(lines, ["a[2Jb", "cd"]);
        assert_eq!(splitter.end(&none).as_deref(), Some("rest"));
        assert_eq!(splitter.end(&none), None);
        splitter.add(&vec![b'x'; 2 * LONGEST_LINE], &none, |line| {
            lines.push(line);
        });
        assert_eq!(lines[2].len(), LONGEST_LINE);
    }

    #[test]
    fn a_secret_is_hidden_wherever_a_line_is_cut() {
        let hidden = Hidden::of(&[b"S3CRET\x07VALUE"]);
        for before in LONGEST_LINE - 20..LONGEST_LINE + 20 {
            let mut text = vec![b'x'; before];
            text.extend(b"S3CRET\x07VALUE and more");
            let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
            for piece in text.chunks(7) {
                splitter.add(piece, &hidden, |line| lines.push(line));
            }
            lines.extend(splitter.end(&hidden));
            let all = lines.concat();
            let all = all.replace('x', "");
            assert!(all.contains('*'), "{before}: {all}");
            assert!(
                !all.contains("S3C") && !all.contains("ALUE"),
                "{before}: {all}"
            );
        }
    }
}
