//! Builds on real engines: `MLACTION_TEST_ENGINES` names them (addresses, separated by commas),
//! else the one that the environment has.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use indexmap::IndexMap;
use mlaction::error::Result;
use mlaction::image::build::{Build, Builder};
use mlaction::image::buildkit::Way;
use mlaction::image::context::Context;
use mlaction::image::engine::{Endpoint, Engine, Need};
use mlaction::image::progress::BuildEvent;
use mlaction::image::{BuildRequest, BuiltImage, Network, SecretSource};
use mlaction::registry::credentials::Credentials;

type Tree = BTreeMap<String, String>;

async fn engines() -> Vec<Engine> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let named = env
        .get("MLACTION_TEST_ENGINES")
        .filter(|named| !named.is_empty());
    let mut engines = Vec::new();
    match named {
        Some(named) => {
            for address in named.split(',') {
                let endpoint = Endpoint::parse(address.trim(), None).unwrap();
                engines.push(Engine::at(endpoint).await.unwrap());
            }
        }
        None => engines.push(Engine::connect(&env).await.unwrap()),
    }
    engines
}

fn busybox() -> PathBuf {
    let tools = std::env::var_os("MLACTION_TEST_TOOLS");
    let tool = tools.map(|tools| Path::new(&tools).join("bin/busybox"));
    tool.unwrap_or_else(|| PathBuf::from("/bin/busybox"))
}

/// A project with a Dockerfile, and what is built of it.
struct Lab {
    place: tempfile::TempDir,
    engine: Engine,
    request: BuildRequest,
    builder: Builder,
    way: Option<Way>,
    no_cache: bool,
    env: BTreeMap<String, String>,
    events: Vec<BuildEvent>,
}

/// What a Dockerfile with a shell begins with.
const SHELL: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";

impl Lab {
    fn new(engine: &Engine, dockerfile: &str) -> Self {
        let place = tempfile::Builder::new()
            .prefix("mlaction-build-")
            .tempdir()
            .unwrap();
        let root = place.path().join("context");
        std::fs::create_dir(&root).unwrap();
        let unique = place
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_lowercase();
        let request = BuildRequest {
            dockerfile: root.join("Dockerfile"),
            context: root,
            platform: "linux/amd64".to_owned(),
            target: None,
            build_args: IndexMap::new(),
            labels: IndexMap::new(),
            network: Network::Default,
            secrets: IndexMap::new(),
            cache_from: Vec::new(),
            inline_cache: false,
            name: format!("{}:in-1", unique.trim_end_matches(['-', '_', '.'])),
        };
        let lab = Self {
            place,
            engine: engine.clone(),
            request,
            builder: Builder::BuildKit,
            way: None,
            no_cache: false,
            env: BTreeMap::new(),
            events: Vec::new(),
        };
        // Nothing that another run built answers for this one, except for single steps.
        let unique = format!("# {}\n{dockerfile}", lab.request.name);
        lab.write("Dockerfile", &unique);
        if dockerfile.contains("busybox") {
            std::fs::copy(busybox(), lab.path("busybox")).unwrap();
        }
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.request.context.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    async fn build(&mut self) -> Result<BuiltImage> {
        self.events.clear();
        let context = Context::open(&self.request.context, &self.request.dockerfile)?;
        let credentials = Credentials::from_environment(&BTreeMap::new());
        let mut build = Build::new(
            &self.engine,
            &self.request,
            &context,
            &credentials,
            &self.env,
        );
        build.builder = self.builder;
        build.way = self.way;
        build.no_cache = self.no_cache;
        let events = &mut self.events;
        build.run(&mut |event| events.push(event)).await
    }

    /// Bytes and files of the context that were sent.
    fn sent(&self) -> (u64, u64) {
        let sent = self.events.iter().filter_map(|event| match event {
            BuildEvent::Transfer { bytes, files } => Some((*bytes, *files)),
            _ => None,
        });
        sent.last().unwrap_or_default()
    }

    fn log(&self) -> Vec<&str> {
        let lines = self.events.iter().filter_map(|event| match event {
            BuildEvent::StepLog { line, .. } => Some(line.as_str()),
            _ => None,
        });
        lines.collect()
    }

    fn text(&self) -> String {
        format!("{:?}", self.events)
    }

    /// The files of an image.
    async fn tree(&self, image: &BuiltImage) -> Tree {
        let docker = self.engine.docker();
        let config = ContainerCreateBody {
            image: Some(image.id.clone()),
            cmd: Some(vec!["none".to_owned()]),
            ..ContainerCreateBody::default()
        };
        let options = None::<CreateContainerOptions>;
        let container = docker.create_container(options, config).await.unwrap().id;
        let mut bytes = Vec::new();
        let mut export = std::pin::pin!(docker.export_container(&container));
        while let Some(part) = export.next().await {
            bytes.extend_from_slice(&part.unwrap());
        }
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        docker
            .remove_container(&container, Some(force))
            .await
            .unwrap();
        let mut tree = Tree::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry
                .path()
                .unwrap()
                .to_str()
                .unwrap()
                .trim_end_matches('/')
                .to_owned();
            // What every container has.
            let first = name.split('/').next().unwrap();
            if ["dev", "etc", "proc", "sys", ".dockerenv"].contains(&first) {
                continue;
            }
            let mode = entry.header().mode().unwrap() & 0o777;
            let what = match entry.header().entry_type() {
                tar::EntryType::Directory => format!("folder {mode:o}"),
                tar::EntryType::Symlink => {
                    format!("link {}", entry.link_name().unwrap().unwrap().display())
                }
                _ => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content).unwrap();
                    format!("{mode:o} {}", String::from_utf8_lossy(&content))
                }
            };
            tree.insert(name, what);
        }
        tree
    }

    async fn end(self) {
        let force = RemoveImageOptionsBuilder::new().force(true).build();
        let docker = self.engine.docker();
        docker
            .remove_image(&self.request.name, Some(force), None)
            .await
            .unwrap();
    }
}

fn names(tree: &Tree) -> BTreeSet<&str> {
    tree.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn an_image_has_exactly_the_files_that_are_kept_whoever_builds() {
    for engine in engines().await {
        let mut lab = Lab::new(
            &engine,
            "FROM scratch\nCOPY . /\nCOPY link/inner.txt /followed\n",
        );
        lab.write(
            ".dockerignore",
            "*.log\nDockerfile\n.dockerignore\nempty-kept/x\n",
        );
        lab.write("train.py", "print(1)");
        lab.write("a.log", "x");
        lab.write(".env", "SECRET=1");
        lab.write("folder/inner.txt", "inner");
        lab.write("folder/ünïcode name+%.txt", "x");
        lab.write("empty-kept/x", "");
        lab.write("empty.txt", "");
        symlink("folder", lab.path("link")).unwrap();
        symlink("/outside", lab.path("absolute")).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(lab.path("train.py"), executable).unwrap();

        let image = lab.build().await.unwrap();
        let tree = lab.tree(&image).await;
        assert_eq!(
            names(&tree),
            BTreeSet::from([
                "absolute",
                "empty-kept",
                "empty.txt",
                "folder",
                "folder/inner.txt",
                "folder/ünïcode name+%.txt",
                "followed",
                "link",
                "train.py",
            ])
        );
        assert_eq!(tree["train.py"], "755 print(1)");
        assert_eq!(tree["followed"], "644 inner");
        assert_eq!(tree["link"], "link folder");
        assert_eq!(tree["absolute"], "link /outside");
        if engine.facts().has_containerd_store {
            let inspected = engine.docker().inspect_image(&image.id).await.unwrap();
            let media_type = inspected.descriptor.unwrap().media_type.unwrap();
            assert_eq!(
                media_type,
                "application/vnd.docker.distribution.manifest.v2+json"
            );
        }

        lab.builder = Builder::Classic;
        let classic = lab.build().await.unwrap();
        assert_ne!(classic.id, image.id);
        assert_eq!(lab.tree(&classic).await, tree);

        // The Dockerfile is kept, and the rules are.
        lab.write(".dockerignore", "*.log\n");
        let classic = lab.build().await.unwrap();
        let classic = lab.tree(&classic).await;
        lab.builder = Builder::BuildKit;
        let image = lab.build().await.unwrap();
        let tree = lab.tree(&image).await;
        assert_eq!(classic, tree);
        assert_eq!(tree[".dockerignore"], "644 *.log\n");
        assert!(tree.contains_key("Dockerfile"));
        lab.end().await;
    }
}

#[tokio::test]
async fn only_what_changed_is_sent_again() {
    for engine in engines().await {
        let mut lab = Lab::new(&engine, "FROM scratch\nCOPY data /data\n");
        for number in 0..50 {
            lab.write(&format!("data/{number}"), &"x".repeat(1000));
        }
        // Nobody copies it, so nobody asks for it.
        lab.write("other", "y");
        let first = lab.build().await.unwrap();
        assert_eq!(lab.sent(), (50_000, 50));
        let again = lab.build().await.unwrap();
        assert_eq!(lab.sent(), (0, 0));
        assert_eq!(again.id, first.id);

        // As long as before.
        lab.write("data/7", &"z".repeat(1000));
        let changed = lab.build().await.unwrap();
        assert_eq!(lab.sent(), (1000, 1));
        assert_ne!(changed.id, first.id);
        assert_eq!(
            lab.tree(&changed).await["data/7"],
            format!("644 {}", "z".repeat(1000))
        );

        std::fs::remove_file(lab.path("data/8")).unwrap();
        let removed = lab.build().await.unwrap();
        assert_eq!(lab.sent(), (0, 0));
        assert!(!lab.tree(&removed).await.contains_key("data/8"));
        lab.end().await;
    }
}

#[tokio::test]
async fn arguments_target_labels_and_a_dockerfile_outside_of_the_context() {
    for engine in engines().await {
        for builder in [Builder::BuildKit, Builder::Classic] {
            let mut lab = Lab::new(&engine, "FROM absent\n");
            lab.builder = builder;
            let dockerfile = lab.place.path().join("Other.Dockerfile");
            let text = "ARG BASE=absent\nFROM ${BASE} AS first\nARG VALUE\n\
                        LABEL value=$VALUE\nCOPY a /\nFROM first AS second\nCOPY b /\n";
            std::fs::write(&dockerfile, format!("# {}\n{text}", lab.request.name)).unwrap();
            // Its rules are those beside it.
            std::fs::write(
                lab.place.path().join("Other.Dockerfile.dockerignore"),
                "c\n",
            )
            .unwrap();
            lab.request.dockerfile = dockerfile;
            lab.write(".dockerignore", "*\n");
            for name in ["a", "b", "c"] {
                lab.write(name, name);
            }
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            lab.request.build_args =
                IndexMap::from([pair("BASE", "scratch"), pair("VALUE", "some value")]);
            lab.request.labels = IndexMap::from([pair("org.opencontainers.image.revision", "1a")]);
            lab.request.target = Some("first".to_owned());
            let image = lab.build().await.unwrap();
            assert_eq!(names(&lab.tree(&image).await), BTreeSet::from(["a"]));
            let inspected = engine.docker().inspect_image(&image.name).await.unwrap();
            assert_eq!(inspected.id.as_deref(), Some(image.id.as_str()));
            let labels = inspected.config.unwrap().labels.unwrap();
            assert_eq!(labels["value"], "some value");
            assert_eq!(labels["org.opencontainers.image.revision"], "1a");
            lab.end().await;
        }
    }
}

#[tokio::test]
async fn a_secret_is_in_the_step_and_nowhere_else() {
    for engine in engines().await {
        let run = "RUN --mount=type=secret,id=token cat /run/secrets/token && \
                   cat /run/secrets/token | sha256sum | cut -c 1-8 > /hash\n\
                   RUN --mount=type=secret,id=file cat /run/secrets/file | wc -c > /size\n";
        let mut lab = Lab::new(
            &engine,
            &format!(
                "{SHELL}RUN [\"/bin/busybox\", \"--install\", \"/bin\"]\nENV PATH=/bin\n{run}"
            ),
        );
        lab.no_cache = true;
        let file = lab.place.path().join("secret");
        std::fs::write(&file, [0; 300]).unwrap();
        lab.request.secrets = IndexMap::from([
            ("token".to_owned(), SecretSource::Env("TOKEN".to_owned())),
            ("file".to_owned(), SecretSource::File(file)),
        ]);
        let missing = lab.build().await.unwrap_err();
        assert!(missing.to_string().contains("TOKEN"), "{missing}");

        lab.env
            .insert("TOKEN".to_owned(), "very-secret-value".to_owned());
        let image = lab.build().await.unwrap();
        assert!(!lab.text().contains("very-secret"), "{}", lab.text());
        assert!(lab.log().contains(&"***"), "{:?}", lab.log());
        let tree = lab.tree(&image).await;
        // printf very-secret-value | sha256sum
        assert_eq!(tree["hash"], "644 46439e9b\n");
        assert_eq!(tree["size"].trim(), "644 300");
        assert!(!format!("{tree:?}").contains("very-secret"));
        let history = engine.docker().image_history(&image.id).await.unwrap();
        assert!(!format!("{history:?}").contains("very-secret"));
        lab.end().await;
    }
}

#[tokio::test]
async fn steps_without_network_have_none_and_no_step_has_the_hosts() {
    for engine in engines().await {
        for builder in [Builder::BuildKit, Builder::Classic] {
            let dockerfile = format!("{SHELL}RUN /bin/busybox ls /sys/class/net > /interfaces\n");
            let mut lab = Lab::new(&engine, &dockerfile);
            lab.builder = builder;
            let image = lab.build().await.unwrap();
            let usual = lab.tree(&image).await["interfaces"].clone();
            assert!(usual.contains("eth0"), "{usual}");
            // The classic builder does not ask what a step reached when it was cached.
            lab.no_cache = builder == Builder::Classic;
            lab.request.network = Network::None;
            let image = lab.build().await.unwrap();
            let none = lab.tree(&image).await["interfaces"].clone();
            assert!(!none.contains("eth0"), "{builder:?}: {none}");
            lab.end().await;
        }
        let mut lab = Lab::new(&engine, &format!("{SHELL}RUN --network=host true\n"));
        let error = lab.build().await.unwrap_err().render();
        assert!(error.contains("network"), "{error}");
    }
}

#[tokio::test]
async fn a_step_that_fails_says_where_and_why() {
    for engine in engines().await {
        for builder in [Builder::BuildKit, Builder::Classic] {
            let run = "RUN /bin/busybox echo first; \\\n  /bin/busybox printf 'hostile \\033[2J'; exit 3\n";
            let mut lab = Lab::new(&engine, &format!("{SHELL}{run}RUN never\n"));
            lab.builder = builder;
            let error = lab.build().await.unwrap_err();
            assert_eq!(error.exit_code(), mlaction::error::ExitCode::Build);
            let text = error.render();
            for part in [
                "Dockerfile, line 5: RUN",
                "exit code 3",
                "\n    first",
                "hostile [2J",
            ] {
                assert!(text.contains(part), "{builder:?}: {part:?} in {text}");
            }
            assert!(!text.contains('\x1b'), "{text:?}");
            let failed = lab
                .events
                .iter()
                .any(|event| matches!(event, BuildEvent::StepEnded { error: Some(_), .. }));
            assert!(failed, "{:?}", lab.events);
        }
        let mut lab = Lab::new(&engine, "FROM scratch\nCOPY absent /\n");
        lab.write("a", "");
        let text = lab.build().await.unwrap_err().render();
        assert!(
            text.contains("line 3: COPY absent /") && text.contains(".dockerignore"),
            "{text}"
        );
    }
}

/// Waits for the end of the process that has these words in its command line.
async fn ended(words: &str) {
    let mut found = None;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.parse::<i32>().ok());
        if let (Some(number), true) = (number, String::from_utf8_lossy(&line).contains(words)) {
            found = Some(number);
        }
    }
    let Some(number) = found.and_then(rustix::process::Pid::from_raw) else {
        return;
    };
    let flags = rustix::process::PidfdFlags::NONBLOCK;
    let Ok(process) = rustix::process::pidfd_open(number, flags) else {
        return;
    };
    #[expect(
        deprecated,
        reason = "its successor is unsafe, and this owns its descriptor"
    )]
    let process = tokio::io::unix::AsyncFd::new(process).unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), process.readable());
    drop(
        ended
            .await
            .expect("the step goes on after its build was cancelled"),
    );
}

#[tokio::test]
async fn a_build_that_is_dropped_ends_in_the_engine_too() {
    for engine in engines().await {
        let lab = Lab::new(&engine, "");
        let words = format!("waits-for-{}", lab.request.name.replace(':', "-"));
        let run = format!("RUN /bin/busybox echo started; /bin/busybox sleep 600; echo {words}\n");
        let mut lab = Lab::new(&engine, &format!("{SHELL}{run}"));
        let context = Context::open(&lab.request.context, &lab.request.dockerfile).unwrap();
        let credentials = Credentials::from_environment(&BTreeMap::new());
        let build = Build::new(&lab.engine, &lab.request, &context, &credentials, &lab.env);
        let started = Arc::new(tokio::sync::Notify::new());
        let telling = Arc::clone(&started);
        let mut listen = move |event: BuildEvent| {
            if matches!(&event, BuildEvent::StepLog { line, .. } if line == "started") {
                telling.notify_one();
            }
        };
        tokio::select! {
            result = build.run(&mut listen) => panic!("{result:?}"),
            () = started.notified() => {}
        }
        ended(&words).await;
        // The engine builds again, and the step was not taken for done.
        lab.write("Dockerfile", "FROM scratch\nCOPY busybox /\n");
        lab.build().await.unwrap();
        lab.end().await;
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_fails_the_build_by_its_name() {
    for engine in engines().await {
        for builder in [Builder::BuildKit, Builder::Classic] {
            let mut lab = Lab::new(&engine, "FROM scratch\nCOPY . /\n");
            lab.builder = builder;
            let file = std::fs::File::create(lab.path("busy.bin")).unwrap();
            file.set_len(64 * 1024 * 1024).unwrap();
            let (stop, stopping) = (
                Arc::new(AtomicBool::new(false)),
                Arc::new(AtomicBool::new(false)),
            );
            let watched = Arc::clone(&stop);
            let writer = std::thread::spawn(move || {
                while !watched.load(Ordering::Relaxed) {
                    file.write_all_at(b"x", 5).unwrap();
                }
            });
            let result = lab.build().await;
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap();
            drop(stopping);
            let text = result.unwrap_err().render();
            assert!(
                text.contains("busy.bin changed while"),
                "{builder:?}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn a_session_outlives_the_first_looks_after_its_health() {
    // 20.10 looks after 1 s, 28 after 5 s.
    for engine in engines().await {
        let mut lab = Lab::new(
            &engine,
            &format!("{SHELL}RUN /bin/busybox sleep 6\nCOPY late /\n"),
        );
        lab.no_cache = true;
        lab.write("late", "x");
        let image = lab.build().await.unwrap();
        assert_eq!(lab.tree(&image).await["late"], "644 x");
        let seconds = lab.events.iter().filter_map(|event| match event {
            BuildEvent::StepEnded { seconds, .. } => Some(*seconds),
            _ => None,
        });
        assert!(seconds.fold(0.0, f64::max) >= 6.0, "{:?}", lab.events);
        lab.end().await;
    }
}

#[tokio::test]
async fn an_image_for_another_platform_is_not_taken_for_the_one_wanted() {
    for engine in engines().await {
        assert_eq!(engine.emulation("linux/amd64"), None);
        assert!(
            engine
                .emulation("linux/arm64")
                .unwrap()
                .contains("emulation")
        );
        let mut base = Lab::new(&engine, "FROM scratch\nCOPY a /\n");
        base.write("a", "");
        base.build().await.unwrap();
        for builder in [Builder::BuildKit, Builder::Classic] {
            let mut lab = Lab::new(&engine, &format!("FROM {}\nCOPY a /b\n", base.request.name));
            lab.write("a", "");
            lab.builder = builder;
            lab.request.platform = "linux/arm64".to_owned();
            let error = lab.build().await.unwrap_err().render();
            let parts = ["linux/arm64", "could not reach"];
            assert!(
                parts.iter().any(|part| error.contains(part)),
                "{builder:?}: {error}"
            );
        }
        base.end().await;
    }
}

#[tokio::test]
async fn what_cannot_be_built_is_said_before() {
    for engine in engines().await {
        let mut lab = Lab::new(&engine, "FROM scratch\nCOPY . /\n");
        let name = "AWS_SECRET_ACCESS_KEY".to_owned();
        lab.request.build_args.insert(name.clone(), "x".to_owned());
        let text = lab.build().await.unwrap_err().render();
        assert!(text.contains(&name) && text.contains("secret"), "{text}");

        let facts = engine.facts();
        assert!(
            facts.api >= (1, 41) && facts.cpus > 0 && facts.memory > 0,
            "{facts:?}"
        );
        if facts.is_local {
            let free = engine.free_space().unwrap();
            let need = |context| Need {
                context,
                kept: 0,
                bases: 0,
            };
            assert!(engine.check_space(need(free / 4)).is_ok());
            let text = engine.check_space(need(free)).unwrap_err().render();
            assert!(text.contains("docker system prune"), "{text}");
            let kept = Need {
                kept: free,
                ..need(free)
            };
            assert_eq!(engine.expected_space(kept), free);
        }
    }
}

#[tokio::test]
async fn grpc_goes_both_ways_where_the_engine_has_both() {
    for engine in engines().await {
        let mut lab = Lab::new(&engine, "FROM scratch\nCOPY . /\n");
        lab.write("a", "x");
        lab.way = Some(Way::Native);
        let native = lab.build().await;
        // 29 speaks it on the socket; older engines say no, and do not hang.
        match engine.facts().api >= (1, 52) {
            true => assert_eq!(lab.tree(&native.unwrap()).await["a"], "644 x"),
            false => assert!(native.is_err()),
        }
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_told_apart_from_one_that_was_stopped() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("docker.sock");
    let at = |endpoint: &Endpoint| Engine::at(endpoint.clone());
    let endpoint = Endpoint::Unix(socket.clone());
    let absent = at(&endpoint).await.unwrap_err().render();
    assert!(
        absent.contains("no such socket") && absent.contains("-v /var/run"),
        "{absent}"
    );
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let stopped = at(&endpoint).await.unwrap_err().render();
    assert!(stopped.contains("nobody listens"), "{stopped}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refused = at(&Endpoint::Tcp(address)).await.unwrap_err().render();
    assert!(refused.contains("2376"), "{refused}");
}
