//! What a requirements file stands for: its text, that of the files that it includes, and the
//! local packages that it names.
//!
//! The format: <https://pip.pypa.io/en/stable/reference/requirements-file-format/>.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::data::fingerprint::{Content, fingerprint};
use crate::data::known::Known;
use crate::error::{Error, ExitCode, Result};

/// Hash over a requirements file and everything local that it leads to.
///
/// # Errors
/// The file itself cannot be read; what it includes and is not there, the installer reports.
pub(super) fn hash(root: &Path, file: &Path, env: &BTreeMap<String, String>) -> Result<String> {
    let mut hasher = blake3::Hasher::new_derive_key("mlaction requirements v1");
    let mut add = |content: &[u8]| {
        hasher
            .update(&(content.len() as u64).to_le_bytes())
            .update(content);
    };
    let mut files = vec![root.join(file)];
    let mut next = 0;
    while let Some(path) = files.get(next).cloned() {
        let content = std::fs::read(&path).map_err(|cause| {
            Error::new(
                ExitCode::Config,
                format!("cannot read `{}`", path.display()),
            )
            .because(cause)
        })?;
        add(&content);
        for line in lines(&String::from_utf8_lossy(&content), env) {
            match Line::read(&line) {
                Some(Line::Includes(name)) => {
                    let file = path.with_file_name(local(&name));
                    if file.is_file() && !files.contains(&file) {
                        files.push(file);
                    }
                }
                Some(Line::Editable(name)) => add(&build_files(&root.join(local(&name)))),
                Some(Line::Package(name)) => add(&package(&root.join(local(&name)))),
                None => {}
            }
        }
        next += 1;
    }
    Ok(format!("b3:{}", hasher.finalize().to_hex()))
}

/// Logical lines: continued ones joined, comments gone, variables replaced.
fn lines(text: &str, env: &BTreeMap<String, String>) -> Vec<String> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    text.replace("\\\n", "")
        .lines()
        .map(|line| {
            let end = line.match_indices('#').map(|(at, _)| at).find(|at| {
                line[..*at]
                    .chars()
                    .next_back()
                    .is_none_or(char::is_whitespace)
            });
            let mut line = line[..end.unwrap_or(line.len())].trim().to_owned();
            if line.contains("${") {
                for (name, value) in env {
                    line = line.replace(&format!("${{{name}}}"), value);
                }
            }
            line
        })
        .filter(|line| !line.is_empty())
        .collect()
}

/// A line that leads to something else on this machine.
enum Line {
    /// Another requirements or constraints file.
    Includes(String),
    /// A package whose code is used where it lies.
    Editable(String),
    /// A package that is built and installed from a file or folder.
    Package(String),
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let words = shlex::split(line)?;
        let first = words.first()?;
        let option = |names: [&str; 2]| {
            let [short, long] = names;
            let joined = first
                .strip_prefix(long)
                .map(|rest| rest.trim_start_matches('='))
                .or_else(|| {
                    first
                        .strip_prefix(short)
                        .filter(|_| !first.starts_with("--"))
                })?;
            match joined {
                "" => words.get(1).cloned(),
                value => Some(value.to_owned()),
            }
        };
        if let Some(file) =
            option(["-r", "--requirement"]).or_else(|| option(["-c", "--constraint"]))
        {
            return Some(Self::Includes(file));
        }
        if let Some(place) = option(["-e", "--editable"]) {
            return Some(Self::Editable(place));
        }
        // `NAME @ PLACE`
        let place = words
            .iter()
            .skip_while(|word| *word != "@")
            .nth(1)
            .unwrap_or(first);
        let is_path = place.starts_with("file:")
            || place.starts_with('.')
            || place.contains('/')
            || place.ends_with(".whl");
        let is_remote = place.contains("://") && !place.starts_with("file:");
        (is_path && !is_remote && !place.starts_with('-')).then(|| Self::Package(place.clone()))
    }
}

/// A path without the forms that an installer takes off: `file:`, extras, fragments.
fn local(place: &str) -> PathBuf {
    let path = place
        .strip_prefix("file://")
        .or_else(|| place.strip_prefix("file:"))
        .unwrap_or(place);
    let end = path.find(['[', '#']).unwrap_or(path.len());
    PathBuf::from(&path[..end])
}

/// The content of a package; of the project itself, what decides how it is installed.
fn package(path: &Path) -> Vec<u8> {
    if path.join(crate::config::FILE_NAME).is_file() {
        return build_files(path);
    }
    // NOTE: what is not there the installer reports.
    fingerprint(path, Content::Package, &Known::default())
        .map(|found| found.hash.into_bytes())
        .unwrap_or_default()
}

fn build_files(folder: &Path) -> Vec<u8> {
    ["pyproject.toml", "setup.py", "setup.cfg"]
        .iter()
        .flat_map(|name| std::fs::read(folder.join(name)).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_local_that_is_named_belongs_to_the_hash() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let env = BTreeMap::from([("WHERE".to_owned(), "sub".to_owned())]);
        let all = "\u{feff}-r a.txt  # why\n-c \"b b.txt\"\n--requirement=c.txt\n-rd.txt\n-r \\\n  e.txt\n\
            -r file:f.txt\n-r ${WHERE}/g.txt\n./lib[extra]\nh.whl\nlib2 @ file:lib2\n-e ./lib3\n\
            -r https://example.org/x.txt\nnumpy==2\n";
        write("all.txt", all);
        let names = [
            "a.txt",
            "b b.txt",
            "c.txt",
            "d.txt",
            "e.txt",
            "f.txt",
            "sub/g.txt",
        ];
        let places = [
            "lib/x.py",
            "h.whl",
            "lib2/pyproject.toml",
            "lib3/pyproject.toml",
        ];
        for name in names.iter().chain(&places) {
            write(name, "1");
        }
        write("a.txt", "-r all.txt");
        let now = || hash(root.path(), Path::new("all.txt"), &env).unwrap();
        for name in names.iter().chain(&places) {
            let before = now();
            write(name, "2");
            assert_ne!(now(), before, "{name}");
        }
        let before = now();
        write("lib/lib.egg-info/PKG-INFO", "made by the installer");
        write("lib/build/lib/x.py", "made by the installer");
        write("lib3/code.py", "used where it lies");
        assert_eq!(now(), before);
        assert!(hash(root.path(), Path::new("none.txt"), &env).is_err());
    }
}
