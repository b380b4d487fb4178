//! Base images and caches from a registry with a password.

use mlaction::image::build::Builder;
use mlaction::image::progress::BuildEvent;
use mlaction::registry::credentials::Login;
use mlaction::registry::engine_push::{Logins, Wanted, push};
use mlaction::registry::oci::Client;
use mlaction::registry::reference::Repository;

use super::lab::{Lab, engines};
use crate::with_rig::support::registry::{PASSWORD, Registry};

struct Right;

impl Logins for Right {
    async fn login(&self, _is_fresh: bool) -> mlaction::error::Result<Option<Login>> {
        Ok(Some(Registry::login()))
    }
}

/// Puts an image into the registry, and nowhere else.
async fn published(mut lab: Lab, registry: &Registry) -> String {
    let name = lab.request.name.replace(':', "-");
    let repository = Repository::parse(&format!("{}/{name}", registry.host())).unwrap();
    lab.request.inline_cache = true;
    let image = lab.build().await.unwrap();
    let client = Client::new(&lab.env, registry.credentials());
    let wanted = Wanted {
        platform: "linux/amd64",
        docker_types: true,
    };
    let docker = lab.engine.docker();
    let quiet = &mut |_| {};
    let pushed = push(
        docker,
        &client,
        &image,
        &repository,
        "1",
        wanted,
        &Right,
        quiet,
    );
    pushed.await.unwrap();
    lab.end().await;
    format!("{}/{name}:1", registry.host())
}

#[tokio::test]
async fn base_images_and_caches_come_from_registries_with_passwords() {
    let registry = Registry::start();
    for engine in engines().await {
        for builder in [Builder::BuildKit, Builder::Classic] {
            let base = Lab::new(&engine, "FROM scratch\nCOPY a /\n");
            base.write("a", &base.request.name);
            let base = published(base, &registry).await;
            let mut lab = Lab::new(&engine, &format!("FROM {base}\nCOPY b /\n"));
            lab.write("b", "x");
            lab.builder = builder;
            let error = lab.build().await.unwrap_err().render();
            assert!(error.contains("docker login"), "{builder:?}: {error}");

            lab.credentials = registry.credentials();
            lab.request.cache_from = vec![base.clone()];
            let image = lab.build().await.unwrap();
            assert!(lab.tree(&image).await["a"].contains("mlaction-build"));
            assert!(!lab.text().contains(PASSWORD));
            if builder == Builder::BuildKit {
                let imported = lab.events.iter().any(|event| {
                    matches!(event, BuildEvent::StepStarted { name, .. }
                        if name.starts_with("importing cache manifest from"))
                });
                assert!(imported, "{:?}", lab.events);
            }
            lab.end().await;
        }
    }
}
