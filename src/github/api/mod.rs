//! GitHub's REST API: the few verbs that we need, in our words.
//!
//! <https://docs.github.com/en/rest>

mod problem;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{ACCEPT, AUTHORIZATION, HeaderName, USER_AGENT};
use http::{HeaderValue, Uri};
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::service::middleware::extra_headers::ExtraHeadersLayer;
use octocrab::{AuthState, Octocrab, OctocrabBuilder, Page};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub use problem::Problem;

use super::event::PullRequest;
use super::names;
use crate::error::{Error, ExitCode, Result};
use crate::transport::{Transport, seed};
use wire::Wire;

/// A page of the longest comments, with room for what is said of each.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The largest page of a list.
const PAGE: usize = 100;

/// Pages that are read at most: more comments than any pull request has.
const MOST_PAGES: usize = 300;

/// Who posts with a job's own token.
const ACTIONS: &str = "github-actions[bot]";

/// What the token of an app's installation begins with.
/// <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats>
const INSTALLATION: &str = "ghs_";

/// Permissions, as `permissions:` in a workflow names them.
const COMMENTS: &str = "pull-requests: write";
const CHECKS: &str = "checks: write";
const STATUSES: &str = "statuses: write";
const CONTENTS: &str = "contents: read";
const PULLS: &str = "pull-requests: read";
const METADATA: &str = "metadata: read";

/// One repository on GitHub, by a token.
#[derive(Debug, Clone)]
pub struct Api {
    crab: Octocrab,
    /// `/repos/OWNER/NAME`.
    base: String,
    /// Whether the token is one of an app's installation, as a job's own is.
    is_installation: bool,
    /// The account that the token belongs to, once it was asked for; nobody, if GitHub does not
    /// say.
    login: Arc<OnceCell<Option<String>>>,
    is_hurried: Arc<AtomicBool>,
}

/// A comment of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Comment {
    /// Its number among all comments.
    pub id: u64,
    /// Its text.
    #[serde(default)]
    pub body: Option<String>,
    /// Its page.
    #[serde(default)]
    pub html_url: String,
    /// Who wrote it; nobody when the account is gone.
    #[serde(default)]
    pub user: Option<User>,
}

/// Somebody on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// The account's name.
    pub login: String,
    /// `User`, `Bot`, `Organization`.
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// Something that was made, and its page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Made {
    /// Its number.
    pub id: u64,
    /// Its page.
    #[serde(default)]
    pub html_url: Option<String>,
}

/// A check run that is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckRun {
    /// Its number.
    pub id: u64,
    /// `queued`, `in_progress`, `completed`.
    pub status: String,
    /// The run that it is of.
    #[serde(default)]
    pub external_id: Option<String>,
}

impl Api {
    /// The repository that a job of GitHub Actions belongs to, if the job's environment has a
    /// token. To be called within a runtime.
    ///
    /// # Errors
    /// The token, the repository or the address of GitHub is none.
    pub fn of(env: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        let (Some(token), Some(repository)) = (set("GITHUB_TOKEN"), set("GITHUB_REPOSITORY"))
        else {
            return Ok(None);
        };
        let wrong = |name: &str| {
            Error::new(
                ExitCode::Config,
                format!("`{name}` in the environment is wrong"),
            )
            .hint("GitHub's runner sets it; `github_token` is the token alone")
        };
        if names::repository(repository).is_none() {
            return Err(wrong("GITHUB_REPOSITORY"));
        }
        let token = SecretString::from(token.trim().to_owned());
        let is_installation = token.expose_secret().starts_with(INSTALLATION);
        let bearer = format!("Bearer {}", token.expose_secret());
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| wrong("GITHUB_TOKEN"))?;
        bearer.set_sensitive(true);
        let address = set("GITHUB_API_URL").map_or("https://api.github.com", String::as_str);
        let address: Uri = address
            .trim_end_matches('/')
            .parse()
            .map_err(|_| wrong("GITHUB_API_URL"))?;
        if address.scheme().is_none() || address.host().is_none() {
            return Err(wrong("GITHUB_API_URL"));
        }
        let seed = seed();
        let headers: Vec<(HeaderName, HeaderValue)> = vec![
            (AUTHORIZATION, bearer),
            (
                ACCEPT,
                HeaderValue::from_static("application/vnd.github+json"),
            ),
            (
                USER_AGENT,
                HeaderValue::from_static(concat!("mlaction/", env!("CARGO_PKG_VERSION"))),
            ),
        ];
        let wire = Wire::new(Transport::new(env, seed).with_most(MOST_BYTES), seed);
        let is_hurried = wire.is_hurried();
        let built = OctocrabBuilder::new_empty()
            .with_service(wire)
            .with_layer(&ExtraHeadersLayer::new(Arc::new(headers)))
            .with_layer(&BaseUriLayer::new(address))
            .with_auth(AuthState::None)
            .build();
        let Ok(crab) = built;
        Ok(Some(Self {
            crab,
            base: format!("/repos/{repository}"),
            is_installation,
            login: Arc::default(),
            is_hurried,
        }))
    }

    /// Sends the last writes one after the other at once: this process is about to be killed.
    pub fn hurry(&self) {
        self.is_hurried.store(true, Ordering::Relaxed);
    }

    /// All comments of a pull request, the oldest first.
    ///
    /// # Errors
    /// GitHub does not give them.
    pub async fn comments(&self, number: u64) -> Result<Vec<Comment>, Problem> {
        let path = format!("{}/issues/{number}/comments?per_page={PAGE}", self.base);
        self.pages(&path, "read the pull request's comments", COMMENTS)
            .await
    }

    /// Writes a comment.
    ///
    /// # Errors
    /// GitHub does not take it.
    pub async fn comment(&self, number: u64, body: &str) -> Result<Comment, Problem> {
        let path = format!("{}/issues/{number}/comments", self.base);
        let made = self.crab.post(path, Some(&json!({ "body": body }))).await;
        made.map_err(|error| Problem::new("write the comment", COMMENTS, error))
    }

    /// Replaces a comment's text.
    ///
    /// # Errors
    /// It is not there any more, or GitHub does not take the text.
    pub async fn update_comment(&self, id: u64, body: &str) -> Result<Comment, Problem> {
        let path = format!("{}/issues/comments/{id}", self.base);
        let made = self.crab.patch(path, Some(&json!({ "body": body }))).await;
        made.map_err(|error| Problem::new("update the comment", COMMENTS, error))
    }

    /// Deletes a comment.
    ///
    /// # Errors
    /// It is not there any more, or GitHub does not delete it.
    pub async fn delete_comment(&self, id: u64) -> Result<(), Problem> {
        let path = format!("{}/issues/comments/{id}", self.base);
        let failed = |error| Problem::new("delete a comment that is there twice", COMMENTS, error);
        let answer = self.crab._delete(path, None::<&()>).await.map_err(failed)?;
        let checked = octocrab::map_github_error(answer).await;
        checked.map(drop).map_err(failed)
    }

    /// Answers a comment with a sign: `eyes`, `rocket`, `confused`.
    ///
    /// # Errors
    /// GitHub does not take it.
    pub async fn react(&self, comment: u64, content: &str) -> Result<(), Problem> {
        let path = format!("{}/issues/comments/{comment}/reactions", self.base);
        let made: Result<Value, _> = self
            .crab
            .post(path, Some(&json!({ "content": content })))
            .await;
        made.map(drop)
            .map_err(|error| Problem::new("react to the comment", COMMENTS, error))
    }

    /// Makes a check run.
    ///
    /// # Errors
    /// The token may not, or is no token of an app.
    pub async fn check(&self, body: &Value) -> Result<Made, Problem> {
        let made = self
            .crab
            .post(format!("{}/check-runs", self.base), Some(body))
            .await;
        made.map_err(|error| Problem::new("make the check", CHECKS, error))
    }

    /// The newest check runs of a name on a commit.
    ///
    /// # Errors
    /// GitHub does not give them.
    pub async fn checks(&self, sha: &str, name: &str) -> Result<Vec<CheckRun>, Problem> {
        #[derive(Deserialize)]
        struct Found {
            check_runs: Vec<CheckRun>,
        }
        let name = encoded(name);
        let path = format!(
            "{}/commits/{sha}/check-runs?check_name={name}&per_page={PAGE}",
            self.base
        );
        let found: Found = self.get(&path, "read the commit's checks", CHECKS).await?;
        Ok(found.check_runs)
    }

    /// Changes a check run.
    ///
    /// # Errors
    /// As for making one.
    pub async fn update_check(&self, id: u64, body: &Value) -> Result<Made, Problem> {
        let path = format!("{}/check-runs/{id}", self.base);
        let made = self.crab.patch(path, Some(body)).await;
        made.map_err(|error| Problem::new("update the check", CHECKS, error))
    }

    /// Sets a status of a commit.
    ///
    /// # Errors
    /// The token may not.
    pub async fn status(&self, sha: &str, body: &Value) -> Result<(), Problem> {
        let path = format!("{}/statuses/{sha}", self.base);
        let made: Result<Value, _> = self.crab.post(path, Some(body)).await;
        made.map(drop)
            .map_err(|error| Problem::new("set the commit's status", STATUSES, error))
    }

    /// A pull request by its number.
    ///
    /// # Errors
    /// It is not there.
    pub async fn pull_request(&self, number: u64) -> Result<PullRequest, Problem> {
        const WHAT: &str = "read the pull request";
        let path = format!("{}/pulls/{number}", self.base);
        let value: Value = self.get(&path, WHAT, PULLS).await?;
        PullRequest::from_json(&value).ok_or_else(|| Problem::strange(WHAT, PULLS))
    }

    /// Open pull requests whose last commit this is.
    ///
    /// # Errors
    /// GitHub does not give them.
    pub async fn pull_requests_of_commit(&self, sha: &str) -> Result<Vec<PullRequest>, Problem> {
        let path = format!("{}/commits/{sha}/pulls?per_page={PAGE}", self.base);
        let found: Vec<Value> = self
            .pages(&path, "find the commit's pull request", PULLS)
            .await?;
        Ok(open_ones(&found, sha))
    }

    /// Open pull requests from a branch of somebody, whose last commit this is.
    ///
    /// # Errors
    /// GitHub does not give them.
    pub async fn pull_requests_of_branch(
        &self,
        owner: &str,
        branch: &str,
        sha: &str,
    ) -> Result<Vec<PullRequest>, Problem> {
        let head = encoded(&format!("{owner}:{branch}"));
        let path = format!("{}/pulls?state=open&head={head}&per_page={PAGE}", self.base);
        let found: Vec<Value> = self
            .pages(&path, "find the branch's pull request", PULLS)
            .await?;
        Ok(open_ones(&found, sha))
    }

    /// What somebody may do here: `admin`, `write`, `read`, `none`.
    ///
    /// # Errors
    /// GitHub does not say.
    pub async fn permission(&self, login: &str) -> Result<String, Problem> {
        const WHAT: &str = "see what somebody may do here";
        let path = format!("{}/collaborators/{}/permission", self.base, encoded(login));
        let value: Value = self.get(&path, WHAT, METADATA).await?;
        let permission = value["permission"].as_str().map(str::to_owned);
        permission.ok_or_else(|| Problem::strange(WHAT, METADATA))
    }

    /// A file of the repository at a commit or branch; nothing when there is none.
    ///
    /// # Errors
    /// GitHub does not give it, or it is no file.
    pub async fn file(&self, path: &str, at: &str) -> Result<Option<Vec<u8>>, Problem> {
        use base64::Engine as _;
        const WHAT: &str = "read the base branch's mlaction.toml";
        let parts: Vec<String> = path.split('/').map(encoded).collect();
        let path = format!(
            "{}/contents/{}?ref={}",
            self.base,
            parts.join("/"),
            encoded(at)
        );
        let value: Value = match self.get(&path, WHAT, CONTENTS).await {
            Ok(value) => value,
            Err(problem) if problem.is_absent() => return Ok(None),
            Err(problem) => return Err(problem),
        };
        let text = value["content"].as_str().map(|text| text.replace('\n', ""));
        let bytes = text.and_then(|text| base64::prelude::BASE64_STANDARD.decode(text).ok());
        bytes
            .map(Some)
            .ok_or_else(|| Problem::strange(WHAT, CONTENTS))
    }

    /// Whether we wrote a comment. With a job's own token that is the account of GitHub Actions;
    /// who another token belongs to is asked.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn is_ours(&self, comment: &Comment) -> Result<bool, Problem> {
        let Some(User { login, kind }) = &comment.user else {
            return Ok(false);
        };
        if login == ACTIONS {
            return Ok(true);
        }
        // An app writes as a bot.
        if self.is_installation && kind == "User" {
            return Ok(false);
        }
        let viewer = self.login.get_or_try_init(|| self.ask_login()).await?;
        let plain = |login: &str| login.trim_end_matches("[bot]").to_owned();
        Ok(viewer
            .as_ref()
            .is_some_and(|viewer| plain(viewer) == plain(login)))
    }

    /// The account that the token belongs to. An app's token may ask by GraphQL only; where that
    /// is refused, too, nobody knows.
    async fn ask_login(&self) -> Result<Option<String>, Problem> {
        const WHAT: &str = "see whose the token is";
        match self.get::<User>("/user", WHAT, METADATA).await {
            Ok(user) => return Ok(Some(user.login)),
            Err(problem) if problem.is_forbidden() => {}
            Err(problem) if problem.is_absent() => return Ok(None),
            Err(problem) => return Err(problem),
        }
        let question = json!({ "query": "query { viewer { login } }" });
        let answer: Result<Value, _> = self.crab.graphql(&question).await;
        match answer.map_err(|error| Problem::new(WHAT, METADATA, error)) {
            Ok(answer) => Ok(answer["viewer"]["login"].as_str().map(str::to_owned)),
            Err(problem) if problem.is_forbidden() || problem.is_absent() => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        what: &'static str,
        needs: &'static str,
    ) -> Result<T, Problem> {
        let got = self.crab.get(path, None::<&()>).await;
        got.map_err(|error| Problem::new(what, needs, error))
    }

    async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        what: &'static str,
        needs: &'static str,
    ) -> Result<Vec<T>, Problem> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let path = format!("{path}&page={page}");
            let found: Page<T> = self
                .crab
                .get(path, None::<&()>)
                .await
                .map_err(|error| Problem::new(what, needs, error))?;
            all.extend(found.items);
            if found.next.is_none() {
                break;
            }
        }
        Ok(all)
    }
}

fn open_ones(found: &[Value], sha: &str) -> Vec<PullRequest> {
    let open = found.iter().filter(|value| value["state"] == "open");
    open.filter_map(PullRequest::from_json)
        .filter(|one| one.head_sha == sha)
        .collect()
}

/// A text as one part of an address.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
