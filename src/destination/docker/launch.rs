//! A job's way into the engine: network, containers, files, start.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use bollard::query_parameters::CreateContainerOptionsBuilder;

use super::apart::apart;
use super::container::{self, Wanted};
use super::follow::Following;
use super::leftovers::{LAUNCH, OWNER, ROLE, RUN};
use super::plan::Request;
use super::problem::within;
use super::{Container, DockerDestination, MAKING, upload};
use crate::error::{Error, ExitCode, Result};
use crate::talk::always;

impl DockerDestination {
    pub(super) async fn start(&mut self, request: &Request) -> Result<()> {
        let passed = passed(&self.plan.passed)?;
        let token = RandomState::new().build_hasher().finish();
        let launch = format!("{}-{token:016x}", request.name);
        let run = self.run.file_name().unwrap_or_default().to_string_lossy();
        let labels = [
            (RUN, &*run),
            (OWNER, &self.plan.owner),
            (ROLE, &self.role),
            (LAUNCH, &launch),
        ];
        let labels = labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        self.launch = Some(launch.clone());
        if request.hosts.len() > 1 {
            let network = container::network(&self.plan, &launch, &labels);
            self.making = Some(launch.clone());
            let made = self.docker.create_network(network);
            let made = within(MAKING, "cannot make the network of the job's hosts", made).await;
            self.making = None;
            made?;
        }
        for host in request.hosts.keys() {
            let wanted = Wanted {
                image: &self.image,
                plan: &self.plan,
                request,
                host,
                prefix: &launch,
                labels: &labels,
                passed: &passed,
            };
            self.making = Some(wanted.name());
            let id = self.make(&wanted).await;
            self.making = None;
            self.hosts.push(Container {
                host: host.clone(),
                id: id?,
                following: None,
                exit: None,
            });
        }
        for container in &self.hosts {
            let own = request.hosts.get(&container.host);
            let own = own.into_iter().flat_map(|host| &host.files);
            let files = request.files.iter().chain(own);
            let parcel = upload::Parcel {
                files: files
                    .map(|(name, value)| (name.clone(), value.to_string()))
                    .collect(),
                inputs: request.inputs.clone(),
            };
            apart(upload::send(
                self.docker.clone(),
                container.id.clone(),
                parcel,
            ))
            .await?;
        }
        for container in &mut self.hosts {
            let started = self.docker.start_container(&container.id, None);
            within(MAKING, "cannot start the job's container", started).await?;
            let log = self.log.appended()?;
            let host = (request.hosts.len() > 1).then_some(container.host.as_str());
            container.following = Some(Following::start(&self.docker, &container.id, host, log));
        }
        Ok(())
    }

    async fn make(&self, wanted: &Wanted<'_>) -> Result<String> {
        let mut options = CreateContainerOptionsBuilder::new().name(&wanted.name());
        if let Some(platform) = &self.platform {
            options = options.platform(platform);
        }
        let made = self
            .docker
            .create_container(Some(options.build()), wanted.body());
        let made = within(MAKING, "cannot make the job's container", made).await?;
        for warning in made.warnings {
            always(&format!(
                "the engine says: {}",
                crate::report::text::plain(&warning)
            ));
        }
        Ok(made.id)
    }
}

/// The values of the variables that are handed over, as they are now.
fn passed(names: &[String]) -> Result<Vec<(String, String)>> {
    let mut passed = Vec::new();
    for name in names {
        match std::env::var(name) {
            Ok(value) => passed.push((name.clone(), value)),
            Err(std::env::VarError::NotPresent) => {}
            Err(error @ std::env::VarError::NotUnicode(_)) => {
                // NOTE: not `error` itself, which shows the value.
                drop(error);
                let what = format!("cannot hand the variable `{name}` to the job");
                return Err(Error::new(ExitCode::Config, what).because("its value is not UTF-8"));
            }
        }
    }
    Ok(passed)
}
