//! The plan for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Job, Plan};
use crate::config::duration;

/// The plan as `mlaction train --dry-run` prints it.
#[must_use]
pub fn render(plan: &Plan) -> String {
    let mut out = String::new();
    // NOTE: writing to a String cannot fail.
    let _ = write(plan, &mut out);
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
        plan.destination.name, plan.destination.kind
    )?;
    let environment = &plan.destination.environment;
    match &environment.requirements {
        Some(requirements) => {
            let state = if environment.ready {
                "reused"
            } else {
                "will be made"
            };
            writeln!(
                out,
                "  environment   {} with {} ({state})",
                environment.python,
                requirements.display()
            )?;
        }
        None => writeln!(out, "  environment   {}", environment.python)?,
    }
    for source in &plan.code.sources {
        writeln!(
            out,
            "  code          {} ({} files, {} bytes) {}",
            source.path, source.files, source.bytes, source.fingerprint
        )?;
    }
    for data in &plan.data {
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
    match &plan.baseline.found {
        Some(baseline) => writeln!(
            out,
            "  baseline      {} (run {})",
            plan.baseline.path.display(),
            baseline.run
        )?,
        None => writeln!(
            out,
            "  baseline      none yet; `mlaction baseline set` makes one"
        )?,
    }
    writeln!(out, "\nPermissions")?;
    writeln!(out, "  none: the jobs run as you, on this machine")
}

fn job(out: &mut String, title: &str, job: &Job) -> std::fmt::Result {
    let request = &job.request;
    writeln!(out, "\n{title} job {}", job.name)?;
    writeln!(out, "  command       {}", shell(&request.command))?;
    writeln!(
        out,
        "  in            {}",
        request.working_directory.display()
    )?;
    for (channel, path) in &request.inputs {
        writeln!(out, "  channel       {channel} → {}", path.display())?;
    }
    writeln!(
        out,
        "  stopped after {}",
        duration::display(Duration::from_secs(job.max_runtime_seconds))
    )?;
    writeln!(
        out,
        "  variables     {} (see --json)",
        request.environment.len()
    )
}

/// A command line as a shell would take it. A NUL, which no shell can quote, cannot be in one.
fn shell(command: &[String]) -> String {
    shlex::try_join(command.iter().map(String::as_str)).unwrap_or_else(|_| command.join(" "))
}
