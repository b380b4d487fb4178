//! The plan for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::image::ImagePlan;
use super::{Job, Plan};
use crate::config::duration;
use crate::destination::docker::plan::DockerPlan;
use crate::destination::place::{DestinationPlan, Request};
use crate::destination::process::plan::PythonEnvironment;
use crate::destination::sagemaker::location::is_s3;
use crate::destination::sagemaker::request::Request as SagemakerRequest;

/// The plan as `mlaction train --dry-run` prints it.
#[must_use]
pub fn render(plan: &Plan) -> String {
    let mut out = String::new();
    // NOTE: writing to a String cannot fail.
    let _ = write(plan, &mut out);
    out
}

/// The image alone, as `mlaction image build --dry-run` prints it.
#[must_use]
pub fn image_alone(plan: &ImagePlan) -> String {
    let mut out = String::from("Plan for the image (nothing has been built or written)\n\n");
    // NOTE: writing to a String cannot fail.
    let _ = image(&mut out, plan).and_then(|()| permissions(&mut out, &plan.permissions()));
    out
}

fn write(plan: &Plan, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "Plan for {} (nothing has been run or written)\n",
        plan.project
    )?;
    match &plan.reuse {
        Some(reuse) => writeln!(
            out,
            "  result        reused from {}, finished {}; `--force` trains again",
            reuse.run, reuse.finished_at
        )?,
        None => writeln!(out, "  run           {}", plan.run)?,
    }
    writeln!(out, "  content       {}", plan.content_hash)?;
    let commit = plan.commit.as_deref().unwrap_or("not in Git");
    writeln!(
        out,
        "  commit        {commit}{}",
        if plan.dirty {
            " (with local changes)"
        } else {
            ""
        }
    )?;
    writeln!(
        out,
        "  destination   {} ({})",
        plan.destination.name(),
        plan.destination.kind()
    )?;
    match &plan.destination {
        DestinationPlan::Process(process) => environment(out, &process.environment)?,
        DestinationPlan::Docker(docker) => container(out, docker)?,
        DestinationPlan::Sagemaker(plan) => {
            for (name, text) in plan.lines() {
                writeln!(out, "  {name:<13} {text}")?;
            }
        }
    }
    if let Some(plan) = &plan.image {
        image(out, plan)?;
    }
    for source in &plan.code.sources {
        writeln!(
            out,
            "  code          {} ({} files, {} bytes) {}",
            source.path, source.files, source.bytes, source.fingerprint
        )?;
    }
    for data in &plan.data {
        if is_s3(&data.path) {
            let (name, path) = (&data.channel, &data.path);
            writeln!(
                out,
                "  data          {name} = {path} (as it lies there: not read)"
            )?;
            continue;
        }
        writeln!(
            out,
            "  data          {} = {} ({} files, {} bytes) {}",
            data.channel, data.path, data.files, data.bytes, data.fingerprint
        )?;
    }
    for (name, value) in &plan.hyperparameters {
        writeln!(out, "  hyperparam.   {name} = {value}")?;
    }
    job(out, "Training", &plan.training)?;
    if let Some(validation) = &plan.validation {
        job(out, "Validation", validation)?;
    }
    writeln!(out, "\nGates")?;
    if plan.gates.is_empty() {
        writeln!(out, "  none")?;
    }
    for (metric, gate) in &plan.gates {
        writeln!(out, "  {metric:<13} {}", gate.rule())?;
    }
    match (&plan.baseline.location, &plan.baseline.found) {
        (Some(place), _) => {
            writeln!(out, "  baseline      {place}, read when the run starts")?;
            if plan.baseline.sets {
                writeln!(out, "                set by this run, if it passes")?;
            }
        }
        (None, Some(baseline)) => writeln!(
            out,
            "  baseline      {} (run {})",
            plan.baseline.path.display(),
            baseline.run
        )?,
        (None, None) => writeln!(
            out,
            "  baseline      none yet; `mlaction baseline set` makes one"
        )?,
    }
    permissions(out, &plan.permissions)
}

fn permissions(out: &mut String, permissions: &[String]) -> std::fmt::Result {
    writeln!(out, "\nPermissions")?;
    if permissions.is_empty() {
        return writeln!(out, "  none: the jobs run as you, on this machine");
    }
    for permission in permissions {
        writeln!(out, "  {permission}")?;
    }
    Ok(())
}

fn environment(out: &mut String, environment: &PythonEnvironment) -> std::fmt::Result {
    let Some(requirements) = &environment.requirements else {
        return writeln!(out, "  environment   {}", environment.python);
    };
    let state = match environment.ready {
        true => "reused",
        false => "will be made",
    };
    writeln!(
        out,
        "  environment   {} with {} ({state})",
        environment.python,
        requirements.display()
    )
}

fn container(out: &mut String, docker: &DockerPlan) -> std::fmt::Result {
    let limits = docker.limits();
    match limits.is_empty() {
        true => Ok(()),
        false => writeln!(out, "  containers    {}", limits.join(", ")),
    }
}

fn image(out: &mut String, image: &ImagePlan) -> std::fmt::Result {
    let build = &image.build;
    let tag = image.tag.as_deref();
    let tag = tag.unwrap_or("in-… (its name follows from the bases that are unresolved)");
    match image.registry.place() {
        None => writeln!(out, "  image         {tag}, stays in the engine")?,
        Some(place) => writeln!(out, "  image         {place}:{tag}")?,
    }
    writeln!(
        out,
        "  built from    {}, context {} ({} files, {}), {}",
        build.dockerfile.display(),
        build.context.display(),
        image.files,
        crate::report::text::bytes(image.bytes),
        build.platform
    )?;
    for base in &image.bases {
        let state = match &base.digest {
            Some(_) => "pinned",
            None => "unresolved: asked for when it is built",
        };
        writeln!(out, "  base          {} ({state})", base.reference)?;
    }
    for warning in &image.warnings {
        writeln!(out, "  warning       {warning}")?;
    }
    Ok(())
}

fn job(out: &mut String, title: &str, job: &Job) -> std::fmt::Result {
    writeln!(out, "\n{title} job {}", job.name)?;
    let variables = match &job.request {
        Request::Process(request) => {
            writeln!(out, "  command       {}", shell(&request.command))?;
            let folder = request.working_directory.display();
            writeln!(out, "  in            {folder}")?;
            request.environment.len()
        }
        Request::Docker(request) => {
            if let Some(entrypoint) = &request.entrypoint {
                writeln!(out, "  entry point   {}", shell(entrypoint))?;
            }
            writeln!(out, "  arguments     {}", shell(&request.arguments))?;
            request.environment.len()
        }
        Request::Sagemaker(request) => {
            let body = &request.create_training_job;
            let image = body["AlgorithmSpecification"]["TrainingImage"].as_str();
            writeln!(out, "  request       CreateTrainingJob (see --json)")?;
            writeln!(out, "  image         {}", image.unwrap_or_default())?;
            let variables = body["Environment"].as_object();
            variables.map_or(0, serde_json::Map::len)
        }
    };
    match &job.request {
        Request::Sagemaker(request) => uploads(out, request)?,
        request => {
            for (channel, path) in request.inputs() {
                writeln!(out, "  channel       {channel} → {}", path.display())?;
            }
        }
    }
    writeln!(
        out,
        "  stopped after {}",
        duration::display(Duration::from_secs(job.max_runtime_seconds))
    )?;
    writeln!(out, "  variables     {variables} (see --json)")
}

/// The channels of a job on SageMaker, and where their data comes from.
fn uploads(out: &mut String, request: &SagemakerRequest) -> std::fmt::Result {
    let channels = request.create_training_job["InputDataConfig"].as_array();
    for channel in channels.into_iter().flatten() {
        let text = |pointer| {
            channel
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (name, mode) = (text("/ChannelName"), text("/InputMode"));
        let from = text("/DataSource/S3DataSource/S3Uri");
        writeln!(out, "  channel       {name} ← {from} ({mode})")?;
        if let Some(path) = request.inputs.get(name) {
            writeln!(out, "  uploaded from {}", path.display())?;
        }
    }
    Ok(())
}

/// A command line as a shell would take it. A NUL, which no shell can quote, cannot be in one.
fn shell(command: &[String]) -> String {
    shlex::try_join(command.iter().map(String::as_str)).unwrap_or_else(|_| command.join(" "))
}
