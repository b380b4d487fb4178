//! What gets a name, and what becomes of the rest.

use std::process::Command;

use indexmap::IndexMap;
use mlaction::image::build::{Build, Builder};
use mlaction::image::context::Context;
use mlaction::image::progress::BuildEvent;

use super::lab::{Lab, engines};

/// A lab whose images can be told from others.
fn labelled(mut lab: Lab, builder: Builder) -> Lab {
    let label = ("mlaction-lab".to_owned(), lab.request.name.clone());
    lab.request.labels = IndexMap::from([label]);
    lab.builder = builder;
    lab
}

/// The images of a labelled lab, by name.
fn images(lab: &Lab) -> String {
    let output = Command::new("docker")
        .args(["--host", &lab.engine.endpoint().to_string(), "images"])
        .args([
            "--filter",
            &format!("label=mlaction-lab={}", lab.request.name),
        ])
        .args(["--format", "{{.Repository}}:{{.Tag}}"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn an_image_gets_its_name_last_and_none_when_a_file_changed() {
    for engine in engines().await {
        for builder in [Builder::BuildKit, Builder::Classic] {
            let lab = labelled(Lab::new(&engine, "FROM scratch\nCOPY a /\n"), builder);
            lab.write("a", &lab.request.name);
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
            assert_eq!(images(&lab), "", "{builder:?}");

            let context = Context::of(&lab.request).unwrap().frozen().unwrap();
            let mut names = Vec::new();
            build(&context, &mut |_| names.push(images(&lab)))
                .await
                .unwrap();
            assert!(names.iter().all(|name| !name.contains("in-")), "{names:?}");
            assert_eq!(images(&lab), format!("{}\n", lab.request.name));
            lab.end().await;
        }
    }
}

#[tokio::test]
async fn an_image_for_another_platform_gets_no_name_and_goes() {
    for engine in engines().await {
        let mut base = Lab::new(&engine, "FROM scratch\nCOPY a /\n");
        base.write("a", "");
        base.build().await.unwrap();
        for builder in [Builder::BuildKit, Builder::Classic] {
            let dockerfile = format!("FROM {}\nCOPY a /b\n", base.request.name);
            let mut lab = labelled(Lab::new(&engine, &dockerfile), builder);
            lab.write("a", &lab.request.name);
            lab.request.platform = "linux/arm64".to_owned();
            lab.build().await.unwrap_err();
            assert_eq!(images(&lab), "", "{builder:?}");
            lab.request.platform = "linux/amd64".to_owned();
            lab.build().await.unwrap();
            assert_eq!(images(&lab), format!("{}\n", lab.request.name));
            lab.end().await;
        }
        base.end().await;
    }
}
