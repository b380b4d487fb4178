//! Reports for the tests of the faces.

use indexmap::IndexMap;
use jiff::Timestamp;

use super::jobs::{Instances, JobCost, JobInfo};
use super::{
    BaselineInfo, Change, DataSource, Direction, GateResult, Lineage, MetricRow, ModelInfo,
    Outcome, Phase, Report, SCHEMA_VERSION, Status,
};
use crate::metrics::{ConfusionMatrix, Number, Series, Source};

fn timestamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

/// A difference without the dust of floats, as gates make it.
fn tidy(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap()
}

fn strings(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn series(count: usize, value: impl Fn(f64) -> f64) -> Series {
    Series {
        steps: (1..=count).map(|step| step as f64).collect(),
        values: (1..=count)
            .map(|step| Number::from(value(step as f64)))
            .collect(),
        count: count as u64,
    }
}

fn row(
    name: &str,
    value: &str,
    baseline: Option<&str>,
    direction: Option<Direction>,
    gate: Option<(Outcome, &str, &str)>,
) -> MetricRow {
    let (value, baseline) = (number(value), baseline.map(number));
    let change = baseline.as_ref().map(|baseline| {
        let absolute = tidy(value.value() - baseline.value());
        Change {
            absolute,
            relative: Some(absolute / baseline.value().abs()),
        }
    });
    MetricRow {
        name: name.to_owned(),
        value,
        source: Source::File,
        baseline,
        change,
        direction,
        gate: gate.map(|(outcome, rule, reason)| GateResult {
            outcome,
            rule: rule.to_owned(),
            reason: reason.to_owned(),
        }),
    }
}

/// A run with everything that a report can have; a gate failed.
pub(crate) fn rich() -> Report {
    let noise = |step: f64| (step * 12.9898).sin() * 0.02;
    let mut report = Report {
        metrics: vec![
            row(
                "accuracy",
                "0.8123456789012345678",
                Some("0.84"),
                Some(Direction::Higher),
                Some((
                    Outcome::Fail,
                    "≥ 0.8 · drop ≤ 0.01",
                    "fell by 0.0276543210988 from the baseline's 0.84 (allowed 0.01)",
                )),
            ),
            row(
                "f1_macro",
                "0.8350",
                Some("0.801"),
                Some(Direction::Higher),
                Some((Outcome::Pass, "≥ 0.8", "0.8350 keeps every limit")),
            ),
            row(
                "latency_ms_p95",
                "41.7",
                None,
                Some(Direction::Lower),
                Some((
                    Outcome::Inconclusive,
                    "≤ 50 · rise ≤ 5 %",
                    "the baseline has no value for it",
                )),
            ),
            row(
                "validation_loss",
                "0.437",
                Some("0.412"),
                Some(Direction::Lower),
                None,
            ),
            row(
                "train_loss",
                "0.201",
                Some("0.201"),
                Some(Direction::Lower),
                None,
            ),
            row("samples_per_second", "1843.2", Some("1790.5"), None, None),
            row(
                "calibration_error",
                "NaN",
                None,
                Some(Direction::Lower),
                None,
            ),
        ],
        curves: IndexMap::from([
            (
                "train_loss".to_owned(),
                series(40, |step| 0.2 + (-step / 9.0).exp() + noise(step)),
            ),
            (
                "validation_loss".to_owned(),
                series(40, |step| {
                    if (17.0..=19.0).contains(&step) {
                        f64::NAN
                    } else {
                        0.43 + (-step / 7.0).exp() + noise(step + 3.0) + step * step / 40_000.0
                    }
                }),
            ),
            (
                "accuracy".to_owned(),
                series(40, |step| 0.82 - (-step / 6.0).exp() * 0.5 + noise(step)),
            ),
            (
                "validation_accuracy".to_owned(),
                series(40, |step| {
                    0.8 - (-step / 5.0).exp() * 0.5 + noise(step + 1.0)
                }),
            ),
            (
                "learning_rate".to_owned(),
                series(2_000, |step| {
                    1e-3 * (0.5 + 0.5 * (step * std::f64::consts::PI / 2_000.0).cos())
                }),
            ),
        ]),
        confusion_matrix: Some(ConfusionMatrix {
            labels: ["retained", "churned", "unsure"]
                .map(str::to_owned)
                .to_vec(),
            matrix: vec![vec![812, 40, 8], vec![95, 301, 12], vec![0, 0, 0]],
        }),
        per_class: ["retained", "churned", "unsure"]
            .into_iter()
            .zip([
                ["0.895", "0.944", "0.919", "860"],
                ["0.883", "0.738", "0.804", "408"],
                ["0", "NaN", "0", "0"],
            ])
            .map(|(class, values)| {
                let values = ["precision", "recall", "f1", "support"]
                    .into_iter()
                    .zip(values)
                    .map(|(name, value)| (name.to_owned(), number(value)))
                    .collect();
                (class.to_owned(), values)
            })
            .collect(),
        baseline: Some(baseline()),
        jobs: jobs(),
        warnings: vec![
            "`calibration_error` is not a number in metrics.json".to_owned(),
            "the curve of `learning_rate` had 20000 points; every tenth is kept".to_owned(),
        ],
        ..empty()
    };
    report.lineage.dirty = true;
    report.conclude();
    report
}

fn baseline() -> BaselineInfo {
    BaselineInfo {
        source: "mlaction-baseline.json".to_owned(),
        run: "churn-11aa22bb-1".to_owned(),
        commit: Some("0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f60718293".to_owned()),
        created_at: timestamp("2026-02-03T10:00:00Z"),
    }
}

/// A job on spot instances, and one that had not told its time when it was last seen.
fn jobs() -> Vec<JobInfo> {
    let name = "churn-4f2a91c07d-2";
    let arn = format!("arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name}");
    let phases = [("Starting", 62.5), ("Training", 180.0), ("Uploading", 0.2)];
    let instances = |price_per_hour| Instances {
        instance_type: "ml.g5.xlarge".to_owned(),
        count: 2,
        price_per_hour,
    };
    let train = JobInfo {
        role: "train".to_owned(),
        name: format!("{name}-train"),
        arn: Some(format!("{arn}-train")),
        status: "Completed".to_owned(),
        secondary_status: None,
        phases: phases
            .map(|(name, seconds)| Phase {
                name: name.to_owned(),
                seconds,
            })
            .to_vec(),
        instances: vec![instances(Some(1.41))],
        training_seconds: Some(180),
        billed_seconds: Some(62),
        spot_saving: Some(0.656),
        cost: Some(JobCost {
            amount: 0.048_566_666_666_666_67,
            currency: Some("USD".to_owned()),
            price_source: "AWS Price List".to_owned(),
            price_date: Some("2026-01-31".to_owned()),
        }),
    };
    let validate = JobInfo {
        role: "validate".to_owned(),
        name: format!("{name}-validate"),
        arn: None,
        status: "Stopped".to_owned(),
        secondary_status: Some("MaxRuntimeExceeded".to_owned()),
        phases: Vec::new(),
        instances: vec![instances(None)],
        training_seconds: None,
        billed_seconds: None,
        spot_saving: None,
        cost: None,
    };
    vec![train, validate]
}

/// A run whose training failed.
pub(crate) fn failed() -> Report {
    Report {
        status: Status::JobFailed,
        reason: Some("train failed: exit code 1: ValueError: Input X contains NaN.".to_owned()),
        hint: Some("the whole log: `mlaction logs churn-4f2a91c0-2`".to_owned()),
        baseline: Some(baseline()),
        phases: vec![Phase {
            name: "train".to_owned(),
            seconds: 7.25,
        }],
        metrics: vec![row("train_loss", "0.81", Some("0.201"), None, None)],
        curves: IndexMap::from([("train_loss".to_owned(), series(3, |step| 1.0 - step / 16.0))]),
        log_tail: [
            "epoch=3 train_loss=0.8125",
            "Traceback (most recent call last):",
            "  File \"/opt/ml/code/train.py\", line 41, in <module>",
            "    model.fit(X, y)",
            "ValueError: Input X contains NaN.",
            "RandomForestClassifier does not accept missing values encoded as NaN natively; use ```SimpleImputer```",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..empty()
    }
}

/// A run that passed and reported nothing.
pub(crate) fn empty() -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        run: "churn-4f2a91c0-2".to_owned(),
        project: "churn".to_owned(),
        destination: "process".to_owned(),
        status: Status::Passed,
        reason: None,
        hint: None,
        started_at: timestamp("2026-03-01T09:30:00Z"),
        phases: [("environment", 34.2), ("train", 131.0), ("validate", 4.81)]
            .map(|(name, seconds)| Phase {
                name: name.to_owned(),
                seconds,
            })
            .to_vec(),
        jobs: Vec::new(),
        metrics: Vec::new(),
        curves: IndexMap::new(),
        confusion_matrix: None,
        per_class: IndexMap::new(),
        baseline: None,
        lineage: Lineage {
            commit: Some("8b0a5f2c9d1e4b7a6f3c2d1e0f9a8b7c6d5e4f3a".to_owned()),
            dirty: false,
            content_hash: "4f2a91c07d".repeat(6),
            code: "c0dec0de12".repeat(6),
            data: [("train", 12, 48_211_332), ("held_out", 1, 512_004)]
                .map(|(channel, files, bytes)| DataSource {
                    channel: channel.to_owned(),
                    path: format!("data/{channel}"),
                    fingerprint: "da7a5e7001".repeat(6),
                    files,
                    bytes,
                })
                .to_vec(),
            environment: strings(&[("python", "3.12.4"), ("requirements", "b3:9f8e7d6c5b4a")]),
            model: Some(ModelInfo {
                file: "model.tar.gz".to_owned(),
                sha256: Some("0123456789abcdef".repeat(4)),
                bytes: 1_834_221,
            }),
            mlaction: "0.1.0".to_owned(),
        },
        hyperparameters: strings(&[
            ("learning_rate", "0.001"),
            ("n_estimators", "300"),
            ("class_weight", "balanced"),
        ]),
        log_tail: vec!["done".to_owned()],
        warnings: Vec::new(),
    }
}

/// More of everything than any page can show.
pub(crate) fn huge() -> Report {
    let labels: Vec<String> = (0..100).map(|class| format!("class {class}")).collect();
    let mut report = failed();
    report.metrics = (0..1_000)
        .map(|metric| {
            row(
                &format!("metric.with.a.long.name.number_{metric}"),
                "0.123456789",
                Some("0.1"),
                None,
                Some((
                    Outcome::Fail,
                    "≥ 0.5",
                    "0.123456789 is below the minimum 0.5 by 0.376543211",
                )),
            )
        })
        .collect();
    report.curves = (0..200)
        .map(|curve| {
            (
                format!("curve{curve}_value"),
                series(600, |step| (step / 100.0 + f64::from(curve)).sin()),
            )
        })
        .collect();
    report.confusion_matrix = Some(ConfusionMatrix {
        matrix: (0..100)
            .map(|i| {
                (0..100)
                    .map(|j| if i == j { 900 } else { (i * j) % 7 })
                    .collect()
            })
            .collect(),
        labels: labels.clone(),
    });
    report.per_class = labels
        .into_iter()
        .map(|label| (label, IndexMap::from([("f1".to_owned(), number("0.5"))])))
        .collect();
    report.hyperparameters = (0..500)
        .map(|n| (format!("parameter_{n}"), "x".repeat(500)))
        .collect();
    report.log_tail = (0..2_000)
        .map(|line| format!("{line}: {}", "`@team <!-- ".repeat(40)))
        .collect();
    report.warnings = (0..300)
        .map(|n| format!("warning {n} {}", "#1 ".repeat(100)))
        .collect();
    report
}

/// The report with `text` in every field that others write, as names, values and labels alike.
pub(crate) fn with_text(text: &str) -> Report {
    let named = |index: usize| format!("{text}{}", " ".repeat(index) + &index.to_string());
    let mut report = rich();
    report.status = Status::JobFailed;
    for field in [
        &mut report.run,
        &mut report.project,
        &mut report.destination,
    ] {
        *field = text.to_owned();
    }
    report.reason = Some(text.to_owned());
    report.hint = Some(text.to_owned());
    for phase in &mut report.phases {
        phase.name = text.to_owned();
    }
    for (index, row) in report.metrics.iter_mut().enumerate() {
        row.name = named(index);
        if let Some(gate) = &mut row.gate {
            gate.rule = text.to_owned();
            gate.reason = text.to_owned();
        }
    }
    report.curves = std::mem::take(&mut report.curves)
        .into_values()
        .enumerate()
        .map(|(index, series)| (named(index), series))
        .collect();
    if let Some(matrix) = &mut report.confusion_matrix {
        matrix.labels = (0..3).map(named).collect();
    }
    report.per_class = std::mem::take(&mut report.per_class)
        .into_values()
        .enumerate()
        .map(|(index, values)| {
            let values = values.into_values().enumerate();
            (
                named(index),
                values.map(|(index, value)| (named(index), value)).collect(),
            )
        })
        .collect();
    if let Some(baseline) = &mut report.baseline {
        baseline.source = text.to_owned();
        baseline.run = text.to_owned();
        baseline.commit = Some(text.to_owned());
    }
    for job in &mut report.jobs {
        for field in [&mut job.role, &mut job.name, &mut job.status] {
            *field = text.to_owned();
        }
        job.arn = Some(text.to_owned());
        job.secondary_status = Some(text.to_owned());
        for phase in &mut job.phases {
            phase.name = text.to_owned();
        }
        for instances in &mut job.instances {
            instances.instance_type = text.to_owned();
        }
        job.cost = Some(JobCost {
            amount: 1.5,
            currency: Some(text.to_owned()),
            price_source: text.to_owned(),
            price_date: Some(text.to_owned()),
        });
    }
    let lineage = &mut report.lineage;
    lineage.commit = Some(text.to_owned());
    for field in [
        &mut lineage.content_hash,
        &mut lineage.code,
        &mut lineage.mlaction,
    ] {
        *field = text.to_owned();
    }
    for data in &mut lineage.data {
        data.channel = text.to_owned();
        data.path = text.to_owned();
        data.fingerprint = text.to_owned();
    }
    lineage.environment = IndexMap::from([(text.to_owned(), text.to_owned())]);
    if let Some(model) = &mut lineage.model {
        model.file = text.to_owned();
        model.sha256 = Some(text.to_owned());
    }
    report.hyperparameters = IndexMap::from([(text.to_owned(), text.to_owned())]);
    report.log_tail = vec![text.to_owned(); 3];
    report.warnings = vec![text.to_owned(); 2];
    report
}
