//! Registries that are real: Debian's `docker-registry`, ministack's ECR, and a Docker Engine
//! that pushes to them.

use mlaction::error::ExitCode;
use mlaction::registry::credentials::{Credentials, Login};
use mlaction::registry::engine_push::{Logins, PushProgress, Pushed, Wanted, push};
use mlaction::registry::oci::Client;
use mlaction::registry::reference::Repository;

use crate::with_rig::support::images::Engine;
use crate::with_rig::support::registry::{PASSWORD, Registry, USER};
use crate::with_rig::support::tool;

const TAG: &str = "in-0123456789abcdef0123456789abcdef";

const WANTED: Wanted<'_> = Wanted {
    platform: "linux/amd64",
    docker_types: true,
};

struct Fixed(Option<Login>);

impl Logins for Fixed {
    async fn login(&self, _is_fresh: bool) -> mlaction::error::Result<Option<Login>> {
        Ok(self.0.clone())
    }
}

/// The right login for a [`Registry`].
struct Right;

impl Logins for Right {
    async fn login(&self, _is_fresh: bool) -> mlaction::error::Result<Option<Login>> {
        Ok(Some(Registry::login()))
    }
}

fn client(credentials: Credentials) -> Client {
    Client::new(&std::collections::BTreeMap::new(), credentials)
}

async fn pushed(
    engine: &Engine,
    registry: &Registry,
    image: &mlaction::image::BuiltImage,
    path: &str,
) -> Pushed {
    let repository = Repository::parse(&format!("{}/{path}", registry.host())).unwrap();
    let client = client(registry.credentials());
    let progress = &mut |_| {};
    let pushed = push(
        &engine.docker,
        &client,
        image,
        &repository,
        TAG,
        WANTED,
        &Right,
        progress,
    );
    pushed.await.unwrap()
}

#[track_caller]
fn skopeo(image: &str) -> serde_json::Value {
    let output = std::process::Command::new(tool("skopeo"))
        .args(["inspect", "--tls-verify=false", "--creds"])
        .arg(format!("{USER}:{PASSWORD}"))
        .arg(format!("docker://{image}"))
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{err}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_push_is_proven_counted_and_sends_nothing_twice() {
    let (engine, registry) = (Engine::connect("twice").await, Registry::start());
    let image = engine.image("a", &[3_000_000, 1_000_000]).await;
    let repository = Repository::parse(&format!("{}/team/app", registry.host())).unwrap();
    let client = client(registry.credentials());
    let (mut last, mut count) = (None, 0);
    let progress = &mut |event| {
        if let PushProgress::Moving(amount) = event {
            last = Some(amount);
            count += 1;
        }
    };
    let first = push(
        &engine.docker,
        &client,
        &image,
        &repository,
        TAG,
        WANTED,
        &Right,
        progress,
    );
    let first = first.await.unwrap();
    assert_eq!((first.layers, first.pushed, first.attempts), (2, 2, 1));
    assert!(
        (4_000_000..4_100_000).contains(&first.sent),
        "{}",
        first.sent
    );
    let amount = last.unwrap();
    assert_eq!((amount.pushed, amount.layers), (2, 2));
    assert!(
        amount.sent >= 4_000_000 && amount.sent == amount.total,
        "{amount:?}"
    );
    assert!(count > 4, "{count} events");

    let name = format!("{repository}:{TAG}");
    assert_eq!(skopeo(&name)["Digest"], first.manifest.digest.as_str());
    assert_eq!(
        engine.names(&image).await,
        std::slice::from_ref(&image.name)
    );
    let reference = repository.tagged(TAG).unwrap();
    assert_eq!(
        client.manifest(&reference).await.unwrap(),
        Some(first.manifest.clone())
    );

    let second = pushed(&engine, &registry, &image, "team/app").await;
    assert_eq!((second.sent, second.pushed, second.layers), (0, 0, 2));
    assert_eq!(second.manifest, first.manifest);
    // Another repository of the same registry: nothing is sent, layers are taken over.
    let mounted = pushed(&engine, &registry, &image, "team/other").await;
    assert_eq!((mounted.sent, mounted.pushed), (0, 0));
    engine.remove(&image).await;
}

#[tokio::test]
async fn names_that_were_there_before_stay() {
    let (engine, registry) = (Engine::connect("names").await, Registry::start());
    let (image, other) = (
        engine.image("a", &[10]).await,
        engine.image("b", &[10]).await,
    );
    let repository = format!("{}/app", registry.host());
    let name = format!("{repository}:{TAG}");
    for before in [&image, &other] {
        let options = bollard::query_parameters::TagImageOptionsBuilder::new();
        let options = options.repo(&repository).tag(TAG).build();
        engine
            .docker
            .tag_image(&before.id, Some(options))
            .await
            .unwrap();
        pushed(&engine, &registry, &image, "app").await;
        assert!(engine.names(before).await.contains(&name));
    }
    engine.remove(&image).await;
    engine.remove(&other).await;
}

#[tokio::test]
async fn what_is_missing_is_nothing_and_what_is_wrong_is_said() {
    let registry = Registry::start();
    let repository = Repository::parse(&format!("{}/app", registry.host())).unwrap();
    let reference = repository.tagged(TAG).unwrap();
    let missing = client(registry.credentials()).manifest(&reference).await;
    assert_eq!(missing.unwrap(), None);

    let wrong = registry
        .none()
        .with(&registry.host(), Login::new(USER, "wrong"));
    for (credentials, words) in [
        (wrong, "does not accept the password of `somebody`"),
        (registry.none(), "wants credentials, and there are none"),
    ] {
        let error = client(credentials).manifest(&reference).await.unwrap_err();
        let text = error.render();
        assert_eq!(error.exit_code(), ExitCode::Credentials, "{text}");
        assert!(
            text.contains(words) && text.contains("docker login"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_engines_refusals_are_told_apart() {
    let (engine, mut registry) = (Engine::connect("refusals").await, Registry::start());
    let image = engine.image("a", &[10]).await;
    let repository = Repository::parse(&format!("{}/app", registry.host())).unwrap();
    let client = client(registry.credentials());
    let refusal = async |repository: &Repository, login: Option<Login>| {
        let logins = Fixed(login);
        let progress = &mut |_| {};
        let pushed = push(
            &engine.docker,
            &client,
            &image,
            repository,
            TAG,
            WANTED,
            &logins,
            progress,
        );
        let error = pushed.await.unwrap_err();
        (error.exit_code(), error.render())
    };
    let (code, text) = refusal(&repository, Some(Login::new(USER, "wrong"))).await;
    assert_eq!(code, ExitCode::Credentials);
    assert!(
        text.contains("does not accept the password of `somebody`"),
        "{text}"
    );
    let (code, text) = refusal(&repository, None).await;
    assert_eq!(code, ExitCode::Credentials);
    assert!(
        text.contains("wants credentials, and there are none"),
        "{text}"
    );
    let nowhere = Repository::parse("registry.invalid/app").unwrap();
    let (code, text) = refusal(&nowhere, None).await;
    assert_eq!(code, ExitCode::Publish);
    assert!(
        text.contains("cannot find the host `registry.invalid`"),
        "{text}"
    );
    registry.kill();
    let (code, text) = refusal(&repository, Some(Registry::login())).await;
    assert_eq!(code, ExitCode::Publish);
    assert!(text.contains("went away during the push"), "{text}");
    // No name is left over by failures.
    assert_eq!(
        engine.names(&image).await,
        std::slice::from_ref(&image.name)
    );
    engine.remove(&image).await;
}

#[tokio::test]
async fn a_registry_that_dies_in_mid_push_and_comes_back_gets_the_rest() {
    let (engine, mut registry) = (Engine::connect("dies").await, Registry::start());
    let image = engine.image("a", &[2_000_000, 50_000_000]).await;
    let repository = Repository::parse(&format!("{}/app", registry.host())).unwrap();
    let name = format!("{repository}:{TAG}");
    let client = client(registry.credentials());
    let mut is_killed = false;
    let mut again = 0;
    let progress = &mut |event| match event {
        PushProgress::Moving(amount) => {
            if !is_killed && amount.sent > 10_000_000 {
                registry.kill();
                is_killed = true;
            }
        }
        PushProgress::Again { .. } => {
            again += 1;
            if again == 1 {
                // Meanwhile another command took the name for that of a killed push.
                let swept = std::process::Command::new("docker")
                    .args(["rmi", "--no-prune", &name])
                    .output()
                    .unwrap();
                assert!(swept.status.success(), "{swept:?}");
                registry.restart();
            }
        }
    };
    let pushed = push(
        &engine.docker,
        &client,
        &image,
        &repository,
        TAG,
        WANTED,
        &Right,
        progress,
    )
    .await
    .unwrap();
    assert!(is_killed && again > 0);
    assert_eq!((pushed.layers, pushed.pushed), (2, 2));
    assert_eq!(skopeo(&name)["Digest"], pushed.manifest.digest.as_str());
    assert_eq!(
        engine.names(&image).await,
        std::slice::from_ref(&image.name)
    );
    engine.remove(&image).await;
}

/// Pushes a layer of 20 MB to a registry with a disk of 8 MB, some of it used.
async fn push_to_small_disk(test: &str, used: usize) -> mlaction::error::Error {
    let disk = crate::with_rig::support::Tmpfs::mount("8m");
    let (engine, registry) = (Engine::connect(test).await, Registry::start_at(disk.path()));
    std::fs::write(disk.path().join("used"), vec![1; used]).unwrap();
    let image = engine.image("a", &[20_000_000]).await;
    let repository = Repository::parse(&format!("{}/app", registry.host())).unwrap();
    let client = client(registry.credentials());
    let progress = &mut |_| {};
    let pushed = push(
        &engine.docker,
        &client,
        &image,
        &repository,
        TAG,
        WANTED,
        &Right,
        progress,
    );
    let error = pushed.await.unwrap_err();
    engine.remove(&image).await;
    error
}

#[tokio::test]
async fn a_full_disk_of_the_registry_is_said_after_seconds() {
    let started = std::time::Instant::now();
    let error = push_to_small_disk("full", 8 * 1024 * 1024 - 128 * 1024).await;
    let text = error.render();
    assert_eq!(error.exit_code(), ExitCode::Publish);
    assert!(text.contains("has no space left"), "{text}");
    // The engine by itself goes on for 50 s.
    assert!(started.elapsed().as_secs() < 40, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_layer_that_does_not_fit_the_registry_is_an_error_of_the_registry() {
    let error = push_to_small_disk("small", 0).await;
    let text = error.render();
    assert_eq!(error.exit_code(), ExitCode::Publish);
    // The disk is full only until the engine takes the broken upload back: whether the registry can
    // still be asked why is a matter of moments. Both answers name its storage.
    let answers = ["has no space left", "its storage is too full for a layer"];
    assert!(answers.iter().any(|answer| text.contains(answer)), "{text}");
}
