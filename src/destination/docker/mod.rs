//! Jobs as containers of a Docker Engine, by SageMaker's contract.
//!
//! Files go in and results come out through the engine's archive calls alone, so it does not
//! matter where the engine runs. A job's output goes straight into the run's log file. Everything
//! made in the engine carries labels, by which it is found and removed: at the end of the job, when
//! the destination is dropped, and after a killed mlaction by [`sweep`].
//!
//! The job's program is the container's first process, as on SageMaker: the kernel gives it no
//! SIGTERM that it has no handler for, so that a program without one is killed after the grace.

mod apart;
mod container;
mod download;
mod ended;
mod fetch;
mod follow;
mod launch;
mod leftovers;
pub mod plan;
mod problem;
pub mod settings;
mod upload;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{KillContainerOptionsBuilder, StopContainerOptionsBuilder};
use tokio::task::JoinHandle;

use super::job_log::JobLog;
use super::{Artifacts, Destination, JobState, PollError, Stop, results};
use crate::error::{Error, ExitCode, Result};
use crate::registry::ImageRef;
use ended::Exit;
use follow::Following;
pub use leftovers::{OWNER, ROLE, RUN, sweep};
use plan::{BASE, DockerPlan, Request};

/// Longest wait for an answer about what is there.
const ASKING: Duration = Duration::from_secs(30);

/// Longest wait for a container to be made or started: disks and GPUs may be slow.
const MAKING: Duration = Duration::from_secs(180);

/// When one host has failed, the others have so long to save.
const FELLOW_GRACE: u64 = 10;

/// Longest that dropping a destination waits for the engine.
const DROPPING: Duration = Duration::from_secs(30);

/// How long a container may take to appear that was asked for when nobody waited any more.
const APPEARING: Duration = Duration::from_secs(3);

/// One job as one or several containers.
#[derive(Debug)]
pub struct DockerDestination {
    docker: Docker,
    image: String,
    platform: Option<String>,
    run: PathBuf,
    role: String,
    plan: DockerPlan,
    log: JobLog,
    /// The name of what was made in the engine, as long as it may be there.
    launch: Option<String>,
    /// The container or network that the engine has been asked for, and has not answered about.
    making: Option<String>,
    hosts: Vec<Container>,
    /// The host that failed first.
    failed: Option<usize>,
    is_stopped: bool,
    /// Whether a container was removed by somebody else.
    is_gone: bool,
    stopping: Vec<JoinHandle<()>>,
    ended: Option<JobState>,
}

/// The container of one host.
#[derive(Debug)]
struct Container {
    host: String,
    id: String,
    following: Option<Following>,
    exit: Option<Exit>,
}

impl DockerDestination {
    /// A place to run one job, the `role` of the run whose record lies in `run`, from an image
    /// that the engine has. With a platform, an image for another one is an error.
    #[must_use]
    pub fn new(
        docker: &Docker,
        image: &ImageRef,
        platform: Option<&str>,
        run: &Path,
        plan: &DockerPlan,
        role: &str,
    ) -> Self {
        Self {
            docker: docker.clone(),
            image: image.to_string(),
            platform: platform.map(str::to_owned),
            run: run.to_path_buf(),
            role: role.to_owned(),
            plan: plan.clone(),
            log: JobLog::of(run),
            launch: None,
            making: None,
            hosts: Vec::new(),
            failed: None,
            is_stopped: false,
            is_gone: false,
            stopping: Vec::new(),
            ended: None,
        }
    }

    /// Removes everything from the engine.
    async fn release(&mut self) -> Result<()> {
        for task in self.stopping.drain(..) {
            task.abort();
        }
        self.hosts.clear();
        if let Some(launch) = &self.launch {
            leftovers::remove_launch(&self.docker, launch).await?;
        }
        self.launch = None;
        Ok(())
    }

    /// Asks for the end of every host; says whether all have ended.
    async fn look(&mut self) -> std::result::Result<bool, PollError> {
        for index in 0..self.hosts.len() {
            let container = &mut self.hosts[index];
            if container.exit.is_some() {
                continue;
            }
            let asked = self.docker.inspect_container(&container.id, None);
            let state = match tokio::time::timeout(ASKING, asked).await {
                Ok(Ok(found)) => found.state.unwrap_or_default(),
                Ok(Err(error)) if problem::is_absent(&error) => {
                    self.is_gone = true;
                    let reason = "somebody removed its container".to_owned();
                    self.ended = Some(JobState::Stopped { reason });
                    return Ok(true);
                }
                Ok(Err(error)) => return Err(PollError::Transient(error.to_string())),
                Err(_) => {
                    return Err(PollError::Transient(
                        "the engine does not answer".to_owned(),
                    ));
                }
            };
            let Some(following) = &mut container.following else {
                continue;
            };
            let Some(exit) = Exit::of(&state) else {
                if following.has_ended() {
                    let error = following.finish().await.err();
                    let error = error.unwrap_or_else(|| {
                        Error::new(
                            ExitCode::Internal,
                            "the job's output ended before the job did",
                        )
                    });
                    return Err(PollError::Permanent(error));
                }
                continue;
            };
            following.finish().await.map_err(PollError::Permanent)?;
            if exit.code != 0 {
                self.failed.get_or_insert(index);
            }
            container.exit = Some(exit);
        }
        Ok(self.hosts.iter().all(|container| container.exit.is_some()))
    }

    async fn outcome(&self) -> Result<JobState> {
        if self.is_stopped {
            let exits = self
                .hosts
                .iter()
                .filter_map(|container| container.exit.as_ref());
            let worst = exits.max_by_key(|exit| exit.code);
            return Ok(JobState::Stopped {
                reason: worst
                    .map_or_else(String::new, |exit| exit.after_stop(self.plan.grace_seconds)),
            });
        }
        let Some(container) = self.failed.and_then(|index| self.hosts.get(index)) else {
            return Ok(JobState::Succeeded);
        };
        let path = format!("{BASE}/output/failure");
        let written = download::failure(&self.docker, &container.id, &path).await?;
        let last = container.following.as_ref().and_then(Following::last_line);
        let ended = match &container.exit {
            Some(exit) => exit.words(self.plan.memory_bytes, last.as_deref()),
            None => String::new(),
        };
        let reason = results::reason(&written, &ended, last.as_deref());
        Ok(JobState::Failed {
            reason: match self.hosts.len() {
                1 => reason,
                _ => format!("{}: {reason}", container.host),
            },
        })
    }

    /// Tells every host that runs to end.
    fn tell(&mut self, grace: u64) {
        // NOTE: the engine counts in signed 32-bit seconds.
        let seconds = i32::try_from(grace).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let deadline = Duration::from_secs(grace) + MAKING;
        for container in self
            .hosts
            .iter()
            .filter(|container| container.exit.is_none())
        {
            let docker = self.docker.clone().with_timeout(deadline);
            let (id, options) = (container.id.clone(), options.clone());
            // The engine itself waits and kills: it does so even when mlaction is gone.
            self.stopping.push(tokio::spawn(async move {
                // NOTE: a stop that fails shows when the job goes on: it is killed then.
                let _ = docker.stop_container(&id, Some(options)).await;
            }));
        }
    }
}

impl Destination for DockerDestination {
    type Request = Request;

    async fn launch(&mut self, request: &Request) -> Result<(), Error> {
        for (channel, source) in &request.inputs {
            source.metadata().map_err(|error| {
                let what = format!("cannot read `{}` of `{channel}`", source.display());
                Error::new(ExitCode::Data, what).because(error)
            })?;
        }
        let started = self.start(request).await;
        if started.is_err() {
            // NOTE: the first error says more; what stays is swept by the next run.
            let _ = self.release().await;
        }
        started
    }

    async fn poll(&mut self) -> Result<JobState, PollError> {
        if let Some(state) = &self.ended {
            return Ok(state.clone());
        }
        if self.hosts.is_empty() {
            return Err(PollError::Permanent(Error::new(
                ExitCode::Internal,
                "the job was never launched",
            )));
        }
        let failed_before = self.failed.is_some();
        if !self.look().await? {
            if self.failed.is_some() && !failed_before && !self.is_stopped {
                self.tell(FELLOW_GRACE);
            }
            return Ok(JobState::Running);
        }
        let state = match self.ended.take() {
            Some(state) => state,
            None => self.outcome().await.map_err(PollError::Permanent)?,
        };
        self.ended = Some(state.clone());
        Ok(state)
    }

    async fn logs(&mut self) -> Result<Vec<u8>, PollError> {
        self.log.more()
    }

    async fn stop(&mut self, how: Stop) -> Result<(), Error> {
        if self.ended.is_some() {
            return Ok(());
        }
        self.is_stopped = true;
        if how == Stop::Graceful {
            self.tell(self.plan.grace_seconds);
            return Ok(());
        }
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        for container in self
            .hosts
            .iter()
            .filter(|container| container.exit.is_none())
        {
            let killed = self
                .docker
                .kill_container(&container.id, Some(options.clone()));
            match tokio::time::timeout(ASKING, killed).await {
                // It has ended, or is gone.
                Ok(Err(error)) if matches!(problem::status(&error), Some(404 | 409)) => {}
                Ok(killed) => {
                    killed.map_err(|error| problem::engine("cannot kill the job", &error))?;
                }
                Err(_) => {
                    return Err(Error::new(ExitCode::Internal, "cannot kill the job")
                        .because("the engine does not answer"));
                }
            }
        }
        Ok(())
    }

    async fn fetch(&mut self) -> Result<Artifacts, Error> {
        if self.hosts.is_empty() {
            return Ok(Artifacts::default());
        }
        let brought = self.bring().await;
        // NOTE: what cannot be removed now is swept by the next run; the results are what counts.
        let _ = self.release().await;
        brought
    }
}

impl Drop for DockerDestination {
    fn drop(&mut self) {
        let Some(launch) = self.launch.take() else {
            return;
        };
        self.hosts.clear();
        let (docker, making) = (self.docker.clone(), self.making.take());
        // A runtime of its own: this one may be at its end, or be what waits for us.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                let removing = remove(&docker, &launch, making.as_deref());
                // NOTE: what cannot be removed now is swept by the next run.
                let _ = runtime.block_on(async { tokio::time::timeout(DROPPING, removing).await });
            }
        });
        // NOTE: it never panics, and there would be nothing to do about it.
        let _ = removing.join();
    }
}

/// Removes everything of a launch, and waits for what the engine is still making.
async fn remove(docker: &Docker, launch: &str, making: Option<&str>) -> Result<()> {
    let until = tokio::time::Instant::now() + APPEARING;
    while let Some(name) = making
        && tokio::time::Instant::now() < until
    {
        let is_there = docker.inspect_container(name, None).await.is_ok()
            || docker.inspect_network(name, None).await.is_ok();
        if is_there {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    leftovers::remove_launch(docker, launch).await
}
