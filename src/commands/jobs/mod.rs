//! `jobs`, `watch`, `stop`, `collect`, `gc` and the log of a job: the project's jobs on SageMaker, whoever launched
//! them.

mod collect;
mod gc;
mod list;
mod logs;
mod watch;

use std::path::Path;

use super::{print, runtime, to_json};
use crate::aws::Access;
use crate::aws::settings::AwsPlan;
use crate::cli;
use crate::config::problem::one_of;
use crate::config::raw::Destination;
use crate::config::{self, Config};
use crate::context::Context;
use crate::destination::place::DestinationPlan;
use crate::destination::sagemaker::jobs::{Jobs, ListedJob, Which};
use crate::destination::sagemaker::plan::{GRACE_SECONDS, SagemakerPlan};
use crate::error::{Error, ExitCode, Result};
use crate::plan::inputs;
use crate::report::text;
use crate::talk::Talk;

pub(super) use collect::collect;
pub(super) use gc::gc;
pub(super) use list::list;
pub(super) use logs::logs;
pub(super) use watch::watch;

/// The newest so many jobs are looked at where all are wanted.
const MOST: usize = 2_000;

/// A destination with jobs of its own.
pub(super) struct Site {
    pub(super) config: Config,
    pub(super) context: Context,
    pub(super) plan: SagemakerPlan,
    pub(super) aws: AwsPlan,
}

impl Site {
    /// The destination that is asked for, the config's, or the only one there is.
    pub(super) fn find(root: &Path, asked: Option<String>) -> Result<Self> {
        let config = config::load(root, super::color())?;
        let context = Context::read(root);
        let chosen = asked.unwrap_or_else(|| config.raw.project.destination.clone());
        let destinations = config.raw.destinations.iter();
        let on_sagemaker: Vec<&str> = destinations
            .filter(|(_, destination)| matches!(destination, Destination::Sagemaker(_)))
            .map(|(name, _)| name.as_str())
            .collect();
        let name = match on_sagemaker[..] {
            _ if on_sagemaker.contains(&chosen.as_str()) => chosen,
            [only] if config.raw.project.destination == chosen => only.to_owned(),
            _ => {
                let message = format!("`{chosen}` is no destination that keeps jobs");
                let hint = match &on_sagemaker[..] {
                    [] => "`runs` lists those of this machine; docs/sagemaker.md says how to train on SageMaker".to_owned(),
                    names => format!("name one: `--destination {}`", one_of(names.iter().copied())),
                };
                return Err(Error::new(ExitCode::Usage, message).hint(hint));
            }
        };
        let raw = &config.raw;
        let aws = AwsPlan::new(&raw.aws, &context.env)?;
        let destination =
            inputs::destination(root, raw, Some(&name), &config.hyperparameters, &context)?;
        match destination {
            DestinationPlan::Sagemaker(plan) => Ok(Self {
                config,
                context,
                plan: *plan,
                aws,
            }),
            DestinationPlan::Process(_) | DestinationPlan::Docker(_) => {
                let message = format!("`{name}` is no destination of SageMaker");
                Err(Error::new(ExitCode::Internal, message))
            }
        }
    }

    /// Whether the project has a destination that keeps jobs.
    pub(super) fn is_there(root: &Path) -> Result<bool> {
        let config = config::load(root, super::color())?;
        let mut destinations = config.raw.destinations.values();
        Ok(destinations.any(|destination| matches!(destination, Destination::Sagemaker(_))))
    }

    /// How AWS is asked.
    pub(super) async fn access(&self) -> Access {
        let region = &self.plan.settings.region;
        Access::new(region, Some(&self.aws), &self.context.env).await
    }

    pub(super) fn jobs(&self, aws: &Access) -> Jobs {
        Jobs::new(&aws.config, &self.plan, &self.config.raw.project.name)
    }
}

/// Tells one job to stop.
pub(super) fn stop(root: &Path, arguments: cli::Stop, talk: &Talk) -> Result<u8> {
    let cli::Stop { job, json, place } = arguments;
    let site = Site::find(root, place.destination)?;
    runtime()?.block_on(async {
        let aws = site.access().await;
        let jobs = site.jobs(&aws);
        let found = jobs.find(&which(&job)).await?;
        if found.is_running() {
            jobs.stop(&found.name).await?;
            talk.say(&format!(
                "{} is told to stop; it saves what it has within {} s",
                found.name, GRACE_SECONDS
            ));
        } else {
            talk.say(&format!(
                "{} has ended already: {}",
                found.name, found.phase
            ));
        }
        if json {
            print(&to_json(&jobs.find(&Which::Name(found.name)).await?)?)?;
        }
        Ok(0)
    })
}

pub(super) fn which(text: &str) -> Which {
    let Ok(which) = text.parse();
    which
}

/// What a job is doing, or how it ended, in one word.
fn state(job: &ListedJob) -> String {
    text::plain(&job.phase)
}
