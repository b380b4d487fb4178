//! The image stage of a run: find it, or build and publish it; the result is always a digest.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::config::duration;
use crate::context::Context;
use crate::data::known::Known;
use crate::destination::docker::plan::DockerPlan;
use crate::destination::docker::sweep;
use crate::destination::watch::Interrupts;
use crate::error::{Error, ExitCode, Result};
use crate::image::bases;
use crate::image::classic;
use crate::image::context::Context as BuildContext;
use crate::image::engine::Engine;
use crate::image::progress::Lines;
use crate::plan::Plan;
use crate::plan::image::ImagePlan;
use crate::record;
use crate::registry::{ImageRef, local};
use crate::talk::{Step, Talk};

/// An image, and the engine that has it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) engine: Engine,
    pub(super) made: Made,
}

/// What became of an image.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    /// What is launched.
    pub image: ImageRef,
    /// `in-HASH`.
    pub tag: String,
    /// Whether it was built just now.
    pub built: bool,
    /// Whether anything was sent to a registry.
    pub pushed: bool,
    /// Seconds that it took.
    pub seconds: f64,
}

/// What is wanted of the image stage.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The plan.
    pub plan: &'a ImagePlan,
    /// Build again, without a cache.
    pub force: bool,
    /// Whether the engine must have the image at the end.
    pub in_engine: bool,
}

/// The image of a run, in the engine that will run it. Leftovers of killed runs are removed.
///
/// # Errors
/// No engine, a failed build, a registry that refuses, or an interrupt.
pub(super) async fn ready(
    plan: &Plan,
    docker: &DockerPlan,
    context: &Context,
    interrupts: &mut Interrupts,
    talk: &Talk,
) -> Result<Stage> {
    let Some(image) = &plan.image else {
        return Err(Error::new(ExitCode::Internal, "the plan has no image"));
    };
    let wanted = Wanted {
        plan: image,
        force: false,
        in_engine: true,
    };
    let made = async {
        let engine = Engine::connect(&context.env).await?;
        let is_alive = |run: &str| {
            let states = record::states(&plan.root);
            let state = states.iter().find(|state| state.run == run);
            state.is_some_and(|state| record::is_alive(&plan.root, state))
        };
        for line in sweep(engine.docker(), &docker.owner, is_alive).await? {
            talk.say(&line);
        }
        let made = make(&wanted, &engine, &plan.root, context, talk).await?;
        Ok(Stage { engine, made })
    };
    unless_interrupted(made, interrupts).await
}

/// The image without a run: `mlaction image`.
///
/// # Errors
/// As for a run.
pub async fn alone(
    wanted: &Wanted<'_>,
    root: &Path,
    context: &Context,
    talk: &Talk,
) -> Result<Made> {
    let mut interrupts = super::interrupts()?;
    let made = async {
        let engine = Engine::connect(&context.env).await?;
        make(wanted, &engine, root, context, talk).await
    };
    unless_interrupted(made, &mut interrupts).await
}

/// Dropping the work ends the build: the engine sees its session close.
async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T>>,
    interrupts: &mut Interrupts,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        _ = interrupts.wait_for(|count| *count > 0) => Err(Error::new(
            ExitCode::Cancelled,
            "cancelled while the image was made",
        )),
    }
}

/// Finds the image, or builds and publishes it.
async fn make(
    wanted: &Wanted<'_>,
    engine: &Engine,
    root: &Path,
    context: &Context,
    talk: &Talk,
) -> Result<Made> {
    let started = Instant::now();
    let plan = wanted.plan;
    let bases = bases::resolve(engine.docker(), &plan.bases).await;
    let tag = plan.tag_with(&bases);
    let name = format!("{}:{tag}", plan.build.name);
    let found = match wanted.force {
        true => None,
        false => local::find(engine.docker(), &name).await?,
    };
    let built = found.is_none();
    let image = match found {
        Some(image) => image,
        None => {
            let step = talk.step("image");
            let image = build(plan, &name, wanted.force, engine, &step).await;
            step.end(&match &image {
                Ok(image) => format!(
                    "{} in {}",
                    image.digest,
                    duration::display(started.elapsed())
                ),
                Err(error) => error.to_string(),
            });
            let image = image?;
            if let Err(error) = is_unchanged(plan, root, context) {
                local::forget(engine.docker(), &name).await;
                return Err(error);
            }
            image
        }
    };
    if !built {
        talk.say(&format!("image {tag} is there already: nothing is built"));
    }
    Ok(Made {
        image,
        tag,
        built,
        pushed: false,
        seconds: started.elapsed().as_secs_f64(),
    })
}

async fn build(
    plan: &ImagePlan,
    name: &str,
    no_cache: bool,
    engine: &Engine,
    step: &Step,
) -> Result<ImageRef> {
    let request = &plan.build;
    let files = BuildContext::open(&request.context, &request.dockerfile)?;
    let mut lines = Lines::new(step);
    let mut events = |event| lines.show(event);
    let docker = engine.docker();
    let built = classic::build(docker, request, name, no_cache, &files, &mut events).await;
    built.map_err(|error| match lines.tail() {
        tail if tail.is_empty() => error,
        tail => error.rendered(tail),
    })?;
    local::find(docker, name).await?.ok_or_else(|| {
        Error::new(
            ExitCode::Build,
            format!("the engine built `{name}`, and does not have it"),
        )
    })
}

/// What was built is what the plan hashed.
fn is_unchanged(plan: &ImagePlan, root: &Path, context: &Context) -> Result<()> {
    let known = Known::load(&context.cache, root, context.now.as_second());
    match plan.is_current(&known)? {
        true => Ok(()),
        false => Err(Error::new(
            ExitCode::Data,
            "the build context changed while the image was built",
        )
        .hint("run the command again")),
    }
}
