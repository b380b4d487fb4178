//! The report as one HTML page that opens offline: no script, nothing loaded from anywhere.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::chart::{self, PALETTE};
use super::curves::{Group, groups};
use super::jobs::JobInfo;
use super::text::{
    Trend, bytes, change, duration, files, line, mark, outcome, short, status, trend,
};
use super::{MetricRow, Outcome, Report, Status, tables};
use crate::error::{Error, ExitCode, Result};
use crate::metrics::Number;

/// Rows of metrics that are open, and those behind a fold.
const METRICS: [usize; 2] = [40, 2_000];

/// Plots that are open, and those behind a fold.
const PLOTS: [usize; 2] = [6, 18];

/// Hyperparameters, data channels and log lines.
const LINES: usize = 200;

/// Warnings.
const WARNINGS: usize = 20;

/// Characters of a name, and of a sentence.
pub(super) const NAME: usize = 120;
pub(super) const TEXT: usize = 2_000;

/// Renders the page. All of the report's text is untrusted and stays text.
///
/// # Errors
/// The template or a drawing does not work, which is a mistake in mlaction.
pub fn render(report: &Report) -> Result<String> {
    let failed = |error: Box<dyn std::error::Error>| {
        Error::new(ExitCode::Report, "cannot make the HTML page").because(error.to_string())
    };
    let page = Page::new(report).map_err(failed)?;
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .render_str(include_str!("report.html.j2"), Serde(page))
        .map_err(|error| failed(error.into()))
}

/// What the template shows: words and figures, nothing left to decide.
#[derive(Serialize)]
struct Page {
    css: Value,
    mark: &'static str,
    words: &'static str,
    tone: &'static str,
    project: String,
    reason: Option<String>,
    hint: Option<String>,
    facts: Vec<Pair>,
    log: Vec<String>,
    warnings: Vec<String>,
    metrics_caption: String,
    metrics: Vec<Metric>,
    more_metrics: Vec<Metric>,
    figures: Vec<Figure>,
    more_figures: Vec<Figure>,
    matrix: Option<tables::Matrix>,
    classes: Option<tables::Classes>,
    lineage: Vec<Pair>,
    hyperparameters: Vec<Pair>,
    phases: Vec<Phase>,
    jobs: Vec<Job>,
    left_out: Vec<String>,
    version: String,
    run: String,
}

#[derive(Serialize)]
struct Pair {
    name: String,
    value: String,
    is_hash: bool,
}

#[derive(Serialize)]
struct Metric {
    name: String,
    value: String,
    exact: String,
    baseline: String,
    change: String,
    trend: &'static str,
    gate: Option<Gate>,
}

#[derive(Serialize)]
struct Gate {
    verdict: &'static str,
    tone: &'static str,
    rule: String,
    reason: String,
}

#[derive(Serialize)]
struct Figure {
    title: String,
    svg: Option<Value>,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    color: String,
    last: String,
}

#[derive(Serialize)]
struct Job {
    role: String,
    name: String,
    arn: Option<String>,
    ended: String,
    steps: String,
    billed: String,
    cost: String,
}

#[derive(Serialize)]
struct Phase {
    name: String,
    duration: String,
    share: String,
    part: f64,
}

impl Page {
    fn new(report: &Report) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let mut left_out = Vec::new();
        let mut rows = report.metrics.iter().map(Metric::new);
        let metrics = rows.by_ref().take(METRICS[0]).collect();
        let more_metrics = rows.by_ref().take(METRICS[1]).collect();
        note(&mut left_out, rows.count(), "metrics");

        let groups = groups(&report.curves, PALETTE.len());
        let mut drawn = groups.iter().map(Figure::new);
        let figures = drawn
            .by_ref()
            .take(PLOTS[0])
            .collect::<std::result::Result<_, _>>()?;
        let more_figures = drawn
            .by_ref()
            .take(PLOTS[1])
            .collect::<std::result::Result<_, _>>()?;
        note(
            &mut left_out,
            groups.len().saturating_sub(PLOTS[0] + PLOTS[1]),
            "plots",
        );

        let matrix = report.confusion_matrix.as_ref().map(tables::Matrix::new);
        let classes = tables::Classes::new(&report.per_class);
        if let Some(matrix) = &matrix {
            note(
                &mut left_out,
                matrix.left_out,
                "classes of the confusion matrix",
            );
        }
        if let Some(classes) = &classes {
            note(
                &mut left_out,
                classes.left_out,
                "classes of the table by class",
            );
        }
        let mut parameters = report.hyperparameters.iter();
        let hyperparameters = parameters
            .by_ref()
            .take(LINES)
            .map(|(name, value)| pair(name, value))
            .collect();
        note(&mut left_out, parameters.count(), "hyperparameters");
        note(
            &mut left_out,
            report.warnings.len().saturating_sub(WARNINGS),
            "warnings",
        );

        let jobs = report.jobs.len().saturating_sub(LINES);
        note(&mut left_out, jobs, "jobs");
        let failed = !report.status.is_judged();
        let log = if failed {
            report.log_tail.as_slice()
        } else {
            &[]
        };
        let skipped = log.len().saturating_sub(LINES);
        note(&mut left_out, skipped, "log lines");
        Ok(Self {
            css: Value::from_safe_string(include_str!("page.css").to_owned()),
            mark: mark(report.status),
            words: status(report.status).1,
            tone: tone(report.status),
            project: line(&report.project, NAME),
            reason: report.reason.as_ref().map(|text| line(text, TEXT)),
            hint: report.hint.as_ref().map(|text| line(text, TEXT)),
            facts: facts(report),
            log: log[skipped..]
                .iter()
                .map(|text| super::text::clip(text, TEXT))
                .collect(),
            warnings: report
                .warnings
                .iter()
                .take(WARNINGS)
                .map(|text| line(text, TEXT))
                .collect(),
            metrics_caption: metrics_caption(report),
            metrics,
            more_metrics,
            figures,
            more_figures,
            matrix,
            classes,
            lineage: lineage(report),
            hyperparameters,
            phases: phases(report),
            jobs: report.jobs.iter().take(LINES).map(Job::new).collect(),
            left_out,
            version: line(&report.lineage.mlaction, NAME),
            run: line(&report.run, NAME),
        })
    }
}

fn note(left_out: &mut Vec<String>, count: usize, what: &str) {
    if count > 0 {
        left_out.push(format!("{count} {what}"));
    }
}

fn tone(status: Status) -> &'static str {
    match status {
        Status::Passed => "good",
        Status::Inconclusive | Status::Stopped | Status::Cancelled => "unsure",
        Status::GateFailed
        | Status::BuildFailed
        | Status::JobFailed
        | Status::NoCapacity
        | Status::TimedOut => "bad",
    }
}

fn pair(name: &str, value: &str) -> Pair {
    Pair {
        name: line(name, NAME),
        value: line(value, TEXT),
        is_hash: false,
    }
}

fn hash(name: &str, value: &str) -> Pair {
    Pair {
        is_hash: true,
        ..pair(name, value)
    }
}

fn facts(report: &Report) -> Vec<Pair> {
    let seconds = report.phases.iter().map(|phase| phase.seconds).sum();
    let mut facts = vec![
        pair("run", &report.run),
        pair("where", &report.destination),
        pair("started", &format!("{:.0}", report.started_at)),
        pair("took", &duration(seconds)),
    ];
    if let Some(commit) = &report.lineage.commit {
        let short: String = commit.chars().take(12).collect();
        let dirty = if report.lineage.dirty {
            " with local changes"
        } else {
            ""
        };
        facts.push(pair("commit", &format!("{short}{dirty}")));
    }
    facts
}

fn metrics_caption(report: &Report) -> String {
    match &report.baseline {
        Some(baseline) => format!(
            "Compared with run {} of {:.0} ({})",
            line(&baseline.run, NAME),
            baseline.created_at,
            line(&baseline.source, NAME)
        ),
        None => "There is no baseline to compare with yet".to_owned(),
    }
}

fn lineage(report: &Report) -> Vec<Pair> {
    let lineage = &report.lineage;
    let mut pairs = Vec::new();
    if let Some(commit) = &lineage.commit {
        pairs.push(hash("commit", commit));
        let tree = if lineage.dirty {
            "had changes that are not in the commit"
        } else {
            "as committed"
        };
        pairs.push(pair("working tree", tree));
    }
    pairs.push(hash("content", &lineage.content_hash));
    pairs.push(hash("code", &lineage.code));
    for data in lineage.data.iter().take(LINES) {
        let size = format!("{}, {}", files(data.files), bytes(data.bytes));
        let place = format!("{} ({size})", line(&data.path, NAME));
        pairs.push(pair(&format!("data {}", data.channel), &place));
        pairs.push(hash(
            &format!("data {} fingerprint", data.channel),
            &data.fingerprint,
        ));
    }
    for (name, value) in lineage.environment.iter().take(LINES) {
        pairs.push(pair(name, value));
    }
    if let Some(model) = &lineage.model {
        pairs.push(pair(
            "model",
            &format!("{} ({})", model.file, bytes(model.bytes)),
        ));
        pairs.extend(model.sha256.iter().map(|sum| hash("model sha256", sum)));
    }
    if let Some(baseline) = &report.baseline {
        pairs.push(pair("baseline run", &baseline.run));
        if let Some(commit) = &baseline.commit {
            pairs.push(hash("baseline commit", commit));
        }
    }
    pairs.push(pair("mlaction", &lineage.mlaction));
    pairs
}

fn phases(report: &Report) -> Vec<Phase> {
    let total: f64 = report.phases.iter().map(|phase| phase.seconds).sum();
    report
        .phases
        .iter()
        .take(LINES)
        .map(|phase| {
            let part = tables::part(phase.seconds, total);
            Phase {
                name: line(&phase.name, NAME),
                duration: duration(phase.seconds),
                share: format!("{:.0} %", part * 100.0),
                part,
            }
        })
        .collect()
}

impl Job {
    fn new(job: &JobInfo) -> Self {
        Self {
            role: line(&job.role, NAME),
            name: line(&job.name, NAME),
            arn: job.arn.as_ref().map(|arn| line(arn, TEXT)),
            ended: job.ended(),
            steps: job.steps(),
            billed: job.billed(),
            cost: job.cost(),
        }
    }
}

impl Metric {
    fn new(row: &MetricRow) -> Self {
        Self {
            name: line(&row.name, NAME),
            value: short(&row.value),
            exact: line(row.value.as_str(), NAME),
            baseline: row.baseline.as_ref().map(short).unwrap_or_default(),
            change: change(row),
            trend: match trend(row) {
                Trend::Better => "good",
                Trend::Worse => "bad",
                Trend::Neutral => "neutral",
            },
            gate: row.gate.as_ref().map(|gate| Gate {
                verdict: outcome(gate.outcome),
                tone: match gate.outcome {
                    Outcome::Pass => "good",
                    Outcome::Fail => "bad",
                    Outcome::Inconclusive => "unsure",
                },
                rule: line(&gate.rule, TEXT),
                reason: line(&gate.reason, TEXT),
            }),
        }
    }
}

impl Figure {
    fn new(group: &Group<'_>) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let names: Vec<String> = group
            .lines
            .iter()
            .map(|(name, _)| line(name, NAME))
            .collect();
        let title = names.join(", ");
        let lines: Vec<Line> = group
            .lines
            .iter()
            .zip(&names)
            .zip(PALETTE)
            .map(|(((_, series), name), color)| Line {
                name: name.clone(),
                color: format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2),
                last: series.values.last().map(short).unwrap_or_default(),
            })
            .collect();
        let description: Vec<String> = group
            .lines
            .iter()
            .zip(&names)
            .map(|((_, series), name)| {
                let value = |number: Option<&Number>| number.map(short).unwrap_or_default();
                let (first, last) = (value(series.values.first()), value(series.values.last()));
                format!(
                    "{name}: from {first} to {last} over {} points",
                    series.count
                )
            })
            .collect();
        let svg = chart::plot(group, &title, &description.join("; "))?;
        Ok(Self {
            title,
            svg: svg.map(Value::from_safe_string),
            lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_of_a_rich_report() {
        let page = render(&sample::rich()).unwrap();
        let (style, rest) = (
            page.find("<style>").unwrap(),
            page.find("</style>").unwrap(),
        );
        let mut shown = format!("{}{}", &page[..style], &page[rest..]);
        while let Some(start) = shown.find(" viewBox=\"0 0 1120") {
            let end = start + shown[start..].find("</svg>").unwrap();
            shown.replace_range(start..end, ">…");
        }
        insta::assert_snapshot!("html_rich", shown);
    }

    #[test]
    fn a_failed_run_shows_its_log_and_a_passed_one_does_not() {
        let page = render(&sample::failed()).unwrap();
        assert!(page.contains("Last log lines") && page.contains("&quot;&#x2f;opt&#x2f;ml"));
        assert!(page.contains("What now:"));
        assert!(!render(&sample::empty()).unwrap().contains("Last log lines"));
    }

    #[test]
    fn a_huge_report_stays_a_page_and_says_what_is_missing() {
        let page = render(&sample::huge()).unwrap();
        assert!(page.len() < 3_000_000, "{}", page.len());
        for part in [
            "960 more metrics",
            "18 more plots",
            "176 plots",
            "75 classes of the confusion matrix",
            "300 hyperparameters",
            "1800 log lines",
            "280 warnings",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }
}
