//! What S3 refuses, in its own words, and what is said of it.

use std::fs;

use http::Response;
use mlaction::aws::s3::Bucket;
use mlaction::error::{Error, ExitCode};
use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{MIB, Stand, config, manifest, noise, quiet};

/// S3 answers every request with an error.
async fn refused(status: u16, code: &str, message: &str, header: Option<(&str, &str)>) -> Error {
    let server = MockServer::start().await;
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId></Error>"
    );
    let mut answer = ResponseTemplate::new(status).set_body_raw(body, "application/xml");
    if let Some((name, value)) = header {
        answer = answer.insert_header(name, value);
    }
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a.csv"), "1").unwrap();
    let bucket = Bucket::new("data", &config(&server.uri()).await);
    let data = manifest(place.path());
    bucket.sync(&data, "", &mut quiet).await.unwrap_err()
}

#[tokio::test]
async fn refusals_say_what_is_wrong_and_what_to_do() {
    // The words are those of AWS.
    let cases = [
        (
            refused(400, "ExpiredToken", "The provided token has expired.", None).await,
            ExitCode::Credentials,
            "the AWS credentials have expired",
            "aws sso login",
        ),
        (
            refused(
                403,
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                None,
            )
            .await,
            ExitCode::Credentials,
            "AWS does not know the credentials",
            "AWS_ACCESS_KEY_ID",
        ),
        (
            refused(
                400,
                "InvalidToken",
                "The provided token is malformed or otherwise invalid.",
                None,
            )
            .await,
            ExitCode::Credentials,
            "AWS does not know the credentials",
            "AWS_ACCESS_KEY_ID",
        ),
        (
            refused(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                None,
            )
            .await,
            ExitCode::Credentials,
            "this machine's clock is wrong",
            "set the clock",
        ),
        (
            refused(
                403,
                "AccessDenied",
                "User: arn:aws:iam::111111111111:user/ci is not authorized to perform: s3:ListBucket on resource: \"arn:aws:s3:::data\" because no identity-based policy allows the s3:ListBucket action",
                None,
            )
            .await,
            ExitCode::Credentials,
            "`s3:ListBucket` is not allowed",
            "give `arn:aws:iam::111111111111:user/ci` a policy that allows `s3:ListBucket` on `arn:aws:s3:::data`",
        ),
        (
            refused(403, "AccessDenied", "Access Denied", None).await,
            ExitCode::Credentials,
            "`s3:ListBucket` is not allowed",
            "on `arn:aws:s3:::data`",
        ),
        (
            refused(
                301,
                "PermanentRedirect",
                "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
                Some(("x-amz-bucket-region", "eu-west-1")),
            )
            .await,
            ExitCode::Data,
            "the bucket `data` is not in `us-east-1`",
            "it is in `eu-west-1`",
        ),
        (
            refused(
                400,
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'",
                None,
            )
            .await,
            ExitCode::Data,
            "the bucket `data` is not in `us-east-1`",
            "it is in `eu-central-1`",
        ),
        (
            refused(503, "SlowDown", "Please reduce your request rate.", None).await,
            ExitCode::Data,
            "AWS takes no more requests for now",
            "wait and run again",
        ),
    ];
    for (error, code, message, hint) in cases {
        let words = error.render();
        assert_eq!(error.exit_code(), code, "{words}");
        assert!(words.contains(message), "{words}");
        assert!(error.advice().unwrap_or_default().contains(hint), "{words}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let stand = Stand::start().await;
    let bucket = Bucket::new(
        "none",
        &config(&format!("http://{}", stand.front.host())).await,
    );
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a.csv"), "1").unwrap();
    let error = bucket.sync(&manifest(place.path()), "", &mut quiet).await;
    let error = error.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Data);
    let words = error.render();
    assert!(words.contains("there is no bucket `none`"), "{words}");
    let error = bucket.put_if_absent("x.json", "1").await.unwrap_err();
    assert!(error.render().contains("there is no bucket `none`"));
}

#[tokio::test]
async fn keys_that_expire_on_the_way_name_the_file_and_lose_no_part() {
    let parts = std::sync::atomic::AtomicUsize::new(0);
    let stand = Stand::start_with(move |asked| {
        let is_part = asked.uri().query().is_some_and(|query| query.contains("partNumber="));
        let number = parts.fetch_add(usize::from(is_part), std::sync::atomic::Ordering::SeqCst);
        (is_part && number == 2).then(|| {
            let body = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
            Response::builder().status(400).body(body.into()).unwrap()
        })
    })
    .await;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("large.bin");
    fs::write(&path, noise(17 * MIB, 1)).unwrap();
    let data = manifest(&path);
    let bucket = stand.bucket().await;
    let error = bucket.sync(&data, "", &mut quiet).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Credentials);
    let words = error.render();
    assert!(
        words.contains("cannot upload `")
            && words.contains("large.bin`: the AWS credentials have expired"),
        "{words}"
    );
    // With new keys, what arrived is not sent again.
    assert_eq!(stand.unfinished().await, 1);
    bucket.sync(&data, "", &mut quiet).await.unwrap();
    assert_eq!(stand.unfinished().await, 0);
    assert_eq!(bucket.list("").await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_silent_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let bucket = Bucket::new("data", &config(&url).await);
    let begun = tokio::time::Instant::now();
    let error = bucket.list("").await.unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
    assert!(begun.elapsed() <= std::time::Duration::from_secs(121));
}

#[tokio::test]
async fn bytes_that_are_damaged_on_the_way_are_refused() {
    let stand = Stand::start_with(|asked| {
        let key = asked.uri().path();
        (asked.method() == http::Method::PUT && key.ends_with(".csv")).then(|| {
            let body = "<Error><Code>BadDigest</Code><Message>The CRC64NVME you specified did not match the calculated checksum.</Message></Error>";
            Response::builder().status(400).body(body.into()).unwrap()
        })
    })
    .await;
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a.csv"), "1").unwrap();
    let bucket = stand.bucket().await;
    let error = bucket.sync(&manifest(place.path()), "", &mut quiet).await;
    let words = error.unwrap_err().render();
    assert!(
        words.contains("what S3 got is not what was sent"),
        "{words}"
    );
}

#[tokio::test]
async fn names_that_are_no_keys_are_refused_before_anything_is_sent() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(500))
        .expect(0)
        .mount(&server)
        .await;
    let bucket = Bucket::new("data", &config(&server.uri()).await);
    use std::os::unix::ffi::OsStrExt as _;
    let long = vec![b'a'; 250];
    let long = [&long[..]; 5].join(&b'/');
    for (name, why) in [
        (&b"a\xff.csv"[..], "not UTF-8"),
        (b"a\nb.csv", "control characters"),
        (&long, "longer than 1024 bytes"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "1").unwrap();
        let error = bucket.sync(&manifest(place.path()), "", &mut quiet).await;
        let error = error.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Data);
    }
    let place = tempfile::tempdir().unwrap();
    let error = bucket.sync(&manifest(place.path()), "", &mut quiet).await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("there are no files in")
    );
}
