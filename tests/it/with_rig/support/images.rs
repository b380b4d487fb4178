//! Images of random bytes in the real engine.

use std::process::Command;

use bollard::Docker;
use bollard::query_parameters::{BuildImageOptionsBuilder, RemoveImageOptionsBuilder};
use futures_util::StreamExt as _;
use mlaction::image::BuiltImage;

/// Removes the images of an engine that a filter of `docker images` finds.
pub(crate) fn remove(engine: &str, filter: &str) {
    let docker = |arguments: &[&str]| {
        let mut docker = Command::new("docker");
        let output = docker.args(["--host", engine]).args(arguments).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    for image in docker(&["images", "--quiet", "--filter", filter]).split_whitespace() {
        docker(&["rmi", "--force", image]);
    }
}

/// An engine, and the images that a test made in it; they are removed when it ends.
pub(crate) struct Engine {
    pub(crate) docker: Docker,
    prefix: String,
}

impl Engine {
    /// The engine of this machine. A test that needs it fails where there is none.
    pub(crate) async fn connect(test: &str) -> Self {
        Self::with(Docker::connect_with_defaults().unwrap(), test).await
    }

    /// The engine at an address like `unix:///var/run/docker.sock`.
    pub(crate) async fn at(address: &str, test: &str) -> Self {
        let docker = Docker::connect_with_host(address).unwrap();
        Self::with(docker, test).await
    }

    async fn with(docker: Docker, test: &str) -> Self {
        let docker = docker.negotiate_version().await;
        let docker = docker.expect("this test needs a Docker Engine, and none answers");
        Self {
            docker,
            prefix: format!("registry-{test}-{}", std::process::id()),
        }
    }

    /// Builds `FROM scratch` with one layer per given size, of bytes that cannot be compressed.
    pub(crate) async fn image(&self, name: &str, sizes: &[usize]) -> BuiltImage {
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |path: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, bytes).unwrap();
        };
        let mut dockerfile = "FROM scratch\n".to_owned();
        for (index, size) in sizes.iter().enumerate() {
            let mut bytes = vec![0; *size];
            random(&mut bytes);
            add(&format!("{index}.bin"), &bytes);
            dockerfile.push_str(&format!("COPY {index}.bin /{index}.bin\n"));
        }
        add("Dockerfile", dockerfile.as_bytes());
        let tag = format!("{}-{name}:built", self.prefix);
        let options = BuildImageOptionsBuilder::new().t(&tag).rm(true).build();
        let body = bollard::body_full(archive.into_inner().unwrap().into());
        let mut events = self.docker.build_image(options, None, Some(body));
        while let Some(event) = events.next().await {
            event.unwrap();
        }
        let id = self.docker.inspect_image(&tag).await.unwrap().id.unwrap();
        BuiltImage { name: tag, id }
    }

    /// Removes an image and its names.
    pub(crate) async fn remove(&self, image: &BuiltImage) {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        self.docker
            .remove_image(&image.id, Some(options), None)
            .await
            .unwrap();
    }

    /// The names that an image has.
    pub(crate) async fn names(&self, image: &BuiltImage) -> Vec<String> {
        let image = self.docker.inspect_image(&image.id).await.unwrap();
        image.repo_tags.unwrap_or_default()
    }
}

/// Fills with bytes that do not repeat and cannot be compressed.
fn random(bytes: &mut [u8]) {
    use std::io::Read as _;
    let mut source = std::fs::File::open("/dev/urandom").unwrap();
    source.read_exact(bytes).unwrap();
}
