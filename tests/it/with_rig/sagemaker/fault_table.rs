//! What each fault of each call comes to: what the tests look for, and what the docs say.

use std::fmt::Write as _;

use Jobs::{Ended, NoJob, Runs, Stopped};

/// A call, and what its faults come to when they last.
pub(super) struct Call {
    pub(super) phase: &'static str,
    /// As people know it: an IAM action, or words.
    pub(super) name: &'static str,
    /// As the stand-in's journal has it.
    pub(super) operation: &'static str,
    /// What of the path or body a fault must fit besides; `NAME` is the project's.
    pub(super) fits: &'static str,
    pub(super) rows: &'static [Row],
}

/// Faults that come to the same.
pub(super) struct Row {
    /// Kinds of the stand-in.
    pub(super) faults: &'static [&'static str],
    pub(super) code: i32,
    /// What is said, and what is advised.
    pub(super) says: &'static str,
    pub(super) hint: &'static str,
    pub(super) jobs: Jobs,
}

/// What becomes of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jobs {
    NoJob,
    Ended,
    Stopped,
    Runs,
}

/// An error with a code that one call alone gives.
pub(super) struct Special {
    pub(super) code: &'static str,
    pub(super) message: &'static str,
    pub(super) status: u16,
    pub(super) row: Row,
}

const fn row(
    faults: &'static [&'static str],
    code: i32,
    says: &'static str,
    hint: &'static str,
    jobs: Jobs,
) -> Row {
    Row {
        faults,
        code,
        says,
        hint,
        jobs,
    }
}

const BUSY: &[&str] = &["throttle", "unavailable"];
const BROKEN: &[&str] = &["reset-before", "cut", "reset-after"];
const HUNG: &[&str] = &["timeout-before"];

const TAKES_NO_MORE: &str = "AWS takes no more requests for now";
const OWN_FAULT: &str = "AWS has a fault of its own";
const SILENT: &str = "does not answer";
const NETWORK: &str = "check the region's name, the network, HTTPS_PROXY";
const DAMAGED: &str = "AWS's answers do not arrive whole";
const PROXY: &str = "something on the way cuts them";
const EXPIRED: &str = "the AWS credentials have expired";
const RENEW: &str = "renew them";
const TRAINED: &str = "the job has ended well: the same command fetches what it left";
const LOST: &str = "lost sight of the job";
const LACKS: &str = "the log of the job may lack lines";

/// A call before there is a job, whose faults end the run with one code.
macro_rules! before {
    ($code:expr, $action:literal) => {
        &[
            row(BUSY, $code, TAKES_NO_MORE, "wait and run again", NoJob),
            row(
                &["internal"],
                $code,
                OWN_FAULT,
                "run again in a while",
                NoJob,
            ),
            row(BROKEN, $code, SILENT, NETWORK, NoJob),
            row(HUNG, $code, SILENT, NETWORK, NoJob),
            row(&["truncate"], $code, DAMAGED, PROXY, NoJob),
            row(
                &["denied"],
                4,
                concat!("`", $action, "` is not allowed"),
                "a policy that allows",
                NoJob,
            ),
            row(&["expired"], 4, EXPIRED, RENEW, NoJob),
        ]
    };
}

/// The same for a call that fetches what a job left.
macro_rules! after {
    ($action:literal, $broken:expr, $cut:expr) => {
        &[
            row(BUSY, 12, TAKES_NO_MORE, TRAINED, Ended),
            row(&["internal"], 12, OWN_FAULT, TRAINED, Ended),
            row(&["reset-before", "reset-after"], 12, SILENT, TRAINED, Ended),
            row(HUNG, 12, SILENT, TRAINED, Ended),
            row(&["cut"], 12, $broken, TRAINED, Ended),
            row(&["truncate"], 12, $cut, TRAINED, Ended),
            row(
                &["denied"],
                4,
                concat!("`", $action, "` is not allowed"),
                TRAINED,
                Ended,
            ),
            row(&["expired"], 4, EXPIRED, TRAINED, Ended),
        ]
    };
}

/// A call whose answer has no body that could be damaged.
const WHOLE: &[Row] = &[
    row(BUSY, 12, TAKES_NO_MORE, "wait and run again", NoJob),
    row(&["internal"], 12, OWN_FAULT, "run again in a while", NoJob),
    row(&["reset-before", "reset-after"], 12, SILENT, NETWORK, NoJob),
    row(HUNG, 12, SILENT, NETWORK, NoJob),
    row(
        &["denied"],
        4,
        "`s3:PutObject` is not allowed",
        "a policy that allows",
        NoJob,
    ),
    row(&["expired"], 4, EXPIRED, RENEW, NoJob),
];

/// The same for a part of a large file. That no answer comes to it is noticed after the time that a
/// slow line takes for all of the parts: too late for a test.
const PARTS: &[Row] = &[
    row(BUSY, 12, TAKES_NO_MORE, "wait and run again", NoJob),
    row(&["internal"], 12, OWN_FAULT, "run again in a while", NoJob),
    row(&["reset-before", "reset-after"], 12, SILENT, NETWORK, NoJob),
    row(
        &["denied"],
        4,
        "`s3:PutObject` is not allowed",
        "a policy that allows",
        NoJob,
    ),
    row(&["expired"], 4, EXPIRED, RENEW, NoJob),
];

const LOG: &[Row] = &[
    row(
        &["throttle", "unavailable", "internal"],
        0,
        LACKS,
        "",
        Ended,
    ),
    row(BROKEN, 0, LACKS, "", Ended),
    row(&["truncate"], 0, LACKS, "", Ended),
    row(&["denied"], 0, "the log of the job is missing", "", Ended),
];

pub(super) const CALLS: &[Call] = &[
    Call {
        phase: "image",
        name: "ecr:BatchGetImage",
        operation: "BatchGetImage",
        fits: "NAME",
        rows: before!(11, "ecr:BatchGetImage"),
    },
    Call {
        phase: "image",
        name: "ecr:CreateRepository",
        operation: "CreateRepository",
        fits: "NAME",
        rows: before!(11, "ecr:CreateRepository"),
    },
    Call {
        phase: "image",
        name: "the push of the manifest",
        operation: "PutManifest",
        fits: "NAME",
        rows: &[
            row(
                BUSY,
                11,
                "went away during the push",
                "what was pushed stays there",
                NoJob,
            ),
            row(
                &["reset-before", "reset-after"],
                11,
                "went away during the push",
                "what was pushed stays there",
                NoJob,
            ),
            row(
                &["internal"],
                11,
                "cannot store the image",
                "its storage is too full",
                NoJob,
            ),
            row(
                &["denied"],
                4,
                "denies pushing",
                "ask its owner for the right",
                NoJob,
            ),
        ],
    },
    Call {
        phase: "data",
        name: "s3:ListBucket",
        operation: "ListObjectsV2",
        fits: "NAME%2Fdata",
        rows: before!(12, "s3:ListBucket"),
    },
    Call {
        phase: "data",
        name: "s3:PutObject",
        operation: "PutObject",
        fits: "NAME",
        rows: WHOLE,
    },
    Call {
        phase: "data",
        name: "s3:PutObject (a part)",
        operation: "UploadPart",
        fits: "NAME",
        rows: PARTS,
    },
    Call {
        phase: "data",
        name: "s3:PutObject (all parts)",
        operation: "CompleteMultipartUpload",
        fits: "NAME",
        rows: before!(12, "s3:PutObject"),
    },
    Call {
        phase: "launch",
        name: "sagemaker:CreateTrainingJob",
        operation: "CreateTrainingJob",
        fits: "NAME",
        rows: &[
            row(
                &["throttle"],
                20,
                TAKES_NO_MORE,
                "wait and run again",
                NoJob,
            ),
            row(
                &["unavailable"],
                20,
                TAKES_NO_MORE,
                "no job is there now",
                NoJob,
            ),
            row(&["internal"], 20, OWN_FAULT, "no job is there now", NoJob),
            row(&["reset-before"], 20, SILENT, "no job is there now", NoJob),
            row(HUNG, 20, SILENT, "no job is there now", NoJob),
            row(
                &["reset-after", "cut", "truncate"],
                0,
                "is there already",
                "",
                Ended,
            ),
            row(
                &["denied"],
                4,
                "`sagemaker:CreateTrainingJob` is not allowed",
                "a policy that allows",
                NoJob,
            ),
            row(&["expired"], 4, EXPIRED, RENEW, NoJob),
        ],
    },
    Call {
        phase: "watch",
        name: "sagemaker:DescribeTrainingJob",
        operation: "DescribeTrainingJob",
        fits: "NAME",
        rows: &[
            row(
                &["throttle", "unavailable", "internal"],
                20,
                LOST,
                "",
                Stopped,
            ),
            row(BROKEN, 20, LOST, "", Stopped),
            row(HUNG, 20, LOST, "", Stopped),
            row(&["truncate"], 20, LOST, "", Stopped),
            row(
                &["denied"],
                4,
                "`sagemaker:DescribeTrainingJob` is not allowed",
                "a policy that allows",
                Stopped,
            ),
        ],
    },
    Call {
        phase: "watch",
        name: "logs:DescribeLogStreams",
        operation: "DescribeLogStreams",
        fits: "NAME",
        rows: LOG,
    },
    Call {
        phase: "watch",
        name: "logs:GetLogEvents",
        operation: "GetLogEvents",
        fits: "NAME",
        rows: LOG,
    },
    Call {
        phase: "cancel",
        name: "sagemaker:StopTrainingJob",
        operation: "StopTrainingJob",
        fits: "NAME",
        rows: &[
            row(
                &["throttle", "unavailable", "internal"],
                20,
                "cannot stop the job",
                "aws sagemaker stop-training-job",
                Runs,
            ),
            row(
                &["reset-before", "timeout-before"],
                20,
                "cannot stop the job",
                "aws sagemaker stop-training-job",
                Runs,
            ),
            row(
                &["denied"],
                4,
                "cannot stop the job",
                "aws sagemaker stop-training-job",
                Runs,
            ),
        ],
    },
    Call {
        phase: "results",
        name: "s3:ListBucket",
        operation: "ListObjectsV2",
        fits: "NAME%2Foutput",
        rows: after!("s3:ListBucket", SILENT, DAMAGED),
    },
    Call {
        phase: "results",
        name: "s3:GetObject",
        operation: "GetObject",
        fits: "NAME",
        rows: after!(
            "s3:GetObject",
            "breaks again and again",
            "what arrived is not what S3 has"
        ),
    },
];

/// Of `CreateTrainingJob`. The texts are AWS's, from public issues.
pub(super) const SPECIAL: &[Special] = &[
    Special {
        code: "ResourceLimitExceeded",
        message: "The account-level service limit 'ml.m5.xlarge for training job usage' is 0 Instances, with current utilization of 0 Instances and a request delta of 1 Instances.",
        status: 400,
        row: row(&[], 23, "a quota is exhausted", "Service Quotas", NoJob),
    },
    Special {
        code: "AccessDeniedException",
        message: "User: arn:aws:sts::123456789012:assumed-role/ci/run is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/training because no identity-based policy allows the iam:PassRole action",
        status: 400,
        row: row(
            &[],
            4,
            "`iam:PassRole` is not allowed",
            "a policy that allows `iam:PassRole`",
            NoJob,
        ),
    },
    Special {
        code: "ValidationException",
        message: "No S3 objects found under S3 URL \"s3://lake/none/\" given in input data source. Please ensure that the bucket exists in the selected region (us-east-1), that objects exist under that S3 prefix.",
        status: 400,
        row: row(
            &[],
            20,
            "No S3 objects found",
            "there is no data at that address",
            NoJob,
        ),
    },
    Special {
        code: "ValidationException",
        message: "Could not assume role arn:aws:iam::123456789012:role/training. Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role.",
        status: 400,
        row: row(
            &[],
            20,
            "Could not assume role",
            "its trust policy must allow",
            NoJob,
        ),
    },
];

const HEAD: &str = "# Faults on the way to SageMaker

What a run does when AWS does not answer as it should. Each row was tried against the
[stand-in](../../tests/sagemaker/README.md); a test holds this page to what happened.

**Once**, every fault but these is recovered from: the call is repeated, nothing is sent, launched or logged
twice. `denied` is not repeated, as nothing changes by itself. `expired` is not repeated except while a
job is watched.

An answer is waited for 30 seconds, four times; after a part of a large file, as long as a slow line takes.

**Lasting**, it comes to this. The code is the [exit code](exit-codes.md); with 0, the report warns of what is missing.

| fault | what the stand-in does |
|---|---|
| `throttle`, `unavailable`, `internal` | `ThrottlingException` or `SlowDown`; 503; 500 |
| `reset-before`, `reset-after` | breaks the connection before, or after the work is done |
| `timeout-before`, `timeout-after` | no answer, before or after the work is done |
| `cut`, `truncate` | half of an answer, with a broken connection or well framed |
| `slow` | a late answer: waited for |
| `denied`, `expired` | missing permission; credentials that were good once |

";

/// The page in the docs.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| phase | call | lasting fault | code | it says | it advises | the job |\n");
    page.push_str("|---|---|---|---:|---|---|---|\n");
    for call in CALLS {
        for row in call.rows {
            let faults: Vec<String> = row.faults.iter().map(|one| format!("`{one}`")).collect();
            let faults = faults.join(", ");
            let (phase, name) = (call.phase, call.name);
            let name = match name.contains(' ') {
                true => name.to_owned(),
                false => format!("`{name}`"),
            };
            written(&mut page, &format!("{phase} | {name} | {faults}"), row);
        }
    }
    page.push_str("\nWhat `CreateTrainingJob` alone answers:\n\n");
    page.push_str("| AWS says | code | it says | it advises | the job |\n|---|---:|---|---|---|\n");
    for special in SPECIAL {
        let words = special
            .message
            .split(['.', '"', '\''])
            .next()
            .unwrap_or_default();
        let what = format!("`{}`: {}…", special.code, words.trim());
        written(&mut page, &what, &special.row);
    }
    page
}

fn written(page: &mut String, what: &str, row: &Row) {
    let jobs = match row.jobs {
        NoJob => "none",
        Ended => "ends by itself",
        Stopped => "is stopped",
        Runs => "runs on",
    };
    let quoted = |text: &str| match text {
        "" => String::new(),
        text => format!("“{text}”"),
    };
    let (says, hint) = (quoted(row.says), quoted(row.hint));
    writeln!(page, "| {what} | {} | {says} | {hint} | {jobs} |", row.code).unwrap();
}
