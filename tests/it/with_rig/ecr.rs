//! Amazon ECR: real pushes to ministack, and AWS's own words where ministack has others.

mod command;
mod desk;
mod race;

use std::collections::BTreeMap;

use aws_sdk_ecr::config::{Credentials, Region};
use mlaction::error::ExitCode;
use mlaction::registry::Registry as _;
use mlaction::registry::ecr::Ecr;
use mlaction::registry::plan::{EcrPlan, Partition};
use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::with_rig::support::images::Engine;
use crate::with_rig::support::ministack::Ministack;

const TAG: &str = "in-0123456789abcdef0123456789abcdef";

fn plan() -> EcrPlan {
    EcrPlan {
        account: None,
        region: "eu-west-1".to_owned(),
        partition: Partition::Aws,
        repository: "team/app".to_owned(),
        create: true,
        immutable_tags: true,
        scan_on_push: true,
        keep_images: 0,
        untagged_days: 14,
        kms_key: None,
    }
}

async fn config(url: &str) -> aws_config::SdkConfig {
    let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    mlaction::aws::loader("eu-west-1")
        .endpoint_url(url)
        .credentials_provider(keys)
        .load()
        .await
}

async fn ecr(url: &str, plan: EcrPlan) -> Ecr {
    let env = BTreeMap::from([("AWS_ENDPOINT_URL_ECR".to_owned(), url.to_owned())]);
    Ecr::new(plan, "linux/amd64", &config(url).await, &env)
}

#[tokio::test]
async fn images_are_pushed_to_ecr_once() {
    let ministack = Ministack::start();
    let url = format!("http://{}", ministack.host());
    let engine = Engine::connect("ecr").await;
    let image = engine.image("a", &[1_000_000]).await;
    let registry = ecr(&url, plan()).await;
    assert_eq!(registry.find(TAG).await.unwrap(), None);
    let first = registry
        .publish(&engine.docker, &image, TAG, &mut |_| {})
        .await
        .unwrap();
    let sent = first.pushed.as_ref().unwrap().sent;
    assert!((1_000_000..1_100_000).contains(&sent), "{sent}");
    assert_eq!(
        first.image.repository,
        format!("{}/team/app", ministack.host())
    );
    assert_eq!(registry.repository(), first.image.repository);
    assert_eq!(
        registry.find(TAG).await.unwrap(),
        Some(first.manifest.clone())
    );
    assert_eq!(registry.warnings(), Vec::<String>::new());

    let inspected = std::process::Command::new(crate::with_rig::support::tool("skopeo"))
        .args(["inspect", "--tls-verify=false", "--creds", "AWS:x"])
        .arg(format!("docker://{}:{TAG}", first.image.repository))
        .output()
        .unwrap();
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["Digest"], first.image.digest.as_str());

    // The repository got what the plan says.
    let sdk = aws_sdk_ecr::Client::new(&config(&url).await);
    let described = sdk
        .describe_repositories()
        .repository_names("team/app")
        .send()
        .await
        .unwrap();
    let described = &described.repositories()[0];
    assert_eq!(
        described.image_tag_mutability().unwrap().as_str(),
        "IMMUTABLE"
    );
    assert!(
        described
            .image_scanning_configuration()
            .unwrap()
            .scan_on_push()
    );
    let policy = sdk
        .get_lifecycle_policy()
        .repository_name("team/app")
        .send()
        .await
        .unwrap();
    assert!(policy.lifecycle_policy_text().unwrap().contains("untagged"));

    // Another run, with another image for the same tag: what is there is taken.
    let other = engine.image("b", &[1000]).await;
    let again = ecr(
        &url,
        EcrPlan {
            scan_on_push: false,
            ..plan()
        },
    )
    .await;
    let second = again
        .publish(&engine.docker, &other, TAG, &mut |_| {})
        .await
        .unwrap();
    assert_eq!((second.pushed, second.image), (None, first.image));
    // A new tag meets settings that differ: they are respected and said.
    again
        .publish(&engine.docker, &other, "in-fedcba9876543210", &mut |_| {})
        .await
        .unwrap();
    let warnings = again.warnings();
    assert!(
        warnings[0].contains("`scan_on_push` is true for the existing repository"),
        "{warnings:?}"
    );
    // A tag that is no content address is not moved.
    again
        .publish(&engine.docker, &other, "v1", &mut |_| {})
        .await
        .unwrap();
    let error = again
        .publish(&engine.docker, &image, "v1", &mut |_| {})
        .await
        .unwrap_err();
    assert!(
        error.render().contains("has the tag `v1` already"),
        "{}",
        error.render()
    );
    engine.remove(&image).await;
    engine.remove(&other).await;
}

/// An AWS that answers operations with given bodies.
async fn aws(answers: &[(&str, u16, Value)]) -> MockServer {
    let server = MockServer::start().await;
    for (operation, status, body) in answers {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        let mut answer = ResponseTemplate::new(*status)
            .set_body_raw(body.to_string(), "application/x-amz-json-1.1");
        if let Some(kind) = body["__type"].as_str() {
            answer = answer.insert_header("x-amzn-errortype", kind);
        }
        Mock::given(header("x-amz-target", target.as_str()))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    server
}

#[tokio::test]
async fn what_aws_refuses_is_said_with_what_to_do() {
    let user = "User: arn:aws:sts::111111111111:assumed-role/ci/run is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:eu-west-1:222222222222:repository/team/app";
    for (kind, message, code, words) in [
        (
            "AccessDeniedException",
            format!("{user} because no resource-based policy allows the ecr:BatchGetImage action"),
            ExitCode::Credentials,
            "on the side of account 222222222222",
        ),
        ("AccessDeniedException", user.to_owned(), ExitCode::Credentials, "on both sides: in account 111111111111"),
        (
            "ExpiredTokenException",
            "The security token included in the request is expired".to_owned(),
            ExitCode::Credentials,
            "the AWS credentials have expired",
        ),
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.".to_owned(),
            ExitCode::Credentials,
            "AWS does not know the credentials",
        ),
        (
            "RepositoryNotFoundException",
            "The repository with name 'team/app' does not exist in the registry with id '222222222222'".to_owned(),
            ExitCode::Publish,
            "there is no repository `team/app` in `eu-west-1`",
        ),
    ] {
        let server = aws(&[("BatchGetImage", 400, json!({"__type": kind, "message": message}))]).await;
        let registry = ecr(&server.uri(), EcrPlan { create: false, ..plan() }).await;
        let error = registry.find(TAG).await.unwrap_err();
        let text = error.render();
        assert_eq!(error.exit_code(), code, "{text}");
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_nothing_and_a_forged_manifest_an_error() {
    let absent = json!({"images": [], "failures": [{"imageId": {"imageTag": TAG},
        "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}]});
    let server = aws(&[("BatchGetImage", 200, absent)]).await;
    assert_eq!(
        ecr(&server.uri(), plan()).await.find(TAG).await.unwrap(),
        None
    );

    let forged = json!({"failures": [], "images": [{"registryId": "111111111111",
        "repositoryName": "team/app", "imageManifest": "{}",
        "imageId": {"imageDigest": format!("sha256:{}", "0".repeat(64)), "imageTag": TAG}}]});
    let server = aws(&[("BatchGetImage", 200, forged)]).await;
    let error = ecr(&server.uri(), plan())
        .await
        .find(TAG)
        .await
        .unwrap_err();
    assert!(
        error.render().contains("its bytes are"),
        "{}",
        error.render()
    );
}

#[tokio::test]
async fn an_image_that_is_found_says_whose_registry_it_is_in() {
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let found = json!({"failures": [], "images": [{"registryId": "222222222222",
        "repositoryName": "team/app", "imageManifest": "{}",
        "imageId": {"imageDigest": digest, "imageTag": TAG}}]});
    // No token is asked for: the stand-in would not give one.
    let server = aws(&[("BatchGetImage", 200, found)]).await;
    let config = config(&server.uri()).await;
    let registry = Ecr::new(plan(), "linux/amd64", &config, &BTreeMap::new());
    assert_eq!(registry.repository(), "team/app");
    assert_eq!(registry.find(TAG).await.unwrap().unwrap().digest, digest);
    assert_eq!(
        registry.repository(),
        "222222222222.dkr.ecr.eu-west-1.amazonaws.com/team/app"
    );
}

#[tokio::test]
async fn missing_credentials_and_a_silent_aws_are_told_apart() {
    let none = mlaction::aws::loader("eu-west-1")
        .no_credentials()
        .load()
        .await;
    let none = Ecr::new(plan(), "linux/amd64", &none, &BTreeMap::new());
    let error = none.find(TAG).await.unwrap_err();
    assert_eq!(
        error.exit_code(),
        ExitCode::Credentials,
        "{}",
        error.render()
    );

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let gone = format!("http://{address}");
    let error = ecr(&gone, plan()).await.find(TAG).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Publish, "{}", error.render());
    assert_eq!(
        config(&gone).await.region(),
        Some(&Region::new("eu-west-1"))
    );
}
