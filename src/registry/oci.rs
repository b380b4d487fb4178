//! A client for any OCI registry: what it has under a tag or digest.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::Manifest;
use super::answers::Asked;
use super::challenge::{self, Challenge};
use super::credentials::{Credentials, Login};
use super::reference::{Reference, Repository, is_digest};
use crate::error::Result;
use crate::transport::{Answer, Call, Transport, seed};

/// Docker's manifest of one image.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's list of manifests, one per platform.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// OCI's manifest of one image.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's list of manifests, one per platform.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

const ACCEPTED: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json";

const DIGEST: &str = "docker-content-digest";

/// A registry's API says by this header that it is one.
const API_VERSION: &str = "docker-distribution-api-version";

/// A token that ends sooner than this is not used any more.
const MARGIN: Duration = Duration::from_secs(10);

const MAX_REDIRECTS: usize = 3;

/// Asks registries for manifests. It keeps connections and tokens, so it is made once.
pub struct Client {
    transport: Transport,
    credentials: Credentials,
    held: Mutex<HashMap<Repository, Held>>,
}

/// What a registry accepted.
#[derive(Clone)]
struct Held {
    header: HeaderValue,
    until: Option<Instant>,
}

impl Client {
    /// A client with the environment's proxies.
    #[must_use]
    pub fn new(env: &BTreeMap<String, String>, credentials: Credentials) -> Self {
        Self {
            transport: Transport::new(env, seed()),
            credentials,
            held: Mutex::default(),
        }
    }

    /// Sends a login with the first request already: for registries that are known to take a
    /// password as it is, which saves asking them how.
    pub fn sign_in(&self, repository: &Repository, login: &Login) {
        if let Some(header) = challenge::basic(login) {
            self.hold(
                repository,
                Held {
                    header,
                    until: None,
                },
            );
        }
    }

    /// What the registry has under a tag or digest; nothing when it has none, or no such
    /// repository. One request, once the registry's way of signing in is known.
    ///
    /// # Errors
    /// Credentials are missing or wrong, the host cannot be reached or trusted, or it is no
    /// registry.
    pub async fn manifest(&self, reference: &Reference) -> Result<Option<Manifest>> {
        let asked = Asked::new(reference);
        let answer = self.ask(&asked, Method::HEAD).await?;
        let is_registry = answer.headers.contains_key(API_VERSION);
        match answer.status {
            StatusCode::NOT_FOUND if is_registry => return Ok(None),
            // A body says more: whether this is a registry at all, or what the digest is.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {}
            StatusCode::OK => {
                if let Some(manifest) = described(&answer.headers) {
                    return asked.checked(manifest).map(Some);
                }
            }
            _ => return Err(asked.refused(&answer)),
        }
        Ok(self.body(&asked).await?.map(|(manifest, _)| manifest))
    }

    /// Like [`Client::manifest`], and the image must be there for a platform
    /// (`os/architecture[/variant]`) when there is a choice: an index is identified by its own
    /// digest.
    ///
    /// # Errors
    /// As [`Client::manifest`]; and the platform is not in the index.
    pub async fn manifest_for(
        &self,
        reference: &Reference,
        platform: &str,
    ) -> Result<Option<Manifest>> {
        let Some(manifest) = self.manifest(reference).await? else {
            return Ok(None);
        };
        if !matches!(manifest.media_type.as_str(), DOCKER_LIST | OCI_INDEX) {
            return Ok(Some(manifest));
        }
        // By its digest: the tag may move between two requests.
        let pinned = reference.repository().pinned(&manifest.digest);
        let pinned = pinned.map_err(super::publish_error)?;
        let asked = Asked::new(&pinned);
        let Some((manifest, body)) = self.body(&asked).await? else {
            return Ok(None);
        };
        let index: Index = serde_json::from_slice(&body).map_err(|cause| asked.broken(cause))?;
        let platforms: Vec<String> = index
            .manifests
            .into_iter()
            .filter_map(Entry::name)
            .collect();
        match platforms.iter().any(|found| is_platform(found, platform)) {
            true => Ok(Some(manifest)),
            false => Err(asked.no_platform(platform, &platforms)),
        }
    }

    /// Reads a manifest with its bytes, of which its digest is made.
    pub(crate) async fn read(&self, reference: &Reference) -> Result<Option<(Manifest, Bytes)>> {
        self.body(&Asked::new(reference)).await
    }

    /// What arrives damaged is asked for once more.
    async fn body(&self, asked: &Asked<'_>) -> Result<Option<(Manifest, Bytes)>> {
        let mut is_again = false;
        loop {
            let answer = self.ask(asked, Method::GET).await?;
            match answer.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND if asked.is_known_absence(&answer) => return Ok(None),
                _ => return Err(asked.refused(&answer)),
            }
            let Some(media_type) = media_type(&answer.headers) else {
                return Err(asked.refused(&answer));
            };
            let manifest = Manifest {
                digest: format!("sha256:{}", super::hex(&Sha256::digest(&answer.body))),
                media_type,
                size: answer.body.len() as u64,
            };
            let said = answer
                .headers
                .get(DIGEST)
                .and_then(|said| said.to_str().ok());
            match said.filter(|said| is_digest(said) && *said != manifest.digest) {
                None => return Ok(Some((asked.checked(manifest)?, answer.body))),
                Some(_) if !is_again => is_again = true,
                Some(said) => {
                    return Err(asked.broken(format!(
                        "it says `{said}`, its bytes are `{}`",
                        manifest.digest
                    )));
                }
            }
        }
    }

    async fn ask(&self, asked: &Asked<'_>, method: Method) -> Result<Answer> {
        self.request(asked, method, asked.uri()?, Bytes::new())
            .await
    }

    /// Asks, and signs in when the registry wants that.
    pub(crate) async fn request(
        &self,
        asked: &Asked<'_>,
        method: Method,
        uri: Uri,
        body: Bytes,
    ) -> Result<Answer> {
        let call = Call {
            method,
            uri,
            headers: HeaderMap::new(),
            body,
        };
        let repository = asked.reference.repository();
        let held = self.holding(repository);
        let answer = self.send(asked, call.clone(), held.as_ref()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let login = self.credentials.for_host(repository.host()).await?;
        let Some(challenge) = Challenge::read(&answer.headers) else {
            return Err(asked.unauthorized(login.as_ref(), &answer));
        };
        let held = match challenge {
            Challenge::Basic => match &login {
                Some(login) if !login.is_token => challenge::basic(login).map(|header| Held {
                    header,
                    until: None,
                }),
                _ => None,
            },
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => Some(
                self.token(asked, login.as_ref(), &realm, service.as_deref(), scope)
                    .await?,
            ),
        };
        let Some(held) = held else {
            return Err(asked.unauthorized(login.as_ref(), &answer));
        };
        let answer = self.send(asked, call, Some(&held.header)).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED => Err(asked.unauthorized(login.as_ref(), &answer)),
            StatusCode::FORBIDDEN if login.is_none() => Err(asked.unauthorized(None, &answer)),
            _ => {
                self.hold(repository, held);
                Ok(answer)
            }
        }
    }

    /// Asks the token server that the registry names, with that registry's login.
    async fn token(
        &self,
        asked: &Asked<'_>,
        login: Option<&Login>,
        realm: &str,
        service: Option<&str>,
        scope: Option<String>,
    ) -> Result<Held> {
        let repository = asked.reference.repository();
        let server = challenge::token_server(realm, repository.host())
            .map_err(|cause| asked.distrusted(cause))?;
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", repository.path()));
        let mut fields = vec![("scope", scope.as_str())];
        fields.extend(service.map(|service| ("service", service)));
        let mut headers = HeaderMap::new();
        let token = login.filter(|login| login.is_token);
        let (method, uri, body) = match token {
            Some(login) => {
                fields.push(("grant_type", "refresh_token"));
                fields.push(("client_id", "mlaction"));
                fields.push(("refresh_token", login.password.expose_secret()));
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, form);
                (Method::POST, server.clone(), challenge::query(&fields))
            }
            None => {
                let header = login.and_then(challenge::basic);
                headers.extend(header.map(|header| (AUTHORIZATION, header)));
                let join = if server.query().is_some() { '&' } else { '?' };
                let uri = format!("{server}{join}{}", challenge::query(&fields));
                let uri = uri
                    .parse()
                    .map_err(|cause| asked.distrusted(format!("{cause}")))?;
                (Method::GET, uri, String::new())
            }
        };
        let body = Bytes::from(body);
        let call = Call {
            method,
            uri,
            headers,
            body,
        };
        let host = server.authority().map_or("", |host| host.as_str());
        let answer = self.transport.send(&call).await;
        let answer = answer.map_err(|failure| super::answers::unanswered(host, &failure))?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                return Err(asked.unauthorized(login, &answer));
            }
            _ => return Err(asked.refused(&answer)),
        }
        let (header, life) = challenge::bearer(&answer.body)
            .ok_or_else(|| asked.broken("its token server's answer has no token"))?;
        let until = Some(Instant::now() + life.saturating_sub(MARGIN));
        Ok(Held { header, until })
    }

    /// One request, and where it leads. A login stays with the host that it is for.
    async fn send(
        &self,
        asked: &Asked<'_>,
        mut call: Call,
        login: Option<&HeaderValue>,
    ) -> Result<Answer> {
        call.headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static(ACCEPTED)),
            (
                USER_AGENT,
                HeaderValue::from_static(concat!("mlaction/", env!("CARGO_PKG_VERSION"))),
            ),
        ]);
        call.headers
            .extend(login.map(|login| (AUTHORIZATION, login.clone())));
        let home = call.uri.authority().map(ToString::to_string);
        let home = home.unwrap_or_default();
        for _ in 0..=MAX_REDIRECTS {
            let host = call.uri.authority().map_or("", |host| host.as_str());
            let answer = self.transport.send(&call).await;
            let answer = answer.map_err(|failure| super::answers::unanswered(host, &failure))?;
            let is_elsewhere = host != home;
            if is_elsewhere && answer.status == StatusCode::UNAUTHORIZED {
                let cause = format!("it leads to `{host}`, which wants a login of its own");
                return Err(asked.distrusted(cause));
            }
            if !answer.status.is_redirection() {
                return Ok(answer);
            }
            let Some(next) = redirected(&call.uri, &answer.headers) else {
                return Err(asked.refused(&answer));
            };
            if next.authority() != call.uri.authority() {
                call.headers.remove(AUTHORIZATION);
            }
            call.uri = next;
        }
        Err(asked.broken(format!("it redirected more than {MAX_REDIRECTS} times")))
    }

    fn hold(&self, repository: &Repository, held: Held) {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(repository.clone(), held);
    }

    fn holding(&self, repository: &Repository) -> Option<HeaderValue> {
        let all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.get(repository)?;
        let is_good = held.until.is_none_or(|until| Instant::now() < until);
        is_good.then(|| held.header.clone())
    }
}

/// Where an answer leads: to the same host, or anywhere by HTTPS.
pub(crate) fn redirected(from: &Uri, headers: &HeaderMap) -> Option<Uri> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let to: Uri = match location.strip_prefix('/') {
        Some(_) => format!("{}://{}{location}", from.scheme_str()?, from.authority()?),
        None => location.to_owned(),
    }
    .parse()
    .ok()?;
    let is_fine = to.scheme_str() == Some("https")
        || (to.scheme() == from.scheme() && to.authority() == from.authority());
    is_fine.then_some(to)
}

/// A manifest as the headers of an answer describe it, when they do so completely.
fn described(headers: &HeaderMap) -> Option<Manifest> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    Some(Manifest {
        digest: headers
            .get(DIGEST)
            .and_then(text)
            .filter(|text| is_digest(text))?,
        media_type: media_type(headers)?,
        size: headers.get(CONTENT_LENGTH).and_then(text)?.parse().ok()?,
    })
}

/// The media type, when it is one of a manifest.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let name = text.split(';').next().unwrap_or(text).trim();
    let known = [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX];
    known.contains(&name).then(|| name.to_owned())
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Entry {
    /// `os/architecture[/variant]`; nothing for what is no image (attestations are `unknown`).
    fn name(self) -> Option<String> {
        let Platform {
            os,
            architecture,
            variant,
        } = self.platform?;
        let name = match variant {
            Some(variant) if !variant.is_empty() => format!("{os}/{architecture}/{variant}"),
            _ => format!("{os}/{architecture}"),
        };
        (os != "unknown").then_some(name)
    }
}

/// Whether an image for one platform serves another: a variant that is not asked for does.
fn is_platform(found: &str, wanted: &str) -> bool {
    // Every 64-bit ARM is version 8.
    let plain = |name: &str| {
        name.strip_suffix("arm64/v8")
            .map_or(name.to_owned(), |os| format!("{os}arm64"))
    };
    let (found, wanted) = (plain(found), plain(wanted));
    found == wanted
        || found
            .strip_prefix(&wanted)
            .is_some_and(|rest| rest.starts_with('/'))
}
