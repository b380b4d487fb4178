//! Somebody pushes the same tag meanwhile: it is absent when a push begins, and there when the
//! engine puts its manifest. The registry's refusal reaches mlaction in the engine's words.

use std::sync::Once;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Response, StatusCode};
use mlaction::error::ExitCode;
use mlaction::registry::Registry as _;
use mlaction::registry::oci_repository::OciRepository;
use mlaction::registry::reference::Repository;
use serde_json::json;

use super::command::{self, LOGIN};
use super::desk::{Desk, skopeo, skopeo_digest};
use crate::project::stderr;
use crate::with_rig::containers::engines;
use crate::with_rig::support::front::{Asked, Front};
use crate::with_rig::support::images::Engine;
use crate::with_rig::support::ministack::Ministack;
use crate::with_rig::support::registry::{PASSWORD, Registry, USER};

/// Somebody who is faster.
struct Rival {
    /// `host:port/path` of the registry behind the front.
    repository: String,
    /// The tag of the image that the rival has.
    has: String,
    /// The tag for which both race.
    tag: String,
    /// `user:password`
    login: String,
}

impl Rival {
    /// Gives the tag to the rival's image. The registry gets real requests of a real client.
    fn push(&self) {
        let at = |tag| format!("docker://{}:{tag}", self.repository);
        let copied = skopeo(&["copy", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(["--src-creds", &self.login, "--dest-creds", &self.login])
            .args([at(&self.has), at(&self.tag)])
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", stderr(&copied));
    }

    /// Is faster than the first push of the tag through a front.
    fn wins(
        self,
        and: fn(&Self) -> Option<Response<Bytes>>,
    ) -> impl Fn(&Asked) -> Option<Response<Bytes>> {
        let (faster, path) = (Once::new(), self.manifest());
        move |asked| {
            if asked.method() != Method::PUT || asked.uri().path() != path {
                return None;
            }
            faster.call_once(|| self.push());
            and(&self)
        }
    }

    fn manifest(&self) -> String {
        let (_, path) = self.repository.split_once('/').unwrap();
        format!("/v2/{path}/manifests/{}", self.tag)
    }
}

/// Leaves the refusal to the registry.
fn registry_refuses(_: &Rival) -> Option<Response<Bytes>> {
    None
}

/// Amazon ECR's refusal to move a tag.
fn ecr_refuses(rival: &Rival) -> Option<Response<Bytes>> {
    let (_, path) = rival.repository.split_once('/').unwrap();
    let tag = &rival.tag;
    let message = format!(
        "The image tag '{tag}' already exists in the '{path}' repository and cannot be overwritten because the tag is immutable."
    );
    let document = json!({"errors": [{"code": "TAG_INVALID", "message": message}]});
    let answer = Response::builder()
        .status(StatusCode::BAD_REQUEST)
        .header("docker-distribution-api-version", "registry/2.0")
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .body(document.to_string().into());
    Some(answer.unwrap())
}

/// Pushes an image, and another under a tag that a rival gives to the first meanwhile. `goes_to`
/// leads the desk to a registry by its `host:port`.
fn adopts(
    desk: &mut Desk,
    upstream: &str,
    login: &str,
    refuses: fn(&Rival) -> Option<Response<Bytes>>,
    goes_to: impl Fn(&mut Desk, &str),
) {
    goes_to(desk, upstream);
    let had = desk.json(&["image", "push", "--json"]);
    desk.change("other");
    let planned = desk.json(&["image", "build", "--dry-run", "--json"]);
    let tag = planned["tag"].as_str().unwrap();
    let rival = Rival {
        repository: had["image"]["repository"].as_str().unwrap().to_owned(),
        has: had["tag"].as_str().unwrap().to_owned(),
        tag: tag.to_owned(),
        login: login.to_owned(),
    };
    let (repository, path) = (rival.repository.clone(), rival.manifest());
    let front = Front::start(upstream, rival.wins(refuses));

    goes_to(desk, &front.host());
    let adopted = desk.json(&["image", "push", "--json"]);
    assert!(front.seen().contains(&(Method::PUT, path)));
    assert_eq!(
        (&adopted["built"], &adopted["tag"]),
        (&json!(true), &json!(tag))
    );
    assert_eq!(adopted["image"]["digest"], had["image"]["digest"]);
    let there = skopeo_digest(&format!("{repository}:{tag}"), login);
    assert_eq!(adopted["image"]["digest"], there.as_str());
}

#[test]
fn a_tag_that_somebody_else_pushed_meanwhile_is_adopted() {
    for engine in engines() {
        // ministack's repository has immutable tags, and refuses by itself.
        let ministack = Ministack::start_strict();
        let mut desk = command::desk("ecr-race", &engine, &ministack.host(), "");
        adopts(
            &mut desk,
            &ministack.host(),
            LOGIN,
            registry_refuses,
            |desk, host| {
                desk.set("AWS_ENDPOINT_URL", format!("http://{host}"));
            },
        );

        // Debian's registry moves every tag: the front refuses, as Amazon ECR words it.
        let registry = Registry::start();
        let mut desk = Desk::new("oci-race", &engine);
        desk.set("MLACTION_REGISTRY_USER", USER);
        desk.set("MLACTION_REGISTRY_PASSWORD", PASSWORD);
        let login = format!("{USER}:{PASSWORD}");
        adopts(
            &mut desk,
            &registry.host(),
            &login,
            ecr_refuses,
            |desk, host| {
                desk.registry(&format!("kind = \"oci\"\nrepository = \"{host}/oci-race\""));
            },
        );
    }
}

#[tokio::test]
async fn a_tag_that_is_no_content_address_is_left_to_whoever_was_faster() {
    for address in engines() {
        let registry = Registry::start();
        let engine = Engine::at(&address, "race").await;
        let (first, second) = (
            engine.image("a", &[1000]).await,
            engine.image("b", &[1000]).await,
        );
        let publish = async |host: &str, image, tag| {
            let repository = Repository::parse(&format!("{host}/team/app")).unwrap();
            let none = std::collections::BTreeMap::new();
            let credentials = registry.none().with(host, Registry::login());
            let target = OciRepository::new(repository, "linux/amd64", false, &none, credentials);
            target
                .publish(&engine.docker, image, tag, &mut |_| {})
                .await
        };
        publish(&registry.host(), &first, "had").await.unwrap();
        let rival = Rival {
            repository: format!("{}/team/app", registry.host()),
            has: "had".to_owned(),
            tag: "v1".to_owned(),
            login: format!("{USER}:{PASSWORD}"),
        };
        let front = Front::start(&registry.host(), rival.wins(ecr_refuses));
        let error = publish(&front.host(), &second, "v1").await.unwrap_err();
        let text = error.render();
        assert_eq!(error.exit_code(), ExitCode::Publish, "{text}");
        for words in [
            "a tag in `127.0.0.1",
            "already exists in the 'team/app' repository",
            "the repository's tags are immutable",
        ] {
            assert!(text.contains(words), "{address}: {words}: {text}");
        }
        engine.remove(&first).await;
        engine.remove(&second).await;
    }
}
