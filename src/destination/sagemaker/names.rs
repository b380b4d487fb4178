//! Names of jobs and tags, as AWS takes them.

use std::path::Path;

use indexmap::IndexMap;

use crate::context::{self, Context};
use crate::github::event::{About, Event, PullRequest};

/// Longest name of a job (service model, `TrainingJobName`).
const MOST_NAME: usize = 63;

/// Most tags of a job, and longest key and value (service model, `TagList`, `Tag`).
pub const MOST_TAGS: usize = 50;
const MOST_KEY: usize = 128;
const MOST_VALUE: usize = 256;

/// What the names of mlaction's own tags begin with.
pub const TAG_PREFIX: &str = "mlaction:";

/// The tag of a job whose result is collected later.
pub const DETACHED: &str = "detached";

/// How many tags of its own a job has at most: see [`Origin::tags`].
pub const OWN_TAGS: usize = 10;

/// `PROJECT-HASH-ATTEMPT-ROLE`: the name is the key by which a job is found again, and with ten
/// digits of the hash behind it, a project's name may lose its end.
#[must_use]
pub fn job_name(project: &str, content_hash: &str, attempt: u32, role: &str) -> String {
    let hash: String = content_hash.chars().take(10).collect();
    let end = hyphened(&format!("{hash}-{attempt}-{role}"));
    let room = MOST_NAME.saturating_sub(end.len() + 1);
    let start: String = hyphened(project).chars().take(room).collect();
    let start = match start.trim_end_matches('-') {
        "" => "job",
        start => start,
    };
    format!("{start}-{end}")
}

/// The name of the next attempt at the same content, of a name that [`job_name`] made.
#[must_use]
pub fn next_attempt(name: &str) -> Option<String> {
    let (rest, role) = name.rsplit_once('-')?;
    let (rest, attempt) = rest.rsplit_once('-')?;
    let (project, hash) = rest.rsplit_once('-')?;
    let attempt: u32 = attempt.parse().ok()?;
    Some(job_name(project, hash, attempt.checked_add(1)?, role))
}

/// What the checkpoints of a content are kept under, whichever attempt made them.
#[must_use]
pub fn checkpoints(project: &str, content_hash: &str) -> String {
    let hash: String = content_hash.chars().take(10).collect();
    format!("{}-{hash}", hyphened(project))
}

fn hyphened(text: &str) -> String {
    let allowed = |char: char| match char.is_ascii_alphanumeric() {
        true => char,
        false => '-',
    };
    let text: String = text.chars().map(allowed).collect();
    text.trim_matches('-').to_owned()
}

/// Whether a job may be called so (service model, `TrainingJobName`).
#[must_use]
pub fn is_job_name(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric();
    text.len() <= MOST_NAME
        && text.starts_with(is_plain)
        && text.ends_with(is_plain)
        && text.chars().all(|char| is_plain(char) || char == '-')
}

/// A text with only what a tag's key may have.
#[must_use]
pub fn tag_key(text: &str) -> String {
    sanitised(text, MOST_KEY)
}

/// A text with only what a tag's value may have.
#[must_use]
pub fn tag_value(text: &str) -> String {
    sanitised(text, MOST_VALUE)
}

/// Everything but letters, digits, separators and `_.:/=+-@` becomes `_`. What is too long is cut;
/// AWS counts as Java does, in UTF-16.
fn sanitised(text: &str, most: usize) -> String {
    // NOTE: the pattern is a constant; a test compiles it.
    let Ok(refused) = regex::Regex::new(r"[^\p{L}\p{Z}\p{N}_.:/=+\-@]") else {
        return String::new();
    };
    let mut length = 0;
    refused
        .replace_all(text, "_")
        .chars()
        .take_while(|char| {
            length += char.len_utf16();
            length <= most
        })
        .collect()
}

/// Where a job comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// `OWNER/NAME` on GitHub, or the remote's address.
    pub repository: Option<String>,
    /// The commit; `-dirty` behind it when tracked files differ from it.
    pub commit: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The pull request's number.
    pub pull_request: Option<String>,
    /// Address of the workflow's run.
    pub run_url: Option<String>,
}

/// What a job is, besides where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// The project.
    pub project: &'a str,
    /// `train` or `validate`.
    pub role: &'a str,
    /// The run's content hash.
    pub content_hash: &'a str,
    /// One hash over the fingerprints of all data.
    pub data: &'a str,
    /// Whether nobody waits for it: its result is collected later.
    pub detached: bool,
}

impl Origin {
    /// What Git and GitHub's runner say.
    #[must_use]
    pub fn read(root: &Path, context: &Context) -> Self {
        let set = |name: &str| {
            let value = context.env.get(name).filter(|value| !value.is_empty());
            value.cloned()
        };
        let repository = set("GITHUB_REPOSITORY");
        let git = context.git.as_ref();
        let event = Event::read(&context.env).ok().flatten();
        // Events like `issue_comment` are of the default branch, whatever is checked out.
        let is_of_event =
            set("GITHUB_SHA").is_none_or(|sha| git.is_some_and(|git| git.commit == sha));
        let number = match event.as_ref().map(Event::about) {
            Some(About::PullRequest(PullRequest { number, .. }) | About::Number(number)) => {
                Some(number.to_string())
            }
            _ => None,
        };
        let pull_request = number.or_else(|| {
            let name = set("GITHUB_REF")?;
            let number = name.strip_prefix("refs/pull/")?.split('/').next()?;
            Some(number.to_owned())
        });
        // Of a pull request, what runs is its merge with the base: people know the last commit.
        let reported = event
            .filter(|_| is_of_event)
            .and_then(|event| event.report_sha());
        let run_url = || {
            let (server, run) = (set("GITHUB_SERVER_URL")?, set("GITHUB_RUN_ID")?);
            Some(format!(
                "{server}/{}/actions/runs/{run}",
                repository.as_ref()?
            ))
        };
        let run_url = run_url();
        Self {
            commit: git.map(|git| {
                let dirty = if git.dirty { "-dirty" } else { "" };
                format!("{}{dirty}", reported.unwrap_or_else(|| git.commit.clone()))
            }),
            branch: set("GITHUB_HEAD_REF").or_else(|| {
                let is_branch = set("GITHUB_REF_TYPE").is_some_and(|kind| kind == "branch");
                let git = git.and_then(|git| git.branch.clone());
                // NOTE: a runner checks out a commit, for whatever reference it names.
                set("GITHUB_REF_NAME")
                    .filter(|_| is_branch && is_of_event)
                    .or(git)
            }),
            repository: repository.or_else(|| context::Origin::read(root).source),
            pull_request,
            run_url,
        }
    }

    /// The tags of a job: by them it is found, and compared with another of its name.
    #[must_use]
    pub fn tags(&self, job: &Identity<'_>) -> IndexMap<String, String> {
        let all: [(&str, Option<&str>); OWN_TAGS] = [
            ("project", Some(job.project)),
            ("role", Some(job.role)),
            ("content", Some(job.content_hash)),
            ("data", Some(job.data)),
            (DETACHED, job.detached.then_some("true")),
            ("repository", self.repository.as_deref()),
            ("commit", self.commit.as_deref()),
            ("branch", self.branch.as_deref()),
            ("pull-request", self.pull_request.as_deref()),
            ("run-url", self.run_url.as_deref()),
        ];
        all.into_iter()
            .filter_map(|(key, value)| Some((format!("{TAG_PREFIX}{key}"), tag_value(value?))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The patterns of the service model, which AWS holds against the whole text.
    fn is_name(text: &str) -> bool {
        let pattern = regex::Regex::new("^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$").unwrap();
        pattern.is_match(text) && text.len() <= 63
    }

    fn is_tag(text: &str, most: usize) -> bool {
        let pattern = regex::Regex::new(r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$").unwrap();
        pattern.is_match(text) && text.encode_utf16().count() <= most
    }

    const HASH: &str = "0123456789abcdef";

    #[test]
    fn a_job_is_called_as_its_run_and_its_role() {
        let name = |project: &str, attempt| job_name(project, HASH, attempt, "validate");
        assert_eq!(name("churn", 3), "churn-0123456789-3-validate");
        assert_eq!(name(&"x".repeat(40), 123_456).len(), 63);
        let next = |attempt| next_attempt(&name(&"x".repeat(60), attempt));
        assert_eq!(next(1), Some(name(&"x".repeat(60), 2)));
        assert_eq!(next(9), Some(name(&"x".repeat(60), 10)));
        assert_eq!(name("...", 1), "job-0123456789-1-validate");
        assert_eq!(tag_value("feature/#12 (é)\n"), "feature/_12 _é__");
    }

    proptest! {
        #[test]
        fn every_project_gives_a_name(
            project in "\\PC{0,80}|[a-zA-Z0-9-]{0,80}", attempt: u32, role in "train|validate",
        ) {
            let name = job_name(&project, HASH, attempt, &role);
            prop_assert!(is_name(&name), "{}", name);
            let end = format!("-0123456789-{attempt}-{role}");
            prop_assert!(name.ends_with(&end), "{}", name);
        }

        #[test]
        fn every_branch_gives_a_tag(text in "(?s).{0,300}|\\PC{0,300}|[\u{10400}-\u{1044f}]{0,300}") {
            let origin = Origin { branch: Some(text.clone()), repository: Some(text.clone()), ..Origin::default() };
            let job = Identity { project: &text, role: "train", content_hash: HASH, data: "b3:0", detached: true };
            for (key, value) in origin.tags(&job) {
                prop_assert!(is_tag(&key, 128) && is_tag(&value, 256), "{}: {}", key, value);
            }
            prop_assert_eq!(tag_value(&tag_value(&text)), tag_value(&text));
        }
    }
}
