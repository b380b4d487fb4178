//! Credentials for registries: Docker's config file, its helpers, environment variables.
//!
//! Nothing is read before somebody asks for a host, so a broken file or a slow helper hurts only
//! those who need it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::credential_helper::Helper;
use crate::error::{Error, ExitCode, Result};

/// A file of credentials is small; a large one is a mistake.
const MAX_BYTES: u64 = 1024 * 1024;

/// The key that Docker has kept for Docker Hub since the registry's first version.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Names that mean Docker Hub.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The user name by which helpers and registries mark an identity token.
pub(crate) const TOKEN_USER: &str = "<token>";

/// A user and its password, or an identity token. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password, or the token.
    pub password: SecretString,
    /// Whether the password is an identity token: it is exchanged for others at the registry's
    /// token server, and is no password anywhere.
    pub is_token: bool,
}

impl Login {
    /// A user with a password, or with the token that a helper marks by its user name.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        let user = user.into();
        let is_token = user == TOKEN_USER;
        let password = SecretString::from(password.into());
        Self {
            user,
            password,
            is_token,
        }
    }

    fn is_empty(&self) -> bool {
        self.user.is_empty() && self.password.expose_secret().is_empty()
    }
}

/// Where credentials come from, in the order in which they win: given ones, the environment,
/// Docker's file and its helpers, podman's file.
#[derive(Debug, Clone)]
pub struct Credentials {
    given: BTreeMap<String, Login>,
    environment: Option<FromVariables>,
    files: Vec<PathBuf>,
    env: BTreeMap<String, SecretString>,
}

/// What the variables `MLACTION_REGISTRY_*` say.
#[derive(Debug, Clone)]
struct FromVariables {
    user: Option<String>,
    password: Option<SecretString>,
    /// Normalised; nothing until [`Credentials::configured`] says it.
    host: Option<String>,
}

impl Credentials {
    /// Credentials as the environment describes them:
    ///
    /// 1. `MLACTION_REGISTRY_USER` with `MLACTION_REGISTRY_PASSWORD`, for the host in
    ///    `MLACTION_REGISTRY_HOST`, else for the one that [`Credentials::configured`] names;
    /// 2. `config.json` in `DOCKER_CONFIG` or `~/.docker`, with its helpers;
    /// 3. podman's `REGISTRY_AUTH_FILE`, else `XDG_RUNTIME_DIR/containers/auth.json`.
    #[must_use]
    pub fn from_environment(env: &BTreeMap<String, String>) -> Self {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        let user = set("MLACTION_REGISTRY_USER").cloned();
        let password = set("MLACTION_REGISTRY_PASSWORD")
            .map(String::as_str)
            .map(Into::into);
        let environment = (user.is_some() || password.is_some()).then(|| FromVariables {
            user,
            password,
            host: set("MLACTION_REGISTRY_HOST").map(|host| normalised(host)),
        });
        let docker = set("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(home).join(".docker")))
            .map(|folder| folder.join("config.json"));
        let podman = set("REGISTRY_AUTH_FILE").map(PathBuf::from).or_else(|| {
            set("XDG_RUNTIME_DIR").map(|folder| Path::new(folder).join("containers/auth.json"))
        });
        let secret = |(name, value): (&String, &String)| (name.clone(), value.as_str().into());
        Self {
            given: BTreeMap::new(),
            environment,
            files: docker.into_iter().chain(podman).collect(),
            env: env.iter().map(secret).collect(),
        }
    }

    /// Names the configured registry: credentials of the environment that name no host are for it
    /// and for no other.
    #[must_use]
    pub fn configured(mut self, host: &str) -> Self {
        if let Some(variables) = &mut self.environment {
            variables.host.get_or_insert_with(|| normalised(host));
        }
        self
    }

    /// Adds a login that wins over all others, e.g. Amazon ECR's token.
    #[must_use]
    pub fn with(mut self, host: &str, login: Login) -> Self {
        self.given.insert(normalised(host), login);
        self
    }

    /// The login for a host (`host[:port]`), if there is one.
    ///
    /// # Errors
    /// A source that speaks of this host is broken: half of the variables, a file that is no JSON,
    /// a helper that is missing, fails, hangs, or answers nonsense.
    pub async fn for_host(&self, host: &str) -> Result<Option<Login>> {
        let host = normalised(host);
        if let Some(login) = self.given.get(&host) {
            return Ok(Some(login.clone()));
        }
        if let Some(variables) = &self.environment
            && variables.host.as_deref() == Some(&host)
        {
            return variables.login().map(Some);
        }
        for path in &self.files {
            let Some(file) = read(path)? else { continue };
            if let Some(login) = file.login(path, &host, &self.env).await? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

impl FromVariables {
    fn login(&self) -> Result<Login> {
        let missing = match (&self.user, &self.password) {
            (Some(user), Some(password)) => {
                return Ok(Login::new(user.clone(), password.expose_secret()));
            }
            (None, _) => "MLACTION_REGISTRY_USER",
            (_, None) => "MLACTION_REGISTRY_PASSWORD",
        };
        let message = format!("`{missing}` is not set, though its counterpart is");
        Err(error(message).hint("set both, or neither to use Docker's own credentials"))
    }
}

/// Docker's `config.json` and podman's `auth.json`, as far as credentials go.
/// <https://github.com/docker/cli/blob/master/cli/config/configfile/file.go>
#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    auths: BTreeMap<String, Option<Entry>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
    #[serde(rename = "identitytoken")]
    token: Option<SecretString>,
}

impl File {
    async fn login(
        &self,
        path: &Path,
        host: &str,
        env: &BTreeMap<String, SecretString>,
    ) -> Result<Option<Login>> {
        let own = find(&self.helpers, host);
        let helper = own.or(self.store.as_ref()).filter(|name| !name.is_empty());
        if let Some(name) = helper {
            let server = match host {
                "docker.io" => DOCKER_HUB_KEY,
                host => host,
            };
            let login = Helper::new(name, env, path)?.get(server).await?;
            if let Some(login) = login.filter(|login| !login.is_empty()) {
                return Ok(Some(login));
            }
        }
        match find(&self.auths, host) {
            Some(Some(entry)) => entry.login(path, host),
            _ => Ok(None),
        }
    }
}

impl Entry {
    fn login(&self, path: &Path, host: &str) -> Result<Option<Login>> {
        let broken = || {
            let path = path.display();
            error(format!("the entry of `{host}` in `{path}` is broken"))
                .because("`auth` is not `user:password` in Base64")
                .hint(format!("run `docker login {host}`"))
        };
        let mut user = self.username.clone().unwrap_or_default();
        let mut password = self.password.clone().unwrap_or_default();
        if let Some(auth) = &self.auth
            && !auth.expose_secret().is_empty()
        {
            let bytes = BASE64_STANDARD.decode(auth.expose_secret().trim());
            let text = String::from_utf8(bytes.map_err(|_| broken())?).map_err(|_| broken())?;
            let (name, secret) = text.split_once(':').ok_or_else(broken)?;
            user = name.to_owned();
            // NOTE: Docker once padded passwords, and trims what it reads to this day.
            password = SecretString::from(secret.trim_matches('\0'));
        }
        let token = self
            .token
            .clone()
            .filter(|token| !token.expose_secret().is_empty());
        let login = Login {
            user,
            is_token: token.is_some(),
            password: token.unwrap_or(password),
        };
        Ok(Some(login).filter(|login| !login.is_empty()))
    }
}

/// Reads a file of credentials; nothing when there is none.
fn read(path: &Path) -> Result<Option<File>> {
    let what = || format!("cannot read `{}`", path.display());
    let meta = match path.metadata() {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(error(what()).because(cause)),
        Ok(meta) => meta,
    };
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(error(what())
            .because("it is not a file of credentials: no regular file of at most 1 MiB")
            .hint("set DOCKER_CONFIG to the folder that holds Docker's `config.json`"));
    }
    let text = std::fs::read(path).map_err(|cause| error(what()).because(cause))?;
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let file = serde_json::from_slice(&text).map_err(|cause| {
        // NOTE: the parser's own words may quote a password.
        let (line, column) = (cause.line(), cause.column());
        error(what())
            .because(format!(
                "it is not the JSON that Docker writes: line {line}, column {column}"
            ))
            .hint("correct the file, or remove it and log in again with `docker login`")
    })?;
    Ok(Some(file))
}

/// The value of the exact host, else of a key that is a URL of it.
fn find<'a, T>(map: &'a BTreeMap<String, T>, host: &str) -> Option<&'a T> {
    let names: &[&str] = match host {
        "docker.io" => &DOCKER_HUB,
        _ => &[host],
    };
    let legacy = map.get(DOCKER_HUB_KEY).filter(|_| host == "docker.io");
    legacy
        .or_else(|| names.iter().find_map(|name| map.get(*name)))
        .or_else(|| {
            map.iter()
                .find(|(key, _)| normalised(key) == host)
                .map(|(_, value)| value)
        })
}

/// A key or host without scheme and path; every name of Docker Hub is `docker.io`.
pub(crate) fn normalised(key: &str) -> String {
    let key = key.trim();
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest).to_ascii_lowercase();
    match DOCKER_HUB.contains(&host.as_str()) {
        true => "docker.io".to_owned(),
        false => host,
    }
}

/// An error of credentials.
pub(crate) fn error(message: impl Into<String>) -> Error {
    Error::new(ExitCode::Credentials, message)
}

#[cfg(test)]
mod tests;
