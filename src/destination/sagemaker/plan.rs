//! Where and how SageMaker's jobs run, decided.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::cost::{self, Cost, Seconds};
use super::location::Location;
use super::policies::Policies;
use super::settings::{OnCancel, Price, SagemakerSettings, ValidateOn};
use super::{Asked, Mistake, check, hyperparameter_sizes};
use crate::aws::prices::ListedPrice;
use crate::config::duration;
use crate::destination::docker::plan::DockerPlan;
use crate::destination::docker::settings::DockerSettings;
use crate::error::{Error, ExitCode, Result};
use crate::registry::plan::RegistryPlan;
use crate::registry::settings;

/// Between SIGTERM and SIGKILL on SageMaker (`StopTrainingJob`).
pub const GRACE_SECONDS: u64 = 120;

/// Where and how SageMaker's jobs run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SagemakerPlan {
    /// Name of the destination in mlaction.toml.
    pub name: String,
    /// What mlaction.toml says of it.
    pub settings: SagemakerSettings,
    /// Below this, data, checkpoints and results are put.
    pub root: Location,
    /// Seconds between two questions about a job.
    pub poll_seconds: u64,
    /// A job of which nothing is heard for so many seconds is given up.
    pub lost_after_seconds: u64,
    /// With spot instances: the training job has ended after so many seconds.
    pub max_wait_seconds: Option<u64>,
    /// The instances are kept for so many seconds after the training job.
    pub keep_alive_seconds: Option<u64>,
    /// Where validation runs, unless it is a job on SageMaker too.
    pub here: Option<DockerPlan>,
    /// What a run can cost at most.
    pub cost: Cost,
    /// What must be allowed to whom.
    pub policies: Policies,
}

impl SagemakerPlan {
    /// Decides the destination.
    ///
    /// # Errors
    /// Everything at once that SageMaker would refuse.
    pub fn new(asked: &Asked<'_>, owner: &str) -> Result<Self> {
        let Asked {
            name,
            settings,
            raw,
            ..
        } = *asked;
        let mut mistakes = settings.check(name);
        mistakes.extend(check(asked));
        mistakes.extend(hyperparameter_sizes(asked.hyperparameters));
        if !mistakes.is_empty() {
            return Err(refused(name, &mistakes));
        }
        let wrong = |reason: String| {
            let message = format!("[destinations.{name}] is wrong");
            Error::new(ExitCode::Config, message).because(reason)
        };
        let seconds = |text: &str| duration::parse(text).map(|time| time.as_secs().max(1));
        let optional = |text: &Option<String>| text.as_deref().map(seconds).transpose();
        let root = Location::parse(settings.s3.trim_end_matches('/')).map_err(wrong)?;
        // NOTE: a registry with mistakes is one of those above.
        let registry = settings::plan(raw.registry.as_ref(), &raw.project.name);
        let registry = registry.unwrap_or(RegistryPlan::Local {});
        let runs_here = raw.validation.is_some() && settings.validate_on == ValidateOn::Here;
        let here = runs_here.then(|| DockerPlan::new(name, &DockerSettings::default(), owner));
        Ok(Self {
            name: name.to_owned(),
            poll_seconds: seconds(&settings.poll).map_err(wrong)?,
            lost_after_seconds: seconds(&settings.lost_after).map_err(wrong)?,
            max_wait_seconds: optional(&settings.max_wait).map_err(wrong)?,
            keep_alive_seconds: optional(&settings.keep_alive).map_err(wrong)?,
            here: here.transpose()?,
            cost: Cost::new(settings, Seconds::new(settings, raw)),
            policies: Policies::new(settings, raw, &root, &registry),
            settings: settings.clone(),
            root,
        })
    }

    /// The same with prices that were looked up, by instance type.
    ///
    /// # Errors
    /// The run may cost more than the config allows.
    pub fn priced(&self, prices: &IndexMap<String, ListedPrice>, seconds: Seconds) -> Result<Self> {
        let mut plan = self.clone();
        let settings = &mut plan.settings;
        let by_type = prices.iter();
        let by_type = by_type.map(|(kind, price)| (kind.clone(), price.amount));
        settings.price_per_hour = Some(Price::ByType(by_type.collect()));
        settings.price_source = Some("AWS Price List, on demand".to_owned());
        // NOTE: all are of one list; the oldest date would be that of the oldest part.
        settings.price_date = prices.values().map(|price| price.date.clone()).min();
        settings.price_currency = prices.values().map(|price| price.currency.clone()).next();
        plan.cost = Cost::new(settings, seconds);
        match plan.cost.excess() {
            None => Ok(plan),
            Some((message, help)) => Err(Error::new(ExitCode::Config, message).hint(help)),
        }
    }

    /// Where the baseline of a project is kept, if it is kept in S3.
    #[must_use]
    pub fn baseline(&self, project: &str) -> Location {
        self.root.join(&format!("baseline/{project}.json"))
    }

    /// What needs to be allowed, for people.
    #[must_use]
    pub fn permissions(&self) -> Vec<String> {
        let Policies { caller, role } = &self.policies;
        let name = self.settings.role.rsplit('/').next().unwrap_or_default();
        let caller = caller.iter().map(|statement| format!("you: {statement}"));
        let role = role
            .iter()
            .map(|statement| format!("role {name}: {statement}"));
        caller.chain(role).collect()
    }

    /// What it is, for people: a word, and what it says.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let settings = &self.settings;
        let mut lines = vec![
            ("region", settings.region.clone()),
            ("role", settings.role.clone()),
            ("S3", self.root.to_string()),
            ("instances", self.instances()),
        ];
        let network = [
            (!settings.subnets.is_empty())
                .then(|| format!("in a VPC ({})", settings.subnets.join(", "))),
            settings
                .network_isolation
                .then(|| "isolated: no network, no credentials".to_owned()),
            settings
                .encrypt_traffic
                .then(|| "encrypted between instances".to_owned()),
        ];
        let network: Vec<String> = network.into_iter().flatten().collect();
        if !network.is_empty() {
            lines.push(("network", network.join(", ")));
        }
        if settings.checkpoints {
            lines.push(("checkpoints", self.root.join("checkpoints/").to_string()));
        }
        lines.push(("highest cost", self.highest_cost()));
        lines.push((
            "on cancel",
            match settings.on_cancel {
                OnCancel::Stop => "the job is stopped".to_owned(),
                OnCancel::Leave => "the job runs on".to_owned(),
            },
        ));
        lines
    }

    /// The training job's instances, for people.
    #[must_use]
    pub(crate) fn instances(&self) -> String {
        let settings = &self.settings;
        let groups = settings.instance_groups.iter();
        let groups = groups.map(|group| {
            format!(
                "{} × {} ({})",
                group.instances, group.instance_type, group.name
            )
        });
        let mut all: Vec<String> = groups.collect();
        if all.is_empty() {
            let types = settings.types().join(", or else ");
            all.push(format!("{} × {types}", settings.instances));
        }
        let mut text = format!("{}, {} GB of disk", all.join(" + "), settings.volume_gb);
        if settings.spot {
            text += ", spot";
        }
        if let Some(time) = &settings.keep_alive {
            text += &format!(", kept for {time}");
        }
        text
    }

    /// What a run can cost at most, for people.
    #[must_use]
    pub(crate) fn highest_cost(&self) -> String {
        let cost = &self.cost;
        let most = cost
            .max_cost
            .map(|most| format!("; at most {most} is allowed"));
        let most = most.unwrap_or_default();
        match cost.highest {
            None if cost.is_looked_up => {
                return format!("looked up in the AWS Price List when the run begins{most}");
            }
            None => return "unknown: there is no `price_per_hour`".to_owned(),
            Some(_) => {}
        }
        let source = cost::source(cost.price_source.as_deref());
        let date = cost.price_date.as_ref().map(|date| format!(", {date}"));
        let currency = cost.price_currency.as_ref();
        let currency = currency.map(|name| format!(" {name}")).unwrap_or_default();
        format!(
            "{}{currency} = {} ({source}{}){most}",
            cost.amount(),
            cost.reckoning(),
            date.unwrap_or_default(),
        )
    }
}

/// One error that names every mistake.
fn refused(name: &str, mistakes: &[Mistake]) -> Error {
    let lines = mistakes.iter().map(|mistake| {
        let Mistake {
            place,
            message,
            help,
        } = mistake;
        let help = help.as_ref().map(|help| format!("\n  help: {help}"));
        format!("{}: {message}{}", place.join("."), help.unwrap_or_default())
    });
    let lines: Vec<String> = lines.collect();
    let count = match mistakes.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let message = format!("{count} with the destination `{name}` in mlaction.toml");
    Error::new(ExitCode::Config, message).rendered(lines.join("\n"))
}
