//! The files by which a step tells the runner something, read as strictly as the runner does.
//!
//! <https://github.com/actions/runner/blob/v2.336.0/src/Runner.Worker/FileCommandManager.cs>

use std::collections::BTreeMap;
use std::path::Path;

/// The variable that names a file, and the beginning of the file's name.
pub(super) const KINDS: [(&str, &str); 5] = [
    ("GITHUB_OUTPUT", "set_output"),
    ("GITHUB_STATE", "save_state"),
    ("GITHUB_STEP_SUMMARY", "step_summary"),
    ("GITHUB_ENV", "set_env"),
    ("GITHUB_PATH", "add_path"),
];

/// `NAME=VALUE`, or `NAME<<END`, lines, `END`. Whatever is neither fails the step, and the test.
#[track_caller]
pub(super) fn pairs(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "no end of the line: {text:?}"
    );
    // NOTE: a carriage return ends nothing here.
    let mut lines = text.split('\n');
    let mut found = BTreeMap::new();
    while let Some(line) = lines.next() {
        let equals = line.find('=').unwrap_or(usize::MAX);
        if let Some((name, end)) = line.split_once("<<").filter(|pair| pair.0.len() < equals) {
            let mut value = Vec::new();
            loop {
                match lines.next() {
                    Some(line) if line == end => break,
                    Some(line) => value.push(line),
                    None => panic!("{name} has no {end}"),
                }
            }
            found.insert(name.to_owned(), value.join("\n"));
        } else if let Some((name, value)) = line.split_once('=') {
            found.insert(name.to_owned(), value.to_owned());
        } else {
            assert!(line.is_empty(), "neither a value nor empty: {line:?}");
        }
    }
    found
}
