//! Where the engine listens, as the `docker` command decides it:
//! <https://github.com/docker/cli/blob/master/cli/command/cli.go> (`resolveContextName`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::problem;
use crate::error::{Error, ExitCode, Result};

/// Where an engine listens when nothing says otherwise.
const USUAL_SOCKET: &str = "/var/run/docker.sock";

/// Longest configuration file that is read, in bytes.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`, in the clear.
    Tcp(String),
    /// `host:port`, with TLS and a certificate of ours.
    Tls {
        /// `host:port`.
        address: String,
        /// What proves who is who.
        certificates: Certificates,
    },
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The authority that signed the engine's certificate.
    pub authority: PathBuf,
    /// Our certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Certificates {
    /// The usual names in a folder: `ca.pem`, `cert.pem`, `key.pem`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            authority: folder.join("ca.pem"),
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        }
    }
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints", default)]
    endpoints: BTreeMap<String, MetaEndpoint>,
}

#[derive(Deserialize)]
struct MetaEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

impl Endpoint {
    /// What the environment names: `DOCKER_HOST` (with `DOCKER_TLS_VERIFY` and
    /// `DOCKER_CERT_PATH`), else `DOCKER_CONTEXT` or the current context of Docker's
    /// configuration, else `/var/run/docker.sock`.
    ///
    /// # Errors
    /// An address that is not understood, a context that does not exist.
    pub fn from_environment(env: &BTreeMap<String, String>) -> Result<Self> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        let config = match (set("DOCKER_CONFIG"), set("HOME")) {
            (Some(folder), _) => Some(PathBuf::from(folder)),
            (None, Some(home)) => Some(Path::new(home).join(".docker")),
            (None, None) => None,
        };
        if let Some(host) = set("DOCKER_HOST") {
            let folder = set("DOCKER_TLS_VERIFY")
                .map(|_| set("DOCKER_CERT_PATH").map(PathBuf::from).or(config))
                .map(Option::unwrap_or_default);
            return Self::parse(host, folder.as_deref());
        }
        let Some(config) = config else {
            return Ok(Self::Unix(USUAL_SOCKET.into()));
        };
        let context = match set("DOCKER_CONTEXT") {
            Some(name) => Some(name.clone()),
            None => json::<Config>(&config.join("config.json"))?
                .and_then(|config| config.current_context),
        };
        match context.filter(|name| !["", "default"].contains(&name.as_str())) {
            Some(name) => Self::of_context(&config.join("contexts"), &name),
            None => Ok(Self::Unix(USUAL_SOCKET.into())),
        }
    }

    fn of_context(contexts: &Path, name: &str) -> Result<Self> {
        let hash = Sha256::digest(name);
        let id: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let meta: Meta = json(&contexts.join("meta").join(&id).join("meta.json"))?
            .ok_or_else(|| problem::no_context(name))?;
        let host = meta
            .endpoints
            .get("docker")
            .map_or("", |docker| &docker.host);
        if host.is_empty() {
            return Ok(Self::Unix(USUAL_SOCKET.into()));
        }
        let folder = contexts.join("tls").join(&id).join("docker");
        Self::parse(host, folder.is_dir().then_some(folder.as_path()))
    }

    /// An address as in `DOCKER_HOST`; with a folder of certificates TCP means TLS.
    ///
    /// # Errors
    /// An address that is not understood.
    pub fn parse(host: &str, certificates: Option<&Path>) -> Result<Self> {
        if let Some(path) = host.strip_prefix("unix://") {
            return match path {
                "" => Ok(Self::Unix(USUAL_SOCKET.into())),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let (address, is_secure) = match host.split_once("://") {
            Some(("tcp", address)) => (address, certificates.is_some()),
            Some(("http", address)) => (address, false),
            Some(("https", address)) => (address, true),
            _ => return Err(problem::address(host)),
        };
        let address = address.trim_end_matches('/');
        let has_port = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let address = match (has_port, is_secure) {
            _ if address.is_empty() || address.contains('/') => {
                return Err(problem::address(host));
            }
            (true, _) => address.to_owned(),
            (false, true) => format!("{address}:2376"),
            (false, false) => format!("{address}:2375"),
        };
        match (is_secure, certificates) {
            (false, _) => Ok(Self::Tcp(address)),
            (true, Some(folder)) => Ok(Self::Tls {
                address,
                certificates: Certificates::in_folder(folder),
            }),
            (true, None) => Err(problem::no_certificates(host)),
        }
    }

    /// A client for plain calls.
    pub(super) fn client(&self, answer: Duration) -> Result<Docker, bollard::errors::Error> {
        let seconds = answer.as_secs();
        match self {
            Self::Unix(path) => {
                let path = path.to_string_lossy();
                Docker::connect_with_unix(&path, seconds, API_DEFAULT_VERSION)
            }
            Self::Tcp(address) => {
                let address = format!("tcp://{address}");
                Docker::connect_with_http(&address, seconds, API_DEFAULT_VERSION)
            }
            Self::Tls {
                address,
                certificates,
            } => {
                let Certificates {
                    authority,
                    certificate,
                    key,
                } = certificates;
                let address = format!("tcp://{address}");
                Docker::connect_with_ssl(
                    &address,
                    key,
                    certificate,
                    authority,
                    seconds,
                    API_DEFAULT_VERSION,
                )
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) | Self::Tls { address, .. } => write!(f, "tcp://{address}"),
        }
    }
}

/// A small JSON file; nothing when it does not exist.
fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    use std::io::Read as _;
    let failed = |cause: &dyn fmt::Display| {
        Error::new(ExitCode::Config, format!("cannot read {}", path.display())).because(cause)
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_engine_is_where_the_docker_command_looks_for_it() {
        let home = tempfile::tempdir().unwrap();
        let home_text = home.path().to_str().unwrap();
        let find = |more: &[(&str, &str)]| {
            let mut all = env(more);
            all.insert("HOME".to_owned(), home_text.to_owned());
            Endpoint::from_environment(&all)
        };
        let unix = |path: &str| Endpoint::Unix(path.into());
        assert_eq!(find(&[]).unwrap(), unix(USUAL_SOCKET));
        assert_eq!(
            find(&[("DOCKER_HOST", "unix:///a/b.sock")]).unwrap(),
            unix("/a/b.sock")
        );
        let tcp = find(&[("DOCKER_HOST", "tcp://engine")]).unwrap();
        assert_eq!(tcp, Endpoint::Tcp("engine:2375".to_owned()));
        let tls = [
            ("DOCKER_HOST", "tcp://engine:99"),
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", "/c"),
        ];
        assert_eq!(
            find(&tls).unwrap(),
            Endpoint::Tls {
                address: "engine:99".to_owned(),
                certificates: Certificates::in_folder(Path::new("/c")),
            }
        );
        for host in [
            "ssh://me@engine",
            "npipe:////./pipe/docker",
            "engine",
            "tcp://",
            "tcp://a/b",
        ] {
            assert!(find(&[("DOCKER_HOST", host)]).is_err(), "{host}");
        }

        assert!(find(&[("DOCKER_CONTEXT", "other")]).is_err());
        // sha256 of `other`.
        let id = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";
        let meta = home.path().join(".docker/contexts/meta").join(id);
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"other","Endpoints":{"docker":{"Host":"unix:///other.sock"}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        assert_eq!(
            find(&[("DOCKER_CONTEXT", "other")]).unwrap(),
            unix("/other.sock")
        );
        let config = home.path().join(".docker/config.json");
        std::fs::write(config, r#"{"auths":{},"currentContext":"other"}"#).unwrap();
        assert_eq!(find(&[]).unwrap(), unix("/other.sock"));
        assert_eq!(
            find(&[("DOCKER_CONTEXT", "default")]).unwrap(),
            unix(USUAL_SOCKET)
        );
        assert_eq!(
            find(&[("DOCKER_HOST", "unix://")]).unwrap(),
            unix(USUAL_SOCKET)
        );
    }
}
