//! What stays out of an image although no `.dockerignore` says so: credentials and the repository.

use std::sync::LazyLock;

use crate::image::ignore::{Ignore, Trail};

/// What is kept out by default, at any depth, as patterns of `.dockerignore`.
///
/// An exception in the project's own `.dockerignore` takes a file back when it names it (`!.env`,
/// `!certificates/*.pem`, `!.git/HEAD`). One for everything around it (`!src`, `!**`) does not:
/// the usual `*` with `!src` would put `src/.env` into the image.
pub const KEPT_OUT: &[&str] = &[
    // Settings with passwords; what documents them is kept.
    "**/.env",
    "**/.env.*",
    "!**/.env.example",
    "!**/.env.sample",
    "!**/.env.template",
    // Keys.
    "**/*.pem",
    "**/*.key",
    "**/*.p12",
    "**/*.pfx",
    "**/*.jks",
    "**/*.keystore",
    "**/*.ppk",
    "**/id_rsa",
    "**/id_dsa",
    "**/id_ecdsa",
    "**/id_ecdsa_sk",
    "**/id_ed25519",
    "**/id_ed25519_sk",
    "**/.ssh",
    "**/.gnupg",
    // Credentials of tools.
    "**/.aws",
    "**/.azure",
    "**/.config/gcloud",
    "**/.docker/config.json",
    "**/.dockercfg",
    "**/.git-credentials",
    "**/.kube",
    "**/.netrc",
    "**/_netrc",
    "**/.pgpass",
    "**/.pypirc",
    "**/.config/huggingface",
    "**/.cache/huggingface/token",
    "**/.kaggle",
    "**/.databrickscfg",
    "**/.dvc/config.local",
    "**/.envrc",
    "**/.npmrc",
    "**/.s3cfg",
    "**/.boto",
    "**/.vault-token",
    "**/.cargo/credentials.toml",
    "**/.config/containers/auth.json",
    "**/.config/gh",
    "**/.streamlit/secrets.toml",
    "**/application_default_credentials.json",
    "**/credentials.json",
    "**/kubeconfig",
    "**/*.tfstate",
    // The repository, and what mlaction writes itself.
    "**/.git",
    "**/.mlaction",
];

static GUARD: LazyLock<Ignore> = LazyLock::new(|| Ignore::new(KEPT_OUT).unwrap_or_default());

/// What decides whether a name belongs to a context.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// The project's own.
    pub(super) ignore: Ignore,
    /// Whether [`KEPT_OUT`] holds.
    pub(super) is_guarded: bool,
    /// Files that are kept out like those: what the build gets as a secret.
    pub(super) secrets: Vec<String>,
}

/// What the rules say of a folder, for what is below it.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    trail: Trail,
    /// How much of the name is the guarded file or folder that it lies in.
    guarded: Option<usize>,
}

/// What the rules say of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Kept,
    /// By the project's `.dockerignore`.
    Ignored,
    /// By [`KEPT_OUT`] alone.
    Guarded,
}

impl Rules {
    /// What holds for a name, by the place of its folder.
    pub(super) fn verdict(&self, above: &Place, name: &str) -> Verdict {
        if self.ignore.is_below(&above.trail, name) {
            Verdict::Ignored
        } else if self.guard(above, name).is_some() {
            Verdict::Guarded
        } else {
            Verdict::Kept
        }
    }

    /// What holds for a folder, its place, and whether something below it may be kept.
    pub(super) fn enter(&self, above: &Place, folder: &str) -> (Verdict, Place, bool) {
        let (ignored, trail) = self.ignore.enter(&above.trail, folder);
        let guarded = self.guard(above, folder);
        let may_hold = (!ignored || self.ignore.may_except(&trail, folder))
            && guarded.is_none_or(|length| self.ignore.may_bring_back(&folder[..length]));
        let verdict = match (ignored, guarded) {
            (true, _) => Verdict::Ignored,
            (false, Some(_)) => Verdict::Guarded,
            (false, None) => Verdict::Kept,
        };
        (verdict, Place { trail, guarded }, may_hold)
    }

    /// What holds for a name, from the root on.
    pub(super) fn verdict_from_root(&self, name: &str) -> Verdict {
        let folders = name.match_indices('/').map(|(end, _)| &name[..end]);
        let above = folders.fold(Place::default(), |above, folder| {
            self.enter(&above, folder).1
        });
        self.verdict(&above, name)
    }

    fn guard(&self, above: &Place, name: &str) -> Option<usize> {
        let guarded = match above.guarded {
            Some(length) => length,
            // Folders above were asked already.
            None if self.is_guarded && GUARD.is_below(&Trail::default(), name) => name.len(),
            None if self.secrets.iter().any(|secret| secret == name) => name.len(),
            None => return None,
        };
        let is_back = self.ignore.brings_back(&name[..guarded], name);
        (!is_back).then_some(guarded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ignore: &str, name: &str) -> Verdict {
        let rules = Rules {
            ignore: Ignore::parse(ignore.as_bytes()).unwrap(),
            is_guarded: true,
            secrets: vec!["token.txt".to_owned()],
        };
        rules.verdict_from_root(name)
    }

    #[test]
    fn credentials_and_the_repository_are_kept_out() {
        assert!(Ignore::new(KEPT_OUT).is_ok());
        for name in [
            ".env",
            "a/.env.local",
            "a/b/server.pem",
            ".git",
            "sub/.git/config",
            "home/.aws/credentials",
            "x/.docker/config.json",
            ".mlaction/runs/1",
            "token.txt",
        ] {
            assert_eq!(verdict("", name), Verdict::Guarded, "{name}");
        }
        for name in [
            ".env.example",
            "environment",
            ".gitignore",
            "keys.py",
            ".docker/x",
        ] {
            assert_eq!(verdict("", name), Verdict::Kept, "{name}");
        }
    }

    #[test]
    fn only_an_exception_that_names_a_file_takes_it_back() {
        use Verdict::{Guarded, Ignored, Kept};
        for (ignore, name, expected) in [
            ("!.env", ".env", Kept),
            ("!.env", "a/.env", Guarded),
            ("!**/.env", "a/.env", Kept),
            ("!certificates/*.pem", "certificates/root.pem", Kept),
            ("*\n!src", "src/.env", Guarded),
            ("*\n!src", "src/train.py", Kept),
            ("*\n!src", ".env", Ignored),
            ("*\n!**", "src/.env", Guarded),
            ("!.git", ".git/HEAD", Kept),
            ("!.git/HEAD", ".git/HEAD", Kept),
            ("!.git/HEAD", ".git/config", Guarded),
            ("!.aws/**", ".aws/config", Kept),
            ("!**/*.py", ".git/hooks/x.py", Guarded),
        ] {
            assert_eq!(verdict(ignore, name), expected, "{ignore:?} {name}");
        }
    }

    #[test]
    fn guarded_folders_are_not_looked_into_for_nothing() {
        let holds = |ignore: &str| {
            let rules = Rules {
                ignore: Ignore::parse(ignore.as_bytes()).unwrap(),
                is_guarded: true,
                secrets: Vec::new(),
            };
            rules.enter(&Place::default(), ".git").2
        };
        assert!(!holds("") && !holds("*\n!**/*.py") && !holds("!.gitignore"));
        assert!(holds("!.git") && holds("!.git/HEAD"));
    }
}
