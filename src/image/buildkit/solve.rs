//! The call that builds, with every attribute that the Dockerfile frontend and the exporter know:
//! <https://github.com/moby/buildkit/blob/master/frontend/dockerui/config.go>.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::{
    CacheOptions, CacheOptionsEntry, Exporter, SolveRequest,
};

use super::super::Network;
use super::super::build::Build;
use super::session::Session;
use super::sync;

pub(super) fn request(build: &Build<'_>, session: &Session, reference: &str) -> SolveRequest {
    let exporter_attrs = exporter(build);
    SolveRequest {
        r#ref: reference.to_owned(),
        session: session.id.clone(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: frontend(build),
        // NOTE: engines before 24 know these fields alone.
        exporter_deprecated: "moby".to_owned(),
        exporter_attrs_deprecated: exporter_attrs.clone(),
        exporters: vec![Exporter {
            r#type: "moby".to_owned(),
            attrs: exporter_attrs,
        }],
        cache: Some(CacheOptions {
            exports: match build.request.inline_cache {
                true => vec![entry("inline", [])],
                false => Vec::new(),
            },
            imports: imports(build),
            ..CacheOptions::default()
        }),
        // No entitlements: a step that asks for the host's network or for privileges is refused.
        entitlements: Vec::new(),
        ..SolveRequest::default()
    }
}

fn frontend(build: &Build<'_>) -> HashMap<String, String> {
    let request = build.request;
    let mut attrs = HashMap::new();
    let mut set = |name: &str, value: &str| attrs.insert(name.to_owned(), value.to_owned());
    set("filename", &sync::dockerfile_name(&request.dockerfile));
    set("platform", &request.platform);
    set("image-resolve-mode", "default");
    if let Some(target) = &request.target {
        set("target", target);
    }
    if request.network == Network::None {
        set("force-network-mode", "none");
    }
    if build.no_cache {
        // Empty means every stage.
        set("no-cache", "");
    }
    for (name, value) in &request.build_args {
        set(&format!("build-arg:{name}"), value);
    }
    for (name, value) in &request.labels {
        set(&format!("label:{name}"), value);
    }
    // NOTE: what a frontend imports is in its attributes; those of the call are for builds without
    // one. Both names are known to every engine.
    let imports = imports(build);
    if !imports.is_empty() {
        let entries: Vec<_> = imports
            .iter()
            .map(|import| serde_json::json!({ "Type": import.r#type, "Attrs": import.attrs }))
            .collect();
        set(
            "cache-imports",
            &serde_json::Value::from(entries).to_string(),
        );
    }
    attrs
}

/// NOTE: without a name; the image gets it when it is proven.
fn exporter(build: &Build<'_>) -> HashMap<String, String> {
    let mut attrs = HashMap::new();
    if build.engine.facts().has_containerd_store {
        // SageMaker refuses OCI's media types: docs of Amazon say nothing, the API does
        // ("Unsupported manifest media type"). Engines without that store write Docker's always.
        attrs.insert("oci-mediatypes".to_owned(), "false".to_owned());
    }
    attrs
}

fn imports(build: &Build<'_>) -> Vec<CacheOptionsEntry> {
    let images = build.request.cache_from.iter();
    images
        .map(|image| entry("registry", [("ref", image.as_str())]))
        .collect()
}

fn entry<const N: usize>(kind: &str, attrs: [(&str, &str); N]) -> CacheOptionsEntry {
    let attrs = attrs.iter();
    CacheOptionsEntry {
        r#type: kind.to_owned(),
        attrs: attrs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}
