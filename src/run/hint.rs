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
            "exit code: 137",
        ],
        "memory ran out: lower the batch size, or use a machine with more memory",
    ),
    (
        &["No space left on device"],
        "the disk is full: make room, or on SageMaker take a larger `volume_gb`, then run it again",
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
        &["No such file or directory: '/opt/ml/input/data/"],
        "the job has no such data channel: declare it in `[data]`, and name it in `channels`",
    ),
    (
        &[
            "Could not assume role",
            "unable to assume the role",
            "sts:AssumeRole on the role",
        ],
        "the role does not let SageMaker take it: its trust policy must allow `sts:AssumeRole` to `sagemaker.amazonaws.com`",
    ),
    (
        &["service limit"],
        "a quota is exhausted: wait for other jobs, take another `instance_type`, or ask for more in Service Quotas",
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

    /// The texts are SageMaker's, from public issues: sagemaker-python-sdk#35, #134,
    /// amazon-sagemaker-examples#263, #1224, #2489, rse-grand-challenge#2631, astronomer/docs#1695.
    #[test]
    fn what_sagemaker_says_of_a_failed_job_gets_advice() {
        for (reason, advice) in [
            ("AlgorithmError: , exit code: 137", "memory ran out"),
            (
                "AlgorithmError: ExecuteUserScriptError: RuntimeError: CUDA out of memory., exit code: 1",
                "memory ran out",
            ),
            (
                "AlgorithmError: OSError: [Errno 28] No space left on device, exit code: 1",
                "`volume_gb`",
            ),
            (
                "AlgorithmError: FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/input/data/train', exit code: 1",
                "no such data channel",
            ),
            (
                "AlgorithmError: exec /train: exec format error, exit code: 1",
                "linux/amd64",
            ),
            (
                "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are incorrect.",
                "could not pull the image",
            ),
            (
                "ClientError: SageMaker was unable to assume the role 'arn:aws:iam::123456789012:role/a'",
                "trust policy",
            ),
            (
                "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.",
                "`instance_types`",
            ),
            (
                "The account-level service limit 'ml.p3.2xlarge for training job usage' is 0 Instances",
                "Service Quotas",
            ),
            (
                "InternalServerError: We encountered an internal error. Please try again.",
                "`retry_attempts`",
            ),
        ] {
            let found = of(reason, &[]).unwrap_or_default();
            assert!(found.contains(advice), "{reason}: {found}");
        }
    }
}
