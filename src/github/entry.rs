//! What is settled when a run begins in a job of GitHub Actions: whom it concerns, whether its
//! code may run with the job's rights, and by whose limits.

use std::collections::BTreeMap;
use std::path::Path;

use super::api::Api;
use super::event::{Event, PullRequest};
use super::guard;
use super::limits::{self, Guarded};
use super::subject::Subject;
use crate::cli;
use crate::config::FILE_NAME;
use crate::context::Context;
use crate::destination::place::DestinationPlan;
use crate::error::{Error, ExitCode, Result};
use crate::talk::Talk;

/// A job of GitHub Actions, as a run finds it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What started the workflow.
    pub event: Event,
    /// GitHub, if the job's environment has a token.
    pub api: Option<Api>,
    /// Whom the run concerns, as far as that is known.
    pub subject: Subject,
    /// Why not more of that is known.
    pub trouble: Option<Error>,
}

impl Entry {
    /// Looks around, where a project's code is to be run; nothing off a runner. To be called
    /// within a runtime.
    ///
    /// # Errors
    /// The event cannot be read, or its code must not run with the rights of this job.
    pub async fn of(
        context: &Context,
        root: &Path,
        tell: &cli::Tell,
        allow_fork_code: bool,
    ) -> Result<Option<Self>> {
        let head = guard::head_of(root);
        let Some(entry) = Self::look(&context.env, head.as_deref(), tell).await? else {
            return Ok(None);
        };
        guard::refuse_record(root)?;
        let own = context.env.get("GITHUB_SHA").map(String::as_str);
        // A pull request that the workflow names says nothing of what lies in the workspace, unless
        // that is its head.
        let is_of_workspace = |one: &&PullRequest| {
            tell.pull_request.is_none()
                || entry.event.is_about(one.number)
                || head.as_deref() == Some(one.head_sha.as_str())
        };
        let pull_request = entry.subject.pull_request().filter(is_of_workspace);
        guard::judge(
            &entry.event,
            head.as_deref(),
            own,
            pull_request,
            allow_fork_code,
        )?;
        Ok(Some(entry))
    }

    /// Looks around, where nobody's code is run.
    ///
    /// # Errors
    /// The event cannot be read.
    pub async fn look(
        env: &BTreeMap<String, String>,
        checked_out: Option<&str>,
        tell: &cli::Tell,
    ) -> Result<Option<Self>> {
        let Some(event) = Event::read(env)? else {
            return Ok(None);
        };
        let api = Api::of(env)?;
        let (subject, trouble) = match &api {
            Some(api) => match Subject::find(api, &event, tell.pull_request, checked_out).await {
                Ok(subject) => (subject, None),
                Err(problem) => (Subject::of_event(&event), Some(Error::from(problem))),
            },
            None => (Subject::of_event(&event), None),
        };
        Ok(Some(Self {
            event,
            api,
            subject,
            trouble,
        }))
    }

    /// The project's configuration with what money hangs on as the base branch has it, and words
    /// about what that changes.
    ///
    /// # Errors
    /// It cannot be known what the base branch says, and money hangs on it.
    pub async fn guarded(
        &self,
        context: &Context,
        root: &Path,
        source: String,
    ) -> Result<(String, Option<String>)> {
        let costs = limits::costs(&source);
        let unknown = |words: &str| {
            match costs {
            false => Ok((source.clone(), None)),
            true => Err(Error::new(ExitCode::Credentials, words).hint(
                "what money hangs on is read from the base branch, so nothing is started without it",
            )),
        }
        };
        if let Some(trouble) = &self.trouble
            && self.event.is_of_pull_request()
            && costs
        {
            return Err(trouble.clone().also(
                "what money hangs on is read from the base branch, so nothing is started without it",
            ));
        }
        // Of a commit with several, any of them says what its base allows.
        let Some(pull_request) = self.subject.pull_requests.first() else {
            return Ok((source, None));
        };
        let Some(api) = &self.api else {
            return unknown("there is no `GITHUB_TOKEN` to read the base branch's limits with");
        };
        let Some(path) = path_in_repository(context, root) else {
            return unknown("the project does not lie in `GITHUB_WORKSPACE`");
        };
        let base = match api.file(&path, &pull_request.base_ref).await {
            Ok(Some(base)) => String::from_utf8_lossy(&base).into_owned(),
            Ok(None) => return without_base(pull_request, source, costs),
            Err(problem) if costs => {
                return Err(Error::from(problem).also(
                    "what money hangs on is read from the base branch, so nothing is started without it",
                ));
            }
            Err(problem) => {
                let error = Error::from(problem);
                let advice = error.advice().map(|advice| format!("; {advice}"));
                let words = format!(
                    "the base branch's limits are not known: {error}{}",
                    advice.unwrap_or_default()
                );
                return Ok((source, Some(words)));
            }
        };
        let guarded = limits::guard(&source, &base)?;
        let words = guarded.words(&pull_request.base_ref);
        let Guarded { source, .. } = guarded;
        Ok((source, words))
    }
}

impl Entry {
    /// Says why nobody on GitHub can be told, if so.
    ///
    /// # Errors
    /// Somebody must be told.
    pub fn silence(&self, wanted: &cli::Tell, talk: &Talk) -> Result<()> {
        if wanted.no_comment && wanted.no_check {
            return Ok(());
        }
        let (words, hint) = if self.event.is_unprivileged_fork() {
            (
                "a pull request of a fork, or of Dependabot, gets a token that only reads: no comment, no check",
                "workflows-examples/fork-safe.yml shows how such a pull request gets its report",
            )
        } else if self.api.is_none() {
            (
                "there is no `GITHUB_TOKEN` in the environment: no comment, no check",
                "`env: GITHUB_TOKEN: ${{ github.token }}` on the step",
            )
        } else {
            return Ok(());
        };
        if wanted.require_report {
            return Err(Error::new(ExitCode::Report, words).hint(hint));
        }
        talk.say(&format!("{words} ({hint})"));
        Ok(())
    }

    /// Whether the job may have credentials for a destination.
    ///
    /// # Errors
    /// It has none: a fork or Dependabot started the workflow.
    pub fn can_reach(&self, destination: &DestinationPlan) -> Result<()> {
        let is_cloud = matches!(destination, DestinationPlan::Sagemaker(_));
        if !is_cloud || !self.event.is_unprivileged_fork() {
            return Ok(());
        }
        let message = format!(
            "GitHub gives a pull request of a fork, or of Dependabot, no credentials for `{}`",
            destination.name()
        );
        Err(Error::new(ExitCode::Credentials, message).hint(
            "train it on the runner (`destination: docker`, workflows-examples/fork-safe.yml), or let somebody who may write say `/train` (workflows-examples/chatops.yml)",
        ))
    }
}

/// A project that the base branch does not have yet: a writer's own limits count, a stranger's do
/// not.
fn without_base(
    pull_request: &PullRequest,
    source: String,
    costs: bool,
) -> Result<(String, Option<String>)> {
    if pull_request.is_fork && costs {
        let base = &pull_request.base_ref;
        let message = format!("`{base}` has no {FILE_NAME} that says what a fork's run may cost");
        return Err(Error::new(ExitCode::Config, message)
            .hint("merge one there first, with destination and limits"));
    }
    Ok((source, None))
}

/// Where the project's configuration lies in the repository.
#[must_use]
pub fn path_in_repository(context: &Context, root: &Path) -> Option<String> {
    let workspace = context.env.get("GITHUB_WORKSPACE")?;
    let workspace = Path::new(workspace).canonicalize().ok()?;
    let root = root.canonicalize().ok()?;
    let path = root.strip_prefix(workspace).ok()?.join(FILE_NAME);
    path.to_str().map(str::to_owned)
}
