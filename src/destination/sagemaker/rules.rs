//! What must hold within `[destinations.NAME]`.

use std::time::Duration;

use super::settings::{Price, SagemakerSettings};
use super::{Mistake, extra, names};
use crate::config::duration;
use crate::registry::plan::Partition;

/// SageMaker's limits (service model of `CreateTrainingJob`).
const MOST_TYPES: usize = 5;
const MOST_SUBNETS: usize = 16;
const MOST_SECURITY_GROUPS: usize = 5;
const MOST_KEEP_ALIVE: Duration = Duration::from_secs(21_600);

/// A prefix that leaves room for what is put behind it: an address has 1024 characters.
const MOST_S3: usize = 700;

/// Between two questions about one job.
const POLL: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

impl SagemakerSettings {
    /// Every mistake that the schema does not see.
    #[must_use]
    pub fn check(&self, name: &str) -> Vec<Mistake> {
        let mut rules = Rules {
            name,
            mistakes: Vec::new(),
        };
        rules.place(self);
        rules.instances(self);
        rules.spot(self);
        rules.network(self);
        rules.money(self);
        rules.tags(self);
        rules.times(self);
        rules.mistakes.extend(
            extra::mistakes(&self.extra)
                .into_iter()
                .map(|(message, help)| {
                    Mistake::new(["destinations", name, "extra"], message).help(help)
                }),
        );
        rules.mistakes
    }

    /// Every instance type that the training job may run on, in order of preference.
    #[must_use]
    pub fn types(&self) -> Vec<&str> {
        let groups = self
            .instance_groups
            .iter()
            .map(|group| &group.instance_type);
        let all = self.instance_type.iter().chain(&self.instance_types);
        all.chain(groups).map(String::as_str).collect()
    }
}

struct Rules<'n> {
    name: &'n str,
    mistakes: Vec<Mistake>,
}

impl Rules<'_> {
    fn add(&mut self, key: &str, message: impl Into<String>, help: &str) {
        let place = ["destinations", self.name, key];
        self.mistakes
            .push(Mistake::new(place, message.into()).help(help));
    }

    /// Region, role, keys and bucket agree as far as their names tell.
    fn place(&mut self, settings: &SagemakerSettings) {
        let region = &settings.region;
        let Some(partition) = Partition::of(region) else {
            let message = format!("`{region}` is no region of aws, aws-cn or aws-us-gov");
            return self.add("region", message, "write e.g. `eu-west-1`");
        };
        let prefix = format!("arn:{}:", partition.name());
        if !settings.role.starts_with(&prefix) {
            let message = format!("the role is not in the partition of `{region}`");
            self.add("role", message, &format!("its ARN begins with `{prefix}`"));
        }
        let keys = [
            ("s3_kms_key", &settings.s3_kms_key),
            ("volume_kms_key", &settings.volume_kms_key),
        ];
        for (key, value) in keys {
            let arn = value.as_deref().filter(|value| value.starts_with("arn:"));
            if let Some(arn) = arn
                && arn.split(':').nth(3) != Some(region)
            {
                let message = format!("the key `{arn}` is in another region than the jobs");
                self.add(key, message, &format!("name a key in {region}"));
            }
        }
        if settings.s3.len() > MOST_S3 {
            let message = format!("the address has {} characters", settings.s3.len());
            self.add("s3", message, &format!("keep it under {MOST_S3}"));
        }
        let bucket = settings.s3.trim_start_matches("s3://");
        if bucket
            .split('/')
            .next()
            .is_some_and(|name| name.contains(".."))
        {
            self.add(
                "s3",
                "a bucket's name has no `..`",
                "write `s3://BUCKET/PREFIX`",
            );
        }
    }

    fn instances(&mut self, settings: &SagemakerSettings) {
        let (list, groups) = (&settings.instance_types, &settings.instance_groups);
        let ways = [
            settings.instance_type.is_some(),
            !list.is_empty(),
            !groups.is_empty(),
        ];
        match ways.iter().filter(|way| **way).count() {
            0 => {
                let message = format!("[destinations.{}] names no instance type", self.name);
                let place = ["destinations", self.name];
                let help = "write e.g. `instance_type = \"ml.m5.xlarge\"`";
                self.mistakes.push(Mistake::new(place, message).help(help));
            }
            1 => {}
            _ => self.add(
                if groups.is_empty() {
                    "instance_types"
                } else {
                    "instance_groups"
                },
                "instance types are given in more than one way",
                "use one of `instance_type`, `instance_types` and `instance_groups`",
            ),
        }
        if list.len() > MOST_TYPES {
            let message = format!(
                "{} instance types; SageMaker takes at most {MOST_TYPES}",
                list.len()
            );
            self.add("instance_types", message, "leave some out");
        }
        if let Some(twice) = twice(list.iter().map(String::as_str)) {
            self.add(
                "instance_types",
                format!("`{twice}` is there twice"),
                "leave one out",
            );
        }
        if groups.len() > MOST_TYPES {
            let message = format!(
                "{} groups; SageMaker takes at most {MOST_TYPES}",
                groups.len()
            );
            self.add("instance_groups", message, "leave some out");
        }
        if let Some(twice) = twice(groups.iter().map(|group| group.name.as_str())) {
            self.add(
                "instance_groups",
                format!("two groups are called `{twice}`"),
                "rename one",
            );
        }
        if !groups.is_empty() && settings.instances != 1 {
            let message = "`instances` is not for a cluster of groups";
            self.add(
                "instances",
                message,
                "each group has `instances` of its own",
            );
        }
    }

    fn spot(&mut self, settings: &SagemakerSettings) {
        match (settings.spot, &settings.max_wait) {
            (true, None) => self.add(
                "spot",
                "`spot` needs `max_wait`",
                "write how long to wait for the job in all, at least `training.max_runtime`",
            ),
            (false, Some(_)) => self.add(
                "max_wait",
                "`max_wait` is for `spot` only",
                "leave it out, or set `spot = true`",
            ),
            _ => {}
        }
        if settings.spot && !settings.checkpoints && !settings.spot_without_checkpoints {
            self.add(
                "spot",
                "`spot` without `checkpoints`: an interrupted job would begin anew",
                "set `checkpoints = true` and let the program save into /opt/ml/checkpoints, or set `spot_without_checkpoints = true`",
            );
        }
        if settings.keep_alive.is_some() && settings.spot {
            let message = "`keep_alive` does not go with `spot`";
            self.add("keep_alive", message, "leave one of them out");
        }
        if settings.keep_alive.is_some() && !settings.instance_groups.is_empty() {
            let message = "`keep_alive` does not go with `instance_groups`";
            self.add("keep_alive", message, "leave one of them out");
        }
    }

    fn network(&mut self, settings: &SagemakerSettings) {
        let (subnets, groups) = (&settings.subnets, &settings.security_groups);
        let lists = [
            ("subnets", "security_groups", subnets, groups, MOST_SUBNETS),
            (
                "security_groups",
                "subnets",
                groups,
                subnets,
                MOST_SECURITY_GROUPS,
            ),
        ];
        for (key, other, list, others, most) in lists {
            if !list.is_empty() && others.is_empty() {
                let message = format!("`{key}` without `{other}`");
                self.add(key, message, "a VPC needs both");
            }
            if list.len() > most {
                let message = format!("{} {key}; SageMaker takes at most {most}", list.len());
                self.add(key, message, "leave some out");
            }
        }
    }

    fn money(&mut self, settings: &SagemakerSettings) {
        let mut types = settings.types();
        types.sort_unstable();
        types.dedup();
        let is_price = |price: &f64| price.is_finite() && *price > 0.0;
        let help = "write a number more than zero";
        match &settings.price_per_hour {
            Some(Price::One(price)) if !is_price(price) => {
                self.add("price_per_hour", format!("`{price}` is no price"), help);
            }
            Some(Price::One(_)) if types.len() > 1 => self.add(
                "price_per_hour",
                "one price for several instance types",
                "write a table: `price_per_hour = { \"ml.m5.xlarge\" = 0.23 }`",
            ),
            Some(Price::ByType(prices)) => {
                for (kind, price) in prices.iter().filter(|(_, price)| !is_price(price)) {
                    let message = format!("`{price}` is no price of `{kind}`");
                    self.add("price_per_hour", message, help);
                }
                for kind in types.iter().filter(|kind| !prices.contains_key(**kind)) {
                    let message = format!("there is no price of `{kind}`");
                    self.add("price_per_hour", message, "every type of the job needs one");
                }
            }
            _ => {}
        }
        if let Some(most) = &settings.max_cost {
            if !is_price(most) {
                self.add("max_cost", format!("`{most}` is no amount"), help);
            }
            if settings.price_per_hour.is_none() && !settings.look_up_price {
                let message = "`max_cost` cannot be kept without a price";
                let help = "write `price_per_hour` too, or `look_up_price = true`";
                self.add("max_cost", message, help);
            }
        }
        if settings.look_up_price {
            if settings.price_per_hour.is_some() {
                let message = "`look_up_price` beside `price_per_hour`";
                self.add("look_up_price", message, "keep one of the two");
            }
            if Partition::of(&settings.region).is_some_and(|partition| partition.name() != "aws") {
                let message = "there is no price list to look up for this region";
                self.add("look_up_price", message, "write `price_per_hour`");
            }
        }
        if let Some(date) = &settings.price_date
            && date.parse::<jiff::civil::Date>().is_err()
        {
            self.add(
                "price_date",
                format!("`{date}` is no date"),
                "write e.g. `2026-01-31`",
            );
        }
    }

    fn tags(&mut self, settings: &SagemakerSettings) {
        let most = names::MOST_TAGS - names::OWN_TAGS;
        if settings.tags.len() > most {
            let message = format!("{} tags; there is room for {most}", settings.tags.len());
            self.add("tags", message, "leave some out");
        }
        for (key, value) in &settings.tags {
            let lower = key.to_lowercase();
            if lower.starts_with("aws:") || lower.starts_with(names::TAG_PREFIX) {
                let message = format!("the tag `{key}` is taken");
                self.add(
                    "tags",
                    message,
                    "tags in `aws:` and `mlaction:` are not yours to set",
                );
            }
            if key.is_empty() || names::tag_key(key) != *key {
                let message = format!("`{key}` is no key of a tag");
                self.add(
                    "tags",
                    message,
                    "1 to 128 letters, digits, spaces or `_.:/=+-@`",
                );
            }
            if names::tag_value(value) != *value {
                let message = format!("the tag `{key}` has a value that AWS refuses");
                self.add(
                    "tags",
                    message,
                    "at most 256 letters, digits, spaces or `_.:/=+-@`",
                );
            }
        }
    }

    fn times(&mut self, settings: &SagemakerSettings) {
        let times = [
            ("keep_alive", settings.keep_alive.as_deref()),
            ("max_wait", settings.max_wait.as_deref()),
            ("poll", Some(settings.poll.as_str())),
            ("lost_after", Some(settings.lost_after.as_str())),
        ];
        for (key, text) in times {
            let Some(text) = text else { continue };
            match duration::parse(text) {
                Err(reason) => self.add(key, reason, "a number with a unit: `90s`, `15m`, `2h`"),
                Ok(time) if key == "poll" && !POLL.contains(&time) => {
                    let message = format!("`{text}` is too short or too long for `poll`");
                    self.add(key, message, "from `1s` to `1h`");
                }
                Ok(time) if time < Duration::from_secs(1) => {
                    self.add(key, format!("`{text}` is less than a second"), "write more");
                }
                Ok(time) if key == "keep_alive" && time > MOST_KEEP_ALIVE => {
                    let message = format!("SageMaker keeps no instance for `{text}`");
                    self.add(key, message, "at most `6h`");
                }
                Ok(_) => {}
            }
        }
    }
}

/// The first name that comes twice.
fn twice<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = std::collections::HashSet::new();
    let mut names = names;
    names.find(|name| !seen.insert(*name))
}
