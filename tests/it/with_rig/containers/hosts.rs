//! The network of jobs, and jobs on several hosts.

use super::*;

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
