//! Amazon S3: real transfers to ministack, a cut line in front of it, and AWS's own words where
//! ministack has others.

mod downloads;
mod transfers;
mod words;

use std::path::Path;

use aws_sdk_s3::config::{Credentials, Region};
use http::Method;
use mlaction::aws::s3::{Bucket, Progress};
use mlaction::data::known::Known;
use mlaction::data::manifest::Manifest;

use crate::with_rig::support::cut::Cut;
use crate::with_rig::support::front::Front;
use crate::with_rig::support::ministack::Ministack;

const MIB: usize = 1024 * 1024;

/// ministack with a bucket, and a front that sees every request.
struct Stand {
    _ministack: Ministack,
    front: Front,
    sdk: aws_sdk_s3::Client,
}

impl Stand {
    async fn start() -> Self {
        Self::start_with(|_| None).await
    }

    /// With a rule that answers instead of ministack.
    async fn start_with(
        rule: impl Fn(&http::Request<bytes::Bytes>) -> Option<http::Response<bytes::Bytes>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let ministack = Ministack::start();
        let front = Front::start(&ministack.host(), rule);
        let url = format!("http://{}", ministack.host());
        let sdk = aws_sdk_s3::Client::new(&config(&url).await);
        sdk.create_bucket().bucket("data").send().await.unwrap();
        Self {
            _ministack: ministack,
            front,
            sdk,
        }
    }

    async fn bucket(&self) -> Bucket {
        Bucket::new(
            "data",
            &config(&format!("http://{}", self.front.host())).await,
        )
    }

    /// The bucket behind a line that carries so much forth and back over its n-th connection.
    async fn over(&self, limits: impl Fn(usize) -> (usize, usize) + Send + 'static) -> Bucket {
        let cut = Cut::start(&self.front.host(), limits);
        Bucket::new("data", &config(&format!("http://{}", cut.host())).await)
    }

    /// The requests since the last time, without their paths.
    fn seen(&self) -> Vec<Method> {
        let seen = self.front.seen().into_iter();
        seen.map(|(method, _)| method).collect()
    }

    async fn content(&self, key: &str) -> Vec<u8> {
        let object = self.sdk.get_object().bucket("data").key(key);
        let body = object.send().await.unwrap().body;
        body.collect().await.unwrap().to_vec()
    }

    /// Uploads that nobody finished.
    async fn unfinished(&self) -> usize {
        let call = self.sdk.list_multipart_uploads().bucket("data");
        call.send().await.unwrap().uploads().len()
    }
}

async fn config(url: &str) -> aws_config::SdkConfig {
    let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    mlaction::aws::loader("us-east-1")
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(keys)
        .load()
        .await
}

fn manifest(path: &Path) -> Manifest {
    Manifest::read(path, &Known::default()).unwrap()
}

/// Bytes that are no repetition of each other.
fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn quiet(_: Progress) {}
