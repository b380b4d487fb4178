//! What a Dockerfile takes from whoever builds it: arguments and secrets.

use super::Dockerfile;
use super::lines::Line;
use super::words;

/// Arguments that need no `ARG`.
/// <https://docs.docker.com/reference/dockerfile/#predefined-args>,
/// <https://docs.docker.com/reference/dockerfile/#buildkit-built-in-build-args>
const PREDEFINED: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SOURCE_DATE_EPOCH",
];

/// A secret that a step asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUse {
    /// Line of the Dockerfile, from 1.
    pub line: usize,
    /// Its id.
    pub id: String,
    /// Whether the step fails without it; otherwise it finds nothing.
    pub is_required: bool,
}

impl Dockerfile {
    /// Whether an argument means anything to this Dockerfile.
    #[must_use]
    pub fn takes(&self, argument: &str) -> bool {
        let upper = argument.to_uppercase();
        if PREDEFINED.contains(&upper.as_str()) || argument.starts_with("BUILDKIT_") {
            return true;
        }
        let lines = self.stages.iter().flat_map(|stage| &stage.lines);
        let mut arguments = self
            .globals
            .iter()
            .chain(lines)
            .filter(|line| line.instruction == "ARG");
        arguments.any(|line| {
            let words = words::split_raw(&line.arguments).unwrap_or_default();
            words
                .iter()
                .any(|word| word.split('=').next() == Some(argument))
        })
    }

    /// The secrets that steps of any stage ask for.
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretUse> {
        let lines = self.stages.iter().flat_map(|stage| &stage.lines);
        let runs = lines.filter(|line| line.instruction == "RUN");
        runs.flat_map(secrets).collect()
    }
}

/// `RUN --mount=type=secret,id=…,target=…,required=…`: without an id, the last part of the target.
/// <https://docs.docker.com/reference/dockerfile/#run---mounttypesecret>
fn secrets(line: &Line) -> Vec<SecretUse> {
    let mounts = line.flags.iter().filter(|(name, _)| name == "mount");
    let used = mounts.filter_map(|(_, mount)| {
        let field = |wanted: &[&str]| {
            let mut fields = mount
                .split(',')
                .map(|field| field.split_once('=').unwrap_or((field, "true")));
            fields
                .find(|(name, _)| wanted.contains(&name.trim()))
                .map(|(_, value)| value.trim())
        };
        let target = || field(&["target", "dst", "destination"])?.rsplit('/').next();
        let id = field(&["id"])
            .or_else(target)
            .filter(|id| !id.contains('$'))?;
        (field(&["type"]) == Some("secret")).then(|| SecretUse {
            line: line.line,
            id: id.to_owned(),
            is_required: field(&["required"]) == Some("true"),
        })
    });
    used.collect()
}
