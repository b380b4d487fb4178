//! Answers that do not arrive whole. The SDK takes half a list for a short one and half an error
//! for one without a code: here, neither is an answer, and the call is repeated as after a broken
//! connection.

use aws_sdk_s3::config::interceptors::{
    AfterDeserializationInterceptorContextRef, InterceptorContext,
};
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use serde::de::IgnoredAny;

/// What the error of a call says whose last answer was damaged.
pub(super) const DAMAGED: &str = "the answer did not arrive whole";

/// For the clients of all services: refuses damaged answers, and lets the call be repeated.
#[derive(Debug, Clone, Copy)]
pub struct Whole;

impl Intercept for Whole {
    fn name(&self) -> &'static str {
        "Whole"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        match is_damaged(answer.headers().get("content-type"), answer.body().bytes()) {
            true => Err(DAMAGED.into()),
            false => Ok(()),
        }
    }
}

impl ClassifyRetry for Whole {
    fn name(&self) -> &'static str {
        "Whole"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let is_damaged = context.response().is_some_and(|answer| {
            is_damaged(answer.headers().get("content-type"), answer.body().bytes())
        });
        match is_damaged {
            true => RetryAction::transient_error(),
            false => RetryAction::NoActionIndicated,
        }
    }
}

/// Whether a document ends before its end. Bodies that are read as they come are none, and have
/// checksums.
fn is_damaged(kind: Option<&str>, body: Option<&[u8]>) -> bool {
    let (kind, body) = (kind.unwrap_or_default(), body.unwrap_or_default());
    if body.trim_ascii().is_empty() {
        return false;
    }
    if kind.contains("json") {
        return serde_json::from_slice::<IgnoredAny>(body).is_err();
    }
    kind.contains("xml") && !str::from_utf8(body).is_ok_and(has_end)
}

/// Whether the first element of an XML document is closed by the last.
fn has_end(text: &str) -> bool {
    let mut text = text.trim();
    if let Some((_, rest)) = text.split_once("?>") {
        text = rest.trim_start();
    }
    let Some(root) = text.strip_prefix('<') else {
        return false;
    };
    let end = |letter: char| letter.is_whitespace() || letter == '>' || letter == '/';
    let name = root.split(end).next().unwrap_or_default();
    text.ends_with(&format!("</{name}>")) || !root.contains('<') && root.ends_with("/>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_document_is_damaged_wherever_it_is_cut() {
        let list = "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><Key>a</Key><Key>b</Key></ListBucketResult>\n";
        let job = r#"{"TrainingJobStatus": "InProgress", "Tags": [{"Key": "a"}]}"#;
        for (kind, text) in [
            ("application/xml", list),
            ("application/x-amz-json-1.1", job),
        ] {
            let is_damaged = |text: &str| is_damaged(Some(kind), Some(text.as_bytes()));
            assert!(!is_damaged(text));
            for end in 1..text.trim_end().len() {
                assert!(is_damaged(&text[..end]), "{}", &text[..end]);
            }
        }
    }

    #[test]
    fn what_is_no_document_is_whole() {
        assert!(!is_damaged(Some("application/xml"), None));
        assert!(!is_damaged(Some("application/json"), Some(b"")));
        assert!(!is_damaged(Some("application/xml"), Some(b"<Answer/>")));
        assert!(!is_damaged(None, Some(b"{")));
    }
}
