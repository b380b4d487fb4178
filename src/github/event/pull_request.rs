//! A pull request as events and the REST interface describe it. Anybody may have opened it.

use serde_json::Value;

use crate::github::names;

/// What a run needs to know of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The last commit of the branch that is to be merged.
    pub head_sha: String,
    /// The repository with that branch, as `owner/name`; nothing when it was deleted.
    pub head_repository: Option<String>,
    /// The branch that is to be merged, without `refs/heads/`.
    pub head_ref: String,
    /// The branch that it is to be merged into.
    pub base_ref: String,
    /// A commit of the base branch: its tip when GitHub last looked.
    pub base_sha: String,
    /// Whether the branch lies in another repository than the one it is to be merged into.
    pub is_fork: bool,
}

impl PullRequest {
    /// Reads a pull request in the form that the REST interface and events share, or in the
    /// shorter one inside of a `workflow_run`. Nothing when a part that counts is missing or is
    /// not what its name says.
    /// <https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request>
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let (head, base) = (&value["head"], &value["base"]);
        let (from, into) = (Repository::of(head)?, Repository::of(base)?);
        Some(Self {
            number: value["number"].as_u64().filter(|number| *number > 0)?,
            head_sha: names::sha(head["sha"].as_str()?)?,
            head_ref: names::reference(head["ref"].as_str()?)?,
            base_ref: names::reference(base["ref"].as_str()?)?,
            base_sha: names::sha(base["sha"].as_str()?)?,
            is_fork: !from.is(&into),
            head_repository: from.name,
        })
    }

    /// Whether it is to be merged into a repository of this id: a run of a branch names pull
    /// requests that lead elsewhere, too.
    #[must_use]
    pub(super) fn is_into(value: &Value, repository: &Value) -> bool {
        let id = &value["base"]["repo"]["id"];
        id.is_u64() && id == repository
    }
}

/// Where one end of a pull request lies.
struct Repository {
    id: Option<u64>,
    name: Option<String>,
}

impl Repository {
    /// Nothing when there is a repository that cannot be told from others.
    fn of(end: &Value) -> Option<Self> {
        let repository = &end["repo"];
        if repository.is_null() {
            return Some(Self {
                id: None,
                name: None,
            });
        }
        let name = match repository["full_name"].as_str() {
            Some(name) => name,
            // NOTE: `workflow_run.pull_requests` has the address alone.
            None => repository["url"].as_str()?.split_once("/repos/")?.1,
        };
        Some(Self {
            id: repository["id"].as_u64(),
            name: Some(names::repository(name)?),
        })
    }

    /// Whether both are the same. What is not known is not the same.
    fn is(&self, other: &Self) -> bool {
        match (self.id, other.id) {
            (Some(one), Some(two)) => one == two,
            _ => match (&self.name, &other.name) {
                (Some(one), Some(two)) => one.eq_ignore_ascii_case(two),
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HEAD: &str = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";
    const BASE: &str = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e";

    fn value(head: &Value) -> Value {
        json!({
            "number": 2,
            "head": { "ref": "changes", "sha": HEAD, "repo": head },
            "base": { "ref": "main", "sha": BASE, "repo": { "id": 1, "full_name": "octo-org/octo-repo" } },
        })
    }

    #[test]
    fn a_fork_is_told_by_its_repository() {
        for (head, name, is_fork) in [
            (
                json!({ "id": 1, "full_name": "octo-org/octo-repo" }),
                Some("octo-org/octo-repo"),
                false,
            ),
            (
                json!({ "id": 2, "full_name": "mallory/octo-repo" }),
                Some("mallory/octo-repo"),
                true,
            ),
            // The same name is not enough, and a repository that is gone is nobody's.
            (
                json!({ "id": 2, "full_name": "octo-org/octo-repo" }),
                Some("octo-org/octo-repo"),
                true,
            ),
            (
                json!({ "full_name": "Octo-Org/octo-repo" }),
                Some("Octo-Org/octo-repo"),
                false,
            ),
            (Value::Null, None, true),
            (
                json!({ "id": 1, "url": "https://api.github.com/repos/octo-org/octo-repo" }),
                Some("octo-org/octo-repo"),
                false,
            ),
        ] {
            let found = PullRequest::from_json(&value(&head)).unwrap();
            assert_eq!(found.head_repository.as_deref(), name, "{head}");
            assert_eq!(found.is_fork, is_fork, "{head}");
            assert_eq!((found.number, found.head_ref.as_str()), (2, "changes"));
            assert_eq!(
                (found.head_sha.as_str(), found.base_sha.as_str()),
                (HEAD, BASE)
            );
        }
    }

    #[test]
    fn what_is_not_what_its_name_says_is_refused() {
        let repository = json!({ "id": 1, "full_name": "octo-org/octo-repo" });
        for (pointer, wrong) in [
            ("/number", json!(0)),
            ("/number", json!("2")),
            ("/head/sha", json!("main")),
            ("/head/sha", json!(format!("{HEAD}\n"))),
            ("/head/ref", json!("a\nb")),
            ("/head/repo", json!("octo-org/octo-repo")),
            ("/head/repo/full_name", json!("../../etc")),
            ("/base/ref", json!("")),
            ("/base/sha", Value::Null),
        ] {
            let mut value = value(&repository);
            *value.pointer_mut(pointer).unwrap() = wrong;
            assert_eq!(PullRequest::from_json(&value), None, "{pointer}");
        }
        assert_eq!(PullRequest::from_json(&Value::Null), None);
    }
}
