//! An S3 server for measuring uploads: it takes everything as fast as it comes, and keeps no bytes.
//!
//! It reads bodies to their end, holds signatures and signed hashes against what came (`s3s` does),
//! and remembers keys and sizes only. Checksums beside the signature are not computed.
//!
//! It prints its address. For each line on its standard input it prints what came since the line
//! before, as JSON: requests, bytes, and seconds from the first request to the end of the last. It
//! ends with its input.

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use futures_util::StreamExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use tokio::net::TcpListener;

/// The keys that clients have.
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
const PAGE: usize = 1000;

/// Sizes of the objects, by bucket and key, and of the parts of uploads.
#[derive(Default)]
struct Sizes {
    objects: Mutex<BTreeMap<(String, String), i64>>,
    uploads: Mutex<HashMap<String, HashMap<i32, i64>>>,
    count: AtomicU64,
    seen: Arc<Mutex<Seen>>,
}

/// What came since it was asked for.
#[derive(Default)]
struct Seen {
    requests: u64,
    bytes: i64,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Seen {
    fn json(&self) -> String {
        let (requests, bytes) = (self.requests, self.bytes);
        let seconds = self.first.zip(self.last).map(|(first, last)| last - first);
        let seconds = seconds.unwrap_or_default().as_secs_f64();
        format!(r#"{{"requests": {requests}, "bytes": {bytes}, "seconds": {seconds}}}"#)
    }
}

/// A request that is being answered.
struct Work<'s>(&'s Sizes);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.seen.lock().unwrap().last = Some(Instant::now());
    }
}

impl Sizes {
    fn work(&self) -> Work<'_> {
        let mut seen = self.seen.lock().unwrap();
        seen.requests += 1;
        seen.first.get_or_insert_with(Instant::now);
        Work(self)
    }

    /// Reads a body to its end; gives its size.
    async fn size(&self, body: Option<StreamingBlob>) -> S3Result<i64> {
        let mut size = 0;
        if let Some(mut body) = body {
            while let Some(bytes) = body.next().await {
                let bytes = bytes.map_err(|error| s3_error!(IncompleteBody, "{error}"))?;
                size += bytes.len() as i64;
            }
        }
        self.seen.lock().unwrap().bytes += size;
        Ok(size)
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn etag(&self) -> Option<ETag> {
        Some(ETag::Strong(format!("{:032x}", self.next())))
    }
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait::async_trait]
impl S3 for Sizes {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let input = request.input;
        let _work = self.work();
        let size = self.size(input.body).await?;
        let place = (input.bucket, input.key);
        self.objects.lock().unwrap().insert(place, size);
        Ok(S3Response::new(PutObjectOutput {
            e_tag: self.etag(),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        let _work = self.work();
        let id = format!("upload-{}", self.next());
        let parts = HashMap::new();
        self.uploads.lock().unwrap().insert(id.clone(), parts);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(request.input.bucket),
            key: Some(request.input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        let input = request.input;
        let _work = self.work();
        let size = self.size(input.body).await?;
        let mut uploads = self.uploads.lock().unwrap();
        let parts = uploads.get_mut(&input.upload_id);
        let parts = parts.ok_or_else(|| s3_error!(NoSuchUpload))?;
        parts.insert(input.part_number, size);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: self.etag(),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let _work = self.work();
        let input = request.input;
        let parts = self.uploads.lock().unwrap().remove(&input.upload_id);
        let parts = parts.ok_or_else(|| s3_error!(NoSuchUpload))?;
        let size = parts.values().sum();
        let place = (input.bucket.clone(), input.key.clone());
        self.objects.lock().unwrap().insert(place, size);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: self.etag(),
            ..Default::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        let _work = self.work();
        // Nobody is killed in a measurement: there are none that were begun before.
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(request.input.bucket),
            prefix: request.input.prefix,
            is_truncated: Some(false),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> Answer<ListObjectsV2Output> {
        let _work = self.work();
        let input = request.input;
        let prefix = input.prefix.unwrap_or_default();
        // The token is the last key of the page before.
        let after = input.continuation_token.or(input.start_after);
        let after = after.unwrap_or_default();
        let objects = self.objects.lock().unwrap();
        let from = (input.bucket.clone(), prefix.clone().max(after.clone()));
        let mut found: Vec<(String, i64)> = objects
            .range(from..)
            .take_while(|((bucket, key), _)| *bucket == input.bucket && key.starts_with(&prefix))
            .filter(|((_, key), _)| *key > after)
            .take(PAGE + 1)
            .map(|((_, key), size)| (key.clone(), *size))
            .collect();
        let has_more = found.len() > PAGE;
        found.truncate(PAGE);
        let last = found.last().map(|(key, _)| key.clone());
        let now = Timestamp::from(SystemTime::now());
        let contents = found.into_iter().map(|(key, size)| Object {
            key: Some(key),
            size: Some(size),
            e_tag: Some(ETag::Strong("0".to_owned())),
            last_modified: Some(now.clone()),
            ..Default::default()
        });
        let contents: Vec<Object> = contents.collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(prefix),
            key_count: i32::try_from(contents.len()).ok(),
            max_keys: Some(PAGE as i32),
            contents: Some(contents),
            is_truncated: Some(has_more),
            next_continuation_token: last.filter(|_| has_more),
            ..Default::default()
        }))
    }
}

#[tokio::main]
async fn main() {
    let sizes = Sizes::default();
    let seen = sizes.seen.clone();
    let mut service = S3ServiceBuilder::new(sizes);
    service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines() {
            println!("{}", std::mem::take(&mut *seen.lock().unwrap()).json());
        }
        std::process::exit(0);
    });
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        // Without it, each answer waits for the client's delayed acknowledgement.
        connection.set_nodelay(true).unwrap();
        let service = service.clone();
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            let _ = server
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}
