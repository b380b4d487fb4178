//! Debian's `docker-registry` with a password, on a free port of this machine.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use mlaction::registry::credentials::{Credentials, Login};

use super::tool;

/// Who may pull and push.
pub(crate) const USER: &str = "somebody";

/// The password: with what Base64 and Docker's headers must get right.
pub(crate) const PASSWORD: &str = "paß+word/??>>~~";

/// [`USER`] and [`PASSWORD`] as `htpasswd -Bbn -C 5` writes them.
const HTPASSWD: &str = "somebody:$2y$05$RC7hg2sRoD5ybW7eO3Gu6O2X6kSzx3iP3.0LM.RU2.A5Dyp77nw3m\n";

/// A running registry. It ends when it is dropped; its storage too, unless that was given.
pub(crate) struct Registry {
    process: Child,
    folder: tempfile::TempDir,
    storage: PathBuf,
    port: u16,
}

impl Registry {
    /// A registry that keeps images in a folder of its own.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = folder.path().join("storage");
        Self::start_in(folder, storage)
    }

    /// A registry that keeps images in a given folder.
    #[track_caller]
    pub(crate) fn start_at(storage: &Path) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), storage.to_owned())
    }

    #[track_caller]
    fn start_in(folder: tempfile::TempDir, storage: PathBuf) -> Self {
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let (process, port) = serve(folder.path(), &storage, 0);
        Self {
            process,
            folder,
            storage,
            port,
        }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The folder in which it keeps a repository: layers, manifests, and uploads that go on.
    pub(crate) fn repository(&self, path: &str) -> PathBuf {
        let repositories = self.storage.join("docker/registry/v2/repositories");
        repositories.join(path)
    }

    /// The size of what a link in a repository's folder stands for; 0 until it is there.
    pub(crate) fn blob_size(&self, link: &Path) -> u64 {
        let digits = link.file_name().unwrap().to_str().unwrap();
        let blobs = self.storage.join("docker/registry/v2/blobs/sha256");
        let data = blobs.join(&digits[..2]).join(digits).join("data");
        data.metadata().map_or(0, |data| data.len())
    }

    /// The right login.
    pub(crate) fn login() -> Login {
        Login::new(USER, PASSWORD)
    }

    /// Credentials with the right login for this registry, and nothing of this machine's.
    pub(crate) fn credentials(&self) -> Credentials {
        self.none().with(&self.host(), Self::login())
    }

    /// No credentials.
    pub(crate) fn none(&self) -> Credentials {
        Credentials::from_environment(&std::collections::BTreeMap::new())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts again after [`Registry::kill`], on the same port with the same storage.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        (self.process, self.port) = serve(self.folder.path(), &self.storage, self.port);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts the registry and waits until it listens.
#[track_caller]
fn serve(folder: &Path, storage: &Path, port: u16) -> (Child, u16) {
    let config = folder.join("config.yml");
    let text = format!(
        "version: 0.1\n\
         log: {{level: info}}\n\
         storage: {{filesystem: {{rootdirectory: {storage:?}}}, delete: {{enabled: true}}}}\n\
         http: {{addr: \"127.0.0.1:{port}\", secret: for-tests-only}}\n\
         auth: {{htpasswd: {{realm: test, path: {:?}}}}}\n",
        folder.join("htpasswd")
    );
    std::fs::write(&config, text).unwrap();
    let mut process = Command::new(tool("docker-registry"))
        .arg("serve")
        .arg(&config)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(process.stderr.take().unwrap());
    let (found, port) = mpsc::channel();
    // The log is read to its end, or the registry would wait for a reader.
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("listening on 127.0.0.1:") {
                let digits = rest.split(|char: char| !char.is_ascii_digit());
                let _ = found.send(digits.into_iter().next().unwrap_or_default().parse());
            }
        }
    });
    let port = port.recv_timeout(Duration::from_secs(120));
    (
        process,
        port.expect("docker-registry did not start").unwrap(),
    )
}
