//! What a build does, as events, and those events as lines.

use crate::report::text::plain;
use crate::talk::Step;

/// Lines of a failed step that its error shows.
const TAIL: usize = 20;

/// Longest line that is kept, in characters.
const LONGEST: usize = 400;

/// Something that a build did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// A step began.
    Step(String),
    /// The step's result came from the cache.
    Cached,
    /// A line of a step's output.
    Log(String),
    /// Bytes of the context that were sent so far.
    Sent(u64),
}

/// Shows events as they come, and remembers the last lines for the error.
#[derive(Debug)]
pub struct Lines<'s> {
    step: &'s Step,
    tail: std::collections::VecDeque<String>,
}

impl<'s> Lines<'s> {
    /// Lines for a step under way.
    #[must_use]
    pub fn new(step: &'s Step) -> Self {
        Self {
            step,
            tail: std::collections::VecDeque::new(),
        }
    }

    /// Shows one event.
    pub fn show(&mut self, event: BuildEvent) {
        match event {
            BuildEvent::Step(name) => {
                self.tail.clear();
                let name = plain(&name);
                self.step.output(&name);
                self.step.now(name);
            }
            BuildEvent::Cached => self.step.output("cached"),
            BuildEvent::Log(line) => {
                let line: String = plain(line.trim_end()).chars().take(LONGEST).collect();
                if line.trim().is_empty() {
                    return;
                }
                self.step.detail(&line);
                if self.tail.len() == TAIL {
                    self.tail.pop_front();
                }
                self.tail.push_back(line);
            }
            BuildEvent::Sent(bytes) => {
                self.step
                    .now(format!("sent {}", crate::report::text::bytes(bytes)));
            }
        }
    }

    /// The last lines of the step that is under way.
    #[must_use]
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}
