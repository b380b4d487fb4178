//! Why a registry does not take layers: engines keep the registry's reason to themselves.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::answers::Asked;
use super::oci::{Client, redirected};
use super::reference::Reference;
use crate::transport::Answer;

/// Enough that a full disk cannot take it, and little enough that a server written in Go reads it
/// to its end before it answers with an error (256 kB), rather than break the connection.
const PROBE: &[u8] = &[0; 192 * 1024];

/// Words for a full disk, in lower case; `docker-registry` gives the numbers ENOSPC and EDQUOT as
/// they are when it cannot make a folder.
const FULL: &[&str] = &[
    "no space left",
    "insufficient storage",
    "quota exceeded",
    "\"err\":28}",
    "\"err\":122}",
];

impl Client {
    /// Begins an upload, sends a little, and takes it back: the registry's own words when its
    /// storage is full. It says nothing when the upload works or fails for another reason.
    pub(crate) async fn fullness(&self, target: &Reference) -> Option<String> {
        let asked = Asked::new(target);
        let start = asked.uploads().ok()?;
        let answer = self
            .request(&asked, Method::POST, start.clone(), Bytes::new())
            .await
            .ok()?;
        if answer.status != StatusCode::ACCEPTED {
            return full(&answer);
        }
        let upload = redirected(&start, &answer.headers)?;
        let body = Bytes::from_static(PROBE);
        let answer = self
            .request(&asked, Method::PATCH, upload.clone(), body)
            .await
            .ok()?;
        let found = full(&answer);
        let upload = redirected(&start, &answer.headers).unwrap_or(upload);
        // What is not taken back, the registry removes by itself after a while.
        let _ = self
            .request(&asked, Method::DELETE, upload, Bytes::new())
            .await;
        found
    }
}

fn full(answer: &Answer) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.body);
    let lower = text.to_lowercase();
    let is_full = answer.status == StatusCode::INSUFFICIENT_STORAGE
        || FULL.iter().any(|words| lower.contains(words));
    (is_full && !answer.status.is_success()).then(|| format!("no space left: {text}"))
}
