//! `schema`: the JSON Schemas of the documents that mlaction reads and writes.

use schemars::schema_for;

use crate::cli::Document;
use crate::config::raw::RawConfig;
use crate::metrics::baseline::Baseline;
use crate::metrics::file::Form;
use crate::report::Report;

/// A document's JSON Schema (draft 2020-12), generated from the types.
#[must_use]
pub fn json(document: Document) -> String {
    let schema = match document {
        Document::Config => schema_for!(RawConfig),
        Document::Report => schema_for!(Report),
        Document::Baseline => schema_for!(Baseline),
        Document::Metrics => schema_for!(Form),
    };
    format!("{:#}\n", schema.to_value())
}
