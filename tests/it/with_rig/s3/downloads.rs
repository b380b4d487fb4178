//! Objects to files, over lines that break.

use std::fs;

use aws_sdk_s3::types::ChecksumAlgorithm;
use mlaction::aws::s3::Downloaded;
use mlaction::error::ExitCode;

use super::{MIB, Stand, noise};

impl Stand {
    /// An object of which S3 has the checksum.
    async fn put(&self, key: &str, content: &[u8]) {
        let call = self.sdk.put_object().bucket("data").key(key);
        let call = call.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
        call.body(content.to_vec().into()).send().await.unwrap();
    }
}

#[tokio::test]
async fn an_object_arrives_whole_over_a_line_that_breaks() {
    let stand = Stand::start().await;
    let content = noise(5 * MIB + 7, 1);
    stand.put("model.tar.gz", &content).await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("model.tar.gz");
    // Each connection brings 1.5 MiB: four are needed.
    let bucket = stand.over(|_| (usize::MAX, 3 * MIB / 2)).await;
    let mut last = 0;
    let mut note = |bytes| {
        assert!(bytes >= last);
        last = bytes;
    };
    let found = bucket
        .download("model.tar.gz", &to, &mut note)
        .await
        .unwrap();
    let bytes = content.len() as u64;
    let wanted = Downloaded {
        bytes,
        is_verified: true,
    };
    assert_eq!((found, last), (wanted, bytes));
    assert!(fs::read(&to).unwrap() == content);
    assert_eq!(stand.seen().len(), 4);
}

#[tokio::test]
async fn a_line_that_brings_nothing_is_given_up() {
    let stand = Stand::start().await;
    stand.put("model.tar.gz", &noise(2 * MIB, 2)).await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("model.tar.gz");
    fs::write(&to, "old").unwrap();
    let bucket = stand.over(|_| (usize::MAX, 100_000)).await;
    let error = bucket.download("model.tar.gz", &to, &mut |_| {}).await;
    let error = error.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Data);
    let words = error.render();
    assert!(words.contains("breaks again and again"), "{words}");
    assert_eq!(stand.seen().len(), 5);
    // What was there is there still, and nothing else.
    assert_eq!(fs::read(&to).unwrap(), b"old");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn an_object_that_changes_meanwhile_is_not_mixed() {
    let stand = Stand::start().await;
    stand.put("model.tar.gz", &noise(4 * MIB, 3)).await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("model.tar.gz");
    let changed = tokio::runtime::Handle::current();
    let sdk = stand.sdk.clone();
    let bucket = stand
        .over(move |number| {
            if number == 1 {
                let call = sdk.put_object().bucket("data").key("model.tar.gz");
                let call = call.body(noise(4 * MIB, 4).into());
                changed.block_on(call.send()).unwrap();
            }
            (usize::MAX, 2 * MIB)
        })
        .await;
    let error = bucket.download("model.tar.gz", &to, &mut |_| {}).await;
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("it changed meanwhile"), "{error}");
    assert!(!to.exists());
}

#[tokio::test]
async fn what_is_not_there_and_what_is_empty() {
    let stand = Stand::start().await;
    stand.put("empty", b"").await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("file");
    let bucket = stand.bucket().await;
    let error = bucket.download("none", &to, &mut |_| {}).await.unwrap_err();
    assert!(
        error.to_string().ends_with("there is no such object"),
        "{error}"
    );
    let found = bucket.download("empty", &to, &mut |_| {}).await.unwrap();
    assert_eq!((found.bytes, fs::read(&to).unwrap()), (0, vec![]));
}
