//! `collect`: reports of the jobs that were launched with `--detach`.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::super::{print, runtime, screen, to_json};
use super::{MOST, Site, which};
use crate::cli;
use crate::destination::sagemaker::jobs::{Jobs, ListedJob, Wanted, Which};
use crate::destination::sagemaker::names::DETACHED;
use crate::destination::watch::Interrupts;
use crate::error::{Error, ExitCode, Result};
use crate::github::api::Api;
use crate::github::entry::Entry;
use crate::github::runner::Runner;
use crate::github::subject::Subject;
use crate::github::tell::{self, Desk, Told};
use crate::plan::Plan;
use crate::record;
use crate::report::{Report, text};
use crate::run::detached::collect::{Collected, Collector};
use crate::run::{self, Reported};
use crate::talk::{Talk, always};

/// Collects what can be collected.
pub(in crate::commands) fn collect(
    root: &Path,
    arguments: cli::Collect,
    talk: &Talk,
) -> Result<u8> {
    let cli::Collect {
        job,
        wait,
        json,
        place,
        tell,
    } = arguments;
    let site = Site::find(root, place.destination)?;
    let runtime = runtime()?;
    let entry = runtime.block_on(Entry::of(&site.context, root, &tell, false))?;
    for line in record::explain_interrupted(root)? {
        talk.say(&line);
    }
    let round = runtime.block_on(async {
        let aws = site.access().await;
        let mut round = Round {
            jobs: site.jobs(&aws),
            collector: Collector {
                plan: &site.plan,
                aws: &site.aws,
                config: &aws.config,
                root,
                project: &site.config.raw.project.name,
                context: &site.context,
                talk,
                by: by(&site),
            },
            only: job,
            interrupts: run::interrupts(run::STOPPING)?,
            done: HashSet::new(),
            reports: Vec::new(),
            errors: Vec::new(),
            untold: None,
            json,
            api: entry.and_then(|entry| entry.api),
            runner: Runner::of(&site.context.env),
            tell: &tell,
        };
        let pause = Duration::from_secs(site.plan.poll_seconds);
        loop {
            let running = round.go().await?;
            if running == 0 || !wait || round.is_interrupted_within(pause).await {
                round.say_rest(running, talk);
                return Ok::<_, Error>(Ended {
                    is_interrupted: *round.interrupts.borrow() > 0,
                    reports: round.reports,
                    errors: round.errors,
                    untold: round.untold,
                });
            }
        }
    })?;
    let Ended {
        is_interrupted,
        reports,
        errors,
        untold,
    } = round;
    if json {
        let reports: Vec<&Report> = reports.iter().map(|(report, _)| report).collect();
        let document = serde_json::json!({"schema_version": 1, "reports": reports});
        print(&to_json(&document)?)?;
    }
    let mut errors = errors.into_iter();
    let first = errors.next();
    for error in errors {
        always(&error.render());
    }
    match first {
        Some(error) => Err(error),
        None if is_interrupted => Ok(ExitCode::Cancelled.code()),
        None => match (code(&reports), untold) {
            (ExitCode::Ok, Some(error)) => Err(error),
            (code, _) => Ok(code.code()),
        },
    }
}

/// What came of it.
struct Ended {
    is_interrupted: bool,
    reports: Vec<(Report, ExitCode)>,
    errors: Vec<Error>,
    untold: Option<Error>,
}

/// One look at all jobs after another.
struct Round<'a> {
    jobs: Jobs,
    collector: Collector<'a>,
    only: Option<String>,
    interrupts: Interrupts,
    /// Jobs that were seen to already.
    done: HashSet<String>,
    reports: Vec<(Report, ExitCode)>,
    errors: Vec<Error>,
    /// What GitHub could not be told, though that was asked for.
    untold: Option<Error>,
    json: bool,
    /// GitHub, in a job of its own with a token.
    api: Option<Api>,
    runner: Option<Runner>,
    tell: &'a cli::Tell,
}

impl Round<'_> {
    /// Collects what has ended, and gives how many jobs run still.
    async fn go(&mut self) -> Result<usize> {
        let detached = Wanted {
            detached: true,
            ..Wanted::default()
        };
        let all = match &self.only {
            Some(job) => {
                let job = match which(job) {
                    Which::Latest => self.jobs.list(&detached, 1).await?.into_iter().next(),
                    which => Some(self.jobs.find(&which).await?),
                };
                let Some(job) = job else { return Ok(0) };
                if job.tag(DETACHED).is_none() {
                    let message = format!("`{}` was not launched with `--detach`", job.name);
                    return Err(Error::new(ExitCode::Usage, message)
                        .hint("`mlaction train` at its commit takes its result"));
                }
                vec![job]
            }
            None => self.jobs.list(&detached, MOST).await?,
        };
        let running = all.iter().filter(|job| job.is_running()).count();
        for job in self.collector.waiting(all).await? {
            if *self.interrupts.borrow() > 0 {
                break;
            }
            if self.done.insert(job.name.clone()) {
                self.one(&job).await?;
            }
        }
        Ok(running)
    }

    /// What goes wrong with one job keeps nobody from the others.
    async fn one(&mut self, job: &ListedJob) -> Result<()> {
        let talk = self.collector.talk;
        talk.say(&format!("{}: {}", job.name, job.phase));
        match self.collector.collect(job, &mut self.interrupts).await {
            Ok(Collected::Reported(reported)) => {
                let Reported { report, folder } = *reported;
                if !self.json {
                    print(&screen(&report))?;
                }
                talk.say(&format!(
                    "report: {}",
                    folder.join(record::REPORT_HTML).display()
                ));
                let plan = record::load_plan(&folder)?;
                let code = run::exit_code(&plan, report.status);
                if let Some(runner) = &self.runner {
                    runner.report(&report, &folder, code == ExitCode::Ok)?;
                }
                if let Err(error) = self.tell(job, &plan, &report).await {
                    self.untold.get_or_insert(error);
                }
                self.reports.push((report, code));
            }
            Ok(Collected::Elsewhere(by)) => {
                talk.say(&format!(
                    "{} is collected by {}",
                    job.name,
                    text::line(&by, 200)
                ));
            }
            Err(error) => {
                let message = format!("cannot collect `{}`: {error}", job.name);
                let told = Error::new(error.exit_code(), message);
                self.errors.push(match error.advice() {
                    Some(hint) => told.hint(hint),
                    None => told,
                });
            }
        }
        Ok(())
    }

    /// Tells GitHub where the job was launched from.
    async fn tell(&self, job: &ListedJob, plan: &Plan, report: &Report) -> Result<()> {
        let Some(api) = &self.api else {
            return Ok(());
        };
        let env = &self.collector.context.env;
        let named = self.tell.pull_request.map(|number| number.to_string());
        let number = job.tag("pull-request").or(named.as_deref());
        let told = match Subject::of_job(api, number, job.tag("commit")).await {
            Ok(subject) => {
                let (project, place) = (&plan.project, plan.destination.name());
                let desk = Desk::new(env, api.clone(), subject, self.tell, project, place);
                desk.report(report, plan.report.inconclusive).await
            }
            Err(problem) => Told {
                comment_url: None,
                troubles: vec![problem.into()],
            },
        };
        tell::conclude(&told, self.tell, self.runner.as_ref(), self.collector.talk)
    }

    async fn is_interrupted_within(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            asked = self.interrupts.wait_for(|count| *count > 0) => asked.is_ok(),
        }
    }

    fn say_rest(&self, running: usize, talk: &Talk) {
        let and = match self.reports.len() + self.errors.len() {
            0 => "nothing to collect",
            _ => "done",
        };
        talk.say(&match running {
            0 => and.to_owned(),
            1 => format!("{and}; 1 job runs still"),
            many => format!("{and}; {many} jobs run still"),
        });
    }
}

/// What others are told who find the job taken.
fn by(site: &Site) -> String {
    let env = |name: &str| site.context.env.get(name).cloned();
    let run = env("GITHUB_RUN_ID").map(|run| format!("workflow run {run}"));
    let host = || env("HOSTNAME").unwrap_or_else(|| "a machine".to_owned());
    run.unwrap_or_else(|| format!("process {} on {}", std::process::id(), host()))
}

/// The exit code for several reports: that of the first which did not pass.
fn code(reports: &[(Report, ExitCode)]) -> ExitCode {
    let mut codes = reports.iter().map(|(_, code)| *code);
    codes
        .find(|code| *code != ExitCode::Ok)
        .unwrap_or(ExitCode::Ok)
}
