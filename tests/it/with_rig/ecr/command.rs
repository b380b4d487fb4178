//! Images of Amazon ECR, by the binary as a user types it.

use aws_sdk_ecr::config::Credentials;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::desk::{Desk, skopeo_digest};
use crate::project::stderr;
use crate::with_rig::containers::engines;
use crate::with_rig::support::front::{Asked, Front};
use crate::with_rig::support::ministack::Ministack;

const REGION: &str = "eu-west-1";

/// What the strict ministack knows from the start.
const KEY: (&str, &str) = ("test", "test");

/// The user and the token that ministack gives for its registry.
pub(super) const LOGIN: &str = "AWS:ministack-auth-token";

/// Refuses what comes to the registry without its token, as Amazon ECR does and ministack does not.
fn wants_token(asked: &Asked) -> Option<Response<Bytes>> {
    let right = format!("Basic {}", BASE64_STANDARD.encode(LOGIN));
    let given = asked.headers().get(AUTHORIZATION);
    let is_api = !asked.uri().path().starts_with("/v2/");
    if is_api || given.is_some_and(|given| *given == right) {
        return None;
    }
    let challenge = r#"Basic realm="https://127.0.0.1/",service="ecr.amazonaws.com""#;
    let answer = Response::builder()
        .status(StatusCode::UNAUTHORIZED)
        .header("docker-distribution-api-version", "registry/2.0")
        .header(WWW_AUTHENTICATE, challenge)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Bytes::from_static(b"Not Authorized\n"));
    Some(answer.unwrap())
}

/// A desk whose AWS is a stand-in.
pub(super) fn desk(name: &str, engine: &str, host: &str, more: &str) -> Desk {
    let mut desk = Desk::new(name, engine);
    desk.registry(&format!("kind = \"ecr\"\nregion = \"{REGION}\"\n{more}"));
    desk.set("AWS_ACCESS_KEY_ID", KEY.0);
    desk.set("AWS_SECRET_ACCESS_KEY", KEY.1);
    desk.set("AWS_ENDPOINT_URL", format!("http://{host}"));
    desk
}

async fn sdk(host: &str) -> aws_sdk_ecr::Client {
    let keys = Credentials::new(KEY.0, KEY.1, None, None, "test");
    let config = mlaction::aws::loader(REGION)
        .endpoint_url(format!("http://{host}"))
        .credentials_provider(keys)
        .load()
        .await;
    aws_sdk_ecr::Client::new(&config)
}

/// Requests that send something to a registry.
fn sending(seen: Vec<(Method, String)>) -> Vec<(Method, String)> {
    let sends = |(method, path): &(Method, String)| {
        path.starts_with("/v2/") && ![Method::GET, Method::HEAD].contains(method)
    };
    seen.into_iter().filter(sends).collect()
}

/// Whether an engine got an image by its digest. It may have the layers still.
fn was_pulled(seen: Vec<(Method, String)>, digest: &str) -> bool {
    seen.iter().any(|(_, path)| path.ends_with(digest))
}

#[tokio::test]
async fn what_ecr_has_is_sent_once_and_pulled_with_its_token() {
    for engine in engines() {
        let ministack = Ministack::start_strict();
        let front = Front::start(&ministack.host(), wants_token);
        let mut desk = desk("ecr-pulled", &engine, &front.host(), "");
        let repository = format!("{}/ecr-pulled", front.host());

        let first = desk.json(&["image", "push", "--json"]);
        assert_eq!(first["built"], true, "{engine}");
        assert!(first["pushed_bytes"].as_u64().unwrap() > 0, "{first}");
        assert_eq!(first["image"]["repository"], repository.as_str());
        let digest = first["image"]["digest"].as_str().unwrap();
        let tag = first["tag"].as_str().unwrap();
        assert_eq!(digest, skopeo_digest(&format!("{repository}:{tag}"), LOGIN));
        let sent = sending(front.seen());
        assert!(sent.iter().any(|(method, _)| method == Method::PUT));
        let described = sdk(&front.host()).await.describe_repositories();
        let described = described.repository_names("ecr-pulled").send().await;
        let described = &described.unwrap().repositories.unwrap()[0];
        assert_eq!(
            described.image_tag_mutability().unwrap().as_str(),
            "IMMUTABLE"
        );

        // The service's own variable wins over the one for all services.
        desk.set("AWS_ENDPOINT_URL_ECR", format!("http://{}", front.host()));
        desk.set("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
        let again = desk.json(&["image", "push", "--json"]);
        assert_eq!(again["image"], first["image"]);
        assert_eq!(
            (&again["built"], &again["pushed_bytes"]),
            (&json!(false), &Value::Null)
        );
        assert_eq!(sending(front.seen()), []);

        let image = format!("{repository}@{digest}");
        let report = desk.run(&["train", "--json"], 0);
        assert!(!stderr(&report).contains("pull …"), "{}", stderr(&report));
        let report = crate::with_rig::images::json(&report);
        assert_eq!(report["lineage"]["environment"]["image"], image.as_str());
        front.seen();

        // An engine that has nothing gets it from the registry, and builds nothing.
        desk.forget();
        assert!(!desk.has(&image), "{engine}");
        let report = desk.run(&["train", "--force", "--json"], 0);
        assert!(
            stderr(&report).contains("nothing is built"),
            "{}",
            stderr(&report)
        );
        let report = crate::with_rig::images::json(&report);
        assert_eq!(report["status"], "passed");
        assert_eq!(report["lineage"]["environment"]["image"], image.as_str());
        assert!(desk.has(&image), "{engine}");
        assert!(was_pulled(front.seen(), digest), "{engine}");
    }
}

#[test]
fn a_repository_that_is_missing_is_not_made_against_the_owners_will() {
    let ministack = Ministack::start_strict();
    let engine = &engines()[0];
    let desk = desk("ecr-missing", engine, &ministack.host(), "create = false");
    for command in [&["image", "push"][..], &["train"]] {
        let refused = stderr(&desk.run(command, 11));
        for words in [
            "there is no repository `ecr-missing` in `eu-west-1`",
            "`create` is false in `[registry]`",
            "set `create = true`",
        ] {
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }
    assert_eq!(desk.images(), [""; 0], "it was built for nothing");
}

#[tokio::test]
async fn keys_that_aws_refuses_end_with_the_code_of_credentials() {
    let ministack = Ministack::start_strict();
    let mut desk = desk("ecr-keys", &engines()[0], &ministack.host(), "");
    desk.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    let refused = stderr(&desk.run(&["image", "push"], 4));
    assert!(
        refused.contains("AWS does not know the credentials"),
        "{refused}"
    );

    // ministack takes every secret of its own key, and its sessions last a quarter of an hour.
    for (kind, message, words) in [
        (
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
            "check AWS_SECRET_ACCESS_KEY",
        ),
        (
            "ExpiredTokenException",
            "The security token included in the request is expired",
            "the AWS credentials have expired",
        ),
    ] {
        let said = json!({"__type": kind, "message": message});
        let server = super::aws(&[("BatchGetImage", 400, said)]).await;
        desk.set("AWS_ENDPOINT_URL", server.uri());
        for command in [&["image", "push"][..], &["train"]] {
            let refused = stderr(&desk.run(command, 4));
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }
    assert_eq!(desk.images(), [""; 0], "it was built for nothing");
}
