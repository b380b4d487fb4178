//! Names that GitHub gives: what comes from elsewhere in their place is no name.

/// Longest name of a Git reference that is taken. GitHub's own limit is 255 bytes with `refs/heads/`.
const LONGEST_REF: usize = 255;

/// Longest name of an owner or a repository. GitHub's own limits are 39 and 100.
const LONGEST_NAME: usize = 100;

/// A commit: 40 hexadecimal digits, or 64 in a repository with SHA-256; in small letters.
#[must_use]
pub(super) fn sha(text: &str) -> Option<String> {
    let is_sha = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sha.then(|| text.to_ascii_lowercase())
}

/// A repository as `owner/name`.
#[must_use]
pub(super) fn repository(text: &str) -> Option<String> {
    let (owner, name) = text.split_once('/')?;
    (is_name(owner) && is_name(name)).then(|| text.to_owned())
}

/// A user's or an app's name: `octocat`, `dependabot[bot]`.
#[must_use]
pub(super) fn login(text: &str) -> Option<String> {
    is_name(text.strip_suffix("[bot]").unwrap_or(text)).then(|| text.to_owned())
}

/// A branch or another reference, by the part of Git's own rules that keeps a line a line and a
/// path a path. <https://git-scm.com/docs/git-check-ref-format>
#[must_use]
pub(super) fn reference(text: &str) -> Option<String> {
    let is_wrong = |char: char| char.is_control() || " ~^:?*[\\".contains(char);
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.');
    let is_reference = text.len() <= LONGEST_REF
        && !text.contains(is_wrong)
        && !text.contains("..")
        && text.split('/').all(is_part);
    is_reference.then(|| text.to_owned())
}

/// Letters, digits, `-`, `_` and `.`, and no folder.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(is_part)
        && !matches!(text, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_nothing_else() {
        let commit = "8B0A5f2c9d1e4b7a6f3c2d1e0f9a8b7c6d5e4f3a";
        assert_eq!(sha(commit), Some(commit.to_ascii_lowercase()));
        assert!(sha(&"a".repeat(64)).is_some());
        for text in ["", "8b0a5f2", &"g".repeat(40), &"a".repeat(41), "é"] {
            assert_eq!(sha(text), None, "{text}");
        }
        for text in ["octo-org/octo.repo", "a/b", "A_b/.github"] {
            assert_eq!(repository(text).as_deref(), Some(text));
        }
        for text in [
            "", "a", "a/", "/a", "a/b/c", "a/..", "../a", "a/b c", "a/b\n", "ä/b",
        ] {
            assert_eq!(repository(text), None, "{text:?}");
        }
        for text in ["octocat", "dependabot[bot]", "mona_corp"] {
            assert_eq!(login(text).as_deref(), Some(text));
        }
        for text in ["", "[bot]", "a/b", "a[bot]x", "@team"] {
            assert_eq!(login(text), None, "{text:?}");
        }
        for text in [
            "main",
            "feature/a-b",
            "dependabot/pip/numpy-2.0",
            "é",
            "refs/heads/x",
        ] {
            assert_eq!(reference(text).as_deref(), Some(text));
        }
        for text in [
            "", "a b", "a\nb", "../x", "a/../b", "/a", "a/", "a//b", "a:b", "a/.b",
        ] {
            assert_eq!(reference(text), None, "{text:?}");
        }
    }
}
