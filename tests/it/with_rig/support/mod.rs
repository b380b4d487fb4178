//! Real counterparts for tests, started by the test that needs them and gone with it.

pub(crate) mod cut;
pub(crate) mod front;
pub(crate) mod github;
pub(crate) mod http;
pub(crate) mod images;
pub(crate) mod ministack;
pub(crate) mod registry;
pub(crate) mod runner;
pub(crate) mod stand_in;
pub(crate) mod step;

use std::path::PathBuf;

/// A program of the test rig: in the folder named by `MLACTION_TEST_TOOLS`, else on `PATH`.
#[track_caller]
pub(crate) fn tool(name: &str) -> PathBuf {
    let folder = std::env::var_os("MLACTION_TEST_TOOLS").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&folder).chain(std::env::split_paths(&path));
    let found = folders.find_map(|folder| {
        let direct = folder.join(name);
        let program = [direct.clone(), folder.join("bin").join(name)];
        program.into_iter().find(|path| path.is_file())
    });
    found.unwrap_or_else(|| {
        panic!(
            "this test needs the program `{name}`: it is neither in MLACTION_TEST_TOOLS nor on PATH"
        )
    })
}

/// A small disk of its own, for what must run full. Mounting needs root.
pub(crate) struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// Mounts a disk of a size like `8m`.
    #[track_caller]
    pub(crate) fn mount(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let is_mounted = as_root(
            &["mount", "-t", "tmpfs", "-o", &options, "tmpfs"],
            folder.path(),
        );
        assert!(
            is_mounted,
            "this test mounts a tmpfs and needs root, or sudo without a password"
        );
        Self(folder)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: what still has a file open there may end later.
        as_root(&["umount", "--lazy"], self.0.path());
    }
}

/// Gives a folder to a user, by number, as a checkout has one that the container's root is not.
#[track_caller]
pub(crate) fn hand_over(folder: &std::path::Path, user: u32) {
    let owner = format!("{user}:{user}");
    assert!(
        as_root(&["chown", "--recursive", &owner], folder),
        "this test gives files away and needs root, or sudo without a password"
    );
}

fn as_root(command: &[&str], path: &std::path::Path) -> bool {
    let run = |command: &[&str]| {
        let mut process = std::process::Command::new(command[0]);
        let status = process.args(&command[1..]).arg(path).status();
        status.is_ok_and(|status| status.success())
    };
    run(command) || run(&[&["sudo", "-n"], command].concat())
}
