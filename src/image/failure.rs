//! Why a build failed, in words: the step, its line, its last words, and what to do now.

pub(super) mod instructions;

use super::build::Build;
use crate::error::{Error, ExitCode};

/// Longest instruction that an error quotes, in characters.
const LONGEST_QUOTE: usize = 200;

/// What is known of a failure.
#[derive(Debug, Default)]
pub(super) struct Cause {
    /// Line of the Dockerfile, from 1.
    pub(super) line: Option<u32>,
    /// The step's name.
    pub(super) step: Option<String>,
    /// The last lines that the step wrote.
    pub(super) tail: Vec<String>,
    /// The engine's words.
    pub(super) message: String,
}

impl Cause {
    pub(super) fn error(self, build: &Build<'_>) -> Error {
        let Self {
            line,
            step,
            tail,
            message,
        } = self;
        let dockerfile = build.request.dockerfile.display();
        let instruction = line.and_then(|line| instructions::at(build.context.dockerfile(), line));
        let quote = instruction.or(step).map(|text| shortened(&text));
        let what = match (line, quote) {
            (Some(line), Some(quote)) => format!("{dockerfile}, line {line}: {quote} failed"),
            (Some(line), None) => format!("{dockerfile}, line {line} failed"),
            (None, Some(quote)) => format!("{dockerfile}: {quote} failed"),
            (None, None) => format!("{dockerfile} could not be built"),
        };
        let mut why = match exit_code(&message) {
            Some(code) => format!("exit code {code}"),
            None => message.clone(),
        };
        if !tail.is_empty() {
            why.push_str("; its last lines:");
            for line in &tail {
                why.push_str("\n    ");
                why.push_str(line);
            }
        }
        let error = Error::new(ExitCode::Build, what).because(&why);
        match hint(&message, &tail, build) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The number in `… exit code: 3` or `… returned a non-zero code: 3`.
fn exit_code(message: &str) -> Option<u32> {
    let (_, rest) = message.rsplit_once("code: ")?;
    let digits = rest.split(|char: char| !char.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// What to do about the failures that are no fault of a step's own program.
fn hint(message: &str, tail: &[String], build: &Build<'_>) -> Option<String> {
    let all = format!("{message}\n{}", tail.join("\n")).to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| all.contains(word));
    let engine = build.engine;
    Some(if has(&["no space left on device"]) {
        "make space on the engine's disk: `docker system prune`, `docker builder prune`".to_owned()
    } else if has(&["exec format error"]) {
        let warning = engine.emulation(&build.request.platform);
        warning.unwrap_or_else(|| "the base image is for another platform".to_owned())
    } else if has(&[
        "network.host is not allowed",
        "security.insecure is not allowed",
    ]) {
        "steps get neither the host's network nor privileges; take the flag away".to_owned()
    } else if has(&[
        "unauthorized",
        "pull access denied",
        "no basic auth",
        "403 forbidden",
    ]) {
        "`docker login` to the registry of the base image, and see that its name is right"
            .to_owned()
    } else if has(&[
        "manifest unknown",
        "failed to resolve source metadata",
        "not found: manifest",
    ]) {
        format!(
            "is the name of the base image right, and is there one for {}?",
            build.request.platform
        )
    } else if has(&[
        "no such host",
        "i/o timeout",
        "connection refused",
        "network is unreachable",
    ]) {
        "the engine could not reach a registry or server: look at its network and proxies \
         (https://docs.docker.com/engine/daemon/proxy/)"
            .to_owned()
    } else if has(&[
        "bad address",
        "could not resolve",
        "temporary failure in name resolution",
    ]) && build.request.network == super::Network::None
    {
        "steps of this build have no network; the configuration says so".to_owned()
    } else if has(&[
        "failed to compute cache key",
        "file not found in build context",
    ]) {
        "the file is not in the build context: look at its name and at `.dockerignore`; credentials \
         are kept out unless `.dockerignore` has an exception that names them"
            .to_owned()
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_found_in_every_wording() {
        let old = "executor failed running [/bin/sh -c exit 3]: exit code: 3";
        let new = "process \"/bin/sh -c exit 3\" did not complete successfully: exit code: 3";
        let classic = "The command '/bin/sh -c exit 3' returned a non-zero code: 3";
        for message in [old, new, classic] {
            assert_eq!(exit_code(message), Some(3), "{message}");
        }
        assert_eq!(exit_code("failed"), None);
    }
}
