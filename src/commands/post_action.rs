//! `post-action`: the step that GitHub's runner starts when the Action's own step is over, also
//! when it was killed. What that one left running is stopped.

use std::collections::BTreeMap;

use super::{action, runtime};
use crate::aws::Access;
use crate::context::environment;
use crate::destination::docker::sweep;
use crate::destination::place::DestinationPlan;
use crate::destination::sagemaker::jobs::{Jobs, Wanted, Which};
use crate::destination::sagemaker::plan::SagemakerPlan;
use crate::error::Result;
use crate::github::inputs;
use crate::github::state::Begun;
use crate::image::engine::Engine;
use crate::plan::Plan;
use crate::record::{self, Phase};
use crate::talk::{self, Talk, always};

/// At most so many jobs of a project that run are looked at.
const MOST: usize = 200;

/// Stops what is left of the run that the step began.
pub(super) fn run(talk: &Talk) -> Result<u8> {
    let env = environment();
    if env.keys().any(|name| inputs::is_input(name)) {
        // Role, region and token are variables for all that follows.
        let read = inputs::read(&env).inspect_err(|_| talk::meet_runner());
        return action::become_(&["post-action".to_owned()], &read?.variables);
    }
    talk::meet_runner();
    let Some(Begun { root, run }) = Begun::of(&env) else {
        talk.say("the step began no run");
        return Ok(0);
    };
    let states = record::states(&root);
    let state = states.iter().find(|state| state.run == run);
    if state.is_none_or(|state| state.phase != Phase::Running) {
        talk.say(&format!("run {run} came to its end"));
        return Ok(0);
    }
    always(&format!(
        "run {run} was killed before its end: what it left is stopped now"
    ));
    let plan = record::load_plan(&record::runs_dir(&root).join(&run))?;
    let stopped = runtime()?.block_on(stop(&plan, &env));
    for line in record::explain_interrupted(&root)? {
        talk.say(&line);
    }
    stopped.map(|()| 0)
}

async fn stop(plan: &Plan, env: &BTreeMap<String, String>) -> Result<()> {
    match &plan.destination {
        // It ended with the container of the step.
        DestinationPlan::Process(_) => Ok(()),
        DestinationPlan::Docker(docker) => {
            let engine = Engine::connect(env).await?;
            let is_alive = |run: &str| run != plan.run;
            for line in sweep(engine.docker(), &docker.owner, is_alive).await? {
                always(&line);
            }
            Ok(())
        }
        DestinationPlan::Sagemaker(_) if plan.destination.leaves(&plan.training.request) => {
            always("its jobs run on (`on_cancel = \"leave\"`)");
            Ok(())
        }
        DestinationPlan::Sagemaker(sagemaker) => stop_jobs(plan, sagemaker, env).await,
    }
}

/// Stops the jobs of a run: those of its names, and those that were tried after them, by their
/// content.
async fn stop_jobs(
    plan: &Plan,
    sagemaker: &SagemakerPlan,
    env: &BTreeMap<String, String>,
) -> Result<()> {
    let access = Access::new(&sagemaker.settings.region, plan.aws.as_ref(), env).await;
    let jobs = Jobs::new(&access.config, sagemaker, &plan.project);
    let running = Wanted {
        running: true,
        ..Wanted::default()
    };
    let mut found = jobs.list(&running, MOST).await?;
    found.retain(|job| job.tag("content") == Some(plan.content_hash.as_str()));
    // What was launched a moment ago is not on the list yet.
    for job in [Some(&plan.training), plan.validation.as_ref()]
        .into_iter()
        .flatten()
    {
        if found.iter().all(|one| one.name != job.name)
            && let Ok(job) = jobs.find(&Which::Name(job.name.clone())).await
            && job.is_running()
        {
            found.push(job);
        }
    }
    for job in &found {
        jobs.stop(&job.name).await?;
        always(&format!("{} is told to stop", job.name));
    }
    if found.is_empty() {
        always("none of its jobs runs");
    }
    Ok(())
}
