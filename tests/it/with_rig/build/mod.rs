//! Builds on real engines: `MLACTION_TEST_ENGINES` names them (addresses, separated by commas),
//! else the one that the environment has.

mod engine;
mod lab;
mod naming;
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indexmap::IndexMap;
use lab::{Lab, SHELL, engines, names};
use mlaction::image::build::{Build, Builder};
use mlaction::image::buildkit::Way;
use mlaction::image::context::Context;
use mlaction::image::progress::BuildEvent;
use mlaction::image::{Network, SecretSource};
use mlaction::registry::credentials::Credentials;

use crate::with_rig::support::step::{ended, running};

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
async fn names_in_a_dockerfile_may_be_long() {
    for engine in engines().await {
        let mut lab = Lab::new(&engine, "FROM scratch\n");
        // More than the headers of a call have room for unless both sides ask for more.
        let folders = vec!["folder-".repeat(30); 10].join("/");
        let names: Vec<String> = (0..9)
            .map(|number| format!("{folders}/{number}-ü"))
            .collect();
        lab.write(
            "Dockerfile",
            &format!("FROM scratch\nCOPY {} /\n", names.join(" ")),
        );
        for name in names.iter().chain([&"other".to_owned()]) {
            lab.write(name, name);
        }
        let image = lab.build().await.unwrap();
        assert_eq!(lab.tree(&image).await.len(), 9);
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

#[tokio::test]
async fn a_build_that_is_dropped_ends_in_the_engine_too() {
    for engine in engines().await {
        for builder in [Builder::BuildKit, Builder::Classic] {
            let mut lab = Lab::new(&engine, &format!("{SHELL}RUN waits\n"));
            let words = format!("waits-for-{}", lab.request.name.replace(':', "-"));
            let run = "RUN /bin/busybox echo started; /bin/busybox sleep 600; echo";
            lab.write("Dockerfile", &format!("{SHELL}{run} {words}\n"));
            let context = Context::open(&lab.request.context, &lab.request.dockerfile).unwrap();
            let credentials = Credentials::from_environment(&BTreeMap::new());
            let mut build = Build::new(&lab.engine, &lab.request, &context, &credentials, &lab.env);
            build.builder = builder;
            let started = Arc::new(tokio::sync::Notify::new());
            let telling = Arc::clone(&started);
            let mut listen = move |event: BuildEvent| {
                if matches!(&event, BuildEvent::StepLog { line, .. } if line == "started") {
                    telling.notify_one();
                }
            };
            let process = tokio::select! {
                result = build.run(&mut listen) => panic!("{result:?}"),
                () = started.notified() => running(&words),
            };
            ended(process).await;
            // The engine builds again.
            lab.write("Dockerfile", "FROM scratch\nCOPY busybox /\n");
            lab.build().await.unwrap();
            lab.end().await;
        }
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
            let stop = Arc::new(AtomicBool::new(false));
            let watched = Arc::clone(&stop);
            let writer = std::thread::spawn(move || {
                while !watched.load(Ordering::Relaxed) {
                    file.write_all_at(b"x", 5).unwrap();
                }
            });
            let result = lab.build().await;
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap();
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
            // The next build does not take it for what was wanted.
            let named = engine.docker().inspect_image(&lab.request.name).await;
            assert!(named.is_err(), "{builder:?}: {named:?}");
        }
        base.end().await;
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
