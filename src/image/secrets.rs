//! Secrets of a build: for the step that mounts them, and for nobody else.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use indexmap::IndexMap;
use secrecy::{ExposeSecret as _, SecretBox};
use tonic::{Request, Response, Status};

use super::SecretSource;
use crate::error::{Error, ExitCode, Result};

/// The most that BuildKit takes, in bytes: `MaxSecretSize` in
/// <https://github.com/moby/buildkit/blob/master/session/secrets/secretsprovider/secretsprovider.go>.
const LARGEST: u64 = 500 * 1024;

/// Shorter lines of a secret are not looked for in logs: they are in every other word.
const SHORTEST_HIDDEN: usize = 6;

/// The values of a build's secrets.
#[derive(Clone)]
pub(super) struct Secrets {
    values: Arc<HashMap<String, SecretBox<Vec<u8>>>>,
}

impl Secrets {
    /// Reads all secrets.
    ///
    /// # Errors
    /// All that are missing, unreadable or too large.
    pub(super) fn read(
        sources: &IndexMap<String, SecretSource>,
        env: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut values = HashMap::new();
        let mut problems = Vec::new();
        for (id, source) in sources {
            match value(source, env) {
                Ok(value) => {
                    values.insert(id.clone(), SecretBox::new(Box::new(value)));
                }
                Err(why) => problems.push(format!("`{id}`: {why}")),
            }
        }
        match problems.is_empty() {
            true => Ok(Self {
                values: Arc::new(values),
            }),
            false => Err(
                Error::new(ExitCode::Credentials, "secrets of the build are missing")
                    .because(problems.join("\n  "))
                    .hint("set them, or take them out of the configuration"),
            ),
        }
    }

    /// What hides the values in text.
    pub(super) fn hidden(&self) -> Hidden {
        let values = self.values.values();
        let mut words: Vec<&[u8]> = values
            .flat_map(|value| value.expose_secret().split(|byte| *byte == b'\n'))
            .map(<[u8]>::trim_ascii)
            .filter(|word| word.len() >= SHORTEST_HIDDEN)
            .collect();
        words.sort_unstable();
        words.dedup();
        Hidden::of(&words)
    }
}

fn value(source: &SecretSource, env: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
    let value = match source {
        SecretSource::Env(name) => match env.get(name) {
            Some(value) => value.clone().into_bytes(),
            None => return Err(format!("the environment variable {name} is not set")),
        },
        SecretSource::File(path) => {
            let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
            let mut value = Vec::new();
            let file = std::fs::File::open(path).map_err(failed)?;
            file.take(LARGEST + 1)
                .read_to_end(&mut value)
                .map_err(failed)?;
            value
        }
    };
    match value.len() as u64 > LARGEST {
        true => Err(format!(
            "it has more than {LARGEST} bytes, the most that BuildKit takes"
        )),
        false => Ok(value),
    }
}

#[tonic::async_trait]
impl secrets_server::Secrets for Secrets {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        match self.values.get(&id) {
            Some(value) => Ok(Response::new(GetSecretResponse {
                data: value.expose_secret().clone(),
            })),
            None => Err(Status::not_found(format!("there is no secret {id}"))),
        }
    }
}

/// Takes the values of secrets out of text.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    search: Option<AhoCorasick>,
    /// Length of the longest value, in bytes.
    pub(super) longest: usize,
}

impl Hidden {
    /// What hides these values.
    pub(super) fn of(values: &[&[u8]]) -> Self {
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(values);
        Self {
            search: search.ok().filter(|_| !values.is_empty()),
            longest: values.iter().map(|value| value.len()).max().unwrap_or(0),
        }
    }

    /// The text with `***` instead of each value.
    pub(super) fn hide(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide_bytes(text.as_bytes())).into_owned()
    }

    /// The same for bytes as a step wrote them.
    pub(super) fn hide_bytes<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        match &self.search {
            Some(search) if search.is_match(text) => {
                let mut clean = Vec::new();
                search.replace_all_with_bytes(text, &mut clean, |_, _, out| {
                    out.extend_from_slice(b"***");
                    true
                });
                Cow::Owned(clean)
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// The first place from `at` on where text can be cut without cutting a value in two.
    pub(super) fn cut(&self, text: &[u8], at: usize) -> usize {
        let matches = self.search.iter().flat_map(|search| search.find_iter(text));
        let mut ends = matches.filter(|found| found.start() < at && at < found.end());
        ends.next().map_or(at, |found| found.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_all_at_once_and_hidden_in_text() {
        let env = BTreeMap::from([("TOKEN".to_owned(), "s3cret-value".to_owned())]);
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large");
        std::fs::write(&large, vec![0; 500 * 1024 + 1]).unwrap();
        let mut sources = IndexMap::from([
            ("a".to_owned(), SecretSource::Env("ABSENT".to_owned())),
            ("b".to_owned(), SecretSource::File(large)),
            ("c".to_owned(), SecretSource::Env("TOKEN".to_owned())),
        ]);
        let error = Secrets::read(&sources, &env).err().unwrap().to_string();
        for part in ["`a`", "ABSENT", "`b`", "512000"] {
            assert!(error.contains(part), "{error}");
        }
        sources.retain(|id, _| id == "c");
        let hidden = Secrets::read(&sources, &env).unwrap().hidden();
        assert_eq!(hidden.hide("xs3cret-valuex"), "x***x");
        assert_eq!(hidden.hide("nothing"), "nothing");
    }
}
