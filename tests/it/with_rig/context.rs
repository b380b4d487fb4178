//! The build context against a real engine: what we would send is what `docker build` copies.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use mlaction::image::context::{Context, Kind};

/// Builds of one run; each takes some hundred milliseconds.
const FIXED: usize = 10;
const RANDOM: usize = 4;

/// What a path is, as far as an image shows it.
type Tree = BTreeMap<String, String>;

/// `SplitMix64`: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn path(&mut self, parts: &[&str]) -> String {
        let depth = 1 + self.below(3);
        let parts: Vec<&str> = (0..depth).map(|_| self.one(parts)).collect();
        parts.join("/")
    }
}

const NAMES: &[&str] = &["a", "b", "ab", "a.py", "b.py", ".env", "x y", "[c]", "é"];

const PATTERNS: &[&str] = &[
    "a", "b", "ab", "*", "?", "a*", "*.py", "**", "[ab]", "[^a]", ".env", "x y", "\\[c]", "[c]",
    "**b", ".", "..", "é", "{a,b}",
];

fn plant(random: &mut Random, root: &Path, case: &str) -> String {
    let mut planted = Vec::new();
    for _ in 0..12 + random.below(24) {
        let name = random.path(NAMES);
        let path = root.join(&name);
        let Some(folder) = path.parent() else {
            continue;
        };
        // A name may be a file already, or a folder.
        if std::fs::create_dir_all(folder).is_err() || path.symlink_metadata().is_ok() {
            continue;
        }
        planted.push(name);
        match random.below(6) {
            0 => std::fs::create_dir(&path).unwrap(),
            1 => symlink(random.one(NAMES), &path).unwrap(),
            executable => {
                std::fs::write(&path, "x".repeat(random.below(3))).unwrap();
                let mode = [0o644, 0o755, 0o600, 0o640][executable - 2];
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
    let mut ignore = String::new();
    for _ in 0..random.below(9) {
        // NOTE: the classic builder does not look for exceptions with wildcards below a folder
        // that is ignored; BuildKit does, and so do we. The vectors hold that case.
        let known = &planted[random.below(planted.len())];
        let above = known
            .split_once('/')
            .map_or(known.as_str(), |(above, _)| above);
        let line = match random.below(8) {
            0 => format!("!{}", random.path(&NAMES[..7])),
            1 | 2 if !known.contains('[') => format!("!{known}"),
            3 => format!("**/{}", random.one(PATTERNS)),
            4 => format!("{above}/{}", random.one(PATTERNS)),
            5 => above.to_owned(),
            _ => random.path(PATTERNS),
        };
        ignore.push_str(&line);
        ignore.push_str(random.one(&["\n", "\r\n", "/\n", "  \n", "\n# comment\n"]));
    }
    std::fs::write(root.join(".dockerignore"), &ignore).unwrap();
    let dockerfile = format!("# {case}\nFROM scratch\nCOPY . /context\n");
    std::fs::write(root.join("Dockerfile"), dockerfile).unwrap();
    ignore
}

fn docker(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("docker")
        .args(arguments)
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    output.stdout
}

fn line(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap().trim().to_owned()
}

/// What the engine copies.
fn built(root: &Path) -> Tree {
    let image = line(docker(&["build", "--quiet", root.to_str().unwrap()]));
    let saved = docker(&["save", &image]);
    docker(&["rmi", &image]);
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(saved.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(entry.path().unwrap().to_str().unwrap().to_owned(), bytes);
    }
    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let [layer] = manifest[0]["Layers"].as_array().unwrap().as_slice() else {
        panic!("{manifest}");
    };
    let mut tree = Tree::new();
    let mut archive = tar::Archive::new(files[layer.as_str().unwrap()].as_slice());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let name = path
            .strip_prefix("context")
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if name.is_empty() {
            continue;
        }
        let mode = entry.header().mode().unwrap() & 0o777;
        let what = match entry.header().entry_type() {
            tar::EntryType::Directory => "folder".to_owned(),
            tar::EntryType::Symlink => {
                format!("link {}", entry.link_name().unwrap().unwrap().display())
            }
            _ => {
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                format!("{mode:o} {text}")
            }
        };
        tree.insert(name, what);
    }
    tree
}

/// What we would send.
fn ours(root: &Path) -> Tree {
    let context = Context::open_unguarded(root, &root.join("Dockerfile")).unwrap();
    let mut tree = Tree::new();
    for entry in context.entries() {
        let entry = entry.unwrap();
        let what = match &entry.kind {
            Kind::Folder => "folder".to_owned(),
            Kind::Link { target } => format!("link {target}"),
            Kind::File { .. } => {
                let mut text = String::new();
                let mut reader = context.reader(&entry).unwrap();
                reader.read_to_string(&mut text).unwrap();
                format!("{:o} {text}", entry.mode)
            }
        };
        tree.insert(entry.name, what);
    }
    tree
}

#[test]
fn our_set_of_files_is_what_docker_build_copies() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let today = u64::try_from(now.as_nanos() % u128::from(u64::MAX)).unwrap();
    let (mut kept, mut ignored) = (0, 0);
    for (seed, cases) in [(1, FIXED), (today, RANDOM)] {
        let mut random = Random(seed);
        for case in 0..cases {
            let place = tempfile::tempdir().unwrap();
            let root = place.path();
            let ignore = plant(&mut random, root, &format!("{seed}-{case}"));
            let (ours, built) = (ours(root), built(root));
            assert_eq!(ours, built, "seed {seed}, case {case}: {ignore:?}");
            kept += ours.len();
            let all = walkdir::WalkDir::new(root).min_depth(1);
            ignored += all.into_iter().count() - ours.len();
        }
    }
    // Both are compared, not two empty sets.
    assert!(kept > 50 && ignored > 50, "{kept} {ignored}");
}

/// Not a test: what the test below measures, in a process of its own.
#[test]
#[ignore = "started by `memory_does_not_grow_with_the_context`"]
#[expect(clippy::print_stdout, reason = "the test that starts it reads this")]
fn stream_a_large_context() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let large = std::fs::File::create(place.path().join("large")).unwrap();
    large.set_len(1 << 30).unwrap();
    let context = Context::open(place.path(), &place.path().join("Dockerfile")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let bytes = runtime.block_on(async {
        let mut stream = Box::pin(context.tar(Vec::new()));
        let mut bytes = 0;
        while let Some(part) = stream.next().await {
            bytes += part.unwrap().len();
        }
        bytes
    });
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    println!("\nbytes {bytes}\n{peak}");
}

#[test]
fn memory_does_not_grow_with_the_context() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["with_rig::context::stream_a_large_context", "--exact"])
        .args(["--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{text}"))
    };
    assert!(number("bytes ") > 1 << 30, "{text}");
    assert!(number("VmHWM:") < 48 * 1024, "{text}");
}
