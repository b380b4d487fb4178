//! The jobs of a run that others were paid for: what they did, for how long, and what it cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Phase;
use super::text::{duration, line, number};

/// Characters of a name, a status, a source.
const NAME: usize = 120;

/// A job as the place that ran it accounts for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobInfo {
    /// What it does in the run: `train` or `validate`.
    pub role: String,
    /// Its name there.
    pub name: String,
    /// Its Amazon Resource Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// How it ended or what it was doing when it was last seen, in the place's own word:
    /// `Completed`, `Failed`, `Stopped`, `InProgress`.
    pub status: String,
    /// More of that, when there is more to say: `MaxRuntimeExceeded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_status: Option<String>,
    /// What it did, in order, in the place's own words: `Starting`, `Downloading`, `Training`,
    /// `Uploading`. An interrupted job does some of it again.
    pub phases: Vec<Phase>,
    /// The instances that it had.
    pub instances: Vec<Instances>,
    /// Seconds that its program ran, as the place counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_seconds: Option<u64>,
    /// Seconds that each instance is billed for; absent when the place does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed_seconds: Option<u64>,
    /// The part of the training time that is not billed, of a job on spare capacity: 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_saving: Option<f64>,
    /// What the instances cost; absent when it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<JobCost>,
}

/// Instances of one type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instances {
    /// Their type.
    pub instance_type: String,
    /// How many.
    pub count: u32,
    /// What one costs for an hour, on demand; absent when it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<f64>,
}

/// Billed seconds × instances × price. Storage, transfer and logs are not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobCost {
    /// In the currency of the price.
    pub amount: f64,
    /// The currency, when the price's source says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Where the price comes from.
    pub price_source: String,
    /// As of when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_date: Option<String>,
}

impl JobInfo {
    /// How it ended.
    pub(super) fn ended(&self) -> String {
        let status = line(&self.status, NAME);
        match &self.secondary_status {
            Some(more) => format!("{status} ({})", line(more, NAME)),
            None => status,
        }
    }

    /// What it did, and how long each took; what took less than a second is not worth a word.
    pub(super) fn steps(&self) -> String {
        let long = self.phases.iter().filter(|phase| phase.seconds >= 1.0);
        let words = long.map(|phase| {
            let name = line(&phase.name, NAME);
            format!("{name} {}", duration(phase.seconds.round()))
        });
        match words.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "–".to_owned(),
            words => words,
        }
    }

    /// What is billed.
    pub(super) fn billed(&self) -> String {
        let instances = self.instances.iter().map(|instances| {
            let kind = line(&instances.instance_type, NAME);
            format!("{} × {kind}", instances.count)
        });
        let instances = instances.collect::<Vec<_>>().join(" + ");
        let time = match self.billed_seconds {
            Some(seconds) => format!("{seconds} s"),
            None => "an unknown time".to_owned(),
        };
        match self.spot_saving {
            Some(part) => format!("{time} × {instances} (spot: {:.0} % saved)", part * 100.0),
            None => format!("{time} × {instances}"),
        }
    }

    /// What it cost, and where the price comes from.
    pub(super) fn cost(&self) -> String {
        let Some(JobCost {
            amount,
            currency,
            price_source,
            price_date,
        }) = &self.cost
        else {
            return "unknown".to_owned();
        };
        // Cents say nothing of a job of seconds.
        let amount = match *amount {
            amount if amount >= 1.0 => format!("{amount:.2}"),
            amount => number(amount),
        };
        let currency = currency.as_ref();
        let currency = currency.map(|name| format!(" {}", line(name, NAME)));
        let date = price_date.as_ref();
        let date = date.map(|date| format!(", {}", line(date, NAME)));
        format!(
            "{amount}{} ({}{})",
            currency.unwrap_or_default(),
            line(price_source, NAME),
            date.unwrap_or_default()
        )
    }

    /// All of it in a sentence.
    pub(super) fn sentence(&self) -> String {
        let (role, name) = (line(&self.role, NAME), line(&self.name, NAME));
        format!(
            "{role} job {name}: {}; {}; billed {}, cost {}",
            self.ended(),
            self.steps(),
            self.billed(),
            self.cost()
        )
    }
}
