//! `[registry]` in `mlaction.toml`, and the plan that it becomes. Nothing here asks anybody.

use schemars::JsonSchema;
use serde::Deserialize;

use super::plan::{EcrPlan, Partition, RegistryPlan};
use super::reference::Repository;

/// `[registry]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Registry {
    /// Any OCI registry. Credentials come from Docker's config file and its helpers, from podman's
    /// file, or from `MLACTION_REGISTRY_USER` and
    /// `MLACTION_REGISTRY_PASSWORD`.
    Oci {
        /// Where images are pushed to: `host[:port]/path`.
        #[schemars(length(min = 3, max = 255))]
        repository: String,
    },
    /// Amazon ECR. Credentials come from AWS's own chain: environment, profile, single sign-on,
    /// web identity.
    Ecr {
        /// Region of the registry; SageMaker wants the region of its jobs.
        #[schemars(regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]+$"))]
        region: String,
        /// Account of the registry: 12 digits. Default: the account of the credentials.
        #[schemars(regex(pattern = "^[0-9]{12}$"))]
        account: Option<String>,
        /// Name of the repository. Default: the project's name, in lower case.
        #[schemars(length(min = 2, max = 256))]
        repository: Option<String>,
        /// Create the repository when it is missing. The settings below are for that moment: those
        /// of a repository that is there are respected.
        #[serde(default = "yes")]
        create: bool,
        /// A tag that was pushed can never mean another image.
        #[serde(default = "yes")]
        immutable_tags: bool,
        /// Scan each image for known vulnerabilities when it is pushed.
        #[serde(default = "yes")]
        scan_on_push: bool,
        /// Keep this many of mlaction's images (tags `in-…`), and let the oldest beyond them
        /// expire, deployed or not. 0: keep all.
        #[serde(default)]
        #[schemars(range(min = 0, max = 100_000))]
        keep_images: u32,
        /// Let images without a tag expire after so many days. 0: keep them.
        #[serde(default = "two_weeks")]
        #[schemars(range(min = 0, max = 36500))]
        untagged_days: u32,
        /// Encrypt images with this KMS key (id, alias or ARN) instead of ECR's own.
        #[schemars(length(min = 1, max = 2048))]
        kms_key: Option<String>,
    },
}

fn yes() -> bool {
    true
}

fn two_weeks() -> u32 {
    14
}

/// One mistake in `[registry]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key.
    pub key: &'static str,
    /// What is wrong with its value.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Decides where images go. Without a `[registry]` they stay in the engine.
///
/// # Errors
/// All mistakes at once.
pub fn plan(settings: Option<&Registry>, project: &str) -> Result<RegistryPlan, Vec<Mistake>> {
    match settings {
        None => Ok(RegistryPlan::Local {}),
        Some(Registry::Oci { repository }) => oci(repository).map_err(|mistake| vec![mistake]),
        Some(ecr @ Registry::Ecr { .. }) => self::ecr(ecr, project),
    }
}

fn oci(text: &str) -> Result<RegistryPlan, Mistake> {
    let mistake = |message: String, help: &str| Mistake {
        key: "repository",
        message,
        help: help.to_owned(),
    };
    let example = "write `host/path`, e.g. `ghcr.io/me/app`, without tag or `https://`";
    let repository = Repository::parse(text).map_err(|message| mistake(message, example))?;
    let host = repository.host();
    let labels: Vec<&str> = host.split('.').collect();
    if let [account, "dkr", "ecr", region, "amazonaws", "com", ..] = labels.as_slice() {
        return Err(mistake(
            format!("`{host}` is Amazon ECR"),
            &format!(
                "write `kind = \"ecr\"`, `region = \"{region}\"`, `account = \"{account}\"`, `repository = \"{}\"`",
                repository.path()
            ),
        ));
    }
    Ok(RegistryPlan::Oci {
        repository: repository.to_string(),
    })
}

fn ecr(settings: &Registry, project: &str) -> Result<RegistryPlan, Vec<Mistake>> {
    let Registry::Ecr {
        region,
        account,
        repository,
        create,
        immutable_tags,
        scan_on_push,
        keep_images,
        untagged_days,
        kms_key,
    } = settings
    else {
        return Ok(RegistryPlan::Local {});
    };
    let mut mistakes = Vec::new();
    let mut mistake = |key, message: String, help: &str| {
        mistakes.push(Mistake {
            key,
            message,
            help: help.to_owned(),
        });
    };
    let partition = match is_region(region) {
        true => Partition::of(region),
        false => None,
    };
    if partition.is_none() {
        mistake(
            "region",
            format!("`{region}` is no region of aws, aws-cn or aws-us-gov"),
            "write e.g. `eu-west-1`",
        );
    }
    if let Some(account) = account
        && !(account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
    {
        mistake(
            "account",
            format!("`{account}` is no account"),
            "write its 12 digits in quotes, or leave it out for the credentials' own",
        );
    }
    let (name, is_default) = match repository {
        Some(name) => (name.clone(), false),
        None => (project.to_ascii_lowercase(), true),
    };
    if let Err(message) = check_repository(&name) {
        let help = match is_default {
            true => "the project's name cannot be the repository's: set `repository`",
            false => "write e.g. `team/app`",
        };
        mistake("repository", message, help);
    }
    if kms_key.as_deref().is_some_and(|key| key.trim().is_empty()) {
        mistake(
            "kms_key",
            "the key's name is empty".to_owned(),
            "leave it out for ECR's own encryption",
        );
    }
    match partition {
        Some(partition) if mistakes.is_empty() => Ok(RegistryPlan::Ecr(EcrPlan {
            account: account.clone(),
            region: region.clone(),
            partition,
            repository: name,
            create: *create,
            immutable_tags: *immutable_tags,
            scan_on_push: *scan_on_push,
            keep_images: *keep_images,
            untagged_days: *untagged_days,
            kms_key: kms_key.clone(),
        })),
        _ => Err(mistakes),
    }
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [area, words @ .., number] => {
            area.len() == 2
                && !words.is_empty()
                && std::iter::once(area).chain(words).all(is_word)
                && number.parse::<u8>().is_ok()
        }
        _ => false,
    }
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>
fn check_repository(name: &str) -> Result<(), String> {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let words: Vec<&[u8]> = part.as_bytes().split(|byte| !is_word(byte)).collect();
        let has_words = words.iter().all(|word| !word.is_empty());
        has_words
            && part
                .bytes()
                .all(|byte| is_word(&byte) || matches!(byte, b'.' | b'_' | b'-'))
    };
    match name {
        name if !(2..=256).contains(&name.len()) => {
            Err(format!("`{name}` must have 2 to 256 characters"))
        }
        name if !name.split('/').all(is_part) => Err(format!(
            "`{name}` may have lower-case letters and digits, with single `.`, `_`, `-` or `/` between them"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::plan::lifecycle;

    fn read(text: &str) -> Registry {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn settings_become_a_plan_with_defaults() {
        let ecr = read("kind = 'ecr'\nregion = 'us-gov-west-1'");
        let RegistryPlan::Ecr(plan) = plan(Some(&ecr), "My-App").unwrap() else {
            panic!()
        };
        assert_eq!(
            (plan.repository.as_str(), plan.partition),
            ("my-app", Partition::UsGov)
        );
        assert!(plan.create && plan.immutable_tags && plan.scan_on_push);
        assert_eq!(
            plan.arn("123456789012"),
            "arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/my-app"
        );
        assert_eq!(plan.host("1"), "1.dkr.ecr.us-gov-west-1.amazonaws.com");
        let policy: serde_json::Value = serde_json::from_str(&lifecycle(&plan).unwrap()).unwrap();
        assert_eq!(policy["rules"].as_array().unwrap().len(), 1);
        assert_eq!(policy["rules"][0]["selection"]["countNumber"], 14);
        let kept = EcrPlan {
            untagged_days: 0,
            ..plan.clone()
        };
        assert_eq!(lifecycle(&kept), None);

        let plan = RegistryPlan::Ecr(plan);
        let json = serde_json::to_string(&plan).unwrap();
        assert!(
            json.starts_with(r#"{"kind":"ecr","account":null,"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<RegistryPlan>(&json).unwrap(), plan);
        assert!(
            plan.permissions()
                .contains(&"ecr:PutLifecyclePolicy".to_owned())
        );
        for plan in [
            super::plan(None, "x").unwrap(),
            super::plan(
                Some(&read("kind = 'oci'\nrepository = 'ghcr.io/me/app'")),
                "x",
            )
            .unwrap(),
        ] {
            let json = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<RegistryPlan>(&json).unwrap(), plan);
            assert!(plan.permissions().is_empty());
        }
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let ecr = read(
            "kind = 'ecr'\nregion = 'Ireland'\naccount = '12'\nrepository = 'A'\nkms_key = ' '",
        );
        let keys =
            |mistakes: Vec<Mistake>| mistakes.into_iter().map(|one| one.key).collect::<Vec<_>>();
        assert_eq!(
            keys(plan(Some(&ecr), "x").unwrap_err()),
            ["region", "account", "repository", "kms_key"]
        );
        let too_short = read("kind = 'ecr'\nregion = 'eu-west-1'");
        assert!(
            plan(Some(&too_short), "x").unwrap_err()[0]
                .help
                .contains("set `repository`")
        );
        for region in ["us-iso-east-1", "eu-west", "eu-west-x", "e-west-1", "eu--1"] {
            let ecr = read(&format!("kind = 'ecr'\nregion = '{region}'"));
            assert_eq!(
                keys(plan(Some(&ecr), "app").unwrap_err()),
                ["region"],
                "{region}"
            );
        }
        let oci =
            read("kind = 'oci'\nrepository = '123456789012.dkr.ecr.eu-west-1.amazonaws.com/app'");
        assert!(
            plan(Some(&oci), "x").unwrap_err()[0]
                .help
                .contains("kind = \"ecr\"")
        );
        let oci = read("kind = 'oci'\nrepository = 'https://ghcr.io/app'");
        assert_eq!(keys(plan(Some(&oci), "x").unwrap_err()), ["repository"]);
        assert!(toml::from_str::<Registry>("kind = 'oci'\nrepository = 'a/b'\nx = 1").is_err());
        assert!(toml::from_str::<RegistryPlan>("kind = 'local'\nx = 1").is_err());
    }

    #[test]
    fn repository_names_follow_the_rules_of_ecr() {
        for good in ["ab", "team/app", "a.b_c-d/e1", "0a"] {
            assert_eq!(check_repository(good), Ok(()), "{good}");
        }
        for bad in [
            "a",
            "a--b",
            "-ab",
            "ab-",
            "a//b",
            "/ab",
            "Ab",
            "a b",
            "a__b",
            &"a".repeat(257),
        ] {
            assert!(check_repository(bad).is_err(), "{bad}");
        }
    }
}
