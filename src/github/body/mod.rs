//! What the comment on a pull request says, from the plan to the report. All parts are untrusted
//! text; the only HTML comment in a body is its marker, by which it is found again.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

use super::names;
use crate::config::duration::display;
use crate::destination::place::DestinationPlan;
use crate::destination::sagemaker::location::is_s3;
use crate::plan::{Job, Plan};
use crate::report::blocks::{NAME, TEXT, Table, fence, fold};
use crate::report::text::{bytes, clip, duration, files, markdown};
use crate::report::{self, Report};

/// Most characters of a comment; GitHub refuses a longer one whole. It does not say what it counts:
/// bytes are the most that it may be.
pub const MOST: usize = 65_536;

/// Longest part of a marker as it is; a longer one is told apart by its hash.
const MARKER_PART: usize = 100;

/// Longest address that is linked to.
const LONGEST_URL: usize = 500;

/// Lines of an error, and characters of each.
const ERROR: (usize, usize) = (60, 200);

/// Where a comment belongs, and what it links to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// The comment's first line, by which it is found.
    pub marker: String,
    /// Address of the workflow's run.
    pub run_url: Option<String>,
    /// The commit that was trained, as the pull request has it.
    pub commit: Option<String>,
}

/// The line that a comment begins with and is found by: one for each workflow, project and
/// destination. Everything that could end it is encoded.
#[must_use]
pub fn marker(workflow: &str, project: &str, destination: &str) -> String {
    let parts = [workflow, project, destination].map(encoded);
    format!("<!-- mlaction:v1:{} -->", parts.join(":"))
}

fn encoded(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    if out.len() > MARKER_PART {
        let hash = blake3::hash(part.as_bytes()).to_hex();
        out.truncate(MARKER_PART - 33);
        out = format!("{out}.{}", &hash[..32]);
    }
    out
}

/// The comment when the plan is known.
#[must_use]
pub fn planned(plan: &Plan, links: &Links) -> String {
    let state = match &plan.reuse {
        Some(reuse) => format!(
            "Nothing is trained: run {}, finished {}, has the same content and is judged again.",
            markdown(&reuse.run, NAME),
            clock(reuse.finished_at)
        ),
        None => format!("{}, planned {}", run(plan), clock(plan.created_at)),
    };
    let parts = [
        title(&plan.project, "planned"),
        state + "\n",
        self::plan(plan),
    ];
    of_plan(links, &parts)
}

/// The comment while the run is under way: its phases, each with its duration in seconds when it
/// is done.
#[must_use]
pub fn running(plan: &Plan, phases: &[(String, Option<f64>)], links: &Links) -> String {
    let mut table = Table::new(&["phase", ""]);
    let mut now = plan.created_at;
    for (name, seconds) in phases {
        let state = match seconds {
            Some(seconds) => duration(*seconds),
            None => format!("**running** since {}", clock(now)),
        };
        table.push(&[markdown(name, NAME), state]);
        now = later(now, seconds.unwrap_or_default());
    }
    let parts = [
        title(&plan.project, "running"),
        format!("{}, began {}\n", run(plan), clock(plan.created_at)),
        match phases.is_empty() {
            true => String::new(),
            false => table.finish(),
        },
        fold("Plan", &self::plan(plan)),
    ];
    of_plan(links, &parts)
}

/// The comment when there is a report.
#[must_use]
pub fn ended(report: &Report, links: &Links) -> String {
    whole(links, &[report::markdown::render(report), footer(links)])
}

/// The same for a report that the pull request's own code may have written.
#[must_use]
pub fn of_stranger(report: &Report, links: &Links) -> String {
    let note = "> [!NOTE]\n> A run of the pull request's own code, without any right here, reported this. It is its author's word.\n";
    let parts = [
        note.to_owned(),
        report::markdown::render(report),
        footer(links),
    ];
    whole(links, &parts)
}

/// The comment when the run ended without a report. The error is shown as it is.
#[must_use]
pub fn broken(project: &str, destination: &str, error: &str, links: &Links) -> String {
    let parts = [
        format!("### ❌ {}: there is no result\n", markdown(project, NAME)),
        format!("On {}\n", markdown(destination, NAME)),
        excerpt(error),
        footer(links),
    ];
    whole(links, &parts)
}

/// An error as a terminal shows it, as much of it as fits.
#[must_use]
pub(super) fn excerpt(error: &str) -> String {
    let (most, width) = ERROR;
    let mut lines: Vec<String> = error.lines().map(|line| clip(line, width)).collect();
    if lines.len() > most {
        lines.truncate(most - 1);
        lines.push("…".to_owned());
    }
    fence(&lines.join("\n"))
}

/// What a plan says, without the comment around it.
#[must_use]
pub(super) fn plan(plan: &Plan) -> String {
    joined(&[what(plan), gates(plan), hyperparameters(plan)])
}

fn of_plan(links: &Links, parts: &[String]) -> String {
    whole(links, &[joined(parts), footer(links)])
}

/// A body that GitHub takes.
fn whole(links: &Links, parts: &[String]) -> String {
    let marker = &links.marker;
    let body = format!("{marker}\n{}", joined(parts));
    match body.len() > MOST {
        false => body,
        // NOTE: every part has a limit, and a test adds them up; a body that is refused says less.
        true => format!("{marker}\nThe result is too long for a comment: see the job's summary.\n"),
    }
}

/// Parts that have something to say, with a line between them.
fn joined(parts: &[String]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("\n")
}

fn title(project: &str, state: &str) -> String {
    format!("### {}: {state}\n", markdown(project, NAME))
}

fn run(plan: &Plan) -> String {
    let destination = &plan.destination;
    let name = markdown(destination.name(), NAME);
    let place = match destination.name() == destination.kind() {
        true => name,
        false => format!("{name} ({})", destination.kind()),
    };
    format!("Run {} on {place}", markdown(&plan.run, NAME))
}

/// What will run, and what it costs at most.
fn what(plan: &Plan) -> String {
    let mut table = Table::new(&["what will run", ""]);
    let mut add = |name: &str, value: &str| {
        table.push(&[markdown(name, NAME), markdown(value, TEXT)]);
    };
    match &plan.destination {
        DestinationPlan::Process(_) => {}
        DestinationPlan::Docker(docker) => {
            let limits = docker.limits();
            if !limits.is_empty() {
                add("containers", &limits.join(", "));
            }
        }
        DestinationPlan::Sagemaker(sagemaker) => {
            add("costs at most", &sagemaker.highest_cost());
            add("instances", &sagemaker.instances());
        }
    }
    add("training", &job(&plan.training));
    if let Some(validation) = &plan.validation {
        add("validation", &job(validation));
    }
    for data in &plan.data {
        let size = match is_s3(&data.path) {
            true => "as it lies in S3".to_owned(),
            false => format!("{}, {}", files(data.files), bytes(data.bytes)),
        };
        add(&format!("data {}", data.channel), &size);
    }
    if let Some(image) = &plan.image {
        let tag = image.tag.as_deref();
        let tag = tag.unwrap_or("named when it is built");
        match image.registry.place() {
            None => add("image", tag),
            Some(place) => add("image", &format!("{place}:{tag}")),
        }
    }
    if plan.dirty {
        add("commit", "with local changes");
    }
    table.finish()
}

fn job(job: &Job) -> String {
    let most = std::time::Duration::from_secs(job.max_runtime_seconds);
    format!("{}, at most {}", job.entry_point, display(most))
}

/// What decides whether the model passes.
fn gates(plan: &Plan) -> String {
    let baseline = match (&plan.baseline.location, &plan.baseline.found) {
        (Some(_), _) => "Compared with the baseline in S3".to_owned(),
        (None, Some(baseline)) => format!("Compared with {}", markdown(&baseline.run, NAME)),
        (None, None) => "There is no baseline yet".to_owned(),
    };
    if plan.gates.is_empty() {
        return format!("{baseline}; there are no gates.\n");
    }
    let mut table = Table::new(&["gate", "passes with"]);
    for (metric, gate) in &plan.gates {
        table.push(&[markdown(metric, NAME), markdown(&gate.rule(), NAME)]);
    }
    format!("{}\n{baseline}.\n", table.finish())
}

fn hyperparameters(plan: &Plan) -> String {
    let mut table = Table::new(&["hyperparameter", "value"]);
    for (name, value) in &plan.hyperparameters {
        table.push(&[markdown(name, NAME), markdown(value, NAME)]);
    }
    match plan.hyperparameters.is_empty() {
        true => String::new(),
        false => fold("Hyperparameters", &table.finish()),
    }
}

fn footer(links: &Links) -> String {
    let link = |text: &str, url: &Option<String>| {
        let url = url.as_deref().filter(|url| is_url(url))?;
        Some(format!("[{text}]({url})"))
    };
    let commit = links.commit.as_deref().and_then(names::sha);
    let parts = [
        link("The workflow's run, with the whole report", &links.run_url),
        // GitHub makes a link of it.
        commit.map(|sha| format!("commit {sha}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("{}\n", parts.join(" · ")),
    }
}

/// An address that Markdown leaves alone.
#[must_use]
pub(super) fn is_url(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#=&%+,".contains(&byte);
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    is_web && text.len() <= LONGEST_URL && text.bytes().all(is_part)
}

fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// So many seconds later, as long as there is such a time.
fn later(time: Timestamp, seconds: f64) -> Timestamp {
    SignedDuration::try_from_secs_f64(seconds)
        .and_then(|seconds| time.checked_add(seconds))
        .unwrap_or(time)
}
