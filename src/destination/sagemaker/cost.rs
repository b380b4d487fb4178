//! What a run can cost at most: instance hours by the price that the config gives, never an
//! invented one. Storage, transfer and logs are not in it.

use serde::{Deserialize, Serialize};

use super::plan::SagemakerPlan;
use super::settings::{Price, SagemakerSettings, ValidateOn};
use crate::config::duration;
use crate::config::raw::RawConfig;
use crate::report::jobs::{Instances, JobCost};

/// The highest cost of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// In the currency of the price; unknown without one.
    pub highest: Option<f64>,
    /// What it is the sum of.
    pub parts: Vec<Part>,
    /// Where the price comes from.
    pub price_source: Option<String>,
    /// As of when.
    pub price_date: Option<String>,
    /// In which currency.
    pub price_currency: Option<String>,
    /// It is looked up before the first job is launched.
    pub is_looked_up: bool,
    /// The most that the config allows.
    pub max_cost: Option<f64>,
}

/// Instances of one type, for as long as a job may hold them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What holds them: `train`, `validate` or `keep_alive`.
    pub job: String,
    /// Their type; of several in order of preference, the dearest.
    pub instance_type: String,
    /// How many.
    pub instances: u32,
    /// How long.
    pub seconds: u64,
    /// Price of one for an hour.
    pub price_per_hour: f64,
}

/// How long jobs may hold instances, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds {
    /// The training job.
    pub train: u64,
    /// Afterwards, for the next one.
    pub keep_alive: u64,
    /// The validation job on SageMaker; 0 without one.
    pub validate: u64,
}

impl Seconds {
    /// As the config says.
    #[must_use]
    pub fn new(settings: &SagemakerSettings, raw: &RawConfig) -> Self {
        let seconds = |text: &str| duration::parse(text).map_or(0, |time| time.as_secs().max(1));
        let validation = raw.validation.as_ref();
        let validation = validation.filter(|_| settings.validate_on == ValidateOn::Job);
        Self {
            train: seconds(&raw.training.max_runtime),
            keep_alive: settings.keep_alive.as_deref().map_or(0, seconds),
            validate: validation.map_or(0, |job| seconds(&job.max_runtime)),
        }
    }
}

impl Cost {
    /// Reckons with the whole of every limit. Spot instances cost less; how much, nobody knows
    /// beforehand.
    #[must_use]
    pub fn new(settings: &SagemakerSettings, seconds: Seconds) -> Self {
        let cluster = cluster(settings);
        let first: Vec<(&str, u32)> = cluster
            .first()
            .map(|(kind, _)| (*kind, 1))
            .into_iter()
            .collect();
        let jobs = [
            ("train", seconds.train, &cluster),
            ("keep_alive", seconds.keep_alive, &cluster),
            ("validate", seconds.validate, &first),
        ];
        let parts: Option<Vec<Part>> = jobs
            .into_iter()
            .filter(|(_, seconds, _)| *seconds > 0)
            .flat_map(|(job, seconds, instances)| {
                instances.iter().map(move |(kind, count)| {
                    Some(Part {
                        job: job.to_owned(),
                        instance_type: (*kind).to_owned(),
                        instances: *count,
                        seconds,
                        price_per_hour: price(settings, kind)?,
                    })
                })
            })
            .collect();
        Self {
            highest: parts
                .as_ref()
                .map(|parts| parts.iter().map(Part::cost).sum()),
            parts: parts.unwrap_or_default(),
            price_source: settings.price_source.clone(),
            price_date: settings.price_date.clone(),
            price_currency: settings.price_currency.clone(),
            is_looked_up: settings.look_up_price,
            max_cost: settings.max_cost,
        }
    }

    /// The highest cost for people, rounded up to hundredths.
    #[must_use]
    pub fn amount(&self) -> String {
        self.highest.map_or_else(
            || "unknown".to_owned(),
            |cost| {
                // NOTE: 0.23 × 3 must not become 0.70 by its last binary digit.
                format!("{:.2}", (cost * 100.0 - 1e-6).ceil() / 100.0)
            },
        )
    }

    /// What is wrong, and what to do, when a run may cost more than the config allows.
    #[must_use]
    pub fn excess(&self) -> Option<(String, String)> {
        let (highest, most) = (self.highest?, self.max_cost?);
        (highest > most).then(|| {
            let amount = self.amount();
            (
                format!("the run may cost {amount}, more than `max_cost` = {most}"),
                format!(
                    "it is {}; shorten `max_runtime`, take fewer or smaller instances, or raise `max_cost`",
                    self.reckoning()
                ),
            )
        })
    }

    /// How it is reckoned, for people.
    #[must_use]
    pub fn reckoning(&self) -> String {
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|part| {
                let Part {
                    job,
                    instance_type,
                    instances,
                    seconds,
                    price_per_hour,
                } = part;
                let hours = *seconds as f64 / 3600.0;
                format!("{job} {instances} × {instance_type} × {hours:.2} h × {price_per_hour}")
            })
            .collect();
        parts.join(" + ")
    }
}

impl Part {
    fn cost(&self) -> f64 {
        f64::from(self.instances) * (self.seconds as f64) * self.price_per_hour / 3600.0
    }
}

/// Instances with their prices, as far as these are known.
#[must_use]
pub(super) fn priced(settings: &SagemakerSettings, all: Vec<(String, u32)>) -> Vec<Instances> {
    let all = all.into_iter().map(|(instance_type, count)| Instances {
        price_per_hour: price(settings, &instance_type),
        instance_type,
        count,
    });
    all.collect()
}

/// What instances cost that are billed for so long; unknown without a price for each of them.
#[must_use]
pub(super) fn amount(instances: &[Instances], seconds: u32) -> Option<f64> {
    let hourly = instances
        .iter()
        .map(|one| Some(f64::from(one.count) * one.price_per_hour?));
    let hourly: Option<f64> = hourly.sum();
    let hourly = hourly.filter(|_| !instances.is_empty())?;
    Some(hourly * f64::from(seconds) / 3600.0)
}

/// The same for the report, with the price's source and date.
#[must_use]
pub(super) fn of(
    plan: &SagemakerPlan,
    instances: &[Instances],
    seconds: Option<u64>,
) -> Option<JobCost> {
    let SagemakerSettings {
        price_source,
        price_date,
        price_currency,
        ..
    } = &plan.settings;
    Some(JobCost {
        amount: amount(instances, u32::try_from(seconds?).ok()?)?,
        currency: price_currency.clone(),
        price_source: source(price_source.as_deref()).to_owned(),
        price_date: price_date.clone(),
    })
}

/// Where a price comes from.
#[must_use]
pub(super) fn source(given: Option<&str>) -> &str {
    given.unwrap_or("price from mlaction.toml")
}

/// Types and numbers of the training job's instances; of several types to choose from, the dearest.
fn cluster(settings: &SagemakerSettings) -> Vec<(&str, u32)> {
    if !settings.instance_groups.is_empty() {
        let groups = settings.instance_groups.iter();
        return groups
            .map(|group| (group.instance_type.as_str(), group.instances))
            .collect();
    }
    let dearest = settings.types().into_iter().max_by(|a, b| {
        let price = |kind: &str| price(settings, kind).unwrap_or(0.0);
        price(a).total_cmp(&price(b))
    });
    dearest
        .map(|kind| (kind, settings.instances))
        .into_iter()
        .collect()
}

fn price(settings: &SagemakerSettings, kind: &str) -> Option<f64> {
    match settings.price_per_hour.as_ref()? {
        Price::One(price) => Some(*price),
        Price::ByType(prices) => prices.get(kind).copied(),
    }
}
