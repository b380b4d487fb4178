//! What every local destination does with the folders that a job leaves behind.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Artifacts;
use crate::data::archive;
use crate::error::{Error, ExitCode, Result};
use crate::report::{ModelInfo, text};
use crate::talk::always;

/// Longest reason kept of a failure file, in characters; SageMaker's limit on `FailureReason`
/// (service model of `DescribeTrainingJob`).
const MAX_REASON: usize = 1024;

/// The start of a failure file in one line; empty when it says nothing.
pub(crate) fn failure_text(file: impl Read) -> String {
    let mut bytes = Vec::new();
    // NOTE: what was read before an error is still what the job wrote.
    let _ = file.take(4 * MAX_REASON as u64).read_to_end(&mut bytes);
    let text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .filter(|char| !char.is_control() || char.is_whitespace())
        .take(MAX_REASON)
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why a job failed: its own words, else the last line that it wrote, and how it ended.
pub(crate) fn reason(written: &str, ended: &str, last_line: Option<&str>) -> String {
    match (written, last_line) {
        ("", Some(last)) => format!("{ended}: {last}"),
        ("", None) => ended.to_owned(),
        _ => format!("{written} ({ended})"),
    }
}

/// Says what is not among the results of a part, `model` or `output`.
///
/// # Errors
/// The job's metrics are not.
pub(crate) fn say_left_out(part: &str, left_out: &BTreeSet<PathBuf>) -> Result<()> {
    if left_out.contains(Path::new("data/metrics.json")) {
        return Err(no_regular_metrics());
    }
    for name in left_out.iter().take(10) {
        let name = text::plain(&name.display().to_string());
        always(&format!(
            "`{part}/{name}` was left out: it is a special file, or a link that leads out of `{part}`"
        ));
    }
    Ok(())
}

fn no_regular_metrics() -> Error {
    let message = "the job's metrics.json is no regular file";
    Error::new(ExitCode::JobFailed, message)
}

/// What lies in a job's folders: the model, packed into the record of the run, and metrics files.
pub(crate) async fn artifacts(base: &Path, run: &Path) -> Result<Artifacts> {
    Ok(Artifacts {
        metrics: metrics(base)?,
        model: pack(base.join("model"), run).await?,
        output: Some(base.join("output/data")),
        ..Artifacts::default()
    })
}

/// The `metrics.json` files in a job's folders.
pub(crate) fn metrics(base: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in ["model/metrics.json", "output/data/metrics.json"] {
        let path = base.join(name);
        match path.symlink_metadata() {
            Ok(meta) if meta.is_file() => found.push(path),
            Ok(_) => return Err(no_regular_metrics()),
            Err(_) => {}
        }
    }
    Ok(found)
}

async fn pack(folder: PathBuf, run: &Path) -> Result<Option<ModelInfo>> {
    let empty = std::fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none());
    if empty {
        return Ok(None);
    }
    let archive = run.join(crate::record::MODEL);
    let stop = Arc::new(AtomicBool::new(false));
    let _stops_when_nobody_waits = Stopper(Arc::clone(&stop));
    let packing = tokio::task::spawn_blocking(move || archive::pack(&folder, &archive, &stop));
    let failed =
        |cause: String| Error::new(ExitCode::JobFailed, "cannot pack the model").because(cause);
    let packed = packing.await.map_err(|error| failed(error.to_string()))?;
    let packed = packed.map_err(|error| failed(error.to_string()))?;
    Ok(Some(ModelInfo {
        file: crate::record::MODEL.to_owned(),
        sha256: Some(packed.sha256),
        bytes: packed.bytes,
    }))
}

/// Says stop when it is dropped.
#[derive(Debug)]
pub(crate) struct Stopper(pub(crate) Arc<AtomicBool>);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
