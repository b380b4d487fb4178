//! What a program finds in its container, and what is kept of what it leaves there.

use super::*;

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
