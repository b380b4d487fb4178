//! What money and rights hang on is read from the base branch: a pull request cannot raise its own
//! limits, choose a larger machine or another role. It is used as it stands there until it is
//! merged.

use toml_edit::{DocumentMut, Item, Table};

use crate::config::{FILE_NAME, problem::one_of};
use crate::error::{Error, ExitCode, Result};

/// Keys of mlaction.toml that are the base branch's.
const GUARDED: &[&[&str]] = &[
    &["aws"],
    &["registry"],
    &["destinations"],
    // A step of the build may read the job's own token by it.
    &["image", "secrets"],
    &["project", "destination"],
    &["training", "max_runtime"],
    &["validation", "max_runtime"],
];

/// A pull request's mlaction.toml with what is the base branch's.
#[derive(Debug, PartialEq, Eq)]
pub struct Guarded {
    /// The text.
    pub source: String,
    /// What the pull request would have changed.
    pub changed: Vec<String>,
}

impl Guarded {
    /// What to say of it; nothing when the pull request changes nothing of that.
    #[must_use]
    pub fn words(&self, base: &str) -> Option<String> {
        let names = self.changed.iter().map(String::as_str);
        let last = " or ";
        (!self.changed.is_empty()).then(|| {
            format!(
                "this pull request changes {} in {FILE_NAME}: `{base}` decides until it is merged",
                one_of(names).replace(last, " and ")
            )
        })
    }
}

/// Puts what is the base branch's into a pull request's mlaction.toml. What is wrong with the pull
/// request's own is left for others to say.
///
/// # Errors
/// The base branch's file cannot be read.
pub fn guard(head: &str, base: &str) -> Result<Guarded> {
    let unguarded = || Guarded {
        source: head.to_owned(),
        changed: Vec::new(),
    };
    let Ok(mut document) = head.parse::<DocumentMut>() else {
        // It is no TOML, so nothing runs by it.
        return Ok(unguarded());
    };
    let base = base.parse::<DocumentMut>().map_err(|error| {
        let message = format!("cannot read the base branch's {FILE_NAME}");
        Error::new(ExitCode::Config, message)
            .because(error)
            .hint("what money hangs on is read from there; mend it there first")
    })?;
    let mut changed = Vec::new();
    for path in GUARDED {
        let (ours, theirs) = (find(document.as_table(), path), find(base.as_table(), path));
        if same(ours, theirs) {
            continue;
        }
        let theirs = theirs.cloned();
        put(document.as_table_mut(), path, theirs);
        changed.push(path.join("."));
    }
    Ok(match changed.is_empty() {
        true => unguarded(),
        false => Guarded {
            source: document.to_string(),
            changed,
        },
    })
}

/// Whether a configuration names anything that costs money. One that cannot be read may.
#[must_use]
pub fn costs(source: &str) -> bool {
    let Ok(table) = toml::from_str::<toml::Table>(source) else {
        return true;
    };
    let is_paid = |value: &toml::Value| {
        let kind = value.get("kind").and_then(toml::Value::as_str);
        kind.is_some_and(|kind| !["process", "docker", "oci"].contains(&kind))
    };
    let destinations = table.get("destinations").and_then(toml::Value::as_table);
    let mut destinations = destinations.into_iter().flat_map(|all| all.values());
    destinations.any(is_paid) || table.get("registry").is_some_and(is_paid)
}

fn find<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Item> {
    let (first, rest) = path.split_first()?;
    let item = table.get(first)?;
    rest.iter().try_fold(item, |item, key| item.get(key))
}

/// Whether both mean the same, however they are written.
fn same(one: Option<&Item>, other: Option<&Item>) -> bool {
    let value = |item: &Item| {
        let mut document = DocumentMut::new();
        document.insert("it", item.clone());
        toml::from_str::<toml::Table>(&document.to_string()).ok()
    };
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => match (value(one), value(other)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        },
        _ => false,
    }
}

/// Sets or removes an item; a table on the way to it is made.
fn put(table: &mut Table, path: &[&str], item: Option<Item>) {
    let [parents @ .., last] = path else { return };
    let mut place: &mut dyn toml_edit::TableLike = table;
    for parent in parents {
        let entry = place.entry(parent).or_insert_with(toml_edit::table);
        let Some(inner) = entry.as_table_like_mut() else {
            // It is no table, which is wrong by itself.
            return;
        };
        place = inner;
    }
    match item {
        Some(item) => drop(place.insert(last, item)),
        None => drop(place.remove(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "[project]\nname = \"churn\"\ndestination = \"gpu\"\n[training]\nentry_point = \"train.py\"\nmax_runtime = \"1h\"\n[destinations.gpu]\nkind = \"sagemaker\"\ninstance_type = \"ml.g5.xlarge\"\nmax_cost = 5\n";

    #[test]
    fn a_pull_request_that_changes_none_of_it_stays_as_it_is_written() {
        let head = BASE
            .replace(
                "[training]",
                "[training]\nhyperparameters = { rate = 1e-3 }",
            )
            .replace("max_cost = 5", "max_cost   =   5 # dollars");
        let guarded = guard(&head, BASE).unwrap();
        assert_eq!(guarded.source, head);
        assert_eq!(guarded.words("main"), None);
    }

    #[test]
    fn machine_role_limits_and_choice_are_the_base_branchs() {
        let head = BASE
            .replace("g5.xlarge", "p5.48xlarge")
            .replace("destination = \"gpu\"", "destination = \"mine\"")
            .replace("\"1h\"", "\"5d\"")
            + "[destinations.mine]\nkind = \"sagemaker\"\n[aws]\nrole_to_assume = \"arn:evil\"\n[training.hyperparameters]\nrate = 1e-3\n";
        let guarded = guard(&head, BASE).unwrap();
        assert!(
            !guarded.source.contains("p5.48xlarge") && !guarded.source.contains("evil"),
            "{}",
            guarded.source
        );
        assert!(guarded.source.contains("rate = 1e-3"), "{}", guarded.source);
        let merged: toml::Table = toml::from_str(&guarded.source).unwrap();
        let base: toml::Table = toml::from_str(BASE).unwrap();
        assert_eq!(merged["destinations"], base["destinations"]);
        assert_eq!(merged["project"], base["project"]);
        assert_eq!(
            merged["training"]["max_runtime"],
            base["training"]["max_runtime"]
        );
        assert_eq!(
            guarded.words("main").unwrap(),
            "this pull request changes `aws`, `destinations`, `project.destination` and `training.max_runtime` in mlaction.toml: `main` decides until it is merged"
        );
    }

    #[test]
    fn what_the_base_branch_does_not_set_is_not_set() {
        let head = format!(
            "{BASE}[validation]\nentry_point = \"v.py\"\nmax_runtime = \"3d\"\n[registry]\nkind = \"ecr\"\n"
        );
        let merged: toml::Table = toml::from_str(&guard(&head, BASE).unwrap().source).unwrap();
        assert!(!merged.contains_key("registry"));
        assert!(
            !merged["validation"]
                .as_table()
                .unwrap()
                .contains_key("max_runtime")
        );
        let inline = "project = { name = \"churn\", destination = \"other\" }\n";
        let merged: toml::Table = toml::from_str(&guard(inline, BASE).unwrap().source).unwrap();
        assert_eq!(merged["project"]["destination"].as_str(), Some("gpu"));
    }

    #[test]
    fn what_runs_on_this_machine_costs_nothing() {
        assert!(costs(BASE) && costs("[registry]\nkind = \"ecr\"") && costs("[x"));
        assert!(!costs(
            "[destinations.here]\nkind = \"docker\"\n[registry]\nkind = \"oci\""
        ));
    }

    #[test]
    fn a_broken_file_is_told_from_a_broken_base() {
        assert_eq!(guard("[project", BASE).unwrap().source, "[project");
        assert!(guard(BASE, "[project").unwrap_err().advice().is_some());
    }
}
