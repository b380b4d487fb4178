//! Names of images, normalised as Docker does it: `python:3.12` is
//! `docker.io/library/python:3.12`.
//!
//! Grammar: <https://github.com/distribution/reference/blob/main/reference.go>.

use std::fmt;
use std::net::IpAddr;

use super::credentials::normalised;

/// Longest `host/path`, in characters.
const MAX_NAME: usize = 255;

/// Longest tag, in characters.
const MAX_TAG: usize = 128;

/// A repository: where images are, without tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    path: String,
}

/// An image in a repository: by tag, by digest, or by both (then the digest decides).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<String>,
}

impl Repository {
    /// Reads `[host[:port]/]path`; without a host it is Docker Hub's.
    ///
    /// # Errors
    /// What is wrong with the name, in a few words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (host, path) = match text.split_once('/') {
            Some((host, path)) if is_host(host) => (normalised(host), path),
            _ => ("docker.io".to_owned(), text),
        };
        if !is_well_formed_host(&host) {
            return Err(format!("`{host}` is no host name with an optional port"));
        }
        let path = match host.as_str() {
            "docker.io" if !path.contains('/') => format!("library/{path}"),
            _ => path.to_owned(),
        };
        if let Some(part) = path.split('/').find(|part| !is_component(part)) {
            return Err(match part {
                "" => format!("`{text}` has an empty part"),
                part if part.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                    format!("`{part}` must be lower case")
                }
                part => format!(
                    "`{part}` may have lower-case letters and digits, with single `.`, one or two `_`, or `-` between them"
                ),
            });
        }
        if host.len() + 1 + path.len() > MAX_NAME {
            return Err(format!("it is longer than {MAX_NAME} characters"));
        }
        if is_hex(text, 64) {
            return Err("64 hexadecimal digits are an image's id, not a name".to_owned());
        }
        Ok(Self { host, path })
    }

    /// `host[:port]`; `docker.io` for Docker Hub.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path on the host.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where the registry's API is: Docker Hub has it on a host of its own, and registries on this
    /// machine speak HTTP, as the engine takes them to do.
    #[must_use]
    pub(crate) fn origin(&self) -> String {
        match self.host.as_str() {
            "docker.io" => "https://registry-1.docker.io".to_owned(),
            host if is_loopback(host) => format!("http://{host}"),
            host => format!("https://{host}"),
        }
    }

    /// The image under a tag.
    ///
    /// # Errors
    /// The tag is none.
    pub fn tagged(&self, tag: &str) -> Result<Reference, String> {
        check_tag(tag)?;
        Ok(Reference {
            repository: self.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        })
    }

    /// The image with a digest.
    ///
    /// # Errors
    /// The digest is none.
    pub fn pinned(&self, digest: &str) -> Result<Reference, String> {
        check_digest(digest)?;
        Ok(Reference {
            repository: self.clone(),
            tag: None,
            digest: Some(digest.to_owned()),
        })
    }
}

impl Reference {
    /// Reads `[host[:port]/]path[:tag][@digest]`; the tag is `latest` when there is neither.
    ///
    /// # Errors
    /// What is wrong with the name, in a few words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        if let Some(digest) = &digest {
            check_digest(digest)?;
        }
        // A colon before the last slash is a port's.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag,
        };
        if let Some(tag) = &tag {
            check_tag(tag)?;
        }
        Ok(Self {
            repository: Repository::parse(name)?,
            tag,
            digest,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Its tag, if it has one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Its digest, when it is pinned.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// What the registry's API is asked for: the digest, else the tag.
    pub(crate) fn selector(&self) -> &str {
        let chosen = self.digest.as_deref().or(self.tag.as_deref());
        chosen.unwrap_or("latest")
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether the first part of a name is a host and no part of a path.
fn is_host(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_well_formed_host(host: &str) -> bool {
    let (name, port) = split_port(host);
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if let Some(inner) = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
    {
        return is_port && inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(inner)
    };
    is_port && name.split('.').all(is_label)
}

/// A host's name and its port.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address are inside its brackets.
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Whether a host (`host[:port]`) is this machine: the engine speaks HTTP with it.
/// <https://docs.docker.com/reference/cli/dockerd/#insecure-registries>
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = split_port(host).0.trim_matches(['[', ']']);
    name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Letters and digits, with `.`, `_`, `__` or hyphens between them.
fn is_component(part: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(is_word);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.split(is_word).all(|gap| {
            matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|byte| *byte == b'-')
        })
}

fn check_tag(tag: &str) -> Result<(), String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let inner = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'-');
    let is_tag = tag.bytes().next().is_some_and(is_word) && tag.bytes().all(inner);
    match is_tag && tag.len() <= MAX_TAG {
        true => Ok(()),
        false => Err(format!(
            "`{tag}` is no tag: at most {MAX_TAG} letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
        )),
    }
}

fn check_digest(digest: &str) -> Result<(), String> {
    match is_digest(digest) {
        true => Ok(()),
        false => Err(format!(
            "`{digest}` is no digest: `sha256:` and 64 hexadecimal digits in lower case"
        )),
    }
}

/// Whether a text is a digest: `sha256:` and 64 hexadecimal digits in lower case.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| is_hex(hex, 64))
}

fn is_hex(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_docker_does() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for (text, normal, origin) in [
            (
                "python",
                "docker.io/library/python:latest",
                "https://registry-1.docker.io",
            ),
            (
                "python:3.12",
                "docker.io/library/python:3.12",
                "https://registry-1.docker.io",
            ),
            (
                "index.docker.io/python",
                "docker.io/library/python:latest",
                "https://registry-1.docker.io",
            ),
            (
                "me/app:v1",
                "docker.io/me/app:v1",
                "https://registry-1.docker.io",
            ),
            ("localhost/app", "localhost/app:latest", "http://localhost"),
            (
                "localhost:5000/a/b_c/d--e.f:x",
                "localhost:5000/a/b_c/d--e.f:x",
                "http://localhost:5000",
            ),
            (
                "127.3.2.1:5000/app",
                "127.3.2.1:5000/app:latest",
                "http://127.3.2.1:5000",
            ),
            (
                "[::1]:5000/app",
                "[::1]:5000/app:latest",
                "http://[::1]:5000",
            ),
            ("ghcr.io/o/app", "ghcr.io/o/app:latest", "https://ghcr.io"),
            ("Registry/app", "registry/app:latest", "https://registry"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), normal, "{text}");
            assert_eq!(reference.repository().origin(), origin, "{text}");
        }
        let pinned = Reference::parse(&format!("python:3@{digest}")).unwrap();
        assert_eq!(
            pinned.to_string(),
            format!("docker.io/library/python:3@{digest}")
        );
        assert_eq!(
            (pinned.selector(), pinned.tag()),
            (digest.as_str(), Some("3"))
        );
        let untagged = Reference::parse(&format!("python@{digest}")).unwrap();
        assert_eq!(
            untagged.to_string(),
            format!("docker.io/library/python@{digest}")
        );
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        let id = "a1".repeat(32);
        for (text, words) in [
            ("", "empty part"),
            ("a//b", "empty part"),
            ("Python", "must be lower case"),
            ("ghcr.io/Me/app", "`Me` must be lower case"),
            ("a..b", "single `.`"),
            ("a___b", "one or two `_`"),
            ("-a", "may have"),
            ("a:", "is no tag"),
            ("a:.b", "is no tag"),
            ("a@sha256:abc", "is no digest"),
            ("a@sha512:abc", "is no digest"),
            ("host:port/a", "is no host name"),
            ("host:99999/a", "is no host name"),
            ("http://ghcr.io/a", "is no host name"),
            ("x.y/../../etc", "may have"),
            ("a b", "may have"),
            ("é", "may have"),
            (&id, "an image's id"),
            (&format!("{}/b", "a".repeat(300)), "longer than 255"),
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(
            Repository::parse("x.y/a")
                .unwrap()
                .tagged(&"t".repeat(129))
                .is_err()
        );
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1",
            "127.255.0.1:1",
            "[::1]:5",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "128.0.0.1:1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
