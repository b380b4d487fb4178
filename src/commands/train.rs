//! `train` and `plan`: decide, then print the plan or run it.

use std::path::Path;

use super::{color, print, runtime, screen, to_json};
use crate::cli;
use crate::config;
use crate::context::Context;
use crate::data::known::Known;
use crate::destination::watch::Interrupts;
use crate::error::{Error, ExitCode, Result};
use crate::github::entry::{self, Entry};
use crate::github::log::Level;
use crate::github::runner::Runner;
use crate::github::state::Begun;
use crate::github::tell::{self, Desk, Teller, Told};
use crate::plan::{Choices, Plan, text};
use crate::record;
use crate::report;
use crate::run::{self, Reported, thread_unless_interrupted, unless_interrupted};
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
        allow_fork_code,
        tell,
    } = arguments;
    let runtime = runtime()?;
    // First of all: as the first process of a container, mlaction hears no signal by itself.
    let mut interrupts = runtime.block_on(async { run::interrupts(run::STOPPING) })?;
    let context = Context::read(root);
    // A plan is made offline, and runs nobody's code.
    let entry = match dry_run {
        true => None,
        false => {
            let looking = Entry::of(&context, root, &tell, allow_fork_code);
            runtime.block_on(unless_interrupted(looking, &mut interrupts))?
        }
    };
    let runner = Runner::of(&context.env);
    let asked = destination.clone();
    let choices = Choices {
        destination,
        baseline,
        force,
        detach,
        hyperparameters,
    };
    let entered = entry.as_ref();
    let deciding = decide(
        root,
        choices,
        entered,
        dry_run,
        &context,
        &mut interrupts,
        talk,
    );
    let decided = runtime.block_on(deciding);
    let mut plan = match (decided, entry.as_ref()) {
        (Ok(decided), _) => decided,
        (Err(error), Some(entry)) if error.exit_code() != ExitCode::Cancelled => {
            let telling = early(root, entry, asked, &error, &context, &tell);
            let told = runtime.block_on(tell::in_time(telling, &mut interrupts));
            // The error itself goes before what GitHub was not told of it.
            let _ = tell::conclude(&told, &tell, runner.as_ref(), talk);
            return Err(error);
        }
        // Nobody heard of a run yet.
        (Err(error), _) => return Err(error),
    };
    if dry_run {
        return print(&if json {
            to_json(&plan)?
        } else {
            text::render(&plan)
        });
    }
    talk.detail(&text::render(&plan));
    if let Some(runner) = &runner {
        Begun::leave(runner, root, &plan.run)?;
    }
    let desk = match entry {
        Some(entry) => {
            entry.silence(&tell, talk)?;
            // Lines are those of the file that is there.
            let own = config::source(root)?;
            let path = entry::path_in_repository(&context, root);
            let destination = plan.destination.name();
            Desk::open(&context.env, entry, &tell, &plan.project, destination)
                .map(|desk| desk.with_gates(&own, path.as_deref()))
        }
        None => None,
    };
    if detach && plan.reuse.is_none() {
        let leaving = left(&plan, desk, &context, &mut interrupts, &tell, talk);
        let job = runtime.block_on(leaving)?;
        return print(&match json {
            true => {
                to_json(&serde_json::json!({"schema_version": 1, "run": plan.run, "job": job}))?
            }
            false => format!("{job}\n"),
        });
    }
    let aws = runtime.block_on(run::baseline::access(&plan, &context));
    if let Some(aws) = &aws {
        let reading = run::baseline::read(&mut plan, &aws.config);
        runtime.block_on(unless_interrupted(reading, &mut interrupts))?;
    }
    let (ended, told) = runtime.block_on(async {
        let teller = desk.map(|desk| Teller::start(desk, &plan));
        let ended = run::run(&plan, &context, &mut interrupts, talk).await;
        let told = match teller {
            Some(teller) => teller.finish(&ended).await,
            None => Told::default(),
        };
        (ended, told)
    });
    let told = tell::conclude(&told, &tell, runner.as_ref(), talk);
    if let (Err(error), Some(runner)) = (&ended, &runner) {
        runner.broken(&plan.project, plan.destination.name(), error)?;
    }
    let Reported { report, folder } = ended?;
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
    // What a later step is not told changes nothing of the result.
    let mut handed = Ok(());
    if let Some(runner) = &runner {
        handed = runner.report(&report, &folder, code == ExitCode::Ok);
        if code != ExitCode::Ok {
            let (_, words) = report::text::status(report.status);
            let reason = report.reason.as_deref().unwrap_or(words);
            talk::annotate(Level::Error, &report.project, reason);
        }
    }
    if let Some(aws) = &aws {
        // The run may have outlived those that the baseline was read with.
        aws.credentials.forget();
        runtime.block_on(run::baseline::set(&plan, &report, &aws.config, talk))?;
    }
    match code {
        ExitCode::Ok => handed.and(told).map(|()| code.code()),
        // The run's own end is the step's; what else went wrong is said.
        code => {
            if let Err(error) = handed {
                talk::always(&format!("warning: {error}"));
            }
            Ok(code.code())
        }
    }
}

/// Decides everything.
async fn decide(
    root: &Path,
    choices: Choices,
    entry: Option<&Entry>,
    dry_run: bool,
    context: &Context,
    interrupts: &mut Interrupts,
    talk: &Talk,
) -> Result<Plan> {
    let (source, replaced) =
        unless_interrupted(source(root, entry, context, talk), interrupts).await?;
    let config = config::of_source(root, &source, color())?;
    let (folder, surroundings, voice) = (root.to_owned(), context.clone(), *talk);
    // Reading much data takes a while: who cancels does not wait for it.
    let reading = move || {
        let now = surroundings.now.as_second();
        let known = Known::load(&surroundings.cache, &folder, now);
        let past = record::past(&folder);
        let plan = voice.watch(
            "reading code and data",
            || report::text::bytes(known.bytes()),
            || Plan::new(config, choices, &surroundings, &past, &known),
        )?;
        if !dry_run && let Err(error) = known.save() {
            voice.detail(&format!("hashes of large files are not kept: {error}"));
        }
        Ok(plan)
    };
    let mut plan = thread_unless_interrupted(reading, interrupts).await?;
    plan.notes.extend(replaced);
    if dry_run {
        return Ok(plan);
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
    if let Some(entry) = entry {
        entry.can_reach(&plan.destination)?;
    }
    Ok(plan)
}

/// Tells GitHub of an error before there was a plan, if the configuration says whose it is.
async fn early(
    root: &Path,
    entry: &Entry,
    asked: Option<String>,
    error: &Error,
    context: &Context,
    tell: &cli::Tell,
) -> Told {
    let source = config::source(root).unwrap_or_default();
    let Some((project, chosen)) = config::names(&source) else {
        return Told::default();
    };
    let destination = asked.unwrap_or(chosen);
    if let Some(runner) = Runner::of(&context.env) {
        // NOTE: the error itself is what matters now.
        let _ = runner.broken(&project, &destination, error);
    }
    match Desk::open(&context.env, entry.clone(), tell, &project, &destination) {
        Some(desk) => desk.broken(&project, &destination, "", error).await,
        None => Told::default(),
    }
}

/// The project's configuration; of a pull request, with what money hangs on as the base branch
/// has it, and a word when that is something else.
async fn source(
    root: &Path,
    entry: Option<&Entry>,
    context: &Context,
    talk: &Talk,
) -> Result<(String, Option<String>)> {
    let source = config::source(root)?;
    let Some(entry) = entry else {
        return Ok((source, None));
    };
    let (source, words) = entry.guarded(context, root, source).await?;
    if let Some(words) = &words {
        talk.say(&format!("warning: {words}"));
        talk::annotate(Level::Warning, "mlaction", words);
    }
    Ok((source, words))
}

/// Launches the training job, leaves it, and gives its name.
async fn left(
    plan: &Plan,
    desk: Option<Desk>,
    context: &Context,
    interrupts: &mut Interrupts,
    tell: &cli::Tell,
    talk: &Talk,
) -> Result<String> {
    let runner = Runner::of(&context.env);
    let teller = desk.map(|desk| Teller::start(desk, plan));
    let job = run::detached::detach(plan, context, interrupts, talk).await;
    let told = match (teller, &job) {
        (None, _) => Told::default(),
        (Some(teller), Ok(job)) => teller.leave(job).await,
        (Some(teller), Err(error)) => teller.finish(&Err(error.clone())).await,
    };
    let told = tell::conclude(&told, tell, runner.as_ref(), talk);
    let job = job?;
    told?;
    talk.say(
        "`mlaction collect` reports it when it has ended, `mlaction watch` shows how it goes on",
    );
    if let Some(runner) = &runner {
        runner.output("run", &plan.run)?;
        runner.output("job", &job)?;
    }
    Ok(job)
}
