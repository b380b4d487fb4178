//! What a registry asks for when it answers 401, and the tokens it is given then.
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::credentials::Login;
use super::reference::is_loopback;

/// A token without an end is good for this long, says the specification.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// A way to prove who asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from a server.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// The best of those that an answer offers.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let offers: Vec<Self> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Self::parse(value.to_str().ok()?))
            .collect();
        let bearer = offers.iter().position(|offer| *offer != Self::Basic);
        offers.into_iter().nth(bearer.unwrap_or(0))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        for (name, value) in parameters(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                "scope" => scope = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer {
            realm: realm?,
            service,
            scope,
        })
    }
}

/// `name=value` and `name="value"`, separated by commas; a comma in quotes is part of the value.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_owned();
        let mut value = String::new();
        rest = match after.strip_prefix('"') {
            None => {
                let end = after.find(',').unwrap_or(after.len());
                value.push_str(after[..end].trim());
                &after[end..]
            }
            Some(quoted) => {
                let mut chars = quoted.char_indices();
                let mut end = quoted.len();
                while let Some((at, char)) = chars.next() {
                    match char {
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        '\\' => value.extend(chars.next().map(|(_, char)| char)),
                        char => value.push(char),
                    }
                }
                &quoted[end..]
            }
        };
        found.push((name, value));
    }
    found
}

/// Where tokens are to be had: HTTPS, or this machine when the registry is on it.
///
/// A realm on another host is how Docker Hub and many others work; it gets the credentials of the
/// registry that named it and no others, and never in the clear over a network.
pub(crate) fn token_server(realm: &str, registry: &str) -> Result<Uri, String> {
    let uri: Uri = realm
        .parse()
        .map_err(|_| format!("it names a token server that is no URL: `{realm}`"))?;
    let host = uri.authority().map_or("", |authority| authority.as_str());
    match uri.scheme_str() {
        Some(_) if host.is_empty() || host.contains('@') => {
            Err(format!("it names a token server that is no URL: `{realm}`"))
        }
        Some("https") => Ok(uri),
        Some("http") if is_loopback(host) && is_loopback(registry) => Ok(uri),
        _ => Err(format!(
            "it wants credentials to be sent unencrypted, to `{realm}`"
        )),
    }
}

/// The query of a request for a token.
pub(crate) fn query(fields: &[(&str, &str)]) -> String {
    let encoded = |(name, value): &(&str, &str)| format!("{name}={}", percent(value));
    fields.iter().map(encoded).collect::<Vec<_>>().join("&")
}

/// A text as a value in a query.
pub(crate) fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The header for a user and password.
pub(crate) fn basic(login: &Login) -> Option<HeaderValue> {
    let pair = format!("{}:{}", login.user, login.password.expose_secret());
    sensitive(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

/// A token as a header, and how long it is good for.
pub(crate) fn bearer(body: &[u8]) -> Option<(HeaderValue, Duration)> {
    #[derive(Deserialize)]
    struct Token {
        token: Option<SecretString>,
        access_token: Option<SecretString>,
        expires_in: Option<u64>,
    }
    let token: Token = serde_json::from_slice(body).ok()?;
    let life = token.expires_in.map(Duration::from_secs);
    let token = token.token.or(token.access_token)?;
    let header = sensitive(&format!("Bearer {}", token.expose_secret()))?;
    Some((header, life.unwrap_or(DEFAULT_LIFE)))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::read(&headers)
    }

    #[test]
    fn challenges_are_read_and_tokens_preferred() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/python:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
            scope: Some("repository:library/python:pull,push".to_owned()),
        };
        assert_eq!(read(&[hub]).as_ref(), Some(&expected));
        assert_eq!(read(&["Basic realm=\"x\"", hub]), Some(expected));
        assert_eq!(read(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        assert_eq!(
            read(&[r#"bearer realm=https://a.b/t, service="a \"b\", c""#]),
            Some(Challenge::Bearer {
                realm: "https://a.b/t".to_owned(),
                service: Some("a \"b\", c".to_owned()),
                scope: None,
            })
        );
        for nothing in [
            &[][..],
            &["Digest x"],
            &["Bearer service=x"],
            &["Bearer realm"],
        ] {
            assert_eq!(read(nothing), None, "{nothing:?}");
        }
        assert!(read(&[r#"Bearer realm="unclosed \"#]).is_some());
    }

    #[test]
    fn credentials_leave_encrypted_or_not_at_all() {
        for (realm, registry, is_fine) in [
            ("https://auth.docker.io/token", "docker.io", true),
            ("http://auth.docker.io/token", "docker.io", false),
            ("http://localhost:5001/token", "localhost:5000", true),
            ("http://localhost:5001/token", "ghcr.io", false),
            ("http://evil.example/token", "localhost:5000", false),
            ("https://user@evil.example/token", "docker.io", false),
            ("/token", "docker.io", false),
            ("file:///etc/passwd", "docker.io", false),
        ] {
            assert_eq!(token_server(realm, registry).is_ok(), is_fine, "{realm}");
        }
    }

    #[test]
    fn tokens_come_under_two_names() {
        let (header, life) = bearer(br#"{"token": "t", "expires_in": 300}"#).unwrap();
        assert_eq!(
            (header.to_str().unwrap(), life.as_secs()),
            ("Bearer t", 300)
        );
        assert!(header.is_sensitive());
        assert_eq!(bearer(br#"{"access_token": "t"}"#).unwrap().1.as_secs(), 60);
        for broken in [&b"{}"[..], b"<html>", br#"{"token": "a\nb"}"#] {
            assert!(bearer(broken).is_none());
        }
        assert_eq!(
            query(&[("scope", "a:b/c:pull,push"), ("x", "é")]),
            "scope=a%3Ab%2Fc%3Apull%2Cpush&x=%C3%A9"
        );
    }
}
