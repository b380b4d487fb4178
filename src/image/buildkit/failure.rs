//! Why a build failed: the step, its line in the Dockerfile and its last words.

use bollard_buildkit_proto::google::rpc;
use prost::Message as _;
use serde_json::Value;
use tonic::{Code, Status};

use super::super::build::Build;
use super::super::failure::Cause;
use super::super::failure::instructions::{self, Counted};
use super::super::progress::one_line;
use super::status::Tracker;
use crate::error::Error;

/// What is in the details of a failed call. They are JSON in protobuf's `Any`:
/// <https://github.com/moby/buildkit/blob/master/util/grpcerrors/grpcerrors.go>.
#[derive(Debug, Default, PartialEq, Eq)]
struct Details {
    /// First line in the Dockerfile, from 1.
    line: Option<u32>,
    /// The step's digest.
    step: Option<String>,
}

pub(super) fn error(status: &Status, tracker: &Tracker, build: &Build<'_>) -> Error {
    let details = details(status.details());
    let failed = tracker.failed(details.step.as_deref());
    let message = match status.code() {
        Code::Unknown | Code::Ok => status.message().to_owned(),
        code => format!("{code}: {}", status.message()),
    };
    let message = tracker.hide(&one_line(&message));
    let tail = failed
        .as_ref()
        .map(|failed| failed.tail.iter().cloned().collect());
    let step = failed.map(|failed| failed.name.to_owned());
    // 20.10 sends no details.
    let by_name = || {
        instructions::line_of(
            build.context.dockerfile(),
            step.as_deref()?,
            Counted::InStage,
        )
    };
    let cause = Cause {
        line: details.line.or_else(by_name),
        step,
        tail: tail.unwrap_or_default(),
        message,
    };
    cause.error(build)
}

fn details(bytes: &[u8]) -> Details {
    let mut details = Details::default();
    let Ok(status) = rpc::Status::decode(bytes) else {
        return details;
    };
    for any in status.details {
        let Ok(value) = serde_json::from_slice::<Value>(&any.value) else {
            continue;
        };
        if any.type_url.contains("errdefs.Source") {
            // The innermost source comes last, as `RUN` in a stage that another one copies from.
            details.line = first_line(&value).or(details.line);
        } else if any.type_url.contains("errdefs.Vertex") {
            let digest = value["digest"].as_str().or(value["Digest"].as_str());
            details.step = digest.map(str::to_owned).or(details.step);
        }
    }
    details
}

fn first_line(source: &Value) -> Option<u32> {
    let ranges = source["ranges"].as_array()?;
    let lines = ranges
        .iter()
        .filter_map(|range| range["start"]["line"].as_u64());
    lines.min().and_then(|line| line.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard_buildkit_proto::google::protobuf::Any;

    #[test]
    fn details_of_any_form_are_read() {
        let any = |url: &str, text: &str| Any {
            type_url: format!("github.com/moby/buildkit/{url}"),
            value: text.as_bytes().to_vec(),
        };
        let status = rpc::Status {
            code: 2,
            message: String::new(),
            details: vec![
                any("stack.Stack+json", "{}"),
                any("errdefs.Vertex+json", r#"{"digest":"sha256:1"}"#),
                any(
                    "errdefs.Source+json",
                    r#"{"info":{"filename":"Dockerfile"},"ranges":[{"start":{"line":7},"end":{"line":9}}]}"#,
                ),
                any("errdefs.Source+json", "not JSON"),
            ],
        };
        let read = details(&status.encode_to_vec());
        assert_eq!(
            read,
            Details {
                line: Some(7),
                step: Some("sha256:1".to_owned())
            }
        );
        assert_eq!(details(b"\xFF"), Details::default());
    }
}
