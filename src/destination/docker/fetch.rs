//! A job's results, out of the engine and into the record of the run.

use super::DockerDestination;
use super::apart::apart;
use super::download;
use super::plan::BASE;
use crate::destination::unpack::{Links, Names, Unpacked};
use crate::destination::{Artifacts, JobState, results};
use crate::error::Result;

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
            let mut unpacked = Unpacked::new(&base.join(part), links, Names::OfFolder)?;
            for container in &self.hosts {
                let path = format!("{BASE}/{part}");
                let adding =
                    download::unpack(unpacked, self.docker.clone(), container.id.clone(), path);
                unpacked = apart(adding).await?;
            }
            results::say_left_out(part, &unpacked.finish()?)?;
        }
        results::artifacts(&base, &self.run).await
    }
}
