//! `[aws]`, exactly as it is written, and what is decided from it: who asks AWS.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::duration;
use crate::error::{Error, ExitCode, Result};

/// The form of a role's ARN.
const ROLE: &str = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[a-zA-Z0-9_+=,.@/-]{1,512}$";

/// The role in place of the file's `role_to_assume`.
pub const ROLE_VARIABLE: &str = "MLACTION_AWS_ROLE";

/// How long a session of a role may last.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
pub const DURATIONS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(900)..=Duration::from_secs(43_200);

/// Longest name of a session (the same page).
const LONGEST_SESSION: usize = 64;

/// `[aws]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AwsSettings {
    /// ARN of the role that a job of GitHub Actions takes on with its ID token, which needs
    /// `permissions: id-token: write`. Elsewhere, and without this key, AWS's own chain is asked.
    /// The variable `MLACTION_AWS_ROLE` goes before it.
    #[schemars(regex(pattern = ROLE))]
    pub role_to_assume: Option<String>,
    /// For whom that token is made out: an audience of the identity provider in IAM.
    #[schemars(length(min = 1))]
    pub audience: String,
    /// How long the role's credentials last, from `15m` to `12h`, and no longer than the role
    /// allows. They are renewed for as long as mlaction runs.
    pub role_duration: String,
    /// How long a run waits for others when its credentials have expired while a job runs.
    pub wait_for_credentials: String,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self {
            role_to_assume: None,
            audience: "sts.amazonaws.com".to_owned(),
            role_duration: "1h".to_owned(),
            wait_for_credentials: "10m".to_owned(),
        }
    }
}

/// Who asks AWS, decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsPlan {
    /// How one signs in.
    pub sign_in: SignIn,
    /// A job whose state cannot be asked for, as the credentials are of no use, is waited for so
    /// many seconds.
    pub wait_seconds: u64,
}

/// How one signs in to AWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "with", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SignIn {
    /// With what AWS's own chain finds: variables, profile, single sign-on, the machine's role.
    OwnChain {},
    /// With the ID token of a job of GitHub Actions.
    GithubToken {
        /// ARN of the role that is taken on.
        role: String,
        /// For whom the token is made out.
        audience: String,
        /// How long the role's credentials last, in seconds.
        duration_seconds: u64,
        /// Name of the session: repository and run.
        session: String,
    },
}

impl AwsPlan {
    /// Decides it: a job of GitHub Actions that has a role takes it on, whatever other credentials
    /// there are; everybody else asks AWS's own chain.
    ///
    /// # Errors
    /// The role in the environment is none; a duration in the settings is none.
    pub fn new(settings: &AwsSettings, env: &BTreeMap<String, String>) -> Result<Self> {
        let AwsSettings {
            role_to_assume,
            audience,
            role_duration,
            wait_for_credentials,
        } = settings;
        let seconds = |key: &str, text: &str| {
            let parsed = duration::parse(text).map(|time| time.as_secs());
            parsed.map_err(|reason| {
                Error::new(ExitCode::Config, format!("`aws.{key}` is wrong")).because(reason)
            })
        };
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        let role = set(ROLE_VARIABLE).or(role_to_assume.as_ref());
        let is_github = set("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let sign_in = match role.filter(|_| is_github) {
            None => SignIn::OwnChain {},
            Some(role) if !is_role(role) => {
                let message = format!("`{role}` in {ROLE_VARIABLE} is no ARN of a role");
                return Err(Error::new(ExitCode::Config, message)
                    .hint("write e.g. `arn:aws:iam::123456789012:role/ci`"));
            }
            Some(role) => SignIn::GithubToken {
                role: role.clone(),
                audience: audience.clone(),
                duration_seconds: seconds("role_duration", role_duration)?,
                session: session(env),
            },
        };
        Ok(Self {
            sign_in,
            wait_seconds: seconds("wait_for_credentials", wait_for_credentials)?.max(1),
        })
    }

    /// How long credentials of no use are put up with.
    #[must_use]
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }
}

impl SignIn {
    /// How one signs in, for people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::OwnChain {} => {
                "by AWS's own chain: variables, profile, single sign-on, this machine's role"
                    .to_owned()
            }
            Self::GithubToken {
                role,
                duration_seconds,
                ..
            } => {
                let time = duration::display(Duration::from_secs(*duration_seconds));
                format!("as {role} for {time} at a time, with GitHub's ID token")
            }
        }
    }
}

fn is_role(text: &str) -> bool {
    // NOTE: the pattern is a constant; the schema's own test compiles it.
    regex::Regex::new(ROLE).is_ok_and(|pattern| pattern.is_match(text))
}

/// What a trail of the account shows: whose run it is. `[\w+=,.@-]{2,64}`
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
fn session(env: &BTreeMap<String, String>) -> String {
    let get = |name: &str| env.get(name).map_or("", String::as_str);
    let end = match get("GITHUB_RUN_ID") {
        "" => String::new(),
        run => format!("-{run}"),
    };
    let repository = get("GITHUB_REPOSITORY");
    let name = format!("mlaction-{}", repository.replace('/', "-"));
    let room = LONGEST_SESSION.saturating_sub(end.len());
    let kept = name.trim_end_matches('-').chars().take(room);
    let all = kept.chain(end.chars()).take(LONGEST_SESSION);
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(*c);
    all.map(|c| if is_allowed(&c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE_OF_FILE: &str = "arn:aws:iam::123456789012:role/ci";

    fn plan(role: Option<&str>, env: &[(&str, &str)]) -> Result<SignIn> {
        let settings = AwsSettings {
            role_to_assume: role.map(str::to_owned),
            ..AwsSettings::default()
        };
        let pairs = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        AwsPlan::new(&settings, &pairs.collect()).map(|plan| plan.sign_in)
    }

    fn role(sign_in: &SignIn) -> &str {
        match sign_in {
            SignIn::OwnChain {} => "",
            SignIn::GithubToken { role, .. } => role,
        }
    }

    #[test]
    fn a_role_is_taken_on_by_jobs_of_github_only_and_the_variable_goes_first() {
        let github = ("GITHUB_ACTIONS", "true");
        assert_eq!(role(&plan(Some(ROLE_OF_FILE), &[]).unwrap()), "");
        assert_eq!(role(&plan(None, &[github]).unwrap()), "");
        let both = plan(Some(ROLE_OF_FILE), &[github]).unwrap();
        assert_eq!(role(&both), ROLE_OF_FILE);
        let other = "arn:aws:iam::210987654321:role/x";
        let set = plan(Some(ROLE_OF_FILE), &[github, (ROLE_VARIABLE, other)]).unwrap();
        assert_eq!(role(&set), other);
        let empty = plan(Some(ROLE_OF_FILE), &[github, (ROLE_VARIABLE, "")]).unwrap();
        assert_eq!(role(&empty), ROLE_OF_FILE);
        let wrong = plan(None, &[github, (ROLE_VARIABLE, "ci")]).unwrap_err();
        assert_eq!(wrong.exit_code(), ExitCode::Config);
    }

    #[test]
    fn a_session_says_whose_run_it_is() {
        let name = |repository: &str, run: &str| {
            session(&BTreeMap::from([
                ("GITHUB_REPOSITORY".to_owned(), repository.to_owned()),
                ("GITHUB_RUN_ID".to_owned(), run.to_owned()),
            ]))
        };
        assert_eq!(
            name("octo-org/octo.repo", "17"),
            "mlaction-octo-org-octo.repo-17"
        );
        let long = name(&format!("octo-org/{}", "x".repeat(100)), "1234567890");
        assert_eq!(long.len(), LONGEST_SESSION);
        assert!(long.ends_with("x-1234567890"), "{long}");
        assert_eq!(session(&BTreeMap::new()), "mlaction");
    }
}
