//! `baseline set` and `baseline show`.

use std::path::Path;

use super::jobs::Site;
use super::{print, runtime, show, to_json};
use crate::cli::{self, BaselineAction};
use crate::config;
use crate::config::raw::{Destination, RawConfig};
use crate::destination::sagemaker::location::Location;
use crate::error::{Error, ExitCode, Result};
use crate::metrics::baseline::Baseline;
use crate::record::{self, Phase};
use crate::report::Status;
use crate::run;
use crate::run::baseline::Kept;
use crate::talk::Talk;

pub(super) fn run(root: &Path, arguments: cli::Baseline, talk: &Talk) -> Result<u8> {
    let cli::Baseline {
        action,
        destination,
    } = arguments;
    let config = config::load(root, super::color())?;
    let path = root.join(&config.raw.baseline.path);
    let kept = kept(root, &config.raw, destination)?;
    match action {
        BaselineAction::Show if kept.is_some() => {
            let found = with_kept(kept, async |kept| kept.read().await)?;
            match found.flatten() {
                Some(baseline) => print(&to_json(&baseline)?),
                None => Err(Error::new(ExitCode::Config, "there is no baseline yet")
                    .hint("a run of the branch that it is kept for sets it, or `mlaction baseline set`")),
            }
        }
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
            let place = kept.as_ref().map(|(place, _)| place.to_string());
            if let Some(place) = place {
                with_kept(kept, async |kept| kept.write(&baseline, true).await)?;
                talk.say(&said(&baseline, &place));
                return Ok(0);
            }
            baseline
                .save(&path)
                .map_err(|error| Error::new(ExitCode::Internal, error.to_string()))?;
            talk.say(&said(&baseline, &path.display().to_string()));
            Ok(0)
        }
    }
}

fn said(baseline: &Baseline, place: &str) -> String {
    let (count, run) = (baseline.metrics.len(), &baseline.run);
    format!("baseline: {count} metrics of run {run} in {place}")
}

/// Where the destination keeps the baseline, if not in a file.
fn kept(root: &Path, raw: &RawConfig, asked: Option<String>) -> Result<Option<(Location, Site)>> {
    let name = asked.as_ref().unwrap_or(&raw.project.destination);
    let keeps = match raw.destinations.get(name) {
        Some(Destination::Sagemaker(settings)) => settings.baseline_branch.is_some(),
        _ => false,
    };
    if !keeps {
        return Ok(None);
    }
    let site = Site::find(root, asked)?;
    Ok(Some((site.plan.baseline(&raw.project.name), site)))
}

fn with_kept<T>(
    kept: Option<(Location, Site)>,
    work: impl AsyncFnOnce(Kept<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let Some((place, site)) = kept else {
        return Ok(None);
    };
    runtime()?.block_on(async {
        let aws = site.access().await;
        work(Kept::new(&place, &aws.config)).await.map(Some)
    })
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
    Ok(run::baseline::of(&report, &record::load_plan(folder)?))
}
