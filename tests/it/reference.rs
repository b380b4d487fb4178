//! The reference pages and schemas in `docs/` are generated; these tests hold them to the code.
//! `make docs` writes them again.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Arg, Command, CommandFactory as _};
use mlaction::cli::{Cli, Document};
use mlaction::error::ExitCode;
use serde_json::Value;

#[track_caller]
pub(crate) fn agrees(name: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == expected,
        "docs/{name} does not say what the code says; `make docs` writes it again"
    );
}

#[test]
fn the_schemas_agree() {
    for (name, document) in [
        ("mlaction.toml", Document::Config),
        ("report", Document::Report),
        ("baseline", Document::Baseline),
        ("metrics", Document::Metrics),
    ] {
        let json = mlaction::commands::schema::json(document);
        let schema: Value = serde_json::from_str(&json).unwrap();
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        agrees(&format!("schemas/{name}.schema.json"), &json);
    }
}

#[test]
fn the_exit_codes_agree() {
    let mut page = "# Exit codes\n\n| code | meaning |\n|---:|---|\n".to_owned();
    for (code, meaning) in ExitCode::TABLE {
        writeln!(page, "| {} | {meaning} |", code.code()).unwrap();
    }
    agrees("reference/exit-codes.md", &page);
}

#[test]
fn the_command_line_agrees() {
    let mut page = "# Command line\n".to_owned();
    let mut root = Cli::command();
    root.build();
    describe(&root, &mut page);
    agrees("reference/cli.md", &page);
}

fn describe(command: &Command, page: &mut String) {
    let path = command.get_bin_name().unwrap_or(command.get_name());
    writeln!(page, "\n## `{path}`\n").unwrap();
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        writeln!(page, "{about}\n").unwrap();
    }
    let usage = command.clone().render_usage().to_string();
    writeln!(page, "```text\n{}\n```\n", usage.trim()).unwrap();
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version"))
        .filter(|arg| !arg.is_global_set() || path == "mlaction")
        .collect();
    if !shown.is_empty() {
        writeln!(page, "| argument | meaning |\n|---|---|").unwrap();
        for arg in shown {
            writeln!(page, "| {} | {} |", argument(arg), meaning(arg)).unwrap();
        }
    }
    if let Some(examples) = command.get_after_help() {
        writeln!(page, "\n```text\n{}\n```", examples.to_string().trim()).unwrap();
    }
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
    {
        describe(inner, page);
    }
}

fn argument(arg: &Arg) -> String {
    let takes_value = arg.get_action().takes_values();
    let value = arg
        .get_value_names()
        .and_then(|names| names.first())
        .map(ToString::to_string)
        .unwrap_or_default();
    let value = if value.is_empty() {
        arg.get_id().as_str().to_uppercase()
    } else {
        value
    };
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    match (names.is_empty(), takes_value) {
        (true, _) => format!("`{value}`"),
        (false, true) => format!("`{} {value}`", names.join(", ")),
        (false, false) => format!("`{}`", names.join(", ")),
    }
}

fn meaning(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() {
        write!(text, " One of {}.", values.join(", ")).unwrap();
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        write!(text, " Default: {}.", defaults.join(", ")).unwrap();
    }
    if let Some(variable) = arg.get_env() {
        write!(text, " Environment: `{}`.", variable.to_string_lossy()).unwrap();
    }
    text.replace('\n', " ").replace('|', "\\|")
}

#[test]
fn the_configuration_agrees() {
    let schema: Value =
        serde_json::from_str(&mlaction::commands::schema::json(Document::Config)).unwrap();
    let mut page = "# `mlaction.toml`\n\nThe same as a [JSON Schema](../schemas/mlaction.toml.schema.json), which editors \
                    understand: put `#:schema PATH` on the first line.\n"
        .to_owned();
    let mut reader = Reader {
        root: &schema,
        page: &mut page,
    };
    for (name, table) in properties(&schema) {
        reader.table(name, table);
    }
    agrees("reference/mlaction.toml.md", &page);
}

struct Reader<'a> {
    root: &'a Value,
    page: &'a mut String,
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

impl<'a> Reader<'a> {
    /// Follows references, and the one branch of an optional value that is not null.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
            return self.resolve(self.root.pointer(pointer.trim_start_matches('#')).unwrap());
        }
        let branches: Vec<&Value> = schema
            .get("anyOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|branch| branch["type"] != "null")
            .collect();
        match branches.as_slice() {
            [only] => self.resolve(only),
            _ => schema,
        }
    }

    fn table(&mut self, name: &str, schema: &'a Value) {
        let about = schema["description"].as_str();
        let mut resolved = self.resolve(schema);
        let mut title = name.to_owned();
        if let Some(rest) = resolved
            .get("additionalProperties")
            .filter(|rest| rest.is_object())
        {
            title = format!("{name}.NAME");
            resolved = self.resolve(rest);
        }
        let variants: Vec<&Value> = resolved
            .get("oneOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect();
        let tables = if variants.is_empty() {
            vec![resolved]
        } else {
            variants
        };
        for table in tables {
            let kind = table
                .pointer("/properties/kind/const")
                .and_then(Value::as_str);
            writeln!(
                self.page,
                "\n## `[{title}]`{}\n",
                kind.map(|kind| format!(" of kind `{kind}`"))
                    .unwrap_or_default()
            )
            .unwrap();
            writeln!(
                self.page,
                "{}\n",
                about
                    .or(table["description"].as_str())
                    .unwrap_or_default()
                    .replace('\n', " ")
            )
            .unwrap();
            writeln!(
                self.page,
                "| key | type | default | meaning |\n|---|---|---|---|"
            )
            .unwrap();
            let required: Vec<&str> = table["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            for (key, value) in properties(table) {
                let default = match value.get("default") {
                    _ if required.contains(&key.as_str()) => "required".to_owned(),
                    None | Some(Value::Null) => String::new(),
                    Some(default) => format!("`{default}`"),
                };
                let about = value["description"]
                    .as_str()
                    .or(self.resolve(value)["description"].as_str())
                    .unwrap_or_default();
                writeln!(
                    self.page,
                    "| `{key}` | {} | {default} | {} |",
                    self.kind(value),
                    about.replace('\n', " ").replace('|', "\\|")
                )
                .unwrap();
            }
        }
    }

    fn kind(&self, schema: &'a Value) -> String {
        let resolved = self.resolve(schema);
        let words = |values: &[Value]| {
            values
                .iter()
                .filter_map(Value::as_str)
                .map(|word| format!("`\"{word}\"`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        if let Some(values) = resolved.get("enum").and_then(Value::as_array) {
            return words(values);
        }
        if let Some(word) = resolved.get("const") {
            return format!("`{word}`");
        }
        if let Some(branches) = resolved
            .get("oneOf")
            .or(resolved.get("anyOf"))
            .and_then(Value::as_array)
        {
            let mut kinds: Vec<String> = branches.iter().map(|branch| self.kind(branch)).collect();
            kinds.dedup();
            return kinds.join(", ");
        }
        let kind = match &resolved["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds
                .iter()
                .filter_map(Value::as_str)
                .find(|kind| *kind != "null")
                .unwrap_or_default(),
            _ => "any",
        };
        match kind {
            "array" => format!("list of {}", self.kind(&resolved["items"])),
            "object" => {
                let keys: Vec<String> = properties(resolved)
                    .map(|(key, _)| format!("`{key}`"))
                    .collect();
                if keys.is_empty() {
                    "table".to_owned()
                } else {
                    format!("table of {}", keys.join(", "))
                }
            }
            other => other.to_owned(),
        }
    }
}
