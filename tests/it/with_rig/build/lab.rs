//! A throw-away project that is built, and what is looked at of its image.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::PathBuf;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use indexmap::IndexMap;
use mlaction::error::Result;
use mlaction::image::build::{Build, Builder};
use mlaction::image::buildkit::Way;
use mlaction::image::context::Context;
use mlaction::image::engine::{Endpoint, Engine};
use mlaction::image::progress::BuildEvent;
use mlaction::image::{BuildRequest, BuiltImage, Network};
use mlaction::registry::credentials::Credentials;

use crate::with_rig::support::tool;

pub(super) type Tree = BTreeMap<String, String>;

pub(super) async fn engines() -> Vec<Engine> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let named = env
        .get("MLACTION_TEST_ENGINES")
        .filter(|named| !named.is_empty());
    let mut engines = Vec::new();
    match named {
        Some(named) => {
            for address in named.split(',') {
                let endpoint = Endpoint::parse(address.trim(), None).unwrap();
                engines.push(Engine::at(endpoint).await.unwrap());
            }
        }
        None => engines.push(Engine::connect(&env).await.unwrap()),
    }
    engines
}

/// A project with a Dockerfile, and what is built of it.
pub(super) struct Lab {
    pub(super) place: tempfile::TempDir,
    pub(super) engine: Engine,
    pub(super) request: BuildRequest,
    pub(super) builder: Builder,
    pub(super) way: Option<Way>,
    pub(super) no_cache: bool,
    pub(super) credentials: Credentials,
    pub(super) env: BTreeMap<String, String>,
    pub(super) events: Vec<BuildEvent>,
}

/// What a Dockerfile with a shell begins with.
pub(super) const SHELL: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";

impl Lab {
    pub(super) fn new(engine: &Engine, dockerfile: &str) -> Self {
        let place = tempfile::Builder::new()
            .prefix("mlaction-build-")
            .tempdir()
            .unwrap();
        let root = place.path().join("context");
        std::fs::create_dir(&root).unwrap();
        let unique = place
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_lowercase();
        let request = BuildRequest {
            dockerfile: root.join("Dockerfile"),
            context: root,
            platform: "linux/amd64".to_owned(),
            target: None,
            build_args: IndexMap::new(),
            labels: IndexMap::new(),
            network: Network::Default,
            secrets: IndexMap::new(),
            cache_from: Vec::new(),
            inline_cache: false,
            name: format!("{}:in-1", unique.trim_end_matches(['-', '_', '.'])),
        };
        let lab = Self {
            place,
            engine: engine.clone(),
            request,
            builder: Builder::BuildKit,
            way: None,
            no_cache: false,
            credentials: Credentials::from_environment(&BTreeMap::new()),
            env: BTreeMap::new(),
            events: Vec::new(),
        };
        // Nothing that another run built answers for this one, except for single steps.
        let unique = format!("# {}\n{dockerfile}", lab.request.name);
        lab.write("Dockerfile", &unique);
        if dockerfile.contains("busybox") {
            std::fs::copy(tool("busybox"), lab.path("busybox")).unwrap();
        }
        lab
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.request.context.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) async fn build(&mut self) -> Result<BuiltImage> {
        self.events.clear();
        let context = Context::open(&self.request.context, &self.request.dockerfile)?;
        let mut build = Build::new(
            &self.engine,
            &self.request,
            &context,
            &self.credentials,
            &self.env,
        );
        build.builder = self.builder;
        build.way = self.way;
        build.no_cache = self.no_cache;
        let events = &mut self.events;
        build.run(&mut |event| events.push(event)).await
    }

    /// Bytes and files of the context that were sent.
    pub(super) fn sent(&self) -> (u64, u64) {
        let mut sent = self.events.iter().filter_map(|event| match event {
            BuildEvent::Transfer { bytes, files } => Some((*bytes, files.unwrap_or_default())),
            _ => None,
        });
        sent.next_back().unwrap_or_default()
    }

    pub(super) fn log(&self) -> Vec<&str> {
        let lines = self.events.iter().filter_map(|event| match event {
            BuildEvent::StepLog { line, .. } => Some(line.as_str()),
            _ => None,
        });
        lines.collect()
    }

    pub(super) fn text(&self) -> String {
        format!("{:?}", self.events)
    }

    /// The files of an image.
    pub(super) async fn tree(&self, image: &BuiltImage) -> Tree {
        let docker = self.engine.docker();
        let config = ContainerCreateBody {
            image: Some(image.id.clone()),
            cmd: Some(vec!["none".to_owned()]),
            ..ContainerCreateBody::default()
        };
        let options = None::<CreateContainerOptions>;
        let container = docker.create_container(options, config).await.unwrap().id;
        let mut bytes = Vec::new();
        let mut export = std::pin::pin!(docker.export_container(&container));
        while let Some(part) = export.next().await {
            bytes.extend_from_slice(&part.unwrap());
        }
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        docker
            .remove_container(&container, Some(force))
            .await
            .unwrap();
        let mut tree = Tree::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry
                .path()
                .unwrap()
                .to_str()
                .unwrap()
                .trim_end_matches('/')
                .to_owned();
            // What every container has.
            let first = name.split('/').next().unwrap();
            if ["dev", "etc", "proc", "sys", ".dockerenv"].contains(&first) {
                continue;
            }
            let mode = entry.header().mode().unwrap() & 0o777;
            let what = match entry.header().entry_type() {
                tar::EntryType::Directory => format!("folder {mode:o}"),
                tar::EntryType::Symlink => {
                    format!("link {}", entry.link_name().unwrap().unwrap().display())
                }
                _ => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content).unwrap();
                    format!("{mode:o} {}", String::from_utf8_lossy(&content))
                }
            };
            tree.insert(name, what);
        }
        tree
    }

    pub(super) async fn end(self) {
        let force = RemoveImageOptionsBuilder::new().force(true).build();
        let docker = self.engine.docker();
        docker
            .remove_image(&self.request.name, Some(force), None)
            .await
            .unwrap();
    }
}

pub(super) fn names(tree: &Tree) -> BTreeSet<&str> {
    tree.keys().map(String::as_str).collect()
}
