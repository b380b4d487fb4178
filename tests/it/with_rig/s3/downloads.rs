//! Objects as streams, over lines that break.

use std::io::Read as _;

use aws_sdk_s3::types::ChecksumAlgorithm;
use mlaction::aws::s3::Bucket;
use mlaction::error::{ExitCode, Result};

use super::{MIB, Stand, noise};

impl Stand {
    /// An object of which S3 has the checksum.
    async fn put(&self, key: &str, content: &[u8]) {
        let call = self.sdk.put_object().bucket("data").key(key);
        let call = call.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
        call.body(content.to_vec().into()).send().await.unwrap();
    }
}

/// What a reader gets that reads on until there is no more.
async fn all(bucket: &Bucket, key: &str, size: usize) -> Result<Vec<u8>> {
    let read = |mut incoming: mlaction::aws::s3::Incoming| {
        let mut content = Vec::new();
        // NOTE: the download's own error is the one that counts.
        let _ = incoming.read_to_end(&mut content);
        Ok(content)
    };
    bucket.stream(key, size as u64, read).await
}

#[tokio::test]
async fn an_object_arrives_whole_over_a_line_that_breaks() {
    let stand = Stand::start().await;
    let content = noise(5 * MIB + 7, 1);
    stand.put("model.tar.gz", &content).await;
    // Each connection brings 1.5 MiB: four are needed.
    let bucket = stand.over(|_| (usize::MAX, 3 * MIB / 2)).await;
    assert!(all(&bucket, "model.tar.gz", content.len()).await.unwrap() == content);
    assert_eq!(stand.seen().len(), 4);
}

#[tokio::test]
async fn a_reader_that_has_enough_ends_the_download() {
    let stand = Stand::start().await;
    let content = noise(16 * MIB, 5);
    stand.put("model.tar.gz", &content).await;
    // Who went on would need a second connection.
    let bucket = stand.over(|_| (usize::MAX, 12 * MIB)).await;
    let read = |mut incoming: mlaction::aws::s3::Incoming| {
        let mut start = [0; 7];
        incoming.read_exact(&mut start).unwrap();
        Ok(start)
    };
    let start = bucket
        .stream("model.tar.gz", 16 * MIB as u64, read)
        .await
        .unwrap();
    assert_eq!(start, content[..7]);
    assert_eq!(stand.seen().len(), 1);
}

#[tokio::test]
async fn a_line_that_brings_nothing_is_given_up() {
    let stand = Stand::start().await;
    stand.put("model.tar.gz", &noise(2 * MIB, 2)).await;
    let bucket = stand.over(|_| (usize::MAX, 100_000)).await;
    let error = all(&bucket, "model.tar.gz", 2 * MIB).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Data);
    let words = error.render();
    assert!(words.contains("breaks again and again"), "{words}");
    assert_eq!(stand.seen().len(), 5);
}

#[tokio::test]
async fn an_object_that_changes_meanwhile_is_not_mixed() {
    let stand = Stand::start().await;
    stand.put("model.tar.gz", &noise(4 * MIB, 3)).await;
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
    let error = all(&bucket, "model.tar.gz", 4 * MIB)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("it changed meanwhile"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_empty() {
    let stand = Stand::start().await;
    stand.put("empty", b"").await;
    let bucket = stand.bucket().await;
    let error = all(&bucket, "none", 1).await.unwrap_err();
    assert!(
        error.to_string().ends_with("there is no such object"),
        "{error}"
    );
    assert!(all(&bucket, "empty", 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_object_of_another_size_is_damaged() {
    let stand = Stand::start().await;
    stand.put("model.tar.gz", b"seven b").await;
    let bucket = stand.bucket().await;
    let error = all(&bucket, "model.tar.gz", 8).await.unwrap_err();
    assert!(error.to_string().contains("not what S3 has"), "{error}");
}
