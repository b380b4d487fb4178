//! What the engine reports while it builds, as events.

use std::collections::{HashMap, VecDeque};

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexWarning};

use super::super::progress::{BuildEvent, Splitter, one_line};
use super::super::secrets::{Hidden, Secrets};

/// Last lines of a step that are remembered for its error.
const TAIL: usize = 25;

/// Most steps of a build that are told apart.
const MOST_STEPS: usize = 100_000;

/// The rule that looks at the platforms of base images:
/// <https://docs.docker.com/reference/build-checks/invalid-base-image-platform/>.
const FOREIGN: &str = "InvalidBaseImagePlatform";

pub(super) struct Tracker {
    steps: HashMap<String, Step>,
    /// In the order in which they failed.
    failed: Vec<String>,
    hidden: Hidden,
    /// A base image that is for another platform than the one that was asked for.
    foreign: Option<String>,
}

#[derive(Default)]
struct Step {
    name: String,
    /// When it began the last time: BuildKit looks at some steps twice.
    started: Option<Timestamp>,
    is_ended: bool,
    lines: HashMap<i64, Splitter>,
    tail: VecDeque<String>,
}

/// A step that failed.
pub(super) struct Failed<'a> {
    /// `[2/3] RUN …`.
    pub(super) name: &'a str,
    /// The last lines that it wrote.
    pub(super) tail: &'a VecDeque<String>,
}

impl Tracker {
    pub(super) fn new(secrets: &Secrets) -> Self {
        Self {
            steps: HashMap::new(),
            failed: Vec::new(),
            hidden: secrets.hidden(),
            foreign: None,
        }
    }

    /// Turns one report into events.
    pub(super) fn take(
        &mut self,
        update: StatusResponse,
        events: &mut (dyn FnMut(BuildEvent) + Send),
    ) {
        let StatusResponse {
            vertexes,
            statuses,
            logs,
            warnings,
        } = update;
        // A step's last words come in the report that ends it, or before.
        for vertex in &vertexes {
            self.started(vertex, events);
        }
        for log in logs {
            self.log(&log.vertex, log.stream, &log.msg, events);
        }
        for status in statuses {
            events(BuildEvent::StepProgress {
                step: one_line(&status.vertex),
                part: one_line(if status.name.is_empty() {
                    &status.id
                } else {
                    &status.name
                }),
                current: u64::try_from(status.current).unwrap_or_default(),
                total: u64::try_from(status.total).unwrap_or_default(),
            });
        }
        for vertex in vertexes {
            self.ended(vertex, events);
        }
        for warning in warnings {
            let event = warn(&warning);
            if let BuildEvent::Warning { text, .. } = &event
                && let Some(text) = text.strip_prefix(FOREIGN)
            {
                self.foreign = Some(text.trim_start_matches([':', ' ']).to_owned());
            }
            events(event);
        }
    }

    /// Gives out what was not ended with a line of its own.
    pub(super) fn end(&mut self, events: &mut (dyn FnMut(BuildEvent) + Send)) {
        let steps: Vec<String> = self.steps.keys().cloned().collect();
        for step in steps {
            self.flush(&step, events);
        }
    }

    /// The step that made the build fail: by its digest when that is known, else the first that
    /// was not just cancelled because of another one.
    pub(super) fn failed(&self, digest: Option<&str>) -> Option<Failed<'_>> {
        let named = digest.and_then(|digest| self.steps.get(digest));
        let first = || {
            self.failed
                .first()
                .and_then(|digest| self.steps.get(digest))
        };
        let step = named.or_else(first)?;
        Some(Failed {
            name: &step.name,
            tail: &step.tail,
        })
    }

    /// What is said of a base image that is for another platform. BuildKit labels the image with the
    /// platform that was asked for, whatever is in it.
    pub(super) fn foreign(&self) -> Option<&str> {
        self.foreign.as_deref()
    }

    /// Text without the values of secrets.
    pub(super) fn hide(&self, text: &str) -> String {
        self.hidden.hide(text)
    }

    fn started(&mut self, vertex: &Vertex, events: &mut (dyn FnMut(BuildEvent) + Send)) {
        if self.steps.len() >= MOST_STEPS && !self.steps.contains_key(&vertex.digest) {
            return;
        }
        let step = self.steps.entry(vertex.digest.clone()).or_default();
        if step.name.is_empty() {
            step.name = self.hidden.hide(&one_line(&vertex.name));
        }
        if vertex.started.is_some() && step.started != vertex.started {
            step.started = vertex.started;
            step.is_ended = false;
            events(BuildEvent::StepStarted {
                step: one_line(&vertex.digest),
                name: step.name.clone(),
            });
        }
    }

    fn log(
        &mut self,
        digest: &str,
        stream: i64,
        message: &[u8],
        events: &mut (dyn FnMut(BuildEvent) + Send),
    ) {
        let Some(step) = self.steps.get_mut(digest) else {
            return;
        };
        let Step { lines, tail, .. } = step;
        let hidden = &self.hidden;
        let mut give = |line: String| give(digest, line, tail, events);
        let splitter = lines.entry(stream.clamp(0, 2)).or_default();
        splitter.add(message, hidden, &mut give);
    }

    fn flush(&mut self, digest: &str, events: &mut (dyn FnMut(BuildEvent) + Send)) {
        let Some(step) = self.steps.get_mut(digest) else {
            return;
        };
        let Step { lines, tail, .. } = step;
        for splitter in lines.values_mut() {
            if let Some(line) = splitter.end(&self.hidden) {
                give(digest, line, tail, events);
            }
        }
    }

    fn ended(&mut self, vertex: Vertex, events: &mut (dyn FnMut(BuildEvent) + Send)) {
        let is_known = self
            .steps
            .get(&vertex.digest)
            .is_some_and(|step| !step.is_ended);
        let Some(completed) = vertex.completed.filter(|_| is_known) else {
            return;
        };
        self.flush(&vertex.digest, events);
        let error = match vertex.error.as_str() {
            "" => None,
            error => Some(self.hidden.hide(&one_line(error))),
        };
        let is_cancelled = error
            .as_ref()
            .is_some_and(|error| error.contains("context canceled"));
        if error.is_some() && !is_cancelled {
            self.failed.push(vertex.digest.clone());
        }
        if let Some(step) = self.steps.get_mut(&vertex.digest) {
            step.is_ended = true;
            if error.is_none() {
                step.tail = VecDeque::new();
            }
        }
        let started = vertex.started.unwrap_or(completed);
        events(BuildEvent::StepEnded {
            step: one_line(&vertex.digest),
            cached: vertex.cached,
            seconds: (seconds(&completed) - seconds(&started)).max(0.0),
            error,
        });
    }
}

fn give(
    digest: &str,
    line: String,
    tail: &mut VecDeque<String>,
    events: &mut (dyn FnMut(BuildEvent) + Send),
) {
    if tail.len() == TAIL {
        tail.pop_front();
    }
    tail.push_back(line.clone());
    let step = one_line(digest);
    events(BuildEvent::StepLog { step, line });
}

fn warn(warning: &VertexWarning) -> BuildEvent {
    let first = warning.ranges.first().and_then(|range| range.start);
    BuildEvent::Warning {
        text: one_line(&String::from_utf8_lossy(&warning.short)),
        line: first.and_then(|start| u32::try_from(start.line).ok()),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a time of this century fits a float well enough"
)]
fn seconds(time: &Timestamp) -> f64 {
    time.seconds as f64 + f64::from(time.nanos) / 1e9
}
