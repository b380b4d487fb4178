//! Names in a context with their links followed, so that what a link leads to is sent with it:
//! <https://github.com/tonistiigi/fsutil/blob/master/followlinks.go>.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::ignore::{Ignore, clean};

/// Most names that links may lead to; more is a loop or an attack.
const MOST_NAMES: usize = 10_000;

/// The names and all that their links lead to, none below another one; nothing when one of them is
/// the whole folder. Links that lead out of the folder lead to the same name below its root.
pub(super) fn follow(root: &Path, names: &[String]) -> Option<Vec<String>> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = names.to_vec();
    while let Some(name) = open.pop() {
        if found.len() >= MOST_NAMES {
            return None;
        }
        one(root, &name, &mut found, &mut open);
    }
    if found.contains(".") {
        return None;
    }
    let mut kept: Vec<String> = Vec::new();
    for name in found {
        let is_below = kept.last().is_some_and(|last| {
            let rest = name.strip_prefix(last.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        });
        if !is_below {
            kept.push(name);
        }
    }
    Some(kept)
}

/// Follows one name as far as its first link.
fn one(root: &Path, name: &str, found: &mut BTreeSet<String>, open: &mut Vec<String>) {
    let cleaned = clean(&format!("/{name}"));
    let parts: Vec<&str> = cleaned.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        found.insert(".".to_owned());
        return;
    }
    let mut current = String::new();
    for (index, part) in parts.iter().enumerate() {
        let folder = current.clone();
        if !current.is_empty() {
            current.push('/');
        }
        current.push_str(part);
        let targets = targets(root, &folder, part);
        if targets.is_empty() {
            continue;
        }
        if found.insert(current.clone()) {
            let rest = parts[index + 1..].join("/");
            let more = targets.into_iter().map(|target| format!("{target}/{rest}"));
            open.extend(more);
        }
        return;
    }
    found.insert(current);
}

/// Where the links of this name in a folder lead to; a name with wildcards may be many.
fn targets(root: &Path, folder: &str, part: &str) -> Vec<String> {
    let place = root.join(folder);
    let target = |name: &str| {
        let target = std::fs::read_link(place.join(name)).ok()?;
        let target = target.to_str()?;
        Some(match target.starts_with('/') {
            true => target.to_owned(),
            false => format!("/{folder}/{target}"),
        })
    };
    if !has_wildcards(part) {
        return target(part).into_iter().collect();
    }
    let Ok(pattern) = Ignore::new([part]) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(&place).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| pattern.is_ignored(name))
        .filter_map(|name| target(&name))
        .collect()
}

fn has_wildcards(name: &str) -> bool {
    let mut chars = name.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_within_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::fs::write(root.join("real/deep/file"), "").unwrap();
        symlink("real", root.join("link")).unwrap();
        symlink("../../outside", root.join("real/out")).unwrap();
        symlink("/real/deep", root.join("absolute")).unwrap();
        symlink("loop-b", root.join("loop-a")).unwrap();
        symlink("loop-a", root.join("loop-b")).unwrap();
        let follow = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            super::follow(root, &names)
        };
        let some = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(follow(&["real/deep/file"]), some(&["real/deep/file"]));
        assert_eq!(follow(&["link/deep"]), some(&["link", "real/deep"]));
        assert_eq!(follow(&["real/out"]), some(&["outside", "real/out"]));
        assert_eq!(follow(&["absolute"]), some(&["absolute", "real/deep"]));
        assert_eq!(follow(&["loop-a"]), some(&["loop-a", "loop-b"]));
        assert_eq!(follow(&["l*k"]), some(&["l*k", "real"]));
        assert_eq!(follow(&["real", "real/deep"]), some(&["real"]));
        assert_eq!(follow(&["../x", "a/../b"]), some(&["b", "x"]));
        assert_eq!(follow(&["a", "/"]), None);
        assert_eq!(follow(&["."]), None);
    }
}
