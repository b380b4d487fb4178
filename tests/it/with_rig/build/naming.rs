//! When an image gets its name.

use std::process::Command;

use indexmap::IndexMap;
use mlaction::image::build::{Build, Builder};
use mlaction::image::context::Context;
use mlaction::image::progress::BuildEvent;

use super::lab::{Lab, engines};

#[tokio::test]
async fn an_image_gets_its_name_last_and_none_when_a_file_changed() {
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
            let silent = &mut |_| {};
            let build = async |context: &Context, events: &mut (dyn FnMut(BuildEvent) + Send)| {
                let (request, credentials) = (&lab.request, &lab.credentials);
                let mut build = Build::new(&engine, request, context, credentials, &lab.env);
                build.builder = builder;
                build.run(events).await
            };
            // There and back: the content is the planned one, the file is not.
            let context = Context::of(&lab.request).unwrap().frozen().unwrap();
            lab.write("a", "something else");
            lab.write("a", &lab.request.name);
            let wrong = build(&context, silent).await.unwrap_err().to_string();
            assert!(wrong.contains("a changed while"), "{wrong}");
            assert_eq!(images(), "", "{builder:?}");

            let context = Context::of(&lab.request).unwrap().frozen().unwrap();
            let mut names = Vec::new();
            build(&context, &mut |_| names.push(images()))
                .await
                .unwrap();
            assert!(names.iter().all(|name| !name.contains("in-")), "{names:?}");
            assert_eq!(images(), format!("{}\n", lab.request.name));
            lab.end().await;
        }
    }
}
