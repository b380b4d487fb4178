//! What a container job gets: SageMaker's files and variables, decided before anything runs.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::{DockerSettings, Gpus, Network, parse_size};
use crate::destination::toolkit;
use crate::error::{Error, ExitCode, Result};

/// Where a job finds everything in its container.
pub const BASE: &str = "/opt/ml";

/// Variables of a process job that a container does not get: they would replace what the image
/// itself says about its code.
const NOT_FOR_IMAGES: &[&str] = &["PYTHONPATH", "PYTHONDONTWRITEBYTECODE"];

/// Where and how containers run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerPlan {
    /// Name of the destination in mlaction.toml.
    pub name: String,
    /// How many containers a job has.
    pub hosts: u32,
    /// Processors of each.
    pub cpus: Option<f64>,
    /// Most memory of each, in bytes.
    pub memory_bytes: Option<u64>,
    /// Size of `/dev/shm` of each, in bytes.
    pub shm_bytes: Option<u64>,
    /// GPUs of each.
    pub gpus: Option<Gpus>,
    /// What they may reach.
    pub network: Network,
    /// Their user; the image's when it is left out.
    pub user: Option<String>,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace_seconds: u64,
    /// Names of the variables that jobs get from mlaction. Values are read at the launch.
    pub passed: Vec<String>,
    /// Whose containers these are: one machine and project. Only its own leftovers are swept.
    pub owner: String,
}

/// The exact request for one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The job's name.
    pub name: String,
    /// The command; the image's own entry point when it is left out.
    pub entrypoint: Option<Vec<String>>,
    /// Its arguments; the image's own are never used.
    pub arguments: Vec<String>,
    /// Data channels: name → file or folder that is sent to `input/data/NAME`.
    pub inputs: IndexMap<String, PathBuf>,
    /// Files written before the start, relative to `/opt/ml`.
    pub files: IndexMap<String, Value>,
    /// Environment variables, besides those that are passed.
    pub environment: IndexMap<String, String>,
    /// The hosts by name, the leader first, with what differs between them.
    pub hosts: IndexMap<String, Host>,
}

/// What one host has of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Files, relative to `/opt/ml`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub files: IndexMap<String, Value>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
}

/// What a request is made from.
#[derive(Debug)]
pub struct JobSettings<'a> {
    /// The job's name.
    pub name: &'a str,
    /// The program, relative to the code.
    pub entry_point: &'a str,
    /// The container's command; the image's own entry point when it is left out.
    pub container_entrypoint: Option<&'a [String]>,
    /// Its arguments: `train` for an image's own entry point, as on SageMaker.
    pub container_arguments: &'a [String],
    /// Data channels.
    pub inputs: IndexMap<String, PathBuf>,
    /// Hyperparameters as strings.
    pub hyperparameters: &'a IndexMap<String, String>,
    /// Environment variables that the config sets.
    pub environment: &'a IndexMap<String, String>,
    /// Processors of the machine, for a job without a limit of its own.
    pub cpus: usize,
    /// GPUs of the machine, for a job that gets all.
    pub gpus: usize,
}

impl DockerPlan {
    /// Decides the destination.
    ///
    /// # Errors
    /// What [`DockerSettings::check`] finds.
    pub fn new(name: &str, settings: &DockerSettings, owner: &str) -> Result<Self> {
        let failed = |reason: String| {
            Error::new(
                ExitCode::Config,
                format!("[destinations.{name}] is wrong: {reason}"),
            )
        };
        let mistakes = settings.check();
        if !mistakes.is_empty() {
            let all: Vec<String> = mistakes.into_iter().map(|one| one.message).collect();
            return Err(failed(all.join("; ")));
        }
        let size = |text: &Option<String>| text.as_deref().map(parse_size).transpose();
        let grace = crate::config::duration::parse(&settings.grace).map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            hosts: settings.hosts,
            cpus: settings.cpus,
            memory_bytes: size(&settings.memory).map_err(failed)?,
            shm_bytes: size(&settings.shared_memory).map_err(failed)?,
            gpus: settings.gpus,
            network: settings.network,
            user: settings.user.clone(),
            grace_seconds: grace.as_secs().max(1),
            passed: settings.pass_environment.clone(),
            owner: owner.to_owned(),
        })
    }

    /// The request for one job.
    #[must_use]
    pub fn request(&self, job: &JobSettings<'_>) -> Request {
        let names = toolkit::hosts(self.hosts);
        let mut hosts: IndexMap<String, Host> = names
            .iter()
            .map(|host| (host.clone(), self.host(job, &names, host)))
            .collect();
        let all: Vec<&Host> = hosts.values().collect();
        let files = common(all.iter().map(|host| &host.files));
        let environment = common(all.iter().map(|host| &host.environment));
        for host in hosts.values_mut() {
            host.files.retain(|name, _| !files.contains_key(name));
            host.environment
                .retain(|name, _| !environment.contains_key(name));
        }
        Request {
            name: job.name.to_owned(),
            entrypoint: job.container_entrypoint.map(<[String]>::to_vec),
            arguments: job.container_arguments.to_vec(),
            inputs: job.inputs.clone(),
            files,
            environment,
            hosts,
        }
    }

    fn host(&self, job: &JobSettings<'_>, hosts: &[String], host: &str) -> Host {
        let toolkit = toolkit::JobSettings {
            name: job.name,
            base: Path::new(BASE),
            code: &Path::new(BASE).join("code"),
            entry_point: job.entry_point,
            inputs: &job.inputs,
            hyperparameters: job.hyperparameters,
            hosts,
            host,
            network_interface: self.interface(),
            cpus: match self.cpus {
                Some(cpus) => cpus.ceil() as usize,
                None => job.cpus,
            },
            gpus: match self.gpus {
                None => 0,
                Some(Gpus::Count(count)) => count as usize,
                Some(Gpus::All(_)) => job.gpus,
            },
        };
        let arguments = toolkit::arguments(job.hyperparameters);
        let mut environment = toolkit::variables(&toolkit, &arguments);
        environment.retain(|name, _| !NOT_FOR_IMAGES.contains(&name.as_str()));
        environment.extend(
            job.environment
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Host {
            files: toolkit::files(&toolkit),
            environment,
        }
    }

    /// What limits and shapes the containers, for people.
    #[must_use]
    pub fn limits(&self) -> Vec<String> {
        let bytes = crate::report::text::bytes;
        let all = [
            (self.hosts > 1).then(|| format!("{} hosts", self.hosts)),
            self.cpus.map(|cpus| format!("{cpus} processors")),
            self.memory_bytes
                .map(|size| format!("{} memory", bytes(size))),
            self.shm_bytes
                .map(|size| format!("{} shared memory", bytes(size))),
            self.gpus.map(|gpus| match gpus {
                Gpus::All(_) => "all GPUs".to_owned(),
                Gpus::Count(count) => format!("{count} GPUs"),
            }),
            (self.network == Network::None).then(|| "no network".to_owned()),
            self.user.as_ref().map(|user| format!("user {user}")),
        ];
        all.into_iter().flatten().collect()
    }

    /// The interface by which the hosts reach each other: a single isolated host has but one.
    fn interface(&self) -> &'static str {
        match (self.network, self.hosts) {
            (Network::None, 1) => "lo",
            _ => "eth0",
        }
    }
}

/// The entries that all have alike.
fn common<'m, V: Clone + PartialEq + 'm>(
    mut maps: impl Iterator<Item = &'m IndexMap<String, V>> + Clone,
) -> IndexMap<String, V> {
    let Some(first) = maps.next() else {
        return IndexMap::new();
    };
    let is_common = |name: &str, value: &V| maps.clone().all(|map| map.get(name) == Some(value));
    first
        .iter()
        .filter(|(name, value)| is_common(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(hosts: u32) -> Request {
        let settings = DockerSettings {
            hosts,
            cpus: Some(1.5),
            ..DockerSettings::default()
        };
        let plan = DockerPlan::new("desk", &settings, "me").unwrap();
        let nothing = IndexMap::new();
        plan.request(&JobSettings {
            name: "job",
            entry_point: "train.py",
            container_entrypoint: None,
            container_arguments: &["train".to_owned()],
            inputs: IndexMap::from([("train".to_owned(), PathBuf::from("/data"))]),
            hyperparameters: &nothing,
            environment: &nothing,
            cpus: 8,
            gpus: 2,
        })
    }

    #[test]
    fn a_request_has_sagemaker_s_paths_and_survives_the_plan_s_file() {
        let request = request(1);
        assert_eq!(
            request.files["input/config/hyperparameters.json"],
            json!({})
        );
        assert_eq!(request.environment["SM_MODEL_DIR"], "/opt/ml/model");
        assert_eq!(request.environment["SM_NUM_CPUS"], "2");
        assert_eq!(request.environment["SM_NUM_GPUS"], "0");
        assert!(!request.environment.contains_key("PYTHONPATH"));
        assert_eq!(request.hosts["algo-1"], Host::default());
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
    }

    #[test]
    fn several_hosts_share_all_but_their_name() {
        let request = request(11);
        assert_eq!(request.hosts.len(), 11);
        assert_eq!(request.hosts.get_index(1).unwrap().0, "algo-10");
        let second = &request.hosts["algo-2"];
        assert_eq!(
            second.files["input/config/resourceconfig.json"]["current_host"],
            "algo-2"
        );
        assert_eq!(second.environment["SM_CURRENT_HOST"], "algo-2");
        assert!(!second.environment.contains_key("SM_MODEL_DIR"));
        assert!(!request.environment.contains_key("SM_CURRENT_HOST"));
    }
}
