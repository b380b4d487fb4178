//! Inside a push.

use std::io::Read as _;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use super::{Site, engines, kill, until};
use crate::project::{stderr, stdout};
use crate::with_rig::support::registry::{PASSWORD, Registry, USER};
use crate::with_rig::support::tool;

/// A project with a registry, a small layer and a large one: its repository there.
fn with_layers(site: &Site, registry: &Registry) -> String {
    let repository = format!("{}/team/{}", registry.host(), site.name);
    let table = format!("\n[registry]\nkind = \"oci\"\nrepository = \"{repository}\"\n");
    let config = site.project.read("mlaction.toml") + &table;
    site.project.write("mlaction.toml", &config);
    let dockerfile = "FROM scratch\nCOPY small /\nCOPY large /\n";
    site.project.write("image/Dockerfile", dockerfile);
    for (name, size) in [("small", SMALL), ("large", LARGE)] {
        let random = std::fs::File::open("/dev/urandom").unwrap();
        let mut file = std::fs::File::create(site.project.path().join("image").join(name)).unwrap();
        std::io::copy(&mut random.take(size), &mut file).unwrap();
    }
    repository
}

const SMALL: u64 = 4 << 20;
const LARGE: u64 = 96 << 20;

/// Starts a push; the registry has the small layer and a part of the large one then.
fn start_push(site: &Site, registry: &Registry) -> Child {
    let child = site.start(&["image", "push"]);
    let repository = registry.repository(&format!("team/{}", site.name));
    let entries = |folder: &str| {
        let entries = std::fs::read_dir(repository.join(folder)).into_iter();
        entries.flatten().flatten().map(|entry| entry.path())
    };
    until("no layer is there and another on its way", || {
        // The configuration may be there before it.
        let mut arrived = entries("_layers/sha256");
        let has_arrived = arrived.any(|layer| registry.blob_size(&layer) >= SMALL);
        let sizes = entries("_uploads").filter_map(|upload| {
            let data = upload.join("data").metadata().ok()?;
            Some(data.len())
        });
        let coming = sizes.max().unwrap_or_default();
        (has_arrived && coming > 4 * SMALL).then_some(())
    });
    child
}

fn kill_in_mid_push(site: &Site, registry: &Registry) {
    kill(start_push(site, registry));
    let manifests = registry.repository(&format!("team/{}/_manifests", site.name));
    assert!(!manifests.exists(), "it was pushed whole before the kill");
}

#[test]
fn a_push_that_is_killed_sends_the_rest_next_time_and_its_name_goes() {
    for engine in engines() {
        let registry = Registry::start();
        let site = Site::new(&engine, "rest", "auto");
        let repository = with_layers(&site, &registry);
        kill_in_mid_push(&site, &registry);
        let names = site.names(&site.name);
        assert_eq!(names.len(), 3, "{names:?}");

        let (pushed, said) = site.run(&["image", "push", "--json"]);
        assert_eq!(pushed["built"], false);
        let sent = pushed["pushed_bytes"].as_u64().unwrap();
        assert!((LARGE..LARGE + SMALL).contains(&sent), "{engine}: {pushed}");
        let tag = pushed["tag"].as_str().unwrap();
        let name = format!("{repository}:{tag}");
        assert!(
            said.contains(&format!("`{name}`, left by a push")),
            "{said}"
        );
        assert_eq!(
            site.names(&site.name),
            [format!("mlaction/{}:{tag}", site.name)]
        );
        assert_eq!(digest(&name), pushed["image"]["digest"]);
        assert_eq!(site.of_runs(), Vec::<String>::new());
    }
}

/// What the registry has under a name.
#[track_caller]
fn digest(name: &str) -> String {
    let output = Command::new(tool("skopeo"))
        .args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"])
        .args(["--creds", &format!("{USER}:{PASSWORD}")])
        .arg(format!("docker://{name}"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).trim().to_owned()
}

#[test]
fn any_next_command_takes_the_name_of_a_killed_push_and_no_other() {
    for engine in engines() {
        let registry = Registry::start();
        let site = Site::new(&engine, "names", "auto");
        let repository = with_layers(&site, &registry);
        kill_in_mid_push(&site, &registry);
        let names = site.names(&site.name);
        let by = |words: &str| {
            let mut found = names.iter().filter(|name| name.contains(words));
            found.next().unwrap().clone()
        };
        let (built, mark) = (by(&format!("mlaction/{}:in-", site.name)), by(":pushing-"));
        // What people make of it themselves.
        let own = format!("{repository}:own");
        site.docker(&["tag", &built, &own]);

        // Other content, and nothing is pushed.
        site.project
            .write("image/Dockerfile", "FROM scratch\nCOPY small /\n");
        let (other, _) = site.run(&["image", "build", "--json"]);
        let other = format!("mlaction/{}:{}", site.name, other["tag"].as_str().unwrap());
        let mut left = [own.clone(), built.clone(), other];
        left.sort();
        assert_eq!(site.names(&site.name), left);

        // Killed between the two: the mark is alone.
        site.docker(&["tag", &built, &mark]);
        site.run(&["image", "build", "--json"]);
        assert_eq!(site.names(&site.name), left);
    }
}

#[test]
fn a_push_that_goes_on_is_not_harmed_by_another_command() {
    for engine in engines() {
        let registry = Registry::start();
        let site = Site::new(&engine, "both", "auto");
        let repository = with_layers(&site, &registry);
        let push = start_push(&site, &registry);
        let (second, said) = site.run(&["image", "push", "--json"]);
        let pushed = push.wait_with_output().unwrap();
        assert!(pushed.status.success(), "{engine}: {}", stderr(&pushed));
        let tag = second["tag"].as_str().unwrap();
        let name = format!("{repository}:{tag}");
        assert!(
            said.contains(&format!("`{name}`, left by a push")),
            "{said}"
        );
        assert_eq!(digest(&name), second["image"]["digest"]);
        assert_eq!(
            site.names(&site.name),
            [format!("mlaction/{}:{tag}", site.name)]
        );
    }
}

#[test]
fn an_interrupted_push_leaves_no_name() {
    for engine in engines() {
        let registry = Registry::start();
        let site = Site::new(&engine, "interrupt", "auto");
        with_layers(&site, &registry);
        let push = start_push(&site, &registry);
        let process = Pid::from_child(&push);
        kill_process(process, Signal::INT).unwrap();
        let pushed = push.wait_with_output().unwrap();
        assert_eq!(pushed.status.code(), Some(130), "{}", stderr(&pushed));
        let names = site.names(&site.name);
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(names[0].starts_with("mlaction/"), "{names:?}");
    }
}
