//! Uploads in parts that were begun and not ended, by a run that was killed most likely.

use std::collections::HashMap;

use super::Bucket;
use crate::error::Result;

impl Bucket {
    /// Keys below a folder of which an upload was begun and not ended, each with the id of the
    /// last that was begun.
    pub(super) async fn unfinished(&self, folder: &str) -> Result<HashMap<String, String>> {
        let mut found = HashMap::new();
        let mut next = (None, None);
        loop {
            let call = self.sdk.list_multipart_uploads().bucket(&self.name);
            let page = call
                .prefix(folder)
                .set_key_marker(next.0)
                .set_upload_id_marker(next.1)
                .send()
                .await
                .map_err(|error| {
                    let action = "s3:ListBucketMultipartUploads";
                    self.failed("look for unfinished uploads", action, None, &error)
                })?;
            for upload in page.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
                    continue;
                };
                let begun = upload.initiated().map(|time| time.as_nanos());
                let last = found
                    .entry(key.to_owned())
                    .or_insert((begun, id.to_owned()));
                if begun > last.0 {
                    *last = (begun, id.to_owned());
                }
            }
            next = (
                page.next_key_marker().map(str::to_owned),
                page.next_upload_id_marker().map(str::to_owned),
            );
            if !page.is_truncated().unwrap_or(false) || next.0.is_none() {
                let ids = found.into_iter().map(|(key, (_, id))| (key, id));
                return Ok(ids.collect());
            }
        }
    }
}
