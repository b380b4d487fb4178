//! The project that `init` writes: `template/`, embedded in the binary.

pub mod write;

use std::path::Path;

use include_dir::{Dir, DirEntry, include_dir};

use crate::config::{self, FILE_NAME};

static TEMPLATE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/template");

/// What stands for the project's name in the template's files.
const PLACEHOLDER: &str = "my-ml-project";

/// The destination of a config that names none.
const DEFAULT_DESTINATION: &str = "process";

/// A destination that cannot work before an account's names are filled in.
const TO_FILL_IN: &str = "sagemaker";

/// What has to be filled in, as comments.
const SAGEMAKER: &str = include_str!("sagemaker.toml");

/// Products of running the template where it stands; they are no part of it.
const PRODUCTS: &[&str] = &[
    "__pycache__",
    ".mlaction",
    ".pytest_cache",
    ".ruff_cache",
    ".venv",
    "build",
    "cache",
    "tmp",
];

/// One file of a new project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Path in the project, with `/` between its parts.
    pub path: &'static str,
    /// Its bytes, with the project's name filled in.
    pub content: Vec<u8>,
}

/// The files of a new project with this name and default destination, sorted by path.
#[must_use]
pub fn files(project: &str, destination: &str) -> Vec<File> {
    let mut files = Vec::new();
    collect(&TEMPLATE, project, &mut files);
    if destination != DEFAULT_DESTINATION
        && let Some(config) = files.iter_mut().find(|file| file.path == FILE_NAME)
    {
        let text = String::from_utf8_lossy(&config.content);
        let name = format!("name = \"{project}\"\n");
        let text = match destination {
            TO_FILL_IN => format!("{text}\n{SAGEMAKER}"),
            _ => {
                let with = format!("{name}destination = \"{destination}\"\n");
                text.replacen(&name, &with, 1)
            }
        };
        config.content = text.into_bytes();
    }
    files.sort_by_key(|file| file.path);
    files
}

fn collect(folder: &Dir<'static>, project: &str, files: &mut Vec<File>) {
    for entry in folder.entries() {
        let name = entry.path().file_name().unwrap_or_default();
        if PRODUCTS.iter().any(|product| name == *product) {
            continue;
        }
        match entry {
            DirEntry::Dir(inner) => collect(inner, project, files),
            DirEntry::File(file) => files.extend(file.path().to_str().map(|path| File {
                path,
                content: fill_in(file.contents(), project),
            })),
        }
    }
}

fn fill_in(content: &[u8], project: &str) -> Vec<u8> {
    match std::str::from_utf8(content) {
        Ok(text) => text.replace(PLACEHOLDER, project).into_bytes(),
        Err(_) => content.to_vec(),
    }
}

/// A project's name made from its folder's name: what is not allowed becomes a hyphen.
#[must_use]
pub fn name_from(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_string_lossy();
    let allowed: String = name
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() {
                char
            } else {
                '-'
            }
        })
        .take(config::raw::MAX_NAME)
        .collect();
    let name = allowed.trim_matches('-');
    config::raw::is_project_name(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_carries_the_projects_name_and_no_products() {
        let with_docker = files("churn", "docker");
        let config = with_docker.iter().find(|file| file.path == "mlaction.toml");
        let config = String::from_utf8_lossy(&config.unwrap().content).into_owned();
        assert!(config.contains("name = \"churn\"\ndestination = \"docker\"\n"));
        let files = files("churn", "process");
        let config = files
            .iter()
            .find(|file| file.path == "mlaction.toml")
            .unwrap();
        let config = String::from_utf8(config.content.clone()).unwrap();
        assert!(config.contains("name = \"churn\""), "{config}");
        for file in &files {
            assert!(
                !String::from_utf8_lossy(&file.content).contains(PLACEHOLDER),
                "{}",
                file.path
            );
            assert!(
                !file.path.contains("__pycache__") && !file.path.ends_with(".pyc"),
                "{}",
                file.path
            );
        }
    }

    #[test]
    fn a_folders_name_becomes_a_projects_name() {
        let name = |path: &str| name_from(Path::new(path));
        assert_eq!(
            name("/home/me/churn_model 2").as_deref(),
            Some("churn-model-2")
        );
        assert_eq!(name("_demo_").as_deref(), Some("demo"));
        assert_eq!(name(&"x".repeat(90)).unwrap().len(), 40);
        assert_eq!(name("/"), None);
        assert_eq!(name("___"), None);
    }
}
