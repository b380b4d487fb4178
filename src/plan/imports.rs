//! The project's own modules that a program imports, as far as its text says so.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// `import a.b, c` and `from a.b import c, d`, over several lines in parentheses.
const IMPORT: &str = r"(?m)^[ \t]*(?:import[ \t]+([^\n#]+)|from[ \t]+([.a-zA-Z0-9_]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]*))";

static IMPORTS: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| Regex::new(IMPORT));

/// A program and the modules that it imports, directly or not, relative to the project.
///
/// Only what is written as an import statement is found, and only below `sources`.
#[must_use]
pub fn modules(root: &Path, program: &str, sources: &[String]) -> BTreeSet<PathBuf> {
    // NOTE: the pattern is a constant; the test compiles it.
    let Ok(import) = &*IMPORTS else {
        return BTreeSet::new();
    };
    let program = clean(Path::new(program));
    let folder = program.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut found = BTreeSet::from([program.clone()]);
    let mut unread = vec![program];
    while let Some(module) = unread.pop() {
        let Ok(text) = std::fs::read_to_string(root.join(&module)) else {
            continue;
        };
        let package = module.parent().unwrap_or(Path::new("")).to_path_buf();
        for names in import.captures_iter(&text) {
            let mut dotted = Vec::new();
            if let Some(modules) = names.get(1) {
                dotted.extend(words(modules.as_str()).map(str::to_owned));
            }
            if let (Some(from), Some(members)) = (names.get(2), names.get(3)) {
                let from = from.as_str();
                let dot = if from.ends_with('.') { "" } else { "." };
                dotted.push(from.to_owned());
                dotted.extend(words(members.as_str()).map(|member| format!("{from}{dot}{member}")));
            }
            let files = dotted
                .iter()
                .flat_map(|dotted| candidates(dotted, &package, &folder));
            for file in files {
                let is_own = sources
                    .iter()
                    .any(|source| file.starts_with(clean(Path::new(source))));
                if is_own && root.join(&file).is_file() && found.insert(file.clone()) {
                    unread.push(file);
                }
            }
        }
    }
    found
}

/// The names of a list, without `as` and parentheses.
fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', '\n', '(', ')', ';'])
        .filter_map(|part| part.split_whitespace().next())
        .filter(|word| !word.starts_with('#'))
}

/// Where a module may lie, with the packages around it.
fn candidates(dotted: &str, package: &Path, folder: &Path) -> Vec<PathBuf> {
    let name = dotted.trim_start_matches('.');
    let dots = dotted.len() - name.len();
    let places = match dots {
        0 => vec![PathBuf::new(), folder.to_path_buf()],
        _ => package
            .ancestors()
            .nth(dots - 1)
            .map(Path::to_path_buf)
            .into_iter()
            .collect(),
    };
    let mut files = Vec::new();
    for mut place in places {
        for part in name.split('.').filter(|part| !part.is_empty()) {
            place.push(part);
            files.push(place.with_extension("py"));
            files.push(place.join("__init__.py"));
        }
    }
    files
}

fn clean(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_modules_are_found_through_each_other_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [
            (
                "model/validate.py",
                "import json, model.metrics as m\nfrom data.reading import (\n    rows,  # all\n    columns,\n)\nimport beside\nif True:\n    from model import late\n",
            ),
            ("model/__init__.py", ""),
            (
                "model/metrics.py",
                "from . import shared\nfrom .deep.er import x\nfrom ..elsewhere import y",
            ),
            ("model/shared.py", "import model.metrics"),
            ("model/late.py", ""),
            ("model/beside.py", ""),
            ("model/unused.py", ""),
            ("model/deep/er.py", ""),
            ("data/reading.py", "import outside.thing"),
            ("outside/thing.py", ""),
        ] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let sources = ["./model", "data"].map(str::to_owned);
        let found = modules(root.path(), "model/validate.py", &sources);
        let found: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            found,
            [
                "data/reading.py",
                "model/__init__.py",
                "model/beside.py",
                "model/deep/er.py",
                "model/late.py",
                "model/metrics.py",
                "model/shared.py",
                "model/validate.py",
            ]
        );
    }
}
