//! What GitHub refuses, and why, in words.

use http::StatusCode;

use super::wire::NO_ANSWER;
use crate::error::{Error, ExitCode};

/// GitHub's words where a conversation was locked by somebody.
const LOCKED: &str = "is locked";

/// A request that GitHub did not fulfil.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What was attempted: `write the comment`.
    what: &'static str,
    /// The permission that it takes: `pull-requests: write`.
    needs: &'static str,
    /// What GitHub answered, if it did.
    status: Option<StatusCode>,
    words: String,
}

impl Problem {
    pub(super) fn new(what: &'static str, needs: &'static str, error: octocrab::Error) -> Self {
        let (status, words) = match error {
            octocrab::Error::GitHub { source, .. } => {
                let details = source.errors.iter().flatten();
                let details = details.filter_map(|detail| detail["message"].as_str());
                let words: Vec<&str> = std::iter::once(source.message.as_str())
                    .chain(details)
                    .collect();
                let status = Some(source.status_code).filter(|status| *status != NO_ANSWER);
                (status, words.join(": "))
            }
            other => (None, crate::error::chain(&other)),
        };
        Self {
            what,
            needs,
            status,
            words,
        }
    }

    /// An answer that is no answer to what was asked.
    pub(super) fn strange(what: &'static str, needs: &'static str) -> Self {
        Self {
            what,
            needs,
            status: None,
            words: "GitHub's answer is none that is known".to_owned(),
        }
    }

    /// Whether what was asked for is not there, or not any more.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self.status, Some(StatusCode::NOT_FOUND | StatusCode::GONE))
    }

    /// Whether the token may not do this.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        // NOTE: a fine-grained token that may not see something is told that it is not there.
        self.status == Some(StatusCode::FORBIDDEN) && !self.is_limit()
    }

    fn is_limit(&self) -> bool {
        self.status == Some(StatusCode::TOO_MANY_REQUESTS)
            || self.words.to_lowercase().contains("rate limit")
    }

    /// Whether it may have been done although the answer was an error, or none came.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        self.status.is_none_or(|status| status.is_server_error())
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let error = Self::new(ExitCode::Report, format!("cannot {}", problem.what));
        let error = error.because(match problem.status {
            Some(status) => format!("{} ({})", problem.words, status.as_u16()),
            None => problem.words.clone(),
        });
        let needs = problem.needs;
        if problem.is_forbidden() && problem.words.contains(LOCKED) {
            return error.hint("unlock the conversation, or set `comment: false`");
        }
        if problem.is_forbidden() {
            return error.hint(format!(
                "the workflow's token may not: add `{needs}` under `permissions:` of the job; for pull requests from forks see docs/github-actions.md"
            ));
        }
        if problem.is_limit() {
            return error.hint("GitHub's limit is used up: <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>");
        }
        match problem.status {
            Some(StatusCode::UNAUTHORIZED) => {
                error.hint("give the job's own token: `github_token: ${{ github.token }}`")
            }
            Some(StatusCode::NOT_FOUND) => error.hint(format!(
                "either it is not there, or the token may not see it (`{needs}`)"
            )),
            _ => error,
        }
    }
}
