//! How fast data goes in and out, beside `docker cp`.

use super::*;

/// Peak memory of this process, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes * 1024
}

fn timed(command: &[&str], engine: &str) -> f64 {
    let started = Instant::now();
    let host = format!("unix://{}", engine.trim_start_matches("unix://"));
    let mut docker = Command::new("docker");
    let done = docker
        .args(["--host", &host])
        .args(command)
        .status()
        .unwrap();
    assert!(done.success(), "{command:?}");
    started.elapsed().as_secs_f64()
}

/// `cargo test --release --test it speed -- --ignored --nocapture --test-threads 1`
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "figures are read by people")]
fn a_gibibyte_in_and_out_beside_docker_cp() {
    on_engines(async |mut bench| {
        let data = bench.place.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let mut random = std::fs::File::open("/dev/urandom").unwrap();
        for number in 0..8 {
            let mut file = std::fs::File::create(data.join(number.to_string())).unwrap();
            std::io::copy(&mut (&mut random).take(128 << 20), &mut file).unwrap();
        }
        bench.inputs.insert("train".to_owned(), data.clone());
        let plan = bench.plan("");
        for round in 0..3 {
            let place = tempfile::tempdir().unwrap();
            let run = place.path().join("run");
            std::fs::create_dir(&run).unwrap();
            let mut destination =
                DockerDestination::new(&bench.docker, &bench.image, None, &run, &plan, "train");
            let request = bench.request(
                &plan,
                "mv /opt/ml/input/data/train /opt/ml/output/data/moved",
            );
            let started = Instant::now();
            destination.launch(&request).await.unwrap();
            let sent = started.elapsed().as_secs_f64();
            while destination.poll().await.unwrap() == JobState::Running {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let started = Instant::now();
            destination.fetch().await.unwrap();
            let fetched = started.elapsed().as_secs_f64();
            let output = run.join("work/train/output/data/moved/7");
            assert_eq!(output.metadata().unwrap().len(), 128 << 20);
            drop(place);

            let name = format!("mlaction-test-speed-{}", std::process::id());
            let create = [
                "create",
                "--name",
                &name,
                "-v",
                "/d",
                &bench.image.digest,
                "/bin/true",
            ];
            timed(&create, &bench.engine);
            let from = data.display().to_string();
            let started = timed(&["cp", &from, &format!("{name}:/d/")], &bench.engine);
            let back = bench.place.path().join("back");
            std::fs::create_dir(&back).unwrap();
            let to = back.display().to_string();
            let copied = timed(&["cp", &format!("{name}:/d/data"), &to], &bench.engine);
            timed(&["rm", "-fv", &name], &bench.engine);
            std::fs::remove_dir_all(back).unwrap();
            let peak = peak() >> 20;
            println!(
                "round {round}: in {sent:.2} s, out {fetched:.2} s, peak {peak} MiB; docker cp in {started:.2} s, out {copied:.2} s"
            );
            assert!(peak < 64);
        }
    });
}
