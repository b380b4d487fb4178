//! Signing in to AWS as a job of GitHub Actions does, and credentials that end while a job runs.
//! The stand-in refuses keys that have expired, and tokens.

mod ending;
mod signing_in;

use std::collections::HashSet;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::sagemaker::Site;
use super::support::front::{Asked, Front};
use crate::project::{stderr, stdout};

const ROLE: &str = "arn:aws:iam::123456789012:role/ci";

/// The right to ask for a token: secret.
const RIGHT: &str = "right-to-ask";

/// Keys that AWS has known, and does not take any more.
const EXPIRED: &str = "AKIAEXPIRED000000000";

/// A runner of GitHub Actions with a role, whose ways to GitHub and to STS are seen.
struct Runner {
    site: Site,
    front: Front,
    /// The ID tokens that AWS was shown.
    shown: Arc<Mutex<Vec<String>>>,
}

impl Runner {
    /// GitHub's answers are the stand-in's, or those of a rule.
    #[track_caller]
    fn new(
        train: &str,
        github: impl Fn(&Asked) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let site = Site::new(train);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = shown.clone();
        let front = Front::start(site.aws.host(), move |asked| {
            if asked.uri().path() == "/_stand-in/id-token" {
                let right = asked.headers().get(AUTHORIZATION).unwrap();
                assert_eq!(right, &format!("bearer {RIGHT}"));
                return github(asked);
            }
            let body = String::from_utf8_lossy(asked.body()).into_owned();
            let mut fields = body.split('&');
            let token = fields.find_map(|field| field.strip_prefix("WebIdentityToken="));
            seen.lock().unwrap().extend(token.map(str::to_owned));
            None
        });
        expire(&site, &json!({}));
        Self { site, front, shown }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let host = self.front.host();
        let url = format!("http://{host}/_stand-in/id-token?api-version=2.0");
        let mut command = self.site.command(arguments);
        command
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_REPOSITORY", "octo-org/octo-repo")
            .env("GITHUB_RUN_ID", "1234")
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", url)
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", RIGHT)
            .env("AWS_ENDPOINT_URL_STS", format!("http://{host}"))
            .env("MLACTION_AWS_ROLE", ROLE)
            // Keys that are there besides are not what is used.
            .env("AWS_ACCESS_KEY_ID", EXPIRED);
        command
    }

    /// How often AWS was shown a token, each of which it had never seen.
    #[track_caller]
    fn sign_ins(&self) -> usize {
        let shown = self.shown.lock().unwrap();
        let distinct: HashSet<&String> = shown.iter().collect();
        assert_eq!(distinct.len(), shown.len());
        shown.len()
    }
}

/// Has the stand-in look at keys.
fn expire(site: &Site, more: &Value) {
    let mut wanted = json!({"enforced": true, "expired_keys": [EXPIRED]});
    let fields = wanted.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    site.aws.set("credentials", &wanted);
}

/// Holds a command to its exit code, and to saying nothing that is secret.
#[track_caller]
fn ends(output: &Output, code: i32) -> String {
    let (out, err) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    for secret in [RIGHT, "eyJ"] {
        assert!(!out.contains(secret) && !err.contains(secret), "{out}{err}");
    }
    err
}
