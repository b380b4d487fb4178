//! A plan that was made on another machine, or in another checkout.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, ExitCode, Result};
use crate::plan::Plan;
use crate::record;

/// The same plan for a project in `root` and a run of another name: every path in the project, and
/// every path in the run's folder, is that of here.
///
/// # Errors
/// It does not hold together any more.
pub(super) fn moved(plan: &Plan, root: &Path, run: &str) -> Result<Plan> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(ExitCode::Internal, "cannot use the plan of the run").because(error)
    };
    let mut value = serde_json::to_value(plan).map_err(|error| failed(&error))?;
    let folders = [
        (
            record::runs_dir(&plan.root).join(&plan.run),
            record::runs_dir(root).join(run),
        ),
        (plan.root.clone(), root.to_path_buf()),
    ];
    let folders = folders.map(|(from, to)| {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        (text(&from), text(&to))
    });
    each_text(&mut value, &|text| {
        for (from, to) in &folders {
            let Some(rest) = text.strip_prefix(from.as_str()) else {
                continue;
            };
            if rest.is_empty() || rest.starts_with('/') {
                *text = format!("{to}{rest}");
                return;
            }
        }
    });
    let mut plan: Plan = serde_json::from_value(value).map_err(|error| failed(&error))?;
    run.clone_into(&mut plan.run);
    Ok(plan)
}

fn each_text(value: &mut Value, change: &impl Fn(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(values) => values.iter_mut().for_each(|value| each_text(value, change)),
        Value::Object(values) => values
            .values_mut()
            .for_each(|value| each_text(value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
