//! How jobs end, and how they do not even start.

use std::cell::Cell;
use std::rc::Rc;

use super::*;

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
            lost_after: Duration::from_secs(10),
        };
        let outcome = watch(&mut destination, &patience, &mut receiver, &mut |_| {}).await;
        let reason = "somebody removed its container".to_owned();
        assert_eq!(outcome.unwrap(), Outcome::Stopped { reason });
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

/// A way to the engine on which every connection for a log breaks after some bytes.
async fn brittle(engine: String, listener: tokio::net::UnixListener, breaks: Rc<Cell<u32>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let (engine, breaks) = (engine.clone(), Rc::clone(&breaks));
        tokio::task::spawn_local(async move {
            let path = engine.trim_start_matches("unix://");
            let mut engine = tokio::net::UnixStream::connect(path).await.unwrap();
            let mut head = vec![0; 64 * 1024];
            let read = client.read(&mut head).await.unwrap();
            engine.write_all(&head[..read]).await.unwrap();
            let is_log = String::from_utf8_lossy(&head[..read]).contains("/logs?");
            if is_log && breaks.get() < 6 {
                breaks.set(breaks.get() + 1);
                let (from, mut to) = (engine, client);
                let mut some = from.take(10_000 * u64::from(breaks.get()));
                let _ = tokio::io::copy(&mut some, &mut to).await;
            } else {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
            }
        });
    }
}

#[test]
fn output_is_whole_though_its_connection_breaks() {
    on_engines(async |mut bench| {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let socket = bench.place.path().join("brittle.sock");
                let listener = tokio::net::UnixListener::bind(&socket).unwrap();
                let breaks = Rc::new(Cell::new(0));
                let proxy = brittle(bench.engine.clone(), listener, Rc::clone(&breaks));
                tokio::task::spawn_local(proxy);
                bench.docker = connect(socket.to_str().unwrap());
                bench.docker = bench.docker.negotiate_version().await.unwrap();
                let script = "i=0; while [ $i -lt 2000 ]; do echo line $i; echo error $i >&2; i=$((i+1)); done; sleep 3; echo end";
                let ended = bench.job("", script).await;
                assert_eq!(ended.outcome, Outcome::Succeeded, "{}", ended.log);
                let of = |word: &str| -> Vec<String> {
                    let lines = ended.log.lines().filter(|line| line.starts_with(word));
                    lines.map(str::to_owned).collect()
                };
                for word in ["line", "error"] {
                    let expected: Vec<_> = (0..2000).map(|i| format!("{word} {i}")).collect();
                    assert_eq!(of(word), expected);
                }
                assert!(ended.log.ends_with("end\n"));
                assert_eq!(breaks.get(), 6);
            })
            .await;
    });
}
