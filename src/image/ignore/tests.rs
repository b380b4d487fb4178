use serde_json::Value;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!(
        "../../../tests/data/dockerignore-vectors.json"
    ))
    .unwrap()
}

fn parse(text: &Value) -> Result<Ignore, IgnoreError> {
    Ignore::parse(text.as_str().unwrap().as_bytes())
}

/// As a walk sees it: from folder to folder, without those that can be pruned.
fn is_ignored_in_walk(ignore: &Ignore, name: &str) -> bool {
    let mut trail = Trail::default();
    for (end, _) in name.match_indices('/') {
        let folder = &name[..end];
        let (ignored, next) = ignore.enter(&trail, folder);
        let holds = !ignored || ignore.may_except(&next, folder);
        assert_eq!(holds, ignore.may_hold_kept(folder), "{folder}");
        if !holds {
            return true;
        }
        trail = next;
    }
    ignore.is_below(&trail, name)
}

#[test]
fn every_vector_of_a_real_build_holds() {
    let all = vectors();
    let vectors = all["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 264);
    for vector in vectors {
        let (ignore, path) = (
            parse(&vector["dockerignore"]).unwrap(),
            vector["path"].as_str().unwrap(),
        );
        let ignored = vector["ignored"].as_bool().unwrap();
        assert_eq!(ignore.is_ignored(path), ignored, "{vector}");
        assert_eq!(is_ignored_in_walk(&ignore, path), ignored, "{vector}");
    }
}

#[test]
fn every_full_set_of_a_real_build_holds() {
    let all = vectors();
    let (sets, paths) = (
        all["full_sets"].as_array().unwrap(),
        all["paths"].as_array().unwrap(),
    );
    let mut compared = 0;
    for set in sets {
        let ignore = parse(&set["dockerignore"]);
        if !set["buildkit_error"].is_null() {
            assert!(ignore.is_err(), "{set}");
            continue;
        }
        let (ignore, ignored) = (ignore.unwrap(), set["ignored"].as_array().unwrap());
        for path in paths {
            let expected = ignored.contains(path);
            let path = path.as_str().unwrap();
            assert_eq!(ignore.is_ignored(path), expected, "{path}: {set}");
            assert_eq!(is_ignored_in_walk(&ignore, path), expected, "{path}: {set}");
            compared += 1;
        }
    }
    assert!(compared > 3400, "{compared}");
}

#[test]
fn random_patterns_keep_what_a_real_build_keeps() {
    let text = include_str!("../../../tests/data/dockerignore-random.json");
    let all: Value = serde_json::from_str(text).unwrap();
    for case in all["cases"].as_array().unwrap() {
        let ignore = parse(&case["dockerignore"]).unwrap();
        let kept = case["kept"].as_array().unwrap();
        for file in case["files"].as_array().unwrap() {
            let (expected, name) = (!kept.contains(file), file.as_str().unwrap());
            assert_eq!(ignore.is_ignored(name), expected, "{name}: {case}");
            assert_eq!(
                is_ignored_in_walk(&ignore, name),
                expected,
                "{name}: {case}"
            );
        }
    }
}

#[test]
fn what_a_real_build_refuses_is_an_error_with_its_line() {
    let all = vectors();
    let errors = all["must_be_errors"].as_array().unwrap();
    assert_eq!(errors.len(), 4);
    for error in errors {
        assert!(parse(&error["dockerignore"]).is_err(), "{error}");
    }
    let error = Ignore::parse(b"# fine\na.py\n [ \n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3: pattern `[`: a `[` without its end"
    );
}

#[test]
fn expressions_are_gos_and_not_rusts() {
    for (pattern, name, matches) in [
        ("[*]", "*", false), // a `*` in brackets becomes an expression of its own
        ("[*]", "//]", true),
        ("[a&&b]", "&", true),
        ("[+-/]", "-", true),
        ("[a~~b]", "~", true),
        ("[[a]", "[", true),
        (r"\d", "7", true),
        (r"\<a", "<a", true),
        (r"[\]]", "]", true),
        ("**/x*y", "a/x1y", true),
        ("**/x*x", "a/x", false),
        ("**/x*y", "a\nb/xy", false),
    ] {
        let pattern = Pattern::new(pattern).unwrap().unwrap();
        assert_eq!(pattern.matches(name), matches, "{pattern:?} {name:?}");
    }
    for pattern in ["[z-a]", r"\q", "[[:alpha:]]", r"\é"] {
        assert!(Pattern::new(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn a_pattern_that_was_skipped_above_is_not_inherited() {
    let ignore = Ignore::new(["a", "!a/b", "*"]).unwrap();
    assert!(ignore.is_ignored("a"));
    assert!(!ignore.is_ignored("a/b"));
    assert!(ignore.may_hold_kept("a"));
}

#[test]
fn exceptions_before_the_deciding_pattern_open_nothing() {
    let ignore = Ignore::new(["**/.env.*", "!**/.env.example", "**/.git"]).unwrap();
    assert!(!ignore.may_hold_kept(".git"));
    assert!(ignore.is_ignored(".git/.env.example"));
    assert!(!ignore.is_ignored("a/.env.example"));
}
