//! A job's results, out of the engine and into the record of the run.

use std::path::Path;

use super::DockerDestination;
use super::apart::apart;
use super::download::{Links, Unpacked};
use super::plan::BASE;
use crate::destination::{Artifacts, JobState, results};
use crate::error::{Error, ExitCode, Result};
use crate::talk::always;

impl DockerDestination {
    pub(super) async fn bring(&self) -> Result<Artifacts> {
        // Somebody removed the container, and its results with it.
        if self.is_gone {
            return Ok(Artifacts::default());
        }
        let base = self.run.join("work").join(&self.role);
        let succeeded = self.ended == Some(JobState::Succeeded);
        let parts = [
            ("model", Links::Refuse),
            ("output", Links::Keep),
            ("checkpoints", Links::Keep),
        ];
        for (part, links) in parts {
            // What another attempt would go on from is of no use to a job that is done.
            if part == "checkpoints" && succeeded {
                continue;
            }
            let mut unpacked = Unpacked::new(&base.join(part), links)?;
            for container in &self.hosts {
                let path = format!("{BASE}/{part}");
                let adding = unpacked.add(self.docker.clone(), container.id.clone(), path);
                unpacked = apart(adding).await?;
            }
            let left_out = unpacked.finish()?;
            if left_out.contains(Path::new("data/metrics.json")) {
                return Err(Error::new(
                    ExitCode::JobFailed,
                    "the job's metrics.json is no regular file",
                ));
            }
            for name in left_out.iter().take(10) {
                let name = crate::report::text::plain(&name.display().to_string());
                always(&format!(
                    "`{part}/{name}` was left out: it is a special file, or a link that leads out of `{part}`"
                ));
            }
        }
        results::artifacts(&base, &self.run).await
    }
}
