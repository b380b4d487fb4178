//! The one comment of a config on a pull request: found by its marker, written in place, there
//! once.

use super::api::{Api, Comment, Problem};

/// The comment of one config on one pull request.
#[derive(Debug)]
pub struct Sticky {
    number: u64,
    marker: String,
    /// The comment as it is known to be.
    known: Option<Comment>,
}

/// How often a comment is looked for anew that others delete meanwhile.
const ATTEMPTS: u32 = 3;

impl Sticky {
    /// The comment with a marker on a pull request.
    #[must_use]
    pub fn new(number: u64, marker: String) -> Self {
        Self {
            number,
            marker,
            known: None,
        }
    }

    /// The comment's page, once it is known.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.known.as_ref().map(|comment| comment.html_url.as_str())
    }

    /// Makes the comment say something; what it says already is not sent.
    ///
    /// # Errors
    /// GitHub does not let us.
    pub async fn say(&mut self, api: &Api, body: &str) -> Result<(), Problem> {
        let mut attempt = 1;
        loop {
            let said = self.try_to_say(api, body).await;
            match said {
                // Somebody deleted it.
                Err(problem) if problem.is_absent() && attempt < ATTEMPTS => self.known = None,
                // It may be there all the same: looked for, before it is written again.
                Err(problem) if problem.is_unsure() && attempt < ATTEMPTS => self.known = None,
                said => return said,
            }
            attempt += 1;
        }
    }

    async fn try_to_say(&mut self, api: &Api, body: &str) -> Result<(), Problem> {
        if self.known.is_none() {
            self.known = self.only_one(api).await?;
        }
        let said = match &self.known {
            Some(known) if known.body.as_deref() == Some(body) => return Ok(()),
            Some(known) => api.update_comment(known.id, body).await?,
            None => {
                let made = api.comment(self.number, body).await?;
                return self.one_of(api, made, body).await;
            }
        };
        self.keep(said, body);
        Ok(())
    }

    /// After a comment was made: another run may have made one at the same time. The oldest stays.
    async fn one_of(&mut self, api: &Api, made: Comment, body: &str) -> Result<(), Problem> {
        match self.only_one(api).await? {
            Some(oldest) if oldest.id != made.id => {
                let said = api.update_comment(oldest.id, body).await?;
                self.keep(said, body);
            }
            _ => self.keep(made, body),
        }
        Ok(())
    }

    /// What it says is what was sent, however GitHub writes line ends.
    fn keep(&mut self, comment: Comment, body: &str) {
        let body = Some(body.to_owned());
        self.known = Some(Comment { body, ..comment });
    }

    /// The oldest comment with the marker that we wrote; younger ones are deleted.
    async fn only_one(&self, api: &Api) -> Result<Option<Comment>, Problem> {
        let all = api.comments(self.number).await?;
        let marked = all.into_iter().filter(|comment| {
            let body = comment.body.as_deref().unwrap_or_default();
            body.lines().next() == Some(self.marker.as_str())
        });
        let mut oldest: Option<Comment> = None;
        for comment in marked {
            // Anybody can write a marker.
            if !api.is_ours(&comment).await? {
                continue;
            }
            match &oldest {
                None => oldest = Some(comment),
                Some(_) => match api.delete_comment(comment.id).await {
                    Err(problem) if !problem.is_absent() => return Err(problem),
                    _ => {}
                },
            }
        }
        Ok(oldest)
    }
}
