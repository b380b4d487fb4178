//! The log of a job as AWS keeps it, for `logs`.

use std::path::Path;

use super::super::log_screen::LogScreen;
use super::super::runtime;
use super::watch::to_the_end;
use super::{Site, which};
use crate::cli;
use crate::destination::sagemaker::LogReader;
use crate::error::{Error, ExitCode, Result};
use crate::talk::Talk;

/// Prints a job's log; with `follow`, until the job ends or somebody has seen enough.
pub(in crate::commands) fn logs(root: &Path, arguments: cli::Logs, talk: &Talk) -> Result<u8> {
    let cli::Logs {
        run,
        follow,
        tail,
        place,
    } = arguments;
    let site = Site::find(root, place.destination)?;
    runtime()?.block_on(async {
        let aws = site.aws().await;
        let jobs = site.jobs(&aws);
        let job = jobs
            .find(&which(run.as_deref().unwrap_or("latest")))
            .await?;
        talk.say(&format!("{}: {}", job.name, job.phase));
        if follow {
            to_the_end(&site, &aws, &job, talk, tail, true).await?;
            return Ok(0);
        }
        let mut reader = LogReader::new(&aws, &job.name, job.hosts(), LogScreen::new());
        let read = match tail {
            Some(lines) => reader.tail(lines).await,
            None => reader.all().await,
        };
        reader.into_inner().finish();
        read.map_err(|reason| {
            Error::new(
                ExitCode::JobFailed,
                format!("cannot read the log of `{}`", job.name),
            )
            .because(reason)
        })?;
        Ok(0)
    })
}
