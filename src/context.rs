//! The surroundings of a run, read once at the edge: time, environment, Git, this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;

use crate::github::guard;
use crate::github::runner::is_runner;

/// What the pure stages may know about the world.
#[derive(Debug, Clone)]
pub struct Context {
    /// Now.
    pub now: Timestamp,
    /// Environment variables (those that are valid UTF-8).
    pub env: BTreeMap<String, String>,
    /// The commit in the project's working tree, when it is a Git repository.
    pub git: Option<Git>,
    /// Processors that this process may use.
    pub cpus: usize,
    /// NVIDIA GPUs that the driver shows.
    pub gpus: usize,
    /// Where virtual environments and hashes are kept between projects.
    pub cache: PathBuf,
}

/// The state of the working tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Git {
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// Whether tracked files differ from it.
    pub dirty: bool,
    /// The branch, unless the commit is checked out by itself.
    pub branch: Option<String>,
}

impl Context {
    /// Reads the surroundings of the project in `root`.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let env = environment();
        Self {
            now: Timestamp::now(),
            git: git(root).or_else(|| checked_out(root, &env)),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            gpus: std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count),
            cache: cache_dir(&env, root),
            env,
        }
    }

    /// Whose containers those of a project on this machine are: an engine may serve many.
    #[must_use]
    pub fn owner(&self, root: &Path) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("mlaction owner v1");
        let machine = std::fs::read("/etc/machine-id")
            .ok()
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| in_container(root));
        hasher
            .update(&machine)
            .update(root.as_os_str().as_encoded_bytes());
        hasher.finalize().to_hex()[..16].to_owned()
    }

    /// A program's path, as the shell would find it.
    #[must_use]
    pub fn find_program(&self, root: &Path, name: &str) -> Option<PathBuf> {
        let is_program = |path: &Path| {
            use std::os::unix::fs::PermissionsExt as _;
            path.metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        };
        if name.contains('/') {
            return Some(root.join(name)).filter(|path| is_program(path));
        }
        std::env::split_paths(self.env.get("PATH")?)
            .map(|dir| dir.join(name))
            .find(|path| is_program(path))
    }
}

/// A container's name and the project's folder. Containers have no number of their own, may have
/// the name of their host, and find every project at the same path: the folder itself, which is
/// mounted, tells them apart.
fn in_container(root: &Path) -> Vec<u8> {
    use std::os::unix::fs::MetadataExt as _;
    let mut id = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    let meta = root.metadata();
    let folder = meta.map_or((0, 0), |meta| (meta.dev(), meta.ino()));
    id.extend(folder.0.to_le_bytes());
    id.extend(folder.1.to_le_bytes());
    id
}

/// Variables of this process that are valid UTF-8.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    let all = std::env::vars_os();
    all.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// `MLACTION_CACHE_DIR`, the XDG cache folder, or a folder in the project when there is no home.
fn cache_dir(env: &BTreeMap<String, String>, root: &Path) -> PathBuf {
    let set = |name: &str| {
        env.get(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("MLACTION_CACHE_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("mlaction")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/mlaction")))
        .unwrap_or_else(|| root.join(".mlaction/cache"))
}

fn git(root: &Path) -> Option<Git> {
    let status = [
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=no",
    ];
    parse_status(&ask_git(root, &status)?)
}

/// The commit on a runner without Git, as in the Action's image. What a checkout brought is taken
/// to be unchanged.
fn checked_out(root: &Path, env: &BTreeMap<String, String>) -> Option<Git> {
    let commit = guard::head_of(root).filter(|_| is_runner(env))?;
    Some(Git {
        commit,
        dirty: false,
        branch: None,
    })
}

/// One call of Git that takes no lock and writes nothing; nothing when it fails.
fn ask_git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        // A repository's own settings may name a program to run.
        .args(["--no-optional-locks", "-c", "core.fsmonitor=false"])
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a commit comes from, and when it was made, for those who find an image later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Address of the remote `origin`, without user and password.
    pub source: Option<String>,
    /// When the commit was made (RFC 3339).
    pub created: Option<String>,
}

impl Origin {
    /// Asks Git about the working tree in `root`.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let line = |arguments: &[&str]| {
            let text = ask_git(root, arguments)?.trim().to_owned();
            Some(text).filter(|text| !text.is_empty())
        };
        Self {
            source: line(&["config", "--get", "remote.origin.url"]).map(|url| without_login(&url)),
            created: line(&["show", "--no-patch", "--format=%cI", "HEAD"]),
        }
    }
}

/// An address without what stands before `@` in it: it may be a token.
fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => url.to_owned(),
    }
}

fn parse_status(status: &str) -> Option<Git> {
    let commit = status
        .lines()
        .find_map(|line| line.strip_prefix("# branch.oid "))?;
    let is_hash = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let head = status
        .lines()
        .find_map(|line| line.strip_prefix("# branch.head "));
    is_hash.then(|| Git {
        commit: commit.to_owned(),
        branch: head.filter(|head| *head != "(detached)").map(str::to_owned),
        dirty: status.lines().any(|line| !line.starts_with('#')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_repository_is_told_without_its_token() {
        let plain = "https://github.com/org/repo.git";
        assert_eq!(
            without_login("https://me:ghp_x@github.com/org/repo.git"),
            plain
        );
        assert_eq!(without_login(plain), plain);
        let scp = "git@github.com:org/repo.git";
        assert_eq!(without_login(scp), scp);
    }

    #[test]
    fn git_status_gives_commit_and_whether_files_changed() {
        let oid = "5a33cd1e8b0f4a5a8d1a1c2d3e4f5a6b7c8d9e0f";
        let clean = format!("# branch.oid {oid}\n# branch.head main\n");
        assert_eq!(
            parse_status(&clean),
            Some(Git {
                commit: oid.to_owned(),
                dirty: false,
                branch: Some("main".to_owned()),
            })
        );
        let detached = clean.replace("main", "(detached)");
        assert_eq!(parse_status(&detached).unwrap().branch, None);
        let dirty = format!("{clean}1 .M N... 100644 100644 100644 a b model/train.py\n");
        assert!(parse_status(&dirty).unwrap().dirty);
        assert_eq!(
            parse_status("# branch.oid (initial)\n# branch.head main\n"),
            None
        );
    }
}
