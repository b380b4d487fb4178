//! The JSON Schema of `mlaction.toml`, generated from the types.

use serde_json::Value;

use super::raw::RawConfig;

/// The schema (draft 2020-12) as a value.
#[must_use]
pub fn schema() -> Value {
    schemars::schema_for!(RawConfig).to_value()
}

/// The schema as `mlaction schema` prints it.
#[must_use]
pub fn to_json() -> String {
    let mut text = format!("{:#}", schema());
    text.push('\n');
    text
}
