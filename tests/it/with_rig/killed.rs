//! `kill -9` of the binary inside a build and inside a push, on every engine: what it leaves, and
//! that the next command makes it good.

use std::io::Read as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::support::registry::{PASSWORD, Registry, USER};
use super::support::step::{ended, running};
use super::support::tool;
use crate::project::{Project, stderr, stdout};

/// Longest wait for something to be seen.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"[project]
name = "NAME"
destination = "docker"

[image]
context = "image"
dockerfile = "image/Dockerfile"
builder = "BUILDER"

[training]
entry_point = "model/train.py"
"#;

const SHELL: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";

fn engines() -> Vec<String> {
    let named = std::env::var("MLACTION_TEST_ENGINES").unwrap_or_default();
    let named = match named.is_empty() {
        true => "unix:///var/run/docker.sock".to_owned(),
        false => named,
    };
    named
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect()
}

/// A project on one engine, whose images go when the test ends.
struct Site {
    engine: String,
    name: String,
    project: Project,
}

impl Site {
    fn new(engine: &str, test: &str, builder: &str) -> Self {
        let project = Project::new();
        let unique = project.path().file_name().unwrap().to_str().unwrap();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("{test}-{}", unique.to_lowercase());
        let config = CONFIG.replace("NAME", &name).replace("BUILDER", builder);
        project.write("mlaction.toml", &config);
        project.write("image/Dockerfile", SHELL);
        std::fs::copy(tool("busybox"), project.path().join("image/busybox")).unwrap();
        Self {
            engine: engine.to_owned(),
            name,
            project,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        command
            .env("DOCKER_HOST", &self.engine)
            .env("MLACTION_REGISTRY_USER", USER)
            .env("MLACTION_REGISTRY_PASSWORD", PASSWORD)
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> (serde_json::Value, String) {
        let output = self.command(arguments).output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        assert!(output.status.success(), "{}: {out}{err}", self.engine);
        (serde_json::from_str(&out).unwrap(), err)
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn try_docker(&self, arguments: &[&str]) -> Output {
        let mut docker = Command::new("docker");
        docker.args(["--host", &self.engine]).args(arguments);
        docker.output().unwrap()
    }

    #[track_caller]
    fn docker(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.try_docker(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        stdout(&output).lines().map(str::to_owned).collect()
    }

    /// Every name of the engine's images that has some words in it, sorted.
    fn names(&self, words: &str) -> Vec<String> {
        let mut names = self.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        names.retain(|name| name.contains(words));
        names.sort();
        names
    }

    /// Containers, whatever their state, with some words in their command line.
    fn containers(&self, words: &str) -> Vec<String> {
        let format = "{{.ID}} {{.Status}} {{.Command}}";
        let mut all = self.docker(&["ps", "--all", "--no-trunc", "--format", format]);
        all.retain(|line| line.contains(words));
        all
    }

    /// What a command in the image prints.
    fn prints(&self, image: &str, command: &[&str]) -> Vec<String> {
        self.docker(&[&["run", "--rm", "--network", "none", image], command].concat())
    }

    /// Containers, networks and volumes of runs.
    fn of_runs(&self) -> Vec<String> {
        let name = format!("name={}", self.name);
        let mut all = self.docker(&["ps", "--all", "--quiet", "--filter", &name]);
        all.extend(self.docker(&["volume", "ls", "--quiet", "--filter", &name]));
        all.extend(self.docker(&["network", "ls", "--quiet", "--filter", &name]));
        all
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for name in self.names(&self.name) {
            self.try_docker(&["rmi", &name]);
        }
    }
}

/// SIGKILL.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Reads what a command says until some words come.
#[track_caller]
fn until_said(child: &mut Child, words: &str) {
    let (mut said, mut byte) = (Vec::new(), [0]);
    let err = child.stderr.as_mut().unwrap();
    while !said.ends_with(words.as_bytes()) {
        let read = err.read(&mut byte).unwrap();
        assert_eq!(read, 1, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
}

/// Looks again and again until something is there to be seen.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}");
        // NOTE: engines and registries tell nobody about these things; they can be looked at only.
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test]
async fn a_build_that_is_killed_in_a_step_ends_in_the_engine_and_names_nothing() {
    for engine in engines() {
        for builder in ["buildkit", "classic"] {
            let site = Site::new(&engine, "step", builder);
            let words = format!("waits-for-{}", site.name);
            let run = "RUN /bin/busybox echo started; /bin/busybox sleep 300; echo";
            let dockerfile = format!("{SHELL}{run} {words}\n");
            site.project.write("image/Dockerfile", &dockerfile);
            for command in [
                &["image", "build", "--verbose"][..],
                &["train", "--verbose"],
            ] {
                let mut child = site.start(command);
                until_said(&mut child, " started\n");
                let step = running(&words);
                kill(child);
                ended(step).await;
                until("the container of the step stays", || {
                    site.containers(&words).is_empty().then_some(())
                });
                assert_eq!(site.names(&site.name), Vec::<String>::new());
            }
            let dockerfile = format!("{SHELL}RUN /bin/busybox echo {words} > /done\n");
            site.project.write("image/Dockerfile", &dockerfile);
            let (built, _) = site.run(&["image", "build", "--json"]);
            assert_eq!(built["built"], true);
            let tag = built["tag"].as_str().unwrap();
            let image = format!("mlaction/{}:{tag}", site.name);
            assert_eq!(site.names(&site.name), std::slice::from_ref(&image));
            assert_eq!(
                site.prints(&image, &["/bin/busybox", "cat", "/done"]),
                [words]
            );
            assert_eq!(site.of_runs(), Vec::<String>::new());
        }
    }
}

/// Bytes that a process has read so far, of files and otherwise.
fn bytes_read(child: &Child) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_build_that_is_killed_while_its_context_is_sent_is_built_whole_by_the_next() {
    const SIZE: u64 = 1 << 30;
    const SENT: u64 = 32 << 20;
    for engine in engines() {
        for builder in ["buildkit", "classic"] {
            let site = Site::new(&engine, "context", builder);
            let run = "RUN /bin/busybox wc -c < /large > /size";
            let dockerfile = format!("{SHELL}COPY large /large\n{run}\n");
            site.project.write("image/Dockerfile", &dockerfile);
            let large = site.project.path().join("image/large");
            let file = std::fs::File::create(&large).unwrap();
            file.set_len(SIZE).unwrap();
            // Afterwards its hash is known, and only the build reads it.
            let (plan, _) = site.run(&["image", "build", "--dry-run", "--json"]);
            let child = site.start(&["image", "build"]);
            until("the context is not sent", || {
                (bytes_read(&child) > SENT).then_some(())
            });
            let read = bytes_read(&child);
            kill(child);
            assert!(read < SIZE, "it was sent whole before the kill");
            assert_eq!(site.names(&site.name), Vec::<String>::new());

            // As much of it as was sent, so that the rest of the test is fast.
            file.set_len(SENT).unwrap();
            let (built, _) = site.run(&["image", "build", "--json"]);
            assert_eq!(built["built"], true);
            assert_ne!(built["tag"], plan["tag"]);
            let image = format!("mlaction/{}:{}", site.name, built["tag"].as_str().unwrap());
            assert_eq!(site.names(&site.name), std::slice::from_ref(&image));
            let size = site.prints(&image, &["/bin/busybox", "cat", "/size"]);
            assert_eq!(size, [SENT.to_string()]);
        }
    }
}

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
