//! Whether the finished run that a plan names is still the run that would be made.

use crate::context::Context;
use crate::error::Result;
use crate::image::bases;
use crate::image::engine::Engine;
use crate::plan::Plan;
use crate::record;
use crate::run::measured::Measured;
use crate::talk::Talk;

/// Whether the images that the run's own image was built from are what they were then. A plan is
/// made of files, which say nothing of a base image that the Dockerfile does not pin; where no
/// engine can be asked, the finished run is taken.
pub(super) async fn is_current(
    plan: &Plan,
    made: &Measured,
    context: &Context,
    talk: &Talk,
) -> Result<bool> {
    let Some(image) = &plan.image else {
        return Ok(true);
    };
    let Some(then) = made.environment.get(record::IMAGE_TAG) else {
        return Ok(true);
    };
    if let Some(tag) = &image.tag {
        return Ok(tag == then);
    }
    let engine = match Engine::connect(&context.env).await {
        Ok(engine) => engine,
        Err(error) => {
            talk.say(&format!(
                "whether a base image changed is not known: {error}"
            ));
            return Ok(true);
        }
    };
    let (docker, platform) = (engine.docker(), &image.build.platform);
    let say = |line: &str| talk.say(line);
    let bases = bases::resolve(docker, &image.bases, platform, &context.env, say).await;
    // One that nobody knows any more tells nothing.
    let is_known = bases.iter().all(|base| base.digest.is_some());
    Ok(!is_known || image.tag_with(&bases) == *then)
}
