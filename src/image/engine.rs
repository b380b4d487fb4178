//! The Docker Engine: where it listens, and how to reach it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use serde_json::Value;

use crate::error::{Error, ExitCode, Result};

/// Where an engine listens when nobody says otherwise.
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// The engine answers the first question within this time, or it is not there.
const CONNECTING: Duration = Duration::from_secs(10);

/// Longest silence of a call that moves data, in seconds: an engine may be busy with a large archive.
const PATIENCE: u64 = 4 * 3600;

/// An engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: Docker,
    address: String,
}

impl Engine {
    /// Connects to the engine that the environment names: `DOCKER_HOST`, else the Docker context
    /// (`DOCKER_CONTEXT`, or the current one of `~/.docker/config.json`), else
    /// `/var/run/docker.sock`. The API version is the newest that both sides know.
    ///
    /// # Errors
    /// Nothing answers there, or this user may not ask.
    pub async fn connect(env: &BTreeMap<String, String>) -> Result<Self> {
        let address = address(env)?;
        let docker = open(&address, env).map_err(|error| unreachable(&address, &error))?;
        let negotiated = tokio::time::timeout(CONNECTING, docker.negotiate_version()).await;
        match negotiated {
            Ok(Ok(docker)) => Ok(Self { docker, address }),
            Ok(Err(error)) => Err(unreachable(&address, &error)),
            Err(_) => Err(unreachable(
                &address,
                &format!("no answer within {} seconds", CONNECTING.as_secs()),
            )),
        }
    }

    /// The engine's API.
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Where it listens, as an address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

fn open(address: &str, env: &BTreeMap<String, String>) -> Result<Docker, String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let is_tls = env
        .get("DOCKER_TLS_VERIFY")
        .is_some_and(|value| !value.is_empty());
    let opened = match scheme {
        "unix" => Docker::connect_with_unix(rest, PATIENCE, API_DEFAULT_VERSION),
        "tcp" | "http" | "https" if is_tls || scheme == "https" => {
            let home = env.get("HOME").map(|home| Path::new(home).join(".docker"));
            let folder = env.get("DOCKER_CERT_PATH").map(PathBuf::from).or(home);
            let folder = folder.ok_or("there is no folder with certificates: set DOCKER_CERT_PATH")?;
            let file = |name: &str| folder.join(name);
            let (key, cert, ca) = (file("key.pem"), file("cert.pem"), file("ca.pem"));
            Docker::connect_with_ssl(address, &key, &cert, &ca, PATIENCE, API_DEFAULT_VERSION)
        }
        "tcp" | "http" => Docker::connect_with_http(address, PATIENCE, API_DEFAULT_VERSION),
        "ssh" => return Err("addresses with ssh:// are not supported: forward the socket, `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`, and set DOCKER_HOST=unix:///tmp/docker.sock".to_owned()),
        _ => return Err("an address begins with unix://, tcp:// or https://".to_owned()),
    };
    opened.map_err(|error| error.to_string())
}

fn unreachable(address: &str, cause: &impl std::fmt::Display) -> Error {
    let socket = address.strip_prefix("unix://").map(Path::new);
    let hint = match socket {
        Some(socket) if !socket.exists() => {
            "start Docker, or set DOCKER_HOST; in a container, mount the socket: `--volume /var/run/docker.sock:/var/run/docker.sock`"
        }
        Some(socket)
            if std::os::unix::net::UnixStream::connect(socket)
                .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) =>
        {
            "this user may not use the socket: `sudo usermod -aG docker $USER`, then log in again; or use a rootless Docker"
        }
        Some(_) => "is the Docker Engine running? `docker info` shows it",
        None => "is DOCKER_HOST right, and is the engine running?",
    };
    Error::new(
        ExitCode::Build,
        format!("there is no Docker Engine at {address}"),
    )
    .because(cause)
    .hint(hint)
}

/// Where the engine listens.
fn address(env: &BTreeMap<String, String>) -> Result<String> {
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        return Ok(host.clone());
    }
    let folder = set("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(home).join(".docker")));
    let Some(folder) = folder else {
        return Ok(DEFAULT.to_owned());
    };
    let current = || {
        let config = read_json(&folder.join("config.json"))?;
        Some(config.get("currentContext")?.as_str()?.to_owned())
    };
    let name = set("DOCKER_CONTEXT").cloned().or_else(current);
    match name.as_deref() {
        None | Some("" | "default") => Ok(DEFAULT.to_owned()),
        Some(name) => of_context(&folder, name).ok_or_else(|| {
            let missing = format!("the Docker context `{name}` says nothing of an engine");
            Error::new(ExitCode::Build, missing)
                .hint("`docker context ls` lists them; DOCKER_HOST wins over a context")
        }),
    }
}

/// A context's files lie in a folder that is called by the SHA-256 of its name.
fn of_context(folder: &Path, name: &str) -> Option<String> {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(name.as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let meta = read_json(&folder.join("contexts/meta").join(hash).join("meta.json"))?;
    let host = meta.pointer("/Endpoints/docker/Host")?.as_str()?;
    Some(host.to_owned())
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_a_context_and_a_context_over_the_default() {
        let place = tempfile::tempdir().unwrap();
        let mut env = BTreeMap::from([("HOME".to_owned(), place.path().display().to_string())]);
        assert_eq!(address(&env).unwrap(), DEFAULT);
        let folder = place.path().join(".docker");
        let name = "dc46f1f5bc6f5d6a1c7c1dd5a5e6a3fc0d5eb9d0";
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("config.json"),
            format!(r#"{{"currentContext": "{name}"}}"#),
        )
        .unwrap();
        assert!(address(&env).unwrap_err().to_string().contains(name));
        use sha2::Digest as _;
        let hash: String = sha2::Sha256::digest(name)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let meta = folder.join("contexts/meta").join(hash);
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name": "x", "Endpoints": {"docker": {"Host": "unix:///x.sock"}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        assert_eq!(address(&env).unwrap(), "unix:///x.sock");
        env.insert("DOCKER_CONTEXT".to_owned(), "default".to_owned());
        assert_eq!(address(&env).unwrap(), DEFAULT);
        env.insert("DOCKER_HOST".to_owned(), "tcp://1.2.3.4:2375".to_owned());
        assert_eq!(address(&env).unwrap(), "tcp://1.2.3.4:2375");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_an_error_with_a_way_out() {
        let env = |host: &str| BTreeMap::from([("DOCKER_HOST".to_owned(), host.to_owned())]);
        let error = Engine::connect(&env("unix:///nowhere/docker.sock"))
            .await
            .unwrap_err();
        assert!(
            error.advice().unwrap().contains("mount the socket"),
            "{error}"
        );
        let error = Engine::connect(&env("ssh://me@far")).await.unwrap_err();
        assert!(error.to_string().contains("forward the socket"), "{error}");
    }
}
