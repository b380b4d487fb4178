//! Jobs as containers: they need a Docker Engine, and fail without one.
//!
//! `MLACTION_TEST_ENGINES` names the engines, separated by commas; without it, it is the machine's.

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

fn engines() -> Vec<String> {
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
        max_poll_errors: 5,
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

#[test]
fn a_program_finds_what_sagemaker_would_give_it() {
    on_engines(async |mut bench| {
        let entry = r#"ENTRYPOINT ["/bin/sh", "/entry.sh"]
CMD ["not", "used"]
RUN echo 'echo "arguments: $*"; cd /opt/ml; for f in input/config/*; do echo "$f=$(cat $f)"; done; echo "code: $(cat code/code.txt)"; ls -A model output/data checkpoints; find input/data | sort; cat input/data/train/linked.csv; stat -c "%n %a" input/data/train/*; echo "host: $(hostname) $(id -u)"; env | sort; echo weights > model/model.bin; echo "{}" > output/data/metrics.json; echo kept > checkpoints/a' > /entry.sh
"#;
        bench.image = build(&bench.docker, "entry", &format!("{BASE}{entry}")).await;
        let data = bench.place.path().join("data");
        std::fs::create_dir_all(data.join("sub/empty")).unwrap();
        std::fs::write(bench.place.path().join("cached"), "1,2\n").unwrap();
        std::os::unix::fs::symlink("../cached", data.join("linked.csv")).unwrap();
        std::fs::write(data.join("run.sh"), "").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(data.join("run.sh"), executable).unwrap();
        bench.inputs.insert("train".to_owned(), data.clone());
        bench
            .inputs
            .insert("one".to_owned(), bench.place.path().join("cached"));
        let ended = bench
            .job("pass_environment = [\"CARGO_MANIFEST_DIR\"]", "")
            .await;
        assert_eq!(ended.outcome, Outcome::Succeeded, "{}", ended.log);
        contains(
            &ended,
            &[
                "arguments: train\n",
                "input/config/hyperparameters.json={}\n",
                "input/config/inputdataconfig.json={\"train\":{\"TrainingInputMode\":\"File\"",
                "input/config/resourceconfig.json={\"current_host\":\"algo-1\"",
                "\"network_interface_name\":\"eth0\"",
                "code: code\n",
                "checkpoints:\n\nmodel:\n\noutput/data:\ninput/data\n",
                "input/data/one/cached\n",
                "input/data/train/sub/empty\n",
                "1,2\n",
                "input/data/train/linked.csv 644\n",
                "input/data/train/run.sh 755\n",
                "host: algo-1 0\n",
                "SM_CHANNEL_TRAIN=/opt/ml/input/data/train\n",
                "TRAINING_JOB_NAME=demo-job\n",
                "OWN=from config\n",
                "FROM_IMAGE=yes\n",
                &format!("CARGO_MANIFEST_DIR={}\n", env!("CARGO_MANIFEST_DIR")),
            ],
        );
        assert!(!ended.log.contains("CARGO_PKG_NAME"), "{}", ended.log);
        assert_eq!(packed(&bench), ["model.bin"]);
        let metrics = bench.run().join("work/train/output/data/metrics.json");
        assert_eq!(ended.artifacts.metrics, [metrics]);
        assert!(!bench.run().join("work/train/checkpoints").exists());
        let log = std::fs::read_to_string(bench.run().join("log.txt")).unwrap();
        assert_eq!(log, ended.log);
    });
}

#[test]
fn what_the_image_had_before_is_never_reported() {
    on_engines(async |bench| {
        let ended = bench.job("", "exit 0").await;
        assert_eq!(ended.outcome, Outcome::Succeeded);
        assert_eq!(ended.artifacts.model, None);
        assert_eq!(ended.artifacts.metrics, Vec::<PathBuf>::new());
    });
}

#[test]
fn a_failed_job_says_why_and_its_metrics_and_checkpoints_are_kept() {
    on_engines(async |bench| {
        let script = "echo m > /opt/ml/model/m; echo '{\"a\": 1}' > /opt/ml/output/data/metrics.json; echo c > /opt/ml/checkpoints/1; ln -s 1 /opt/ml/checkpoints/latest; printf 'no such\\n column' > /opt/ml/output/failure; exit 3";
        let ended = bench.job("", script).await;
        assert_eq!(ended.reason(), "no such column (exit code 3)");
        assert_eq!(packed(&bench), ["m"]);
        assert_eq!(ended.artifacts.metrics.len(), 1);
        let latest = bench.run().join("work/train/checkpoints/latest");
        assert_eq!(std::fs::read_to_string(latest).unwrap(), "c\n");
    });
    on_engines(async |bench| {
        let script = "echo 'ValueError: oh' >&2; echo bye; exit 1";
        let ended = bench.job("", script).await;
        assert_eq!(ended.reason(), "exit code 1: ValueError: oh");
    });
    on_engines(async |bench| {
        let ended = bench
            .job("", "ln -s /etc/passwd /opt/ml/output/failure; exit 1")
            .await;
        assert_eq!(ended.reason(), "exit code 1");
    });
}

#[test]
fn memory_that_ran_out_is_told_apart() {
    on_engines(async |bench| {
        let script = "x=aaaaaaaa; while true; do x=$x$x; done";
        let ended = bench.job("memory = \"32m\"", script).await;
        assert_eq!(ended.reason(), "memory ran out: the limit is 32 MiB");
    });
    on_engines(async |bench| {
        let script = "(sleep 0.1; kill -9 -1) & sleep 60; exit 137";
        let ended = bench.job("", script).await;
        assert!(
            ended.reason().contains("not for memory"),
            "{}",
            ended.reason()
        );
    });
}

#[test]
fn limits_reach_the_container() {
    on_engines(async |bench| {
        let script = "df -k /dev/shm | tail -1; cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null; echo CPUS=$SM_NUM_CPUS; grep -E 'NoNewPrivs|CapBnd' /proc/1/status; mknod /tmp/x b 8 0 || echo no mknod; chown 1:1 /tmp && echo chown";
        let settings = "shared_memory = \"96m\"\ncpus = 1.5";
        let ended = bench.job(settings, script).await;
        contains(
            &ended,
            &[
                "98304",
                "150000",
                "CPUS=2",
                "NoNewPrivs:\t1",
                "no mknod",
                "chown\n",
            ],
        );
    });
}

#[test]
fn a_program_that_does_not_hear_sigterm_is_killed_after_the_grace() {
    on_engines(async |bench| {
        let plan = bench.plan("grace = \"1s\"");
        let mut destination = bench.destination(&plan);
        let request = bench.request(
            &plan,
            "echo m > /opt/ml/model/m; echo ready; exec sleep 300",
        );
        destination.launch(&request).await.unwrap();
        until(&mut destination, "ready").await;
        let asked = Instant::now();
        let ended = follow(&mut destination, 1).await.unwrap();
        assert_eq!(ended.outcome, Outcome::Cancelled);
        let took = asked.elapsed();
        assert!(
            took >= Duration::from_secs(1) && took < Duration::from_secs(30),
            "{took:?}"
        );
        assert_eq!(packed(&bench), ["m"]);
    });
}

#[test]
fn a_job_that_saves_and_exits_cleanly_when_it_is_stopped_did_not_succeed() {
    on_engines(async |bench| {
        let plan = bench.plan("");
        let mut destination = bench.destination(&plan);
        let script = "trap 'echo saved > /opt/ml/model/m; exit 0' TERM; echo ready; while true; do sleep 0.05; done";
        destination
            .launch(&bench.request(&plan, script))
            .await
            .unwrap();
        until(&mut destination, "ready").await;
        destination.stop(Stop::Graceful).await.unwrap();
        let state = loop {
            match destination.poll().await.unwrap() {
                JobState::Running => tokio::time::sleep(Duration::from_millis(10)).await,
                state => break state,
            }
        };
        let reason = "it ended by itself after it was told to (exit code 0)".to_owned();
        assert_eq!(state, JobState::Stopped { reason });
        destination.stop(Stop::Now).await.unwrap();
        destination.fetch().await.unwrap();
        assert_eq!(packed(&bench), ["m"]);
    });
}

#[test]
fn killing_does_not_wait() {
    on_engines(async |bench| {
        let plan = bench.plan("");
        let mut destination = bench.destination(&plan);
        let request = bench.request(
            &plan,
            "trap '' TERM; echo ready; while true; do sleep 1; done",
        );
        destination.launch(&request).await.unwrap();
        until(&mut destination, "ready").await;
        let asked = Instant::now();
        let ended = follow(&mut destination, 2).await.unwrap();
        assert_eq!(ended.outcome, Outcome::Cancelled);
        assert!(asked.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn a_user_without_rights_can_write_its_results() {
    on_engines(async |mut bench| {
        let user =
            "RUN mkdir -p /home && echo 'me:x:1234:1234::/tmp:/bin/sh' >> /etc/passwd\nUSER me\n";
        bench.image = build(&bench.docker, "user", &format!("{BASE}{user}")).await;
        let script = "set -e; id -u; cat /opt/ml/input/config/*; cd /opt/ml; echo m > model/m; echo '{}' > output/data/metrics.json; echo c > checkpoints/c; echo why > output/failure; exit 7";
        let ended = bench.job("", script).await;
        contains(&ended, &["1234\n"]);
        assert_eq!(ended.reason(), "why (exit code 7)");
        assert_eq!(packed(&bench), ["m"]);
        let ended = Bench::new(bench.docker.clone(), &bench.engine).await;
        let ended = ended.job("user = \"4321:99\"", "id -u; id -g").await;
        contains(&ended, &["4321\n99\n"]);
    });
}

#[test]
fn an_isolated_job_has_no_network_and_knows_its_name() {
    on_engines(async |bench| {
        let script = "ls /sys/class/net; grep -w algo-1 /etc/hosts; cat /opt/ml/input/config/resourceconfig.json";
        let ended = bench.job("network = \"none\"", script).await;
        assert!(
            ended.log.starts_with("lo\n127.0.0.1\talgo-1\n"),
            "{}",
            ended.log
        );
        contains(&ended, &["\"network_interface_name\":\"lo\""]);
    });
}

const TWO: &str = r#"
cd /opt/ml
cat input/config/resourceconfig.json; echo
if [ $SM_CURRENT_HOST = algo-1 ]; then
  echo hello from $(hostname) | nc -l -p 4321
  echo lead > model/both
else
  until nc algo-1 4321 < /dev/null; do sleep 0.1; done
  echo other > model/both; echo two > model/two; echo oh >&2
fi
"#;

#[test]
fn several_hosts_reach_each_other_by_name() {
    for settings in ["hosts = 2", "hosts = 2\nnetwork = \"none\""] {
        on_engines(async |bench| {
            let ended = bench.job(settings, TWO).await;
            assert_eq!(ended.outcome, Outcome::Succeeded, "{}", ended.log);
            contains(
                &ended,
                &[
                    "algo-1 | {\"current_host\":\"algo-1\"",
                    "algo-2 | {\"current_host\":\"algo-2\"",
                    "\"hosts\":[\"algo-1\",\"algo-2\"]",
                    "algo-2 | hello from algo-1\n",
                    "algo-2 | oh\n",
                ],
            );
            assert!(
                ended.log.lines().all(|line| line.starts_with("algo-")),
                "{}",
                ended.log
            );
            assert_eq!(packed(&bench), ["both", "two"]);
            let both = bench.run().join("work/train/model/both");
            assert_eq!(std::fs::read_to_string(both).unwrap(), "lead\n");
        });
    }
}

#[test]
fn isolated_hosts_reach_nothing_else() {
    on_engines(async |bench| {
        // The first address of the network is the machine's, unless it has none.
        let script = "ip route; me=$(hostname -i); first=${me%.*}.1; (sleep 2; echo x) | nc -w 1 $first 22 && echo reached; arp -n | grep -i $first; echo done";
        let ended = bench.job("hosts = 2\nnetwork = \"none\"", script).await;
        assert!(!ended.log.contains("reached"), "{}", ended.log);
        contains(&ended, &["algo-1 | done", "algo-2 | done"]);
    });
}

#[test]
fn a_host_that_fails_stops_the_others() {
    on_engines(async |bench| {
        let script = "if [ $SM_CURRENT_HOST = algo-2 ]; then echo broken > /opt/ml/output/failure; exit 5; fi; trap 'echo told; exit 0' TERM; while true; do sleep 0.05; done";
        let ended = bench.job("hosts = 2", script).await;
        assert_eq!(ended.reason(), "algo-2: broken (exit code 5)");
        contains(&ended, &["algo-1 | told"]);
    });
}

#[test]
fn hostile_output_is_refused_or_left_out() {
    on_engines(async |bench| {
        let link = "ln -s /etc/passwd /opt/ml/model/weights";
        let Err(error) = bench.try_job("", link).await else {
            panic!("a link was packed");
        };
        assert!(error.to_string().contains("`weights` is a link"), "{error}");
        assert!(!bench.run().join("model.tar.gz").exists());
    });
    on_engines(async |bench| {
        let script = "cd /opt/ml/output/data; ln -s /etc/passwd out; ln -s ../../.. up; mkdir d; echo x > d/x; ln -s d/x in; mkfifo pipe; ln d/x hard; echo y > 'odd\nname'";
        let ended = bench.job("", script).await;
        assert_eq!(ended.outcome, Outcome::Succeeded);
        let output = ended.artifacts.output.unwrap();
        let mut names: Vec<_> = output
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["d", "hard", "in", "odd\nname"]);
        assert_eq!(std::fs::read_to_string(output.join("in")).unwrap(), "x\n");
    });
    on_engines(async |bench| {
        let script = "ln -s /etc/passwd /opt/ml/output/data/metrics.json";
        let Err(error) = bench.try_job("", script).await else {
            panic!("a link was read");
        };
        assert!(error.to_string().contains("no regular file"), "{error}");
    });
    on_engines(async |bench| {
        // Nothing of the engine's machine can be reached by a folder that is a link.
        let script = "mv /opt/ml /opt/old && mkdir /opt/ml && ln -s / /opt/ml/model; exit 0";
        let ended = bench.try_job("", script).await;
        if let Ok(ended) = ended {
            assert!(
                ended.artifacts.model.is_none()
                    || !packed(&bench).iter().any(|name| name.contains("passwd"))
            );
        }
    });
}

#[test]
fn output_comes_as_raw_bytes_and_whole() {
    on_engines(async |bench| {
        let script = r"printf '\377\376a\000\n\342\202\n'; i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done; head -c 100000 /dev/zero | tr '\0' x; printf 'no newline'";
        let ended = bench.job("", script).await;
        assert_eq!(ended.outcome, Outcome::Succeeded);
        let mut expected = b"\xff\xfea\0\n\xe2\x82\n".to_vec();
        for number in 0..20000 {
            expected.extend(format!("{number}\n").bytes());
        }
        expected.extend([b'x'; 100_000]);
        expected.extend(b"no newline");
        let log = std::fs::read(bench.run().join("log.txt")).unwrap();
        assert_eq!(log.len(), expected.len());
        assert!(log == expected);
    });
}

#[test]
fn no_path_of_the_caller_is_mounted_and_nothing_is_privileged() {
    on_engines(async |mut bench| {
        bench
            .inputs
            .insert("train".to_owned(), bench.place.path().to_path_buf());
        let plan = bench.plan("");
        let mut destination = bench.destination(&plan);
        destination
            .launch(&bench.request(&plan, "echo ready; exec sleep 300"))
            .await
            .unwrap();
        let filters = HashMap::from([("label", vec![format!("{OWNER}={}", bench.owner)])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters);
        let found = bench
            .docker
            .list_containers(Some(options.build()))
            .await
            .unwrap();
        let id = found[0].id.clone().unwrap();
        let found = bench.docker.inspect_container(&id, None).await.unwrap();
        let mounts = found.mounts.unwrap();
        assert_eq!(mounts.len(), 4);
        for mount in mounts {
            assert_eq!(mount.typ.unwrap(), "volume");
            assert!(mount.name.unwrap().starts_with("demo-job-"));
        }
        let host = found.host_config.unwrap();
        assert_eq!(host.binds, None);
        assert_eq!(host.privileged, Some(false));
        assert!(host.pid_mode.unwrap_or_default().is_empty());
        assert_eq!(found.config.unwrap().labels.unwrap()[RUN], "run-1");
        drop(destination);
    });
}

#[test]
fn what_cannot_start_says_why_and_leaves_nothing() {
    async fn refused(bench: &Bench, settings: &str, request: impl Fn(&mut Request)) -> Error {
        let plan = bench.plan(settings);
        let mut wanted = bench.request(&plan, "exit 0");
        request(&mut wanted);
        let mut destination = bench.destination(&plan);
        let error = destination.launch(&wanted).await.unwrap_err();
        assert_eq!(
            left(&bench.docker, &bench.owner).await,
            Vec::<String>::new()
        );
        error
    }
    on_engines(async |mut bench| {
        let error = refused(&bench, "", |request| request.entrypoint = None).await;
        assert_eq!(error.exit_code(), ExitCode::JobFailed);
        assert!(error.advice().unwrap().contains("ENTRYPOINT"), "{error}");

        let error = refused(&bench, "gpus = \"all\"", |_| {}).await;
        assert_eq!(error.exit_code(), ExitCode::NoCapacity, "{error}");

        let error = refused(&bench, "user = \"nobody-here\"", |_| {}).await;
        assert!(error.advice().unwrap().contains("no such user"), "{error}");

        let error = refused(&bench, "cpus = 4000.0", |_| {}).await;
        assert!(error.advice().unwrap().contains("cpus"), "{error}");

        let folder = bench.place.path().join("loop");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(".", folder.join("again")).unwrap();
        let error = refused(&bench, "", |request| {
            request.inputs.insert("train".to_owned(), folder.clone());
        })
        .await;
        assert_eq!(error.exit_code(), ExitCode::Data);
        assert!(error.to_string().contains("again"), "{error}");

        bench.image.digest = format!("sha256:{}", "0".repeat(64));
        let error = refused(&bench, "", |_| {}).await;
        assert_eq!(error.exit_code(), ExitCode::Build, "{error}");
        assert!(error.advice().unwrap().contains("not in the engine"));
    });
    on_engines(async |bench| {
        let plan = bench.plan("");
        let (docker, run) = (&bench.docker, bench.run());
        let mut destination = DockerDestination::new(
            docker,
            &bench.image,
            Some("linux/s390x"),
            &run,
            &plan,
            "train",
        );
        let error = destination
            .launch(&bench.request(&plan, "exit 0"))
            .await
            .unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Build, "{error}");
        assert!(error.advice().unwrap().contains("platform"), "{error}");
    });
    on_engines(async |bench| {
        let mut next = Bench::new(bench.docker.clone(), &bench.engine).await;
        let foreign =
            "RUN printf '\\177ELF\\001\\001\\001' > /x; chmod +x /x\nENTRYPOINT [\"/x\"]\n";
        next.image = build(&next.docker, "foreign", &format!("{BASE}{foreign}")).await;
        let ended = next.job("", "").await;
        assert!(
            ended.reason().contains("for another platform"),
            "{}",
            ended.reason()
        );
        let next = Bench::new(bench.docker.clone(), &bench.engine).await;
        let ended = next.job("", "/none/such").await;
        assert!(
            ended.reason().starts_with("exit code 127: "),
            "{}",
            ended.reason()
        );
    });
}

#[test]
fn leftovers_of_killed_runs_are_swept_and_nothing_else() {
    on_engines(async |bench| {
        let plan = bench.plan("hosts = 2");
        let mut destination = bench.destination(&plan);
        destination
            .launch(&bench.request(&plan, "exec sleep 300"))
            .await
            .unwrap();
        let all = left(&bench.docker, &bench.owner).await;
        assert_eq!(all.len(), 2 + 1 + 8, "{all:?}");
        // As if it had been killed.
        std::mem::forget(destination);
        for (owner, is_alive) in [("somebody", false), (&*bench.owner, true)] {
            let words = sweep(&bench.docker, owner, |_| is_alive).await.unwrap();
            assert_eq!(words, Vec::<String>::new());
        }
        assert_eq!(left(&bench.docker, &bench.owner).await, all);
        let words = sweep(&bench.docker, &bench.owner, |run| run != "run-1")
            .await
            .unwrap();
        assert_eq!(words.len(), all.len(), "{words:?}");
        assert!(words[0].starts_with("container `demo-job-") && words[0].contains("run-1"));
    });
}

#[test]
fn a_destination_that_is_dropped_leaves_nothing() {
    on_engines(async |mut bench| {
        let plan = bench.plan("hosts = 2");
        let mut destination = bench.destination(&plan);
        destination
            .launch(&bench.request(&plan, "exec sleep 300"))
            .await
            .unwrap();
        drop(destination);
        assert_eq!(
            left(&bench.docker, &bench.owner).await,
            Vec::<String>::new()
        );

        // In the middle of a launch, wherever that is.
        let large = bench.place.path().join("large");
        std::fs::File::create(&large)
            .unwrap()
            .set_len(200_000_000)
            .unwrap();
        bench.inputs.insert("train".to_owned(), large);
        for milliseconds in [1, 5, 20, 60, 150, 300] {
            let mut destination = bench.destination(&plan);
            let request = bench.request(&plan, "exec sleep 300");
            let launch = destination.launch(&request);
            let within = Duration::from_millis(milliseconds);
            let _ = tokio::time::timeout(within, launch).await;
            drop(destination);
            let left = left(&bench.docker, &bench.owner).await;
            assert_eq!(left, Vec::<String>::new(), "after {milliseconds} ms");
        }
    });
}

/// What [`killed_in_every_phase`] kills.
#[test]
#[ignore = "it is started by another test"]
fn victim() {
    let owner = std::env::var("VICTIM_OWNER").unwrap();
    let place = PathBuf::from(std::env::var("VICTIM_PLACE").unwrap());
    let hosts = std::env::var("VICTIM_HOSTS").unwrap();
    on_engines(async |mut bench| {
        bench.owner.clone_from(&owner);
        bench.inputs.insert("train".to_owned(), place.join("large"));
        let settings = format!("hosts = {hosts}");
        let plan = bench.plan(&settings);
        let mut destination = bench.destination(&plan);
        let request = bench.request(
            &plan,
            "while [ -z \"$QUICK\" ] && ! [ -e /end ]; do sleep 0.05; done; exit 0",
        );
        destination.launch(&request).await.unwrap();
        std::future::pending::<()>().await;
    });
}

#[test]
fn killed_in_every_phase() {
    on_engines(async |bench| {
        let large = bench.place.path().join("large");
        std::fs::File::create(&large)
            .unwrap()
            .set_len(300_000_000)
            .unwrap();
        for (hosts, phase) in [("2", "network"), ("1", "created"), ("1", "running")] {
            let mut victim = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "containers::victim", "--ignored"])
                .env("VICTIM_OWNER", &bench.owner)
                .env("VICTIM_PLACE", bench.place.path())
                .env("VICTIM_HOSTS", hosts)
                .env("MLACTION_TEST_ENGINES", &bench.engine)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let filters = HashMap::from([("label", vec![format!("{OWNER}={}", bench.owner)])]);
            loop {
                let options = ListContainersOptionsBuilder::new()
                    .all(true)
                    .filters(&filters);
                let found = bench
                    .docker
                    .list_containers(Some(options.build()))
                    .await
                    .unwrap();
                let states: Vec<_> = found
                    .iter()
                    .filter_map(|one| one.state.map(|state| state.to_string()))
                    .collect();
                let is_reached = match phase {
                    "network" => states.len() == 2,
                    phase => states.iter().any(|state| state == phase),
                };
                if is_reached {
                    break;
                }
                if victim.try_wait().unwrap().is_some() {
                    let mut text = String::new();
                    victim.stderr.unwrap().read_to_string(&mut text).unwrap();
                    panic!("the victim ended by itself: {text}");
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            victim.kill().unwrap();
            victim.wait().unwrap();
            assert!(!left(&bench.docker, &bench.owner).await.is_empty());
            let words = sweep(&bench.docker, &bench.owner, |_| false).await.unwrap();
            assert!(words.len() >= 5, "{words:?}");
            assert_eq!(
                left(&bench.docker, &bench.owner).await,
                Vec::<String>::new(),
                "{phase}"
            );
        }
    });
}

#[test]
fn a_container_that_somebody_removes_is_a_stopped_job() {
    on_engines(async |bench| {
        let plan = bench.plan("");
        let mut destination = bench.destination(&plan);
        destination
            .launch(&bench.request(&plan, "echo ready; exec sleep 300"))
            .await
            .unwrap();
        until(&mut destination, "ready").await;
        sweep(&bench.docker, &bench.owner, |_| false).await.unwrap();
        let (_sender, mut receiver) = tokio::sync::watch::channel(0);
        let patience = Patience {
            poll: (Duration::from_millis(10), Duration::from_millis(100)),
            max_runtime: Duration::from_secs(60),
            stop_within: Duration::from_secs(60),
            max_poll_errors: 5,
        };
        let outcome = watch(&mut destination, &patience, &mut receiver, &mut |_| {}).await;
        let reason = "somebody removed its container".to_owned();
        assert_eq!(outcome.unwrap(), Outcome::Stopped { reason });
    });
}

#[test]
fn a_program_in_python_trains_by_the_contract() {
    let base = std::env::var("MLACTION_TEST_BASE");
    let base = base.unwrap_or_else(|_| "python:3.12-slim-bookworm".to_owned());
    on_engines(async |mut bench| {
        bench.image = ImageRef {
            repository: String::new(),
            digest: bench.docker.inspect_image(&base).await.unwrap().id.unwrap(),
        };
        bench
            .hyperparameters
            .insert("epochs".to_owned(), "3".to_owned());
        let program = "import json, os, socket\nh = json.load(open('/opt/ml/input/config/hyperparameters.json'))\nprint(socket.gethostbyname(socket.gethostname()) != '', h, os.environ['SM_HP_EPOCHS'])\nraise ValueError('no\\nwine')\n";
        let script = format!("exec python3 -c \"$(cat <<'END'\n{program}END\n)\"");
        let ended = bench.job("", &script).await;
        contains(&ended, &["True {'epochs': '3'} 3\n"]);
        assert_eq!(ended.reason(), "exit code 1: wine");
    });
}

#[test]
fn the_owner_s_files_are_its_own() {
    // A run's folder that has the job's results already is never written to.
    on_engines(async |bench| {
        let model = bench.run().join("work/train/model");
        std::fs::create_dir_all(model.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(Path::new("/tmp"), &model).unwrap();
        let Err(error) = bench.try_job("", "echo x > /opt/ml/model/x").await else {
            panic!("it wrote through a link");
        };
        assert!(error.to_string().contains("cannot create"), "{error}");
    });
}
