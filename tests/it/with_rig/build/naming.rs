//! What gets a name, and what becomes of the rest.

use std::process::Command;

use indexmap::IndexMap;
use mlaction::image::build::Builder;

use super::lab::{Lab, engines};

/// Images of the engine that a lab built, by name.
fn images(lab: &Lab) -> String {
    let output = Command::new("docker")
        .args(["--host", &lab.engine.endpoint().to_string(), "images"])
        .args(["--filter", &format!("label=lab={}", lab.request.name)])
        .args(["--format", "{{.Repository}}:{{.Tag}}"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn an_image_for_another_platform_gets_no_name_and_goes() {
    for engine in engines().await {
        let mut base = Lab::new(&engine, "FROM scratch\nCOPY a /\n");
        base.write("a", "");
        base.build().await.unwrap();
        for builder in [Builder::BuildKit, Builder::Classic] {
            let mut lab = Lab::new(&engine, &format!("FROM {}\nCOPY a /b\n", base.request.name));
            lab.write("a", &lab.request.name);
            let label = ("lab".to_owned(), lab.request.name.clone());
            lab.request.labels = IndexMap::from([label]);
            lab.builder = builder;
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
