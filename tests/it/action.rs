//! The Action's own files: `action.yml`, the Dockerfile, and the page that describes the inputs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use crate::reference;
use crate::template::run_tool;

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Prints YAML files as one JSON object, by their paths.
const TO_JSON: &str = "
import json, sys
from ruamel.yaml import YAML
yaml = YAML(typ='safe', pure=True)
json.dump({path: yaml.load(open(path, encoding='utf-8')) for path in sys.argv[1:]}, sys.stdout)
";

/// YAML files, by their paths in the folder.
#[track_caller]
pub(crate) fn yaml(folder: &Path, paths: &[impl AsRef<str>]) -> Value {
    let paths = paths.iter().map(AsRef::as_ref);
    let arguments: Vec<&str> = ["python", "-c", TO_JSON].into_iter().chain(paths).collect();
    serde_json::from_str(&run_tool(folder, &arguments)).unwrap()
}

/// What `action.yml` says.
#[track_caller]
pub(crate) fn metadata() -> Value {
    yaml(root(), &["action.yml"])["action.yml"].take()
}

/// The names in a table of `action.yml`: `inputs` or `outputs`.
pub(crate) fn names(metadata: &Value, table: &str) -> BTreeSet<String> {
    metadata[table]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn its_metadata_is_what_runners_accept() {
    run_tool(
        root(),
        &[
            "check-jsonschema",
            "--builtin-schema",
            "vendor.github-actions",
            "action.yml",
        ],
    );
    let metadata = metadata();
    let plain = Regex::new("^[a-z][a-z_]*$").unwrap();
    for table in ["inputs", "outputs"] {
        for (name, about) in metadata[table].as_object().unwrap() {
            // `INPUT_` and the name must be a variable that every shell passes on.
            assert!(plain.is_match(name), "{name}");
            let about = about["description"].as_str().unwrap_or_default();
            assert!(about.ends_with('.'), "{name}: {about}");
        }
    }
    for (name, input) in metadata["inputs"].as_object().unwrap() {
        let default = input
            .get("default")
            .map_or("", |default| default.as_str().unwrap());
        assert!(
            input.get("required").is_none(),
            "no runner enforces it: {name}"
        );
        assert!(
            !default.is_empty() || input.get("default").is_none(),
            "{name}"
        );
    }
}

#[test]
fn a_release_can_put_its_image_into_the_metadata() {
    let release = read(".github/workflows/release.yml");
    assert!(
        release.contains("s|^  image: Dockerfile$|  image: $IMAGE|"),
        "{release}"
    );
    let image = format!(
        "docker://ghcr.io/mlaction/mlaction@sha256:{}",
        "0".repeat(64)
    );
    let line = Regex::new("(?m)^  image: Dockerfile$").unwrap();
    let metadata = read("action.yml");
    assert_eq!(line.find_iter(&metadata).count(), 1);
    let released = line.replace(&metadata, format!("  image: {image}"));
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("action.yml"), released.as_bytes()).unwrap();
    run_tool(
        place.path(),
        &[
            "check-jsonschema",
            "--builtin-schema",
            "vendor.github-actions",
            "action.yml",
        ],
    );
    assert_eq!(
        yaml(place.path(), &["action.yml"])["action.yml"]["runs"]["image"],
        *image
    );
}

/// What a text puts into the image's root, whose name there is `root`.
fn parts(text: &str, root: &str) -> BTreeSet<String> {
    let part = Regex::new(&format!(r#"{}/([\w./-]+)"#, regex::escape(root))).unwrap();
    part.captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

#[test]
fn the_image_that_tests_pack_has_the_parts_of_the_real_one() {
    let dockerfile = read("Dockerfile");
    let (_, last) = dockerfile.split_once("\nFROM scratch\n").unwrap();
    // `pack` takes the last stage as it is, but for where its files come from.
    assert_eq!(
        last.matches("COPY --from=build /out/ /\n").count(),
        1,
        "{last}"
    );
    assert!(!last.contains("RUN") && !last.contains("\nFROM "), "{last}");
    let real = parts(&dockerfile, " /out");
    assert_eq!(real, parts(&read("tests/action/pack"), "\"$place/out"));
    for part in [
        "mlaction",
        "mlaction-post",
        "etc/ssl/certs/ca-certificates.crt",
        "tmp",
    ] {
        assert!(real.contains(part), "{part} in {real:?}");
    }
    let entry = metadata()["runs"]["post-entrypoint"].take();
    assert!(real.contains(entry.as_str().unwrap().trim_start_matches('/')));
    assert!(last.contains("ENTRYPOINT [\"/mlaction\"]\n"), "{last}");
}

#[test]
fn the_reference_of_the_action_agrees() {
    let metadata = metadata();
    let mut page = format!(
        "# The Action\n\n{}.\n\nA [guide](../github-actions.md) has workflows, permissions and what happens in a \
         run. A value that is left out or empty is not given; `true` and `false` are written so.\n",
        metadata["description"]
            .as_str()
            .unwrap()
            .trim_end_matches('.')
    );
    page += "\n## Inputs\n\n| input | default | meaning |\n|---|---|---|\n";
    for (name, input) in metadata["inputs"].as_object().unwrap() {
        let default = input
            .get("default")
            .map(|default| format!("`{}`", default.as_str().unwrap()));
        let about = cell(&input["description"]);
        writeln!(
            page,
            "| `{name}` | {} | {about} |",
            default.unwrap_or_default()
        )
        .unwrap();
    }
    page += "\n## Outputs\n\n| output | meaning |\n|---|---|\n";
    for (name, output) in metadata["outputs"].as_object().unwrap() {
        writeln!(page, "| `{name}` | {} |", cell(&output["description"])).unwrap();
    }
    reference::agrees("reference/action.md", &page);
}

/// A text of `action.yml` as a cell of a table.
fn cell(text: &Value) -> String {
    text.as_str()
        .unwrap()
        .replace('\n', " ")
        .replace('|', "\\|")
}
