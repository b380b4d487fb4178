//! Advice for failures that everybody meets, from the reason and the last log lines.

/// What is looked for, and what to do about it.
const KNOWN: &[(&[&str], &str)] = &[
    (
        &["ModuleNotFoundError", "No module named"],
        "a module is missing: add it to the file that `training.requirements` names, or its folder to `training.source`",
    ),
    (
        &[
            "CUDA out of memory",
            "OutOfMemoryError",
            "MemoryError",
            "Unable to allocate",
            "killed by SIGKILL",
        ],
        "memory ran out: lower the batch size, or use a machine with more memory",
    ),
    (
        &["No space left on device"],
        "the disk is full: make room, then run it again",
    ),
    (
        &[
            "unrecognized arguments",
            "error: the following arguments are required",
        ],
        "hyperparameters come as command-line arguments; the program does not take these",
    ),
    (
        &[
            "No matching distribution found",
            "Could not find a version that satisfies",
        ],
        "a pinned version is not to be had for this Python: see the requirements file",
    ),
    (
        &[
            "Temporary failure in name resolution",
            "Network is unreachable",
            "Failed to establish a new connection",
        ],
        "there is no network: is it down, or does the configuration take it away (`network = \"none\"`)?",
    ),
    (
        &["Cannot pull algorithm container"],
        "SageMaker could not pull the image: the destination's role needs `ecr:BatchGetImage`, `ecr:GetDownloadUrlForLayer` and `ecr:GetAuthorizationToken`, and with a VPC a way to Amazon ECR",
    ),
    (
        &["CapacityError"],
        "AWS has no such instances just now: list more in `instance_types`, or run again later",
    ),
    (
        &["exec format error"],
        "the image is for another processor: build it for linux/amd64",
    ),
    (
        &["No S3 objects found"],
        "there is no data at that address, or the destination's role may not list it",
    ),
    (
        &["iam:PassRole"],
        "you may not hand the role to SageMaker: a policy of yours must allow `iam:PassRole` on it",
    ),
    (
        &["InternalServerError"],
        "SageMaker broke down: run again, or set `retry_attempts`",
    ),
    (
        &["ensurepip is not available"],
        "Debian ships venv apart: `apt-get install python3-venv`",
    ),
];

/// Advice for a failure, when it is a known one.
#[must_use]
pub(crate) fn of(reason: &str, tail: &[String]) -> Option<&'static str> {
    let lines = || std::iter::once(reason).chain(tail.iter().map(String::as_str));
    KNOWN
        .iter()
        .find(|(signs, _)| lines().any(|line| signs.iter().any(|sign| line.contains(sign))))
        .map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_failures_get_advice_and_others_do_not() {
        assert!(
            of(
                "train failed: exit code 1: ModuleNotFoundError: No module named 'torch'",
                &[]
            )
            .unwrap()
            .contains("requirements")
        );
        assert!(
            of(
                "exit code 1",
                &["ERROR: No matching distribution found for x==9".to_owned()]
            )
            .unwrap()
            .contains("pinned")
        );
        assert_eq!(of("ValueError: no rows", &["working".to_owned()]), None);
    }
}
