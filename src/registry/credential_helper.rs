//! Docker's credential helpers: programs named `docker-credential-NAME`, asked by a line on
//! standard input. <https://github.com/docker/docker-credential-helpers#development>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::credentials::{Login, error};
use crate::error::Result;

/// A helper may ask a token server or a keychain; past this it waits for somebody who is not there.
const DEADLINE: Duration = Duration::from_secs(30);

/// An answer is a small object, even with a token of 12 kB inside.
const MAX_BYTES: u64 = 256 * 1024;

/// What helpers print when they know nothing of a server.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// One helper, found.
pub(crate) struct Helper<'a> {
    name: String,
    program: PathBuf,
    env: &'a BTreeMap<String, SecretString>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: SecretString,
}

impl<'a> Helper<'a> {
    /// Finds the helper on the environment's `PATH`; `file` is what names it.
    pub(crate) fn new(
        name: &str,
        env: &'a BTreeMap<String, SecretString>,
        file: &Path,
    ) -> Result<Self> {
        let file = file.display();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !name.bytes().all(is_name) {
            return Err(
                error(format!("`{file}` names a credential helper `{name}`"))
                    .because("such a name may have letters, digits, `-`, `_` and `.` only"),
            );
        }
        let name = format!("docker-credential-{name}");
        let path = env.get("PATH").map_or("", |path| path.expose_secret());
        let program = std::env::split_paths(path)
            .map(|folder| folder.join(&name))
            .find(|path| path.is_file());
        match program {
            Some(program) => Ok(Self { name, program, env }),
            None => Err(error(format!("there is no credential helper `{name}`"))
                .because(format!("`{file}` asks for it, and it is not on PATH"))
                .hint("install it, or remove `credsStore` and `credHelpers` from that file and run `docker login`")),
        }
    }

    /// Asks for a server's credentials; nothing when the helper has none.
    pub(crate) async fn get(&self, server: &str) -> Result<Option<Login>> {
        let name = &self.name;
        let mut child = self.start()?;
        let answered = tokio::time::timeout(DEADLINE, exchange(&mut child, server)).await;
        if answered.is_err() {
            stop(&mut child);
        }
        let (status, out, err) = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(cause)) => {
                stop(&mut child);
                return Err(
                    error(format!("cannot talk to the credential helper `{name}`"))
                        .because(cause)
                        .hint(self.advice(server)),
                );
            }
            Err(_) => {
                let seconds = DEADLINE.as_secs();
                return Err(error(format!(
                    "the credential helper `{name}` did not answer in {seconds} s"
                ))
                .because("it may wait for a keychain that nobody can unlock here")
                .hint(self.advice(server)));
            }
        };
        if !status.success() {
            // Helpers say why on standard output, by their protocol: what is no sentence there may
            // be the secret.
            let is_answer = out.contains(&b'{');
            let said = if is_answer { err } else { [out, err].concat() };
            let said = String::from_utf8_lossy(&said);
            if said.contains(NOT_FOUND) {
                return Ok(None);
            }
            return Err(error(format!("the credential helper `{name}` failed"))
                .because(crate::report::text::line(said.trim(), 300))
                .hint(self.advice(server)));
        }
        // NOTE: the parser's own words may quote the secret.
        let answer: Answer = serde_json::from_slice(&out).map_err(|_| {
            error(format!("the credential helper `{name}` answered nonsense"))
                .because("it is not an object with `Username` and `Secret`")
                .hint(self.advice(server))
        })?;
        Ok(Some(Login::new(
            answer.username,
            answer.secret.expose_secret(),
        )))
    }

    fn start(&self) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg("get").env_clear();
        for (name, value) in self.env {
            command.env(name, value.expose_secret());
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| {
                error(format!(
                    "cannot start the credential helper `{}`",
                    self.name
                ))
                .because(cause)
                .hint("check that the file is a program for this machine")
            })
    }

    fn advice(&self, server: &str) -> String {
        format!(
            "try `echo {server} | {} get`, or set MLACTION_REGISTRY_USER and MLACTION_REGISTRY_PASSWORD",
            self.name
        )
    }
}

type Exchanged = (std::process::ExitStatus, Vec<u8>, Vec<u8>);

/// Says the server's name and reads what is answered, both outputs at once.
async fn exchange(child: &mut Child, server: &str) -> std::io::Result<Exchanged> {
    if let Some(mut stdin) = child.stdin.take() {
        // NOTE: a helper that answers without reading closes its end: that is no failure.
        match stdin.write_all(format!("{server}\n").as_bytes()).await {
            Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => return Err(cause),
            _ => {}
        }
    }
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = tokio::try_join!(bounded(out), bounded(err))?;
    Ok((child.wait().await?, out, err))
}

async fn bounded(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_BYTES + 1).read_to_end(&mut bytes).await?;
    }
    match bytes.len() as u64 {
        0..=MAX_BYTES => Ok(bytes),
        _ => Err(std::io::Error::other("its answer is longer than 256 KiB")),
    }
}

/// Ends the helper and what it started.
fn stop(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself meanwhile; the child is not reaped before it is dropped.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
