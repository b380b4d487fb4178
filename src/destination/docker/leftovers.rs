//! Containers, networks and volumes by their labels: how they are found, and how they go.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use super::problem::{self, within};
use crate::error::{Error, ExitCode, Result};

/// The run that something belongs to.
pub const RUN: &str = "mlaction.run";
/// The machine and project that something belongs to.
pub const OWNER: &str = "mlaction.owner";
/// The job of the run.
pub const ROLE: &str = "mlaction.role";
/// The launch, among all that ever were.
pub(super) const LAUNCH: &str = "mlaction.launch";

/// Longest wait for a list, and for one removal.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often, and after which pause, what cannot be removed is tried again.
const ATTEMPTS: (u32, Duration) = (20, Duration::from_millis(150));

/// Labels by name.
pub(super) type Labels = HashMap<String, String>;

/// Something in the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Container { id: String, name: String },
    Network { id: String, name: String },
    Volume { name: String },
}

impl Thing {
    fn words(&self) -> String {
        match self {
            Self::Container { name, .. } => format!("container `{name}`"),
            Self::Network { name, .. } => format!("network `{name}`"),
            Self::Volume { name } => format!("volume `{name}`"),
        }
    }

    async fn remove(&self, docker: &Docker) -> std::result::Result<(), EngineError> {
        let removed = match self {
            Self::Container { id, .. } => {
                let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
                docker.remove_container(id, Some(options.build())).await
            }
            Self::Network { id, .. } => docker.remove_network(id).await,
            Self::Volume { name } => {
                let options = RemoveVolumeOptionsBuilder::new().force(true).build();
                docker.remove_volume(name, Some(options)).await
            }
        };
        match removed {
            Err(error) if problem::is_absent(&error) => Ok(()),
            removed => removed,
        }
    }
}

/// Removes what earlier runs of the same machine and project left behind when their mlaction was
/// killed, and says what it was. What belongs to a run that is alive stays, and so does
/// everything of other owners.
///
/// A run must be alive before it makes anything, and as long as it does.
///
/// # Errors
/// The engine cannot be asked, or does not remove something.
pub async fn sweep(
    docker: &Docker,
    owner: &str,
    is_alive: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let mut words = Vec::new();
    // NOTE: whether a run is alive is asked after the list was made: what is on it was made by a
    // run that was alive before.
    let is_leftover = |labels: &Labels| {
        labels.get(OWNER).is_some_and(|of| of == owner)
            && labels.get(RUN).is_some_and(|run| !is_alive(run))
    };
    for (thing, run) in remove(docker, OWNER, owner, is_leftover).await? {
        words.push(format!(
            "{} of run {run}, whose mlaction was killed: removed",
            thing.words()
        ));
    }
    Ok(words)
}

/// Removes everything of one launch.
pub(super) async fn remove_launch(docker: &Docker, launch: &str) -> Result<()> {
    remove(docker, LAUNCH, launch, |_| true).await.map(drop)
}

/// Containers first, then what they used; gives what was removed, with the run of each.
async fn remove(
    docker: &Docker,
    label: &str,
    value: &str,
    wanted: impl Fn(&Labels) -> bool,
) -> Result<Vec<(Thing, String)>> {
    let mut removed: Vec<(Thing, String)> = Vec::new();
    let mut last = None;
    for _ in 0..ATTEMPTS.0 {
        let mut found = find(docker, label, value).await?;
        found.retain(|(_, labels)| wanted(labels));
        if found.is_empty() {
            return Ok(removed);
        }
        last = None;
        for (thing, labels) in found {
            let what = format!("cannot remove {}", thing.words());
            match tokio::time::timeout(DEADLINE, thing.remove(docker)).await {
                Ok(Ok(())) => {
                    let run = labels.get(RUN).cloned().unwrap_or_default();
                    if !removed.iter().any(|(before, _)| *before == thing) {
                        removed.push((thing, run));
                    }
                }
                // NOTE: another mlaction may be at it too, or the engine is still busy with it.
                Ok(Err(error)) if problem::status(&error).is_some() => {
                    last = Some(problem::engine(&what, &error));
                }
                Ok(Err(error)) => return Err(problem::engine(&what, &error)),
                Err(_) => return Err(problem::engine(&what, &EngineError::RequestTimeoutError)),
            }
        }
        if last.is_some() {
            tokio::time::sleep(ATTEMPTS.1).await;
        }
    }
    Err(last.unwrap_or_else(|| {
        Error::new(
            ExitCode::Internal,
            "what a run left in the engine comes back as often as it is removed",
        )
    }))
}

async fn find(docker: &Docker, label: &str, value: &str) -> Result<Vec<(Thing, Labels)>> {
    let what = "cannot look for what runs left in the engine";
    let filters = HashMap::from([("label", vec![format!("{label}={value}")])]);
    let mut found = Vec::new();
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters);
    let containers = docker.list_containers(Some(options.build()));
    for container in within(DEADLINE, what, containers).await? {
        let id = container.id.unwrap_or_default();
        let names = container.names.unwrap_or_default();
        let name = names
            .first()
            .map_or(id.as_str(), |name| name.trim_start_matches('/'));
        let name = name.to_owned();
        found.push((
            Thing::Container { id, name },
            container.labels.unwrap_or_default(),
        ));
    }
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    for network in within(DEADLINE, what, docker.list_networks(Some(options))).await? {
        let id = network.id.unwrap_or_default();
        let name = network.name.unwrap_or_default();
        found.push((
            Thing::Network { id, name },
            network.labels.unwrap_or_default(),
        ));
    }
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let volumes = within(DEADLINE, what, docker.list_volumes(Some(options))).await?;
    for volume in volumes.volumes.unwrap_or_default() {
        found.push((Thing::Volume { name: volume.name }, volume.labels));
    }
    Ok(found)
}
