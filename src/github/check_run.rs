//! The check of a run on GitHub: begun, taken up by whoever goes on with the run, ended. Where the
//! token may make no check, it is the commit's status.

use serde_json::Value;

use super::api::{Api, CheckRun, Problem};

/// The check of a run on a commit.
#[derive(Debug)]
pub struct Kept {
    sha: String,
    made: Option<Made>,
}

#[derive(Debug, Clone, Copy)]
enum Made {
    Check(u64),
    Status,
}

/// The last word of a check.
#[derive(Debug)]
pub struct Verdict {
    /// The check's name.
    pub name: String,
    /// The run's id.
    pub run: String,
    /// The request that ends the check, and those that add annotations.
    pub check: Vec<Value>,
    /// The commit's status in place of the check, if one may stand for it.
    pub status: Option<Value>,
}

impl Kept {
    /// The check that a commit is to have.
    #[must_use]
    pub fn on(sha: String) -> Self {
        Self { sha, made: None }
    }

    /// Takes up a check that was made before.
    pub fn take_up(&mut self, id: u64) {
        self.made = Some(Made::Check(id));
    }

    /// The commit.
    #[must_use]
    pub fn sha(&self) -> &str {
        &self.sha
    }

    /// Begins it, and gives the number of the check run, if it is one.
    ///
    /// # Errors
    /// The token may make neither check nor status; GitHub does not answer.
    pub async fn begin(
        &mut self,
        api: &Api,
        body: &Value,
        status: &Value,
    ) -> Result<Option<u64>, Problem> {
        let made = make(api, &self.sha, body, Some(status)).await?;
        self.made = Some(made);
        Ok(match made {
            Made::Check(id) => Some(id),
            Made::Status => None,
        })
    }

    /// Ends it.
    ///
    /// # Errors
    /// As for its beginning.
    pub async fn end(self, api: &Api, verdict: &Verdict) -> Result<(), Problem> {
        let (first, more) = match &verdict.check[..] {
            [first, more @ ..] => (first, more),
            [] => return Ok(()),
        };
        let begun = match self.made {
            Some(made) => Some(made),
            None => begun(api, &self.sha, verdict).await,
        };
        let made = match begun {
            Some(Made::Check(id)) => api.update_check(id, first).await.map(|_| Made::Check(id))?,
            Some(Made::Status) => {
                if let Some(status) = &verdict.status {
                    api.status(&self.sha, status).await?;
                }
                Made::Status
            }
            None => {
                let body =
                    super::check::create(&verdict.name, &self.sha, &verdict.run, first.clone());
                make(api, &self.sha, &body, verdict.status.as_ref()).await?
            }
        };
        if let Made::Check(id) = made {
            for body in more {
                api.update_check(id, body).await?;
            }
        }
        Ok(())
    }
}

/// Makes a check, or sets the commit's status: only an app may make checks.
async fn make(api: &Api, sha: &str, body: &Value, status: Option<&Value>) -> Result<Made, Problem> {
    match api.check(body).await {
        Ok(made) => Ok(Made::Check(made.id)),
        Err(problem) if problem.is_forbidden() => match status {
            Some(status) if api.status(sha, status).await.is_ok() => Ok(Made::Status),
            // The check is what was wanted.
            _ => Err(problem),
        },
        // It may be there all the same: looked for, before it is made again.
        Err(problem) if problem.is_unsure() => {
            let text = |field: &str| body[field].as_str().unwrap_or_default();
            let (name, run) = (text("name"), text("external_id"));
            let id = match check_of(api, sha, name, run).await? {
                Some(found) => found.id,
                None => api.check(body).await?.id,
            };
            Ok(Made::Check(id))
        }
        Err(problem) => Err(problem),
    }
}

/// The check of a run, if it is there.
async fn check_of(
    api: &Api,
    sha: &str,
    name: &str,
    run: &str,
) -> Result<Option<CheckRun>, Problem> {
    let mut found = api.checks(sha, name).await?.into_iter();
    Ok(found.find(|one| one.external_id.as_deref() == Some(run)))
}

/// The check that another command began, and left when it detached its job.
async fn begun(api: &Api, sha: &str, verdict: &Verdict) -> Option<Made> {
    let found = check_of(api, sha, &verdict.name, &verdict.run).await;
    // Who may not look may not make one either, and hears of it there.
    let found = found.ok().flatten()?;
    (found.status != "completed").then_some(Made::Check(found.id))
}
