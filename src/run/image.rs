//! The image stage of a run: find it, or build and publish it; the result is always a digest.

use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use futures_util::future::{join3, try_join};
use serde::Serialize;

use super::{pull, unless_interrupted};
use crate::aws::settings::AwsPlan;
use crate::config::duration;
use crate::context::Context;
use crate::data::known::Known;
use crate::destination::docker::plan::DockerPlan;
use crate::destination::docker::sweep;
use crate::destination::watch::Interrupts;
use crate::error::{Error, ExitCode, Result};
use crate::image::build::Build;
use crate::image::context::Context as BuildContext;
use crate::image::engine::{Engine, Need};
use crate::image::progress::{BuildEvent, Line, Lines};
use crate::image::{BuildRequest, BuiltImage, bases};
use crate::plan::Plan;
use crate::plan::image::ImagePlan;
use crate::record;
use crate::registry::credentials::Credentials;
use crate::registry::engine_push::PushProgress;
use crate::registry::local::Local;
use crate::registry::plan::RegistryPlan;
use crate::registry::{self, AnyRegistry, ImageRef, Published, Registry as _, push_name};
use crate::report::text;
use crate::talk::{Step, Talk};

/// How long an interrupted command waits for the engine to take names back.
const TAKING_BACK: Duration = Duration::from_secs(5);

/// An image, and the engine that has it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) engine: Engine,
    pub(super) made: Made,
    /// What containers are made from: the same image, by a name that the engine knows.
    pub(super) image: ImageRef,
}

/// What became of an image.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    /// The image: in the registry, or in the engine when there is none.
    pub image: ImageRef,
    /// `in-HASH`.
    pub tag: String,
    /// Whether it was built just now.
    pub built: bool,
    /// Compressed bytes of the layers that were sent to a registry; none when nothing was pushed.
    pub pushed_bytes: Option<u64>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// What is wanted of the image stage.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The plan.
    pub plan: &'a ImagePlan,
    /// Who asks AWS, if the registry is there.
    pub aws: Option<&'a AwsPlan>,
    /// Build again, without a cache.
    pub force: bool,
    /// Whether the engine must have the image at the end.
    pub in_engine: bool,
}

/// The image of a run, in the engine that will run it, if an engine will. Leftovers of killed runs
/// are removed.
///
/// # Errors
/// No engine, a failed build, a registry that refuses, or an interrupt.
pub(super) async fn ready(
    plan: &Plan,
    docker: Option<&DockerPlan>,
    context: &Context,
    interrupts: &mut Interrupts,
    talk: &Talk,
) -> Result<Stage> {
    let Some(image) = &plan.image else {
        return Err(Error::new(ExitCode::Internal, "the plan has no image"));
    };
    let wanted = Wanted {
        plan: image,
        aws: plan.aws.as_ref(),
        force: false,
        in_engine: docker.is_some(),
    };
    let swept = async {
        let engine = Engine::connect(&context.env).await?;
        let is_alive = |run: &str| {
            let states = record::states(&plan.root);
            let state = states.iter().find(|state| state.run == run);
            state.is_some_and(|state| record::is_alive(&plan.root, state))
        };
        if let Some(docker) = docker {
            for line in sweep(engine.docker(), &docker.owner, is_alive).await? {
                talk.say(&line);
            }
        }
        Ok(engine)
    };
    let engine = unless_interrupted(swept, interrupts).await?;
    let making = make(&wanted, &engine, &plan.root, context, talk);
    let made = unless_interrupted(making, interrupts).await;
    let (made, image) = without_push_name(made, &wanted, &engine).await?;
    Ok(Stage {
        engine,
        made,
        image,
    })
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
    let mut interrupts = super::interrupts(super::STOPPING)?;
    let connecting = Engine::connect(&context.env);
    let engine = unless_interrupted(connecting, &mut interrupts).await?;
    let making = make(wanted, &engine, root, context, talk);
    let made = unless_interrupted(making, &mut interrupts).await;
    let (made, _) = without_push_name(made, wanted, &engine).await?;
    Ok(made)
}

/// A push that was dropped could not take its name back.
async fn without_push_name<T>(made: Result<T>, wanted: &Wanted<'_>, engine: &Engine) -> Result<T> {
    if made.is_err() {
        let sweep = push_name::sweep(engine.docker(), &wanted.plan.build.name);
        // Past this, it is left to the next command.
        let _ = tokio::time::timeout(TAKING_BACK, sweep).await;
    }
    made
}

/// Finds the image, or builds and publishes it; then an image that the engine has, by the name
/// under which a container can be made of it.
async fn make(
    wanted: &Wanted<'_>,
    engine: &Engine,
    root: &Path,
    context: &Context,
    talk: &Talk,
) -> Result<(Made, ImageRef)> {
    let started = Instant::now();
    let plan = wanted.plan;
    let build = &plan.build;
    let (docker, env) = (engine.docker(), &context.env);
    let say = |line: &str| talk.say(line);
    let (swept, registry, bases) = join3(
        push_name::sweep(docker, &build.name),
        registry::open(
            &plan.registry,
            docker,
            &build.name,
            &build.platform,
            false,
            wanted.aws,
            env,
        ),
        bases::resolve(docker, &plan.bases, &build.platform, env, say),
    )
    .await;
    for line in swept {
        talk.say(&line);
    }
    let registry = registry?;
    let tag = plan.tag_with(&bases);
    let published = async {
        match wanted.force && plan.registry.is_local() {
            true => Ok(None),
            false => registry.find(&tag).await,
        }
    };
    let own = Local::new(docker, &build.name);
    let own = async {
        match wanted.force {
            true => Ok(None),
            false => own.find(&tag).await,
        }
    };
    let (published, own) = try_join(published, own).await?;
    if wanted.force && published.is_some() {
        return Err(kept(&format!("{}:{tag}", registry.repository())));
    }
    let mut made = Made {
        image: ImageRef::in_engine(""),
        tag: tag.clone(),
        built: false,
        pushed_bytes: None,
        seconds: 0.0,
    };
    let mut id = own.map(|manifest| manifest.digest);
    if let Some(manifest) = published {
        let place = match plan.registry.is_local() {
            true => "the engine",
            false => registry.repository(),
        };
        talk.say(&format!(
            "image {tag} is in {place} already: nothing is built"
        ));
        made.image = registry.image(manifest);
    } else {
        let own = match id.take() {
            Some(id) => id,
            None => {
                made.built = true;
                built(wanted, &tag, engine, root, context, talk).await?
            }
        };
        let image = BuiltImage {
            name: format!("{}:{tag}", build.name),
            id: own.clone(),
        };
        let published = publish(&registry, docker, &image, &tag, talk).await?;
        made.pushed_bytes = published.pushed.map(|pushed| pushed.sent);
        made.image = published.image;
        id = Some(own);
    }
    for warning in registry.warnings() {
        talk.say(&format!("warning: {warning}"));
    }
    let mut here = made.image.clone();
    if wanted.in_engine {
        match id {
            // What is launched is what the record names, not what else came of the same files.
            Some(id) if registry.is_same(&made.image, &id).await? => {
                here = ImageRef::in_engine(&id);
            }
            _ => pull::pull(docker, &here, &registry, talk).await?,
        }
    }
    made.seconds = started.elapsed().as_secs_f64();
    Ok((made, here))
}

/// What a registry has under a content address stays as it is.
fn kept(name: &str) -> Error {
    Error::new(ExitCode::Usage, format!("{name} is published already"))
        .because("a content address is never overwritten")
        .hint("to build again, change a build argument: `[image.build_args]` with `REFRESH = \"1\"`, and `ARG REFRESH` in the Dockerfile before what must run again")
}

/// Brings an image to the registry, and shows how far it is.
async fn publish(
    registry: &AnyRegistry,
    docker: &Docker,
    image: &BuiltImage,
    tag: &str,
    talk: &Talk,
) -> Result<Published> {
    let step = match registry {
        AnyRegistry::Local(_) => None,
        AnyRegistry::Oci(_) | AnyRegistry::Ecr(_) => Some(talk.step("push")),
    };
    let mut show = |progress: PushProgress| {
        if let Some(step) = &step {
            show_push(step, &progress);
        }
    };
    let published = registry.publish(docker, image, tag, &mut show).await;
    if let Some(step) = step {
        step.end(&match &published {
            Ok(published) => pushed_in_words(published),
            Err(_) => "failed".to_owned(),
        });
    }
    published
}

fn show_push(step: &Step, progress: &PushProgress) {
    match progress {
        PushProgress::Moving(amount) => step.now(format!(
            "{} of {}",
            text::bytes(amount.sent),
            text::bytes(amount.total)
        )),
        PushProgress::Again {
            attempt, because, ..
        } => step.output(&format!("attempt {attempt}: {}", text::plain(because))),
    }
}

fn pushed_in_words(published: &Published) -> String {
    match &published.pushed {
        Some(pushed) => format!(
            "{} ({} of {} layers sent, {})",
            published.image,
            pushed.pushed,
            pushed.layers,
            text::bytes(pushed.sent)
        ),
        None => published.image.to_string(),
    }
}

/// Builds the image under its tag, and gives its id.
async fn built(
    wanted: &Wanted<'_>,
    tag: &str,
    engine: &Engine,
    root: &Path,
    context: &Context,
    talk: &Talk,
) -> Result<String> {
    let (plan, started) = (wanted.plan, Instant::now());
    let request = BuildRequest {
        name: format!("{}:{tag}", plan.build.name),
        ..plan.build.clone()
    };
    if let Some(warning) = engine.emulation(&request.platform) {
        talk.say(&format!("warning: {warning}"));
    }
    // What is sent is held against this list: a file that changed, even there and back, is an error.
    let files = BuildContext::of(&request)?.frozen()?;
    let known = Known::load(&context.cache, root, context.now.as_second());
    if !plan.is_current(&files, &known)? {
        let changed = "the build context changed since the plan was made";
        return Err(Error::new(ExitCode::Data, changed).hint("run the command again"));
    }
    let mut credentials = Credentials::from_environment(&context.env);
    if let RegistryPlan::Oci { repository } = &plan.registry {
        credentials = credentials.configured(repository.split('/').next().unwrap_or_default());
    }
    let mut build = Build::new(engine, &request, &files, &credentials, &context.env);
    build.builder = plan.builder;
    build.no_cache = wanted.force;
    build.need = Some(Need {
        context: plan.bytes,
        ..Need::default()
    });
    let step = talk.step("image");
    let mut lines = Lines::default();
    let mut events = |event: BuildEvent| match lines.of(&event) {
        Some(Line::Output(text)) => step.output(&text),
        Some(Line::Detail(text)) => step.detail(&text),
        Some(Line::Now(text)) => step.now(text),
        None => {}
    };
    let built = build.run(&mut events).await;
    step.end(&match &built {
        Ok(image) => format!("{} in {}", image.id, duration::display(started.elapsed())),
        Err(_) => "failed".to_owned(),
    });
    Ok(built?.id)
}
