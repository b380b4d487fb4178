//! Jobs as containers: they need a Docker Engine, and fail without one.
//!
//! `MLACTION_TEST_ENGINES` names the engines, separated by commas; without it, it is the machine's.

mod contract;
mod ending;
mod hosts;
mod leaving;

use std::collections::HashMap;
use std::future::Future;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{
    BuildImageOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder,
};
use futures_util::StreamExt as _;
use indexmap::IndexMap;
use mlaction::destination::docker::plan::{DockerPlan, JobSettings, Request};
use mlaction::destination::docker::settings::DockerSettings;
use mlaction::destination::docker::{DockerDestination, OWNER, RUN, sweep};
use mlaction::destination::watch::{Outcome, watch};
use mlaction::destination::{Artifacts, Destination as _, JobState, Patience, Stop};
use mlaction::error::{Error, ExitCode};
use mlaction::registry::ImageRef;

/// What every test image begins with: nothing but a static busybox.
const BASE: &str = r#"FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "mkdir", "-p", "/opt/ml/code", "/opt/ml/model", "/opt/ml/output/data"]
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN echo 'root:x:0:0::/:/bin/sh' > /etc/passwd || mkdir /etc && echo 'root:x:0:0::/:/bin/sh' > /etc/passwd && mkdir -m 1777 /tmp
RUN echo code > /opt/ml/code/code.txt && echo old > /opt/ml/model/stale.bin && echo '{"accuracy": 1}' > /opt/ml/output/data/metrics.json
ENV FROM_IMAGE=yes
"#;

pub(super) fn engines() -> Vec<String> {
    let named = std::env::var("MLACTION_TEST_ENGINES").unwrap_or_default();
    let named: Vec<String> = named
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    match named.is_empty() {
        true => vec!["/var/run/docker.sock".to_owned()],
        false => named,
    }
}

fn connect(engine: &str) -> Docker {
    let path = engine.trim_start_matches("unix://");
    Docker::connect_with_unix(path, 120, bollard::API_DEFAULT_VERSION).unwrap()
}

/// Runs a test on every engine, and looks afterwards that nothing is left in it.
fn on_engines<F: Future<Output = ()>>(test: impl Fn(Bench) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for engine in engines() {
        runtime.block_on(async {
            let docker = connect(&engine).negotiate_version().await.unwrap();
            let bench = Bench::new(docker.clone(), &engine).await;
            let owner = bench.owner.clone();
            test(bench).await;
            assert_eq!(
                left(&docker, &owner).await,
                Vec::<String>::new(),
                "{engine}"
            );
        });
    }
}

/// Everything in the engine that belongs to an owner.
async fn left(docker: &Docker, owner: &str) -> Vec<String> {
    let filters = HashMap::from([("label", vec![format!("{OWNER}={owner}")])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters);
    let containers = docker.list_containers(Some(options.build())).await.unwrap();
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.unwrap();
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let volumes = docker.list_volumes(Some(options)).await.unwrap().volumes;
    let containers = containers.into_iter().filter_map(|one| one.names);
    let containers = containers.map(|names| names.join(","));
    let networks = networks.into_iter().filter_map(|one| one.name);
    let volumes = volumes.unwrap_or_default().into_iter().map(|one| one.name);
    let mut all: Vec<String> = containers.chain(networks).chain(volumes).collect();
    all.sort();
    all
}

/// An image in the engine, by its id.
async fn build(docker: &Docker, name: &str, dockerfile: &str) -> ImageRef {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "Dockerfile", dockerfile.as_bytes())
        .unwrap();
    tar.append_path_with_name("/bin/busybox", "busybox")
        .unwrap();
    let context = bollard::body_full(tar.into_inner().unwrap().into());
    let name = format!("mlaction-test-containers:{name}");
    let options = BuildImageOptionsBuilder::new().t(&name).rm(true).build();
    let mut building = docker.build_image(options, None, Some(context));
    while let Some(step) = building.next().await {
        step.unwrap();
    }
    ImageRef {
        repository: String::new(),
        digest: docker.inspect_image(&name).await.unwrap().id.unwrap(),
    }
}

/// A run's folder, and an engine with an image.
struct Bench {
    docker: Docker,
    engine: String,
    image: ImageRef,
    owner: String,
    place: tempfile::TempDir,
    inputs: IndexMap<String, PathBuf>,
    hyperparameters: IndexMap<String, String>,
}

/// What became of a job.
struct Ended {
    outcome: Outcome,
    log: String,
    artifacts: Artifacts,
}

impl Ended {
    fn reason(&self) -> &str {
        match &self.outcome {
            Outcome::Failed { reason } | Outcome::Stopped { reason } => reason,
            other => panic!("{other:?}\n{}", self.log),
        }
    }
}

impl Bench {
    async fn new(docker: Docker, engine: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("run-1")).unwrap();
        Self {
            image: build(&docker, "base", BASE).await,
            docker,
            engine: engine.to_owned(),
            owner: place
                .path()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
            place,
            inputs: IndexMap::new(),
            hyperparameters: IndexMap::new(),
        }
    }

    fn run(&self) -> PathBuf {
        self.place.path().join("run-1")
    }

    fn plan(&self, settings: &str) -> DockerPlan {
        let settings: DockerSettings = toml::from_str(settings).unwrap();
        DockerPlan::new("desk", &settings, &self.owner).unwrap()
    }

    /// A request to run a shell script; the image's own entry point when it is empty.
    fn request(&self, plan: &DockerPlan, script: &str) -> Request {
        let shell = ["/bin/sh", "-c", script].map(str::to_owned);
        plan.request(&JobSettings {
            name: "demo-job",
            entry_point: "train.py",
            container_entrypoint: (!script.is_empty()).then_some(&shell[..]),
            container_arguments: &["train".to_owned()],
            inputs: self.inputs.clone(),
            hyperparameters: &self.hyperparameters,
            environment: &IndexMap::from([("OWN".to_owned(), "from config".to_owned())]),
            cpus: 2,
            gpus: 0,
        })
    }

    fn destination(&self, plan: &DockerPlan) -> DockerDestination {
        DockerDestination::new(&self.docker, &self.image, None, &self.run(), plan, "train")
    }

    async fn try_job(&self, settings: &str, script: &str) -> Result<Ended, Error> {
        let plan = self.plan(settings);
        let mut destination = self.destination(&plan);
        destination.launch(&self.request(&plan, script)).await?;
        follow(&mut destination, 0).await
    }

    async fn job(&self, settings: &str, script: &str) -> Ended {
        self.try_job(settings, script).await.unwrap()
    }
}

async fn follow(destination: &mut DockerDestination, interrupts: u32) -> Result<Ended, Error> {
    let (_sender, mut receiver) = tokio::sync::watch::channel(interrupts);
    let patience = Patience {
        poll: (Duration::from_millis(10), Duration::from_millis(100)),
        max_runtime: Duration::from_secs(120),
        stop_within: Duration::from_secs(60),
        lost_after: Duration::from_secs(10),
    };
    let mut log = Vec::new();
    let mut sink = |bytes: &[u8]| log.extend_from_slice(bytes);
    let outcome = watch(destination, &patience, &mut receiver, &mut sink).await?;
    Ok(Ended {
        outcome,
        log: String::from_utf8_lossy(&log).into_owned(),
        artifacts: destination.fetch().await?,
    })
}

/// Reads the log until it says something.
async fn until(destination: &mut DockerDestination, text: &str) {
    let mut log = Vec::new();
    while !String::from_utf8_lossy(&log).contains(text) {
        log.extend(destination.logs().await.unwrap());
        assert_eq!(destination.poll().await.unwrap(), JobState::Running);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn packed(bench: &Bench) -> Vec<String> {
    let file = std::fs::File::open(bench.run().join("model.tar.gz")).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect()
}

fn contains(ended: &Ended, texts: &[&str]) {
    for text in texts {
        assert!(
            ended.log.contains(text),
            "`{text}` is not in\n{}",
            ended.log
        );
    }
}
