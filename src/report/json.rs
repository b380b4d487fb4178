//! The report for programs: the value itself; `mlaction schema report` describes it.

use super::Report;
use crate::error::{IoContext as _, Result};

/// The report as one document, with a line feed at its end.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn render(report: &Report) -> Result<String> {
    let text =
        serde_json::to_string_pretty(report).doing(|| "cannot write the report".to_owned())?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cli::Document;
    use crate::report::sample;

    fn schema() -> Value {
        serde_json::from_str(&crate::commands::schema::json(Document::Report)).unwrap()
    }

    #[test]
    fn a_report_survives_json_and_keeps_every_digit() {
        for report in [sample::rich(), sample::failed(), sample::empty()] {
            let text = render(&report).unwrap();
            assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        }
        assert!(
            render(&sample::rich())
                .unwrap()
                .contains("0.8123456789012345678")
        );
    }

    #[test]
    fn reports_keep_to_the_schema() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        for report in [
            sample::rich(),
            sample::failed(),
            sample::empty(),
            sample::huge(),
        ] {
            let document: Value = serde_json::from_str(&render(&report).unwrap()).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&document)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
        let mut wrong: Value = serde_json::to_value(sample::rich()).unwrap();
        wrong["status"] = "great".into();
        wrong["extra"] = 1.into();
        assert_eq!(validator.iter_errors(&wrong).count(), 2);
    }

    #[test]
    fn the_schema_describes_every_property() {
        let schema = schema();
        assert_eq!(schema["title"], "mlaction report");
        let mut definitions: Vec<&Value> = schema["$defs"].as_object().unwrap().values().collect();
        definitions.push(&schema);
        for definition in definitions {
            let Some(properties) = definition["properties"].as_object() else {
                continue;
            };
            for (name, property) in properties {
                assert!(property["description"].is_string(), "{name}: {property}");
            }
        }
    }
}
