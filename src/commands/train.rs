//! `train` and `plan`: decide, then print the plan or run it.

use std::path::Path;

use super::{color, print, runtime, screen, to_json};
use crate::cli;
use crate::config;
use crate::context::Context;
use crate::data::known::Known;
use crate::error::{Error, ExitCode, Result};
use crate::github::runner::Runner;
use crate::plan::{Choices, Plan, text};
use crate::record;
use crate::report;
use crate::run::{self, Reported};
use crate::talk::{self, Talk};

pub(super) fn run(root: &Path, arguments: cli::Train, talk: &Talk) -> Result<u8> {
    let cli::Train {
        dry_run,
        json,
        force,
        detach,
        destination,
        baseline,
        hyperparameters,
    } = arguments;
    let config = config::load(root, color())?;
    let context = Context::read(root);
    let choices = Choices {
        destination,
        baseline,
        force,
        detach,
        hyperparameters,
    };
    let known = Known::load(&context.cache, root, context.now.as_second());
    let plan = talk.watch(
        "reading code and data",
        || report::text::bytes(known.bytes()),
        || Plan::new(config, choices, &context, &record::past(root), &known),
    )?;
    if dry_run {
        return print(&if json {
            to_json(&plan)?
        } else {
            text::render(&plan)
        });
    }
    if let Err(error) = known.save() {
        talk.detail(&format!("hashes of large files are not kept: {error}"));
    }
    if let Some(state) = record::running(root, &plan.content_hash) {
        return Err(Error::new(
            ExitCode::Usage,
            format!(
                "run {} is training the same content just now (process {})",
                state.run, state.process
            ),
        )
        .hint("wait for it, or stop it; its result will be reused"));
    }
    for line in record::explain_interrupted(root)? {
        talk.say(&line);
    }
    talk.detail(&text::render(&plan));
    if detach && plan.reuse.is_none() {
        return left(&plan, &context, json, talk);
    }
    let runtime = runtime()?;
    let mut plan = plan;
    let aws = runtime.block_on(run::baseline::access(&plan, &context));
    if let Some(aws) = &aws {
        runtime.block_on(run::baseline::read(&mut plan, &aws.config))?;
    }
    let Reported { report, folder } = runtime.block_on(run::run(&plan, &context, talk))?;
    print(&if json {
        to_json(&report)?
    } else {
        screen(&report)
    })?;
    talk.say(&format!(
        "report: {}",
        folder.join(record::REPORT_HTML).display()
    ));
    let code = run::exit_code(&plan, report.status);
    if let Some(runner) = Runner::of(&context.env) {
        runner.report(&report, &folder, code == ExitCode::Ok)?;
        if code != ExitCode::Ok {
            let (_, words) = report::text::status(report.status);
            let reason = report.reason.as_deref().unwrap_or(words);
            talk::annotate(&report.project, reason);
        }
    }
    if let Some(aws) = &aws {
        // The run may have outlived those that the baseline was read with.
        aws.credentials.forget();
        runtime.block_on(run::baseline::set(&plan, &report, &aws.config, talk))?;
    }
    Ok(code.code())
}

/// Launches the training job, and leaves it.
fn left(plan: &Plan, context: &Context, json: bool, talk: &Talk) -> Result<u8> {
    let job = runtime()?.block_on(run::detached::detach(plan, context, talk))?;
    talk.say(
        "`mlaction collect` reports it when it has ended, `mlaction watch` shows how it goes on",
    );
    if let Some(runner) = Runner::of(&context.env) {
        runner.output("run", &plan.run)?;
        runner.output("job", &job)?;
    }
    print(&match json {
        true => to_json(&serde_json::json!({"schema_version": 1, "run": plan.run, "job": job}))?,
        false => format!("{job}\n"),
    })
}
