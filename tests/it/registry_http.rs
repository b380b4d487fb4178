//! What registries answer over HTTP that Debian's `docker-registry` does not: tokens from another
//! server, busy moments, lists of platforms, pages that are no registry's.

use std::collections::BTreeMap;

use mlaction::error::ExitCode;
use mlaction::registry::credentials::{Credentials, Login};
use mlaction::registry::oci::{Client, DOCKER_MANIFEST, OCI_INDEX};
use mlaction::registry::reference::{Reference, Repository};
use serde_json::json;
use wiremock::matchers::{basic_auth, body_string_contains, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// SHA-256 of `{}`.
const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn client(server: &MockServer, login: Option<Login>) -> Client {
    let credentials = Credentials::from_environment(&BTreeMap::new());
    let credentials = match login {
        Some(login) => credentials.with(&server.address().to_string(), login),
        None => credentials,
    };
    Client::new(&BTreeMap::new(), credentials)
}

fn reference(server: &MockServer, rest: &str) -> Reference {
    Reference::parse(&format!("{}/{rest}", server.address())).unwrap()
}

/// A manifest as registries describe it in answer to HEAD and GET.
fn manifest() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .insert_header("docker-content-digest", EMPTY)
        .set_body_raw("{}", DOCKER_MANIFEST)
}

fn unknown() -> ResponseTemplate {
    ResponseTemplate::new(404).insert_header("docker-distribution-api-version", "registry/2.0")
}

#[tokio::test]
async fn tokens_come_from_the_server_that_the_registry_names() {
    let (registry, tokens) = (MockServer::start().await, MockServer::start().await);
    let challenge = format!(
        r#"Bearer realm="{}/token",service="a registry",scope="repository:app:pull""#,
        tokens.uri()
    );
    Mock::given(header("authorization", "Bearer good"))
        .respond_with(manifest())
        .with_priority(1)
        .expect(2)
        .mount(&registry)
        .await;
    Mock::given(path("/v2/app/manifests/latest"))
        .respond_with(
            ResponseTemplate::new(401).insert_header("www-authenticate", challenge.as_str()),
        )
        .expect(1)
        .mount(&registry)
        .await;
    Mock::given(method("GET"))
        .and(query_param("service", "a registry"))
        .and(query_param("scope", "repository:app:pull"))
        .and(basic_auth("me", "secret"))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(json!({"token": "good", "expires_in": 300})),
        )
        .expect(1)
        .mount(&tokens)
        .await;
    let client = client(&registry, Some(Login::new("me", "secret")));
    // The second time nobody is asked how to sign in.
    for _ in 0..2 {
        let found = client
            .manifest(&reference(&registry, "app"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((found.digest.as_str(), found.size), (EMPTY, 2));
    }
}

#[tokio::test]
async fn an_identity_token_is_exchanged_and_a_refused_login_named() {
    let server = MockServer::start().await;
    let challenge = format!(r#"Bearer realm="{}/token",service="s""#, server.uri());
    Mock::given(header("authorization", "Bearer good"))
        .respond_with(manifest())
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path("/v2/app/manifests/latest"))
        .respond_with(
            ResponseTemplate::new(401).insert_header("www-authenticate", challenge.as_str()),
        )
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(body_string_contains("grant_type=refresh_token"))
        .and(body_string_contains("refresh_token=id%2Btoken"))
        .and(body_string_contains("scope=repository%3Aapp%3Apull"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"access_token": "good"})))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/token"))
        .respond_with(ResponseTemplate::new(401).set_body_json(
            json!({"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}),
        ))
        .mount(&server)
        .await;
    let wanted = reference(&server, "app");
    let token = client(&server, Some(Login::new("<token>", "id+token")));
    assert!(token.manifest(&wanted).await.unwrap().is_some());
    for (login, words) in [
        (
            Some(Login::new("me", "wrong")),
            "does not accept the password of `me`: it says UNAUTHORIZED: incorrect username",
        ),
        (None, "wants credentials, and there are none"),
    ] {
        let error = client(&server, login).manifest(&wanted).await.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Credentials);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn credentials_do_not_follow_a_registry_into_the_clear() {
    let server = MockServer::start().await;
    let challenge = r#"Bearer realm="http://collector.example/token",service="s""#;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", challenge))
        .mount(&server)
        .await;
    let client = client(&server, Some(Login::new("me", "secret")));
    let error = client
        .manifest(&reference(&server, "app"))
        .await
        .unwrap_err();
    assert!(
        error.render().contains("no credentials are sent"),
        "{}",
        error.render()
    );
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_credentials_and_needs_https() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    Mock::given(method("HEAD"))
        .respond_with(
            ResponseTemplate::new(307).insert_header("location", format!("{}/x", other.uri())),
        )
        .mount(&server)
        .await;
    let client = client(&server, None);
    assert!(client.manifest(&reference(&server, "app")).await.is_err());
    assert!(other.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_host_that_a_registry_leads_to_cannot_ask_for_its_password() {
    // Another port is another host, and on this machine HTTP will do.
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    let elsewhere = format!("{}/v2/app/manifests/latest", other.uri());
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", elsewhere))
        .mount(&server)
        .await;
    let challenge = format!(r#"Bearer realm="{}/token",service="s""#, other.uri());
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", challenge))
        .mount(&other)
        .await;
    let client = client(&server, Some(Login::new("me", "secret")));
    let error = client.manifest(&reference(&server, "app")).await;
    let text = error.unwrap_err().render();
    assert!(
        text.contains("no credentials are sent") || text.contains("307"),
        "{text}"
    );
    let asked = other.received_requests().await.unwrap();
    assert!(
        asked
            .iter()
            .all(|request| !request.headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn busy_moments_are_waited_for_and_refusals_are_not() {
    for (status, requests) in [(429, 2), (503, 2), (500, 2), (403, 1)] {
        let server = MockServer::start().await;
        Mock::given(method("HEAD"))
            .respond_with(ResponseTemplate::new(status).insert_header("retry-after", "0"))
            .up_to_n_times(1)
            .with_priority(1)
            .mount(&server)
            .await;
        Mock::given(method("HEAD"))
            .respond_with(manifest())
            .mount(&server)
            .await;
        let found = client(&server, None)
            .manifest(&reference(&server, "app"))
            .await;
        assert_eq!(found.is_ok(), requests == 2, "{status}");
        assert_eq!(
            server.received_requests().await.unwrap().len(),
            requests,
            "{status}"
        );
    }
    // An hour is no moment.
    let server = MockServer::start().await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after", "3600"))
        .mount(&server)
        .await;
    let error = client(&server, None)
        .manifest(&reference(&server, "app"))
        .await
        .unwrap_err();
    assert!(
        error.render().contains("takes no more requests"),
        "{}",
        error.render()
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_registry_without_digests_in_headers_is_read() {
    let server = MockServer::start().await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(200).set_body_raw("{}", DOCKER_MANIFEST))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_raw("{}", DOCKER_MANIFEST))
        .mount(&server)
        .await;
    let client = client(&server, None);
    let found = client
        .manifest(&reference(&server, "app"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.digest.as_str(), found.size), (EMPTY, 2));
    // What was asked for by digest must be that.
    let other = format!("app@sha256:{}", "0".repeat(64));
    let error = client
        .manifest(&reference(&server, &other))
        .await
        .unwrap_err();
    assert!(error.render().contains("instead"), "{}", error.render());
}

#[tokio::test]
async fn a_platform_must_be_in_the_list() {
    let server = MockServer::start().await;
    let entry = |os: &str, architecture: &str| json!({"platform": {"os": os, "architecture": architecture}});
    let index = json!({"manifests": [entry("linux", "amd64"), entry("linux", "arm64"), entry("unknown", "unknown")]});
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(index.to_string(), OCI_INDEX))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(index.to_string(), OCI_INDEX))
        .mount(&server)
        .await;
    let client = client(&server, None);
    let base = reference(&server, "base:3");
    let found = client
        .manifest_for(&base, "linux/arm64/v8")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, client.manifest(&base).await.unwrap().unwrap());
    let error = client
        .manifest_for(&base, "linux/s390x")
        .await
        .unwrap_err()
        .render();
    assert!(
        error.contains("its platforms are: linux/amd64, linux/arm64\n"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_no_registry_is_said_to_be_none() {
    let page = MockServer::start().await;
    let html = |status| ResponseTemplate::new(status).set_body_raw("<html>", "text/html");
    Mock::given(path("/v2/app/manifests/latest"))
        .respond_with(html(200))
        .mount(&page)
        .await;
    Mock::given(path("/v2/other/manifests/latest"))
        .respond_with(html(404))
        .mount(&page)
        .await;
    for name in ["app", "other"] {
        let error = client(&page, None)
            .manifest(&reference(&page, name))
            .await
            .unwrap_err();
        assert!(
            error.render().contains("not as a registry"),
            "{}",
            error.render()
        );
    }
    let registry = MockServer::start().await;
    Mock::given(method("HEAD"))
        .respond_with(unknown())
        .mount(&registry)
        .await;
    assert_eq!(
        client(&registry, None)
            .manifest(&reference(&registry, "app"))
            .await
            .unwrap(),
        None
    );
    assert_eq!(registry.received_requests().await.unwrap().len(), 1);
    // A registry without the header: its body says it.
    let bare = MockServer::start().await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(404))
        .mount(&bare)
        .await;
    let body = json!({"errors": [{"code": "NAME_UNKNOWN", "message": "no"}]});
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(404).set_body_json(body))
        .mount(&bare)
        .await;
    assert_eq!(
        client(&bare, None)
            .manifest(&reference(&bare, "app"))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn unreachable_and_untrusted_hosts_are_told_apart() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = gone.local_addr().unwrap().to_string();
    drop(gone);
    let wanted = Reference::parse(&format!("{host}/app")).unwrap();
    let nobody = Client::new(
        &BTreeMap::new(),
        Credentials::from_environment(&BTreeMap::new()),
    );
    let error = nobody.manifest(&wanted).await.unwrap_err().render();
    assert!(error.contains(&format!("cannot reach `{host}`")), "{error}");

    // HTTPS is spoken with every host that is not this machine: here one that does not speak it.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    let own = socket.local_addr().unwrap().ip();
    let listener = std::net::TcpListener::bind((own, 0)).unwrap();
    let plain = MockServer::builder().listener(listener).start().await;
    let repository = Repository::parse(&format!("{}/app", plain.address())).unwrap();
    let error = nobody
        .manifest(&repository.tagged("x").unwrap())
        .await
        .unwrap_err()
        .render();
    assert!(error.contains("no trusted connection"), "{error}");
}
