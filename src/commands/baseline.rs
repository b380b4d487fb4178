//! `baseline set` and `baseline show`.

use std::path::Path;

use indexmap::IndexMap;
use jiff::Timestamp;

use super::{print, show};
use crate::cli::BaselineAction;
use crate::config;
use crate::error::{Error, ExitCode, Result};
use crate::metrics::Source;
use crate::metrics::baseline::{Baseline, BaselineMetric, Definitions, SCHEMA_VERSION};
use crate::plan::Plan;
use crate::record::{self, Phase};
use crate::report::{Report, Status};
use crate::talk::Talk;

pub(super) fn run(root: &Path, action: BaselineAction, talk: &Talk) -> Result<u8> {
    let config = config::load(root, super::color())?;
    let path = root.join(&config.raw.baseline.path);
    match action {
        BaselineAction::Show => {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                let failed = Error::new(
                    ExitCode::Config,
                    format!("cannot read `{}`", path.display()),
                )
                .because(error);
                failed.hint("`mlaction baseline set` makes one from the last run")
            })?;
            print(&text)
        }
        BaselineAction::Set { run } => {
            let last = || {
                let mut states = record::states(root);
                states.retain(|state| matches!(state.phase, Phase::Complete { .. }));
                record::last(&states).map(|state| state.run.clone())
            };
            let is_named = run.is_some();
            let folder = show::folder(root, run.or_else(last))?;
            let baseline = from_run(&folder, is_named)?;
            baseline
                .save(&path)
                .map_err(|error| Error::new(ExitCode::Internal, error.to_string()))?;
            talk.say(&format!(
                "baseline: {} metrics of run {} in {}",
                baseline.metrics.len(),
                baseline.run,
                path.display()
            ));
            Ok(0)
        }
    }
}

fn from_run(folder: &Path, is_named: bool) -> Result<Baseline> {
    let report = show::load(folder)?;
    if report.status == Status::GateFailed && !is_named {
        let failed = format!("the last run, {}, failed a gate", report.run);
        return Err(Error::new(ExitCode::Usage, failed).hint(format!(
            "`mlaction baseline set {}` takes it all the same",
            report.run
        )));
    }
    if !matches!(
        report.status,
        Status::Passed | Status::Inconclusive | Status::GateFailed
    ) {
        return Err(Error::new(
            ExitCode::Usage,
            format!("run {} has no result to compare with", report.run),
        )
        .hint("name a complete run: `mlaction runs` lists them"));
    }
    let plan: Plan = record::load_plan(folder)?;
    Ok(Baseline {
        schema_version: SCHEMA_VERSION,
        commit: report.lineage.commit.clone(),
        created_at: Timestamp::now(),
        data: plan.held_out(),
        validation: plan.validation_program().to_owned(),
        metrics: metrics(&report, &plan.definitions()),
        run: report.run,
    })
}

/// Every metric and every value by class, so that a gate added later has a baseline.
fn metrics(report: &Report, definitions: &Definitions) -> IndexMap<String, BaselineMetric> {
    let rows = report
        .metrics
        .iter()
        .map(|row| (row.name.clone(), &row.value, row.source));
    let classes = report.per_class.iter().flat_map(|(class, values)| {
        let name = move |metric: &str| format!("per_class.{class}.{metric}");
        let values = values.iter();
        values.map(move |(metric, value)| (name(metric), value, Source::File))
    });
    let all = classes.chain(rows);
    all.map(|(name, value, source)| {
        let definition = definitions.of(&name, source).map(str::to_owned);
        let value = value.clone();
        (name, BaselineMetric { value, definition })
    })
    .collect()
}
