//! When an image gets its name.

use std::process::Command;

use indexmap::IndexMap;
use mlaction::error::{Error, ExitCode};
use mlaction::image::build::{Build, Builder};
use mlaction::image::context::Context;

use super::lab::{Lab, engines};

#[tokio::test]
async fn an_image_gets_its_name_when_it_is_proven_and_goes_when_it_is_not() {
    for engine in engines().await {
        for builder in [Builder::BuildKit, Builder::Classic] {
            let mut lab = Lab::new(&engine, "FROM scratch\nCOPY a /\n");
            lab.write("a", &lab.request.name);
            let label = ("mlaction-lab".to_owned(), lab.request.name.clone());
            lab.request.labels = IndexMap::from([label]);
            let images = || {
                let output = Command::new("docker")
                    .args(["--host", &engine.endpoint().to_string(), "images"])
                    .args([
                        "--filter",
                        &format!("label=mlaction-lab={}", lab.request.name),
                    ])
                    .args(["--format", "{{.Repository}}:{{.Tag}}"])
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{output:?}");
                String::from_utf8(output.stdout).unwrap()
            };
            let context = Context::open(&lab.request.context, &lab.request.dockerfile).unwrap();
            let mut build = Build::new(&engine, &lab.request, &context, &lab.credentials, &lab.env);
            build.builder = builder;
            let silent = &mut |_| {};
            let mut built = String::new();
            let wrong = build.run(silent, || {
                built = images();
                Err(Error::new(ExitCode::Data, "it is another"))
            });
            assert_eq!(wrong.await.unwrap_err().to_string(), "it is another");
            // Killed here, it would be nobody's.
            assert_eq!(built, "<none>:<none>\n", "{builder:?}");
            assert_eq!(images(), "", "{builder:?}");
            build.run(silent, || Ok(())).await.unwrap();
            assert_eq!(images(), format!("{}\n", lab.request.name));

            // What an earlier build has named stays.
            let wrong = build.run(silent, || Err(Error::new(ExitCode::Data, "it is another")));
            wrong.await.unwrap_err();
            assert_eq!(images(), format!("{}\n", lab.request.name));
            lab.end().await;
        }
    }
}
