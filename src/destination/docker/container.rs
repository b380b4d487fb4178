//! The container of one host, as the engine is asked for it.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceRequest, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, Mount, MountType, MountVolumeOptions, NetworkCreateRequest,
    NetworkingConfig,
};

use super::leftovers::Labels;
use super::plan::{BASE, DockerPlan, Request};
use super::settings::{Gpus, Network};

/// The folders that are volumes of their own: the rest of `/opt/ml` is the image's.
const VOLUMES: &[&str] = &["input", "model", "output", "checkpoints"];

/// Capabilities that a training job as root has no use for. The others of Docker's default stay,
/// as entry points of images for SageMaker change owners and users, and start `sshd`.
const DROPPED: &[&str] = &["MKNOD", "NET_RAW", "SETFCAP", "SETPCAP"];

/// A name server that nobody answers as (RFC 5737): an isolated job asks nobody for names but
/// those of its hosts.
const NO_NAME_SERVER: &str = "192.0.2.1";

/// One host of a job, before its container is made.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) image: &'a str,
    pub(super) plan: &'a DockerPlan,
    pub(super) request: &'a Request,
    pub(super) host: &'a str,
    /// What begins the names of everything that belongs to the launch.
    pub(super) prefix: &'a str,
    pub(super) labels: &'a Labels,
    /// Variables that mlaction hands over from its own environment.
    pub(super) passed: &'a [(String, String)],
}

impl Wanted<'_> {
    /// The container's name.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.prefix, self.host)
    }

    /// The container. No path of the machine is mounted, and no namespace of it is shared.
    pub(super) fn body(&self) -> ContainerCreateBody {
        let (plan, request) = (self.plan, self.request);
        ContainerCreateBody {
            image: Some(self.image.to_owned()),
            hostname: Some(self.host.to_owned()),
            user: plan.user.clone(),
            entrypoint: request.entrypoint.clone(),
            cmd: Some(request.arguments.clone()),
            env: Some(self.environment()),
            labels: Some(self.labels.clone()),
            // Whatever the image says: SageMaker stops with SIGTERM.
            stop_signal: Some("SIGTERM".to_owned()),
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            host_config: Some(self.host_config()),
            networking_config: (request.hosts.len() > 1).then(|| self.networking()),
            ..ContainerCreateBody::default()
        }
    }

    fn environment(&self) -> Vec<String> {
        let mut all: HashMap<&str, &str> = HashMap::new();
        for (name, value) in self.passed {
            all.insert(name, value);
        }
        let own = self.request.hosts.get(self.host);
        let own = own.into_iter().flat_map(|host| &host.environment);
        for (name, value) in self.request.environment.iter().chain(own) {
            all.insert(name, value);
        }
        let mut all: Vec<String> = all
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        all.sort();
        all
    }

    fn host_config(&self) -> HostConfig {
        let plan = self.plan;
        let memory = plan.memory_bytes.map(signed);
        let is_alone = self.request.hosts.len() == 1;
        let is_isolated = plan.network == Network::None;
        HostConfig {
            memory,
            // Memory and swap together: no swap.
            memory_swap: memory,
            nano_cpus: plan.cpus.map(|cpus| (cpus * 1e9) as i64),
            shm_size: plan.shm_bytes.map(signed),
            device_requests: plan.gpus.map(|gpus| vec![gpu_request(gpus)]),
            mounts: Some(VOLUMES.iter().map(|part| self.volume(part)).collect()),
            network_mode: match (is_alone, is_isolated) {
                (true, false) => None,
                (true, true) => Some("none".to_owned()),
                (false, _) => Some(self.prefix.to_owned()),
            },
            // A container without a network does not know its own name otherwise.
            extra_hosts: (is_alone && is_isolated)
                .then(|| vec![format!("{}:127.0.0.1", self.host)]),
            dns: (!is_alone && is_isolated).then(|| vec![NO_NAME_SERVER.to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            cap_drop: Some(DROPPED.iter().map(|&name| name.to_owned()).collect()),
            log_config: Some(log_config()),
            ..HostConfig::default()
        }
    }

    /// An empty volume, whatever the image has at its place.
    fn volume(&self, part: &str) -> Mount {
        Mount {
            target: Some(format!("{BASE}/{part}")),
            source: Some(format!("{}-{part}", self.name())),
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(true),
                labels: Some(self.labels.clone()),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        }
    }

    fn networking(&self) -> NetworkingConfig {
        let endpoint = EndpointSettings {
            aliases: Some(vec![self.host.to_owned()]),
            ..EndpointSettings::default()
        };
        NetworkingConfig {
            endpoints_config: Some(HashMap::from([(self.prefix.to_owned(), endpoint)])),
        }
    }
}

/// The network of a job with several hosts. An isolated one has no way out, and the machine
/// itself has no address in it.
pub(super) fn network(plan: &DockerPlan, name: &str, labels: &Labels) -> NetworkCreateRequest {
    let is_isolated = plan.network == Network::None;
    let no_gateway = ("com.docker.network.bridge.inhibit_ipv4", "true");
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        internal: Some(is_isolated),
        options: is_isolated
            .then(|| HashMap::from([(no_gateway.0.to_owned(), no_gateway.1.to_owned())])),
        labels: Some(labels.clone()),
        ..NetworkCreateRequest::default()
    }
}

/// Bytes as they were written, and all of them: the engine's default driver may keep nothing, or
/// only the last megabytes, and `json-file` replaces what is not UTF-8.
fn log_config() -> HostConfigLogConfig {
    let config = [
        ("max-size", "1000g"),
        ("max-file", "1"),
        ("compress", "false"),
    ];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfigLogConfig {
        typ: Some("local".to_owned()),
        config: Some(HashMap::from(config)),
    }
}

fn gpu_request(gpus: Gpus) -> DeviceRequest {
    DeviceRequest {
        count: Some(match gpus {
            Gpus::All(_) => -1,
            Gpus::Count(count) => i64::from(count),
        }),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
