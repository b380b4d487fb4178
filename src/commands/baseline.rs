//! `baseline set` and `baseline show`.

use std::path::Path;

use jiff::Timestamp;

use super::{print, show};
use crate::cli::BaselineAction;
use crate::config;
use crate::error::{Error, ExitCode, Result};
use crate::metrics::baseline::{Baseline, BaselineMetric, SCHEMA_VERSION};
use crate::plan::Plan;
use crate::record::{self, Phase};
use crate::report::Status;
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
                let complete =
                    |state: &&record::State| matches!(state.phase, Phase::Complete { .. });
                record::states(root)
                    .iter()
                    .rfind(complete)
                    .map(|state| state.run.clone())
            };
            let folder = show::folder(root, run.or_else(last))?;
            let baseline = from_run(&folder)?;
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

fn from_run(folder: &Path) -> Result<Baseline> {
    let report = show::load(folder)?;
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
    let definitions = plan.definitions();
    Ok(Baseline {
        schema_version: SCHEMA_VERSION,
        run: report.run,
        commit: report.lineage.commit,
        created_at: Timestamp::now(),
        data: plan.held_out(),
        validation: plan.validation_program().to_owned(),
        metrics: report
            .metrics
            .into_iter()
            .map(|row| {
                (
                    row.name.clone(),
                    BaselineMetric {
                        value: row.value,
                        definition: definitions.get(&row.name).cloned(),
                    },
                )
            })
            .collect(),
    })
}
