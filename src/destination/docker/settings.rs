//! `[destinations.NAME]` with `kind = "docker"`, exactly as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The least memory that an engine gives a container
/// (moby, `daemon/daemon_unix.go`, `linuxMinMemory`).
const LEAST_MEMORY: u64 = 6 * 1024 * 1024;

/// Most hosts of one rehearsal: they all share one machine.
const MOST_HOSTS: u32 = 32;

/// `kind = "docker"`: a container of a Docker Engine, by SageMaker's contract.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerSettings {
    /// Most memory of a host: `512m`, `8g`. Swap is not added. Default: no limit.
    pub memory: Option<String>,
    /// Size of `/dev/shm`, which the data loaders of several frameworks need: `1g`.
    /// Default: the engine's (64 MB).
    pub shared_memory: Option<String>,
    /// Processors of a host, in parts if need be: `1.5`. Default: all.
    pub cpus: Option<f64>,
    /// GPUs of a host: `"all"` or a number. Default: none.
    pub gpus: Option<Gpus>,
    /// How many containers the job has, as a rehearsal of a job on several machines.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 32))]
    pub hosts: u32,
    /// What the job may reach.
    #[serde(default)]
    pub network: Network,
    /// User of the job: a name or number, with `:GROUP` if need be. Default: the image's.
    pub user: Option<String>,
    /// Time between SIGTERM and SIGKILL when the job is stopped. A Python program that is the
    /// container's first process and has no handler for SIGTERM does not notice it.
    #[serde(default = "two_minutes")]
    pub grace: String,
    /// Environment variables of mlaction that the job gets. Who may use the engine can read them.
    #[serde(default)]
    pub pass_environment: Vec<String>,
}

/// GPUs of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Gpus {
    /// All that the engine has.
    All(All),
    /// So many.
    Count(u32),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// Every one.
    All,
}

/// What a job may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The engine's network, with the way out that it has. Never the machine's own.
    #[default]
    Default,
    /// Nothing but the other hosts of the same job.
    None,
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key.
    pub key: &'static str,
    /// What is wrong, as a title.
    pub message: String,
    /// A few words at the place itself.
    pub label: &'static str,
}

impl Default for DockerSettings {
    fn default() -> Self {
        Self {
            memory: None,
            shared_memory: None,
            cpus: None,
            gpus: None,
            hosts: one(),
            network: Network::default(),
            user: None,
            grace: two_minutes(),
            pass_environment: Vec::new(),
        }
    }
}

impl DockerSettings {
    /// Every mistake that the schema does not see, in the order of the keys.
    #[must_use]
    pub fn check(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut add = |key, message: String, label| {
            mistakes.push(Mistake {
                key,
                message,
                label,
            });
        };
        let sizes = [
            ("memory", &self.memory, LEAST_MEMORY),
            ("shared_memory", &self.shared_memory, 1),
        ];
        for (key, text, least) in sizes {
            match text.as_deref().map(parse_size) {
                Some(Err(reason)) => add(key, reason, "expected a size"),
                Some(Ok(bytes)) if bytes < least => add(
                    key,
                    format!("`{key}` is less than an engine gives ({least} bytes)"),
                    "too little",
                ),
                Some(Ok(_)) | None => {}
            }
        }
        if let Some(cpus) = self.cpus
            && !(0.01..=4096.0).contains(&cpus)
        {
            add(
                "cpus",
                format!("`{cpus}` is no number of processors"),
                "expected 0.01 or more",
            );
        }
        if self.gpus == Some(Gpus::Count(0)) {
            add(
                "gpus",
                "zero GPUs are the default".to_owned(),
                "leave it out",
            );
        }
        if !(1..=MOST_HOSTS).contains(&self.hosts) {
            add(
                "hosts",
                format!("a job cannot have {} hosts", self.hosts),
                "expected 1 to 32",
            );
        }
        if let Some(user) = &self.user
            && !is_user(user)
        {
            add(
                "user",
                format!("`{user}` is not a user"),
                "expected USER or USER:GROUP",
            );
        }
        match crate::config::duration::parse(&self.grace) {
            Ok(grace) if grace.is_zero() => add(
                "grace",
                "a duration of zero leaves no time at all".to_owned(),
                "must be more than zero",
            ),
            Ok(_) => {}
            Err(reason) => add("grace", reason, "expected a number with a unit"),
        }
        for name in &self.pass_environment {
            if name.is_empty() || name.contains(['=', '\0']) {
                add(
                    "pass_environment",
                    format!("`{name}` is not a variable's name"),
                    "not a name",
                );
            }
        }
        mistakes
    }
}

fn is_user(text: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "_.-".contains(char))
    };
    match text.split_once(':') {
        Some((user, group)) => is_name(user) && is_name(group),
        None => is_name(text),
    }
}

/// Reads `512m`, `8g`, `1.5 GiB`; units are powers of 1024, as Docker has them.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write `512m` or `8g`");
    let text = text.trim().to_ascii_lowercase();
    let at = text
        .find(|char: char| char.is_ascii_alphabetic())
        .ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let power = match unit {
        "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(wrong()),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let bytes = number * 1024_f64.powi(power);
    // NOTE: the engine counts in signed 64-bit numbers.
    match bytes.is_finite() && (0.0..9e18).contains(&bytes) {
        true => Ok(bytes as u64),
        false => Err(wrong()),
    }
}

fn one() -> u32 {
    1
}

fn two_minutes() -> String {
    "120s".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_docker_s() {
        for (text, bytes) in [
            ("512m", 512 << 20),
            ("8g", 8 << 30),
            ("1.5GiB", 3 << 29),
            ("2 kb", 2048),
            ("7b", 7),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "8", "g", "-1g", "8x", "1e400g", "infg", "nan"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_mistake_is_found_at_once() {
        let text = r#"
memory = "4m"
shared_memory = "much"
cpus = 0.0
gpus = 0
hosts = 99
user = "a b"
grace = "0s"
pass_environment = ["GOOD", "A=B", ""]
"#;
        let settings: DockerSettings = toml::from_str(text).unwrap();
        let keys: Vec<_> = settings
            .check()
            .into_iter()
            .map(|mistake| mistake.key)
            .collect();
        assert_eq!(
            keys,
            [
                "memory",
                "shared_memory",
                "cpus",
                "gpus",
                "hosts",
                "user",
                "grace",
                "pass_environment",
                "pass_environment"
            ]
        );
        assert!(DockerSettings::default().check().is_empty());
        assert!(toml::from_str::<DockerSettings>("memorry = \"8g\"").is_err());
        assert!(toml::from_str::<DockerSettings>("gpus = \"some\"").is_err());
        let all: DockerSettings = toml::from_str("gpus = \"all\"\nnetwork = \"none\"").unwrap();
        assert_eq!(all.gpus, Some(Gpus::All(All::All)));
        assert_eq!(all.network, Network::None);
    }
}
