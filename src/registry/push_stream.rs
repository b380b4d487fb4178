//! An engine's push, as it tells it: layer by layer, with bytes, and the digest at the end.

use std::collections::{BTreeMap, HashMap};

use base64::prelude::{BASE64_URL_SAFE, Engine as _};
use bollard::Docker;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptions;
use futures_util::Stream;
use http::{HeaderValue, Uri};
use secrecy::ExposeSecret as _;

use super::credentials::Login;
use super::reference::{Repository, is_digest};

/// An image has far fewer layers; more is no image.
const MAX_LAYERS: usize = 10_000;

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Bytes of layers that were read for sending, before compression.
    pub sent: u64,
    /// Bytes of the layers that must be sent, as far as the engine has told their sizes.
    pub total: u64,
    /// Layers that were sent whole.
    pub pushed: usize,
    /// Layers that the registry had, or took from another of its repositories.
    pub present: usize,
    /// Layers of the image.
    pub layers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Pushing,
    Pushed,
    Present,
}

#[derive(Debug, Clone, Copy)]
struct Layer {
    state: State,
    current: u64,
    total: u64,
}

/// What the events of one push said so far.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// By the first 12 digits of the layer's digest: before compression, or after it in an engine
    /// with containerd's store.
    layers: HashMap<String, Layer>,
    /// The manifest's digest.
    pub(crate) digest: Option<String>,
}

impl Account {
    /// Takes an event into account; says whether it changed the amount.
    pub(crate) fn take(&mut self, event: &CreateImageInfo) -> bool {
        let Some(status) = event.status.as_deref() else {
            return false;
        };
        let Some(id) = event.id.as_deref() else {
            self.digest = digest(status).or(self.digest.take());
            return false;
        };
        let state = match status {
            "Pushing" => State::Pushing,
            "Pushed" => State::Pushed,
            "Layer already exists" | "Already exists" => State::Present,
            status if status.starts_with("Mounted from") => State::Present,
            _ => State::Waiting,
        };
        if self.layers.len() >= MAX_LAYERS && !self.layers.contains_key(id) {
            return false;
        }
        let fresh = Layer {
            state: State::Waiting,
            current: 0,
            total: 0,
        };
        let layer = self.layers.entry(id.to_owned()).or_insert(fresh);
        layer.state = state;
        if let Some(detail) = &event.progress_detail {
            let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
            layer.current = bytes(detail.current).unwrap_or(layer.current);
            layer.total = bytes(detail.total).unwrap_or(layer.total);
        }
        if state == State::Pushed {
            layer.total = layer.total.max(layer.current);
            layer.current = layer.total;
        }
        true
    }

    /// Adds what another attempt sent whole: it counts, though a later one found it there.
    pub(crate) fn add(&mut self, other: &Self) {
        for (id, layer) in &other.layers {
            let had = self.layers.get(id).map(|had| had.state);
            if had != Some(State::Pushed) {
                self.layers.insert(id.clone(), *layer);
            }
        }
    }

    pub(crate) fn amount(&self) -> Amount {
        let mut amount = Amount {
            layers: self.layers.len(),
            ..Amount::default()
        };
        for layer in self.layers.values() {
            match layer.state {
                State::Present => amount.present += 1,
                state => {
                    amount.pushed += usize::from(state == State::Pushed);
                    amount.sent += layer.current;
                    amount.total += layer.total.max(layer.current);
                }
            }
        }
        amount
    }

    /// Whether a layer was sent whole in this push, by the digest with which the engine names it.
    pub(crate) fn was_pushed(&self, layer: &str) -> bool {
        let short = layer.strip_prefix("sha256:").and_then(|hex| hex.get(..12));
        let layer = short.and_then(|short| self.layers.get(short));
        layer.is_some_and(|layer| layer.state == State::Pushed)
    }
}

/// The digest in `TAG: digest: sha256:… size: 1234`.
fn digest(status: &str) -> Option<String> {
    let after = status.split("digest: ").nth(1)?;
    let digest = after.split(' ').next()?;
    is_digest(digest).then(|| digest.to_owned())
}

/// Lets the engine push a tag, for one platform where the engine can choose.
///
/// NOTE: bollard's own `push_image` drops the layers' ids, without which bytes cannot be added up,
/// and encodes the login with an alphabet that engines do not read (a `+` or `/` in it makes them
/// send none). So this is bollard's other call with the same events, led to the push.
pub(crate) fn events(
    docker: &Docker,
    repository: &Repository,
    tag: &str,
    platform: Option<&str>,
    login: Option<&Login>,
) -> impl Stream<Item = Result<CreateImageInfo, bollard::errors::Error>> + use<> {
    let header = auth_header(repository, login);
    let mut query = format!("tag={tag}");
    let can_choose = docker.client_version()
        >= bollard::ClientVersion {
            major_version: 1,
            minor_version: 46,
        };
    if let Some(platform) = platform.filter(|_| can_choose) {
        query.push_str("&platform=");
        query.push_str(&super::challenge::percent(&platform_json(platform)));
    }
    let path = format!("/images/{repository}/push?{query}");
    let docker = docker.clone().with_request_modifier(move |mut request| {
        if let Some(uri) = led_to(request.uri(), &path) {
            *request.uri_mut() = uri;
        }
        if let Some(header) = &header {
            let headers = request.headers_mut();
            headers.insert("x-registry-auth", header.clone());
        }
        request
    });
    docker.create_image(None::<CreateImageOptions>, None, None)
}

fn led_to(uri: &Uri, path: &str) -> Option<Uri> {
    let (version, _) = uri.path().split_once("/images/create")?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{version}{path}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// The engine, told a login for one repository in the alphabet that engines read.
pub(crate) fn signed_in(docker: &Docker, repository: &Repository, login: Option<&Login>) -> Docker {
    let header = auth_header(repository, login);
    docker.clone().with_request_modifier(move |mut request| {
        if let Some(header) = &header {
            let headers = request.headers_mut();
            headers.insert("x-registry-auth", header.clone());
        }
        request
    })
}

/// The login as engines read it; an empty object when there is none, which they insist on.
fn auth_header(repository: &Repository, login: Option<&Login>) -> Option<HeaderValue> {
    let mut fields = BTreeMap::new();
    if let Some(login) = login {
        let server = match repository.host() {
            "docker.io" => "https://index.docker.io/v1/",
            host => host,
        };
        fields.insert("serveraddress", server);
        match login.is_token {
            true => {
                fields.insert("identitytoken", login.password.expose_secret());
            }
            false => {
                fields.insert("username", &login.user);
                fields.insert("password", login.password.expose_secret());
            }
        }
    }
    let json = serde_json::to_string(&fields).ok()?;
    let mut header = HeaderValue::from_str(&BASE64_URL_SAFE.encode(json)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn platform_json(platform: &str) -> String {
    let names = ["os", "architecture", "variant"];
    let fields: BTreeMap<_, _> = names.iter().zip(platform.split('/')).collect();
    serde_json::to_string(&fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> CreateImageInfo {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn bytes_are_counted_by_layer() {
        let mut account = Account::default();
        for line in [
            r#"{"status":"The push refers to repository [localhost:5000/a]"}"#,
            r#"{"status":"Preparing","progressDetail":{},"id":"aaaaaaaaaaaa"}"#,
            r#"{"status":"Preparing","progressDetail":{},"id":"bbbbbbbbbbbb"}"#,
            r#"{"status":"Waiting","progressDetail":{},"id":"cccccccccccc"}"#,
            r#"{"status":"Pushing","progressDetail":{"current":10,"total":100},"id":"aaaaaaaaaaaa"}"#,
            r#"{"status":"Layer already exists","progressDetail":{},"id":"bbbbbbbbbbbb"}"#,
            r#"{"status":"Pushing","progressDetail":{"current":5,"total":50},"id":"cccccccccccc"}"#,
            r#"{"status":"Pushed","progressDetail":{},"id":"aaaaaaaaaaaa"}"#,
        ] {
            account.take(&event(line));
        }
        let expected = Amount {
            sent: 105,
            total: 150,
            pushed: 1,
            present: 1,
            layers: 3,
        };
        assert_eq!(account.amount(), expected);
        assert!(account.was_pushed(&format!("sha256:{}", "a".repeat(64))));
        assert!(!account.was_pushed(&format!("sha256:{}", "b".repeat(64))));
        assert_eq!(account.digest, None);
        let digest = format!("sha256:{}", "0".repeat(64));
        account.take(&event(&format!(
            r#"{{"status":"in-1: digest: {digest} size: 528"}}"#
        )));
        assert_eq!(account.digest, Some(digest));
        account.take(&event(r#"{"status":"v: digest: sha256:evil size: 1"}"#));
        assert!(account.digest.is_some());
    }

    #[test]
    fn logins_are_written_in_the_alphabet_that_engines_read() {
        let repository = Repository::parse("localhost:5000/a").unwrap();
        let login = Login::new("u", "ÿÿÿ>>>???~~~");
        let header = auth_header(&repository, Some(&login)).unwrap();
        let text = header.to_str().unwrap();
        assert!(
            !text.contains(['+', '/']) && text.contains(['-', '_']),
            "{text}"
        );
        assert_eq!(auth_header(&repository, None).unwrap(), "e30=");
        let uri: Uri = "http://h:1/v1.41/images/create?x=y".parse().unwrap();
        assert_eq!(
            led_to(&uri, "/images/a/push?tag=t").unwrap(),
            "http://h:1/v1.41/images/a/push?tag=t"
        );
        assert_eq!(
            platform_json("linux/arm64"),
            r#"{"architecture":"arm64","os":"linux"}"#
        );
    }
}
