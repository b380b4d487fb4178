//! Nothing stays in the engine, however mlaction ends.

use super::*;

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
    let script = std::env::var("VICTIM_SCRIPT").unwrap();
    on_engines(async |mut bench| {
        bench.owner.clone_from(&owner);
        bench.inputs.insert("train".to_owned(), place.join("large"));
        let settings = format!("hosts = {hosts}");
        let plan = bench.plan(&settings);
        let mut destination = bench.destination(&plan);
        let request = bench.request(&plan, &script);
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
        let phases = [
            ("2", "network", "exit 0"),
            ("1", "created", "exit 0"),
            ("1", "running", "exec sleep 300"),
            ("1", "exited", "exit 0"),
        ];
        for (hosts, phase, script) in phases {
            let mut victim = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "with_rig::containers::leaving::victim",
                    "--ignored",
                ])
                .env("VICTIM_OWNER", &bench.owner)
                .env("VICTIM_PLACE", bench.place.path())
                .env("VICTIM_HOSTS", hosts)
                .env("VICTIM_SCRIPT", script)
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
