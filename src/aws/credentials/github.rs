//! A role that is taken on with the ID token of a job of GitHub Actions.
//!
//! The token is good for five minutes, and the right to ask for one lasts as long as the job: each
//! attempt has a token of its own.
//! <https://docs.github.com/en/actions/reference/security/oidc>

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_sts::Client as Sts;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::refusal::{Refusal, Session};
use crate::aws::loader;
use crate::registry::challenge::query;
use crate::transport::{Answer, Call, Transport, pause, seed};

/// Signing in takes no longer than this: a request waits for it.
const WHOLE: Duration = Duration::from_secs(25);

/// One question to AWS takes no longer than this.
const ATTEMPT: Duration = Duration::from_secs(8);

/// How often signing in is tried.
const ATTEMPTS: u32 = 5;

/// Where a job asks for its ID token, and with what.
const URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// Takes a role on with a token of GitHub.
pub(in crate::aws) struct GithubRole {
    session: Session,
    duration: Duration,
    /// Address and token; none when the job has no right to ask.
    right: Option<(String, SecretString)>,
    transport: Transport,
    sts: Sts,
    seed: u64,
}

#[derive(Deserialize)]
struct Given {
    value: SecretString,
}

impl GithubRole {
    /// The role, to be taken on in a region; nobody is asked yet.
    pub(in crate::aws) async fn new(
        session: Session,
        duration: Duration,
        region: &str,
        env: &BTreeMap<String, String>,
    ) -> Self {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(ATTEMPT)
            .build();
        // A repetition by the SDK would send the same token.
        let config = loader(region)
            .no_credentials()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .load()
            .await;
        let seed = seed();
        Self {
            session,
            duration,
            right: set(URL).zip(set(TOKEN).map(SecretString::from)),
            transport: Transport::new(env, seed),
            sts: Sts::new(&config),
            seed,
        }
    }

    async fn sign_in(&self) -> provider::Result {
        let mut last = None;
        let signed_in = tokio::time::timeout(WHOLE, self.attempts(&mut last)).await;
        if let Ok(Some(credentials)) = signed_in {
            return Ok(credentials);
        }
        let refusal = last.unwrap_or_else(|| self.session.silent());
        Err(CredentialsError::provider_error(refusal.error))
    }

    /// Tries until it works, or until it is known that it never will.
    async fn attempts(&self, last: &mut Option<Refusal>) -> Option<Credentials> {
        for attempt in 1..=ATTEMPTS {
            let refusal = match self.once().await {
                Ok(credentials) => return Some(credentials),
                Err(refusal) => refusal,
            };
            let is_lasting = refusal.is_lasting;
            *last = Some(refusal);
            if is_lasting || attempt == ATTEMPTS {
                break;
            }
            tokio::time::sleep(pause(attempt, self.seed)).await;
        }
        None
    }

    async fn once(&self) -> Result<Credentials, Refusal> {
        let token = self.id_token().await?;
        let seconds = i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX);
        let asked = SystemTime::now();
        let call = self.sts.assume_role_with_web_identity();
        let answer = call
            .role_arn(&self.session.role)
            .role_session_name(&self.session.name)
            .duration_seconds(seconds)
            .web_identity_token(token.expose_secret())
            .send()
            .await
            .map_err(|cause| self.session.refused(&cause, token.expose_secret()))?;
        let given = answer.credentials().ok_or_else(|| self.session.silent())?;
        // A clock that is slow would have them last too long.
        let longest = asked + self.duration;
        let until = SystemTime::try_from(*given.expiration()).unwrap_or(longest);
        Ok(Credentials::builder()
            .access_key_id(given.access_key_id())
            .secret_access_key(given.secret_access_key())
            .session_token(given.session_token())
            .expiry(until.min(longest))
            .provider_name("GithubToken")
            .build())
    }

    /// A new ID token.
    async fn id_token(&self) -> Result<SecretString, Refusal> {
        let Some((url, right)) = &self.right else {
            return Err(self.session.without_right());
        };
        let call = self.call(url, right)?;
        let answer = self.transport.send(&call).await;
        let answer = answer.map_err(|failure| self.session.unanswered(&failure))?;
        let Answer { status, body, .. } = answer;
        if status != StatusCode::OK {
            return Err(self.session.no_token(status, &body));
        }
        let given = serde_json::from_slice::<Given>(&body);
        given.map(|given| given.value).map_err(|_| {
            self.session
                .no_token(status, b"no ID token is in its answer")
        })
    }

    fn call(&self, url: &str, right: &SecretString) -> Result<Call, Refusal> {
        let audience = query(&[("audience", &self.session.audience)]);
        // NOTE: GitHub's address has a query already.
        let sign = if url.contains('?') { '&' } else { '?' };
        let uri = format!("{url}{sign}{audience}").parse();
        let bearer = HeaderValue::try_from(format!("bearer {}", right.expose_secret()));
        let (Ok(uri), Ok(mut bearer)) = (uri, bearer) else {
            return Err(self.session.without_right());
        };
        bearer.set_sensitive(true);
        let json = HeaderValue::from_static("application/json");
        Ok(Call {
            method: Method::GET,
            uri,
            headers: HeaderMap::from_iter([(AUTHORIZATION, bearer), (ACCEPT, json)]),
            body: Bytes::new(),
        })
    }
}

impl ProvideCredentials for GithubRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.sign_in())
    }
}

impl fmt::Debug for GithubRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = &self.session.role;
        f.debug_struct("GithubRole")
            .field("role", role)
            .finish_non_exhaustive()
    }
}
