//! What the engine says when something fails, as our errors: what, why, and what to do now.

use std::future::Future;
use std::time::Duration;

use bollard::errors::Error as EngineError;

use crate::error::{Error, ExitCode, Result, chain};

/// What the engine may say, in lower case, the code that it stands for, and what to do about it.
/// The first that fits counts.
const KNOWN: &[(&[&str], ExitCode, &str)] = &[
    (
        &["no space left on device", "disk quota exceeded"],
        ExitCode::Internal,
        "the engine's disk is full: `docker system df` shows what takes the room, `docker system prune` makes some",
    ),
    (
        &["could not select device driver"],
        ExitCode::NoCapacity,
        "the engine has no GPUs to give: install the NVIDIA Container Toolkit beside it, or take `gpus` out of the destination",
    ),
    (
        &[
            "nvidia-container-cli",
            "unknown device",
            "insufficient devices",
        ],
        ExitCode::NoCapacity,
        "the engine cannot give these GPUs: `nvidia-smi` on its machine shows what there is; lower `gpus` of the destination",
    ),
    (
        &[
            "does not match the specified platform",
            "does not provide the specified platform",
        ],
        ExitCode::Build,
        "the image was built for another platform: set `platform` in [image], and build it again",
    ),
    (
        &["exec format error"],
        ExitCode::JobFailed,
        "the program is for another platform than the engine's: set `platform` in [image], and build it again",
    ),
    (
        &["no such image", "image not known"],
        ExitCode::Build,
        "the image is not in the engine (any more): run the command again, it will be built or pulled",
    ),
    (
        &["no command specified"],
        ExitCode::JobFailed,
        "the image says nothing about what to run: give its Dockerfile an ENTRYPOINT",
    ),
    (
        &[
            "executable file not found",
            "no such file or directory",
            "permission denied: unknown",
        ],
        ExitCode::JobFailed,
        "SageMaker runs `IMAGE train`: give the Dockerfile an ENTRYPOINT in exec form whose program is executable, or put a program `train` on its PATH",
    ),
    (
        &[
            "unable to find user",
            "no matching entries in passwd",
            "no matching entries in group",
        ],
        ExitCode::JobFailed,
        "the image has no such user: make it in the Dockerfile, or give `user` as a number",
    ),
    (
        &["range of cpus is from"],
        ExitCode::Config,
        "lower `cpus` of the destination",
    ),
    (
        &["minimum memory limit"],
        ExitCode::Config,
        "raise `memory` of the destination",
    ),
    (
        &["is already in use by container"],
        ExitCode::Usage,
        "another mlaction has just started this job; `docker ps` shows it",
    ),
    (
        &["all predefined address pools have been fully subnetted"],
        ExitCode::Internal,
        "the engine has no addresses left for one more network: `docker network prune` removes unused ones",
    ),
];

/// An error of the engine, or of the way to it.
pub(super) fn engine(what: &str, error: &EngineError) -> Error {
    let (cause, told) = match error {
        EngineError::DockerResponseServerError { message, .. } => (message.clone(), true),
        EngineError::RequestTimeoutError => ("the engine does not answer".to_owned(), false),
        other => (chain(other), false),
    };
    let text = cause.to_lowercase();
    for (patterns, code, advice) in KNOWN {
        if patterns.iter().any(|pattern| text.contains(pattern)) && told {
            return Error::new(*code, what).because(cause).hint(*advice);
        }
    }
    let error = Error::new(ExitCode::Internal, what).because(cause);
    match told {
        true => error,
        false => {
            error.hint("is the Docker Engine running, and can it be reached? `docker info` tells")
        }
    }
}

/// Whether the engine says that something is not there.
pub(super) fn is_absent(error: &EngineError) -> bool {
    status(error) == Some(404)
}

/// The status of the engine's answer, when it answered.
pub(super) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// A call of the engine with a deadline.
pub(super) async fn within<T>(
    deadline: Duration,
    what: &str,
    call: impl Future<Output = std::result::Result<T, EngineError>>,
) -> Result<T> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => answer.map_err(|error| engine(what, &error)),
        Err(_) => Err(engine(what, &EngineError::RequestTimeoutError)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_gets_its_advice() {
        let said = |message: &str| {
            let error = EngineError::DockerResponseServerError {
                status_code: 500,
                message: message.to_owned(),
            };
            engine("cannot start the job", &error)
        };
        let gpu = said(r#"could not select device driver "" with capabilities: [[gpu]]"#);
        assert_eq!(gpu.exit_code(), ExitCode::NoCapacity);
        let entry = said(
            r#"OCI runtime create failed: exec: "train": executable file not found in $PATH: unknown"#,
        );
        assert_eq!(entry.exit_code(), ExitCode::JobFailed);
        assert!(entry.advice().unwrap().contains("ENTRYPOINT"));
        assert_eq!(said("something else").advice(), None);
        let gone = engine("cannot list", &EngineError::RequestTimeoutError);
        assert!(gone.render().contains("docker info"));
    }
}
