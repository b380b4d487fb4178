//! Local data of jobs that run elsewhere, brought to where the plan says that it is.

use std::time::Instant;

use aws_config::SdkConfig;

use crate::aws::s3::{self, Bucket, Progress};
use crate::config::duration;
use crate::context::Context;
use crate::data::known::Known;
use crate::data::manifest::Manifest;
use crate::destination::place::Request;
use crate::destination::sagemaker::plan::SagemakerPlan;
use crate::destination::sagemaker::request::DATA;
use crate::error::{Error, ExitCode, Result};
use crate::plan::Plan;
use crate::plan::inputs::data_error;
use crate::report::text;
use crate::talk::Talk;

/// Uploads the channels of all jobs on SageMaker. What is there already is not sent again.
///
/// # Errors
/// Data that changed since the plan was made; S3 refuses, or does not answer.
pub(super) async fn all(
    plan: &Plan,
    sagemaker: &SagemakerPlan,
    config: &SdkConfig,
    context: &Context,
    talk: &Talk,
) -> Result<()> {
    let known = Known::load(&context.cache, &plan.root, context.now.as_second());
    let under = sagemaker.root.join(DATA);
    let bucket = Bucket::new(under.bucket(), config);
    let jobs = [Some(&plan.training), plan.validation.as_ref()];
    for job in jobs.into_iter().flatten() {
        let Request::Sagemaker(request) = &job.request else {
            continue;
        };
        for (channel, place) in &request.inputs {
            let started = Instant::now();
            let data = Manifest::read(place, &known).map_err(|error| data_error(&error))?;
            let planned = request.uploads.get(channel).map(ToString::to_string);
            let found = bucket.uri(&s3::folder(under.key(), data.hash()));
            if planned != Some(found) {
                let changed = format!("the data of `{channel}` changed since the plan was made");
                return Err(Error::new(ExitCode::Data, changed).hint("run the command again"));
            }
            let step = talk.step("upload");
            let total = text::bytes(data.bytes());
            let mut show = |done: Progress| {
                step.now(format!(
                    "`{channel}`: {} of {total}",
                    text::bytes(done.bytes)
                ));
            };
            let synced = bucket.sync(&data, under.key(), &mut show).await;
            step.end(&match &synced {
                Ok(synced) if synced.sent.files == 0 => {
                    format!("`{channel}` is in {} already", synced.uri)
                }
                Ok(synced) => format!(
                    "`{channel}`: {} to {} in {}",
                    text::bytes(synced.sent.bytes),
                    synced.uri,
                    duration::display(started.elapsed())
                ),
                Err(_) => "failed".to_owned(),
            });
            synced?;
        }
    }
    Ok(())
}
