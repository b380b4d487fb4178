//! What a run tells GitHub, and when: one comment on the pull request and one check on its
//! commit, as soon as the plan is known, when a phase begins, and at the end.
//!
//! Telling never holds up a run: it is done beside it, with as few requests as will do.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::api::Api;
use super::body::{self, Links};
use super::check::{self, GatePlace};
use super::check_run::{Kept, Verdict};
use super::comment::Sticky;
use super::entry::Entry;
use super::log::Level;
use super::runner::Runner;
use super::state::Begun;
use super::subject::Subject;
use crate::cli;
use crate::config::raw::Inconclusive;
use crate::destination::watch::{Interrupts, asked_again};
use crate::error::{Error, ExitCode, Result};
use crate::plan::Plan;
use crate::report::{Report, Status};
use crate::run::Reported;
use crate::talk::{self, Talk};

/// Between two looks of the comment at the phases of a run.
const PACE: Duration = Duration::from_secs(15);

/// How long a run that has ended waits until GitHub was told.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a run waits that somebody has cancelled: GitHub's runner kills it after 10 s, of which its
/// job takes some. What is not told by then is told by the step that cleans up.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation>
const CANCELLED: Duration = Duration::from_secs(3);

/// What was told, and what could not be.
#[derive(Debug, Default)]
pub struct Told {
    /// The comment's page.
    pub comment_url: Option<String>,
    /// What GitHub did not take, each once.
    pub troubles: Vec<Error>,
}

/// Where a run is told about: comment and check, as far as they are wanted and there is a place
/// for them.
#[derive(Debug)]
pub struct Desk {
    api: Api,
    comments: Vec<Sticky>,
    check: Option<Kept>,
    links: Links,
    gates: Vec<GatePlace>,
    troubles: Vec<Error>,
    runner: Option<Runner>,
}

impl Desk {
    /// Opens it for what a job of GitHub Actions is about; nothing where nobody can be told.
    #[must_use]
    pub fn open(
        env: &BTreeMap<String, String>,
        entry: Entry,
        wanted: &cli::Tell,
        project: &str,
        destination: &str,
    ) -> Option<Self> {
        let Entry {
            event,
            api,
            subject,
            trouble,
        } = entry;
        // The token of a fork's run only reads.
        let api = api.filter(|_| !event.is_unprivileged_fork())?;
        let mut desk = Self::new(env, api, subject, wanted, project, destination);
        desk.troubles.extend(trouble);
        Some(desk)
    }

    /// Opens it for a project and destination that something was found out about.
    #[must_use]
    pub fn new(
        env: &BTreeMap<String, String>,
        api: Api,
        subject: Subject,
        wanted: &cli::Tell,
        project: &str,
        destination: &str,
    ) -> Self {
        let workflow = env.get("GITHUB_WORKFLOW").map_or("", String::as_str);
        let marker = body::marker(workflow, project, destination);
        let Subject {
            pull_requests,
            commit,
        } = subject;
        let links = Links {
            marker: marker.clone(),
            run_url: run_url(env),
            commit: commit.clone(),
        };
        let numbers = pull_requests.iter().map(|one| one.number);
        let comments = numbers.filter(|_| !wanted.no_comment);
        let check = commit.filter(|_| !wanted.no_check);
        Self {
            api,
            comments: comments
                .map(|number| Sticky::new(number, marker.clone()))
                .collect(),
            check: check.map(Kept::on),
            links,
            gates: Vec::new(),
            troubles: Vec::new(),
            runner: Runner::of(env),
        }
    }

    /// Takes up a check that was made before.
    #[must_use]
    pub fn with_check(mut self, made: Option<u64>) -> Self {
        if let (Some(check), Some(id)) = (&mut self.check, made) {
            check.take_up(id);
        }
        self
    }

    /// Shows gates where they stand: `path` is that of mlaction.toml in the repository.
    #[must_use]
    pub fn with_gates(mut self, source: &str, path: Option<&str>) -> Self {
        self.gates = path.map_or_else(Vec::new, |path| check::gate_places(source, path));
        self
    }

    /// Tells of a run that is over.
    pub async fn report(mut self, report: &Report, inconclusive: Inconclusive) -> Told {
        let last = Last::of_report(report, inconclusive, &self.links, &self.gates);
        self.last(&last).await;
        self.told()
    }

    /// Tells of a run that somebody else's code may have reported.
    pub async fn report_of_stranger(mut self, report: &Report) -> Told {
        let last = Last::of_stranger(report, &self.links);
        self.last(&last).await;
        self.told()
    }

    /// Tells of a run that is over and has no report.
    pub async fn broken(
        mut self,
        project: &str,
        destination: &str,
        run: &str,
        error: &Error,
    ) -> Told {
        let last = Last::of_error(project, destination, run, error, &self.links);
        self.last(&last).await;
        self.told()
    }

    async fn last(&mut self, last: &Last) {
        self.end_check(last).await;
        self.say(&last.comment).await;
    }

    /// Makes every comment say something.
    async fn say(&mut self, body: &str) {
        for mut comment in std::mem::take(&mut self.comments) {
            match comment.say(&self.api, body).await {
                Ok(()) => self.comments.push(comment),
                // What is refused once is refused each time.
                Err(problem) => self.troubles.push(problem.into()),
            }
        }
    }

    /// Begins the check.
    async fn begin_check(&mut self, plan: &Plan) {
        let Some(mut check) = self.check.take() else {
            return;
        };
        let name = check::name(&plan.project, plan.destination.name());
        let url = self.links.run_url.as_deref();
        let begun = Timestamp::now();
        let body = check::begin(&name, check.sha(), &plan.run, url, begun, plan);
        let status = check::status_begun(&name, plan, url);
        match check.begin(&self.api, &body, &status).await {
            Ok(id) => {
                self.check = Some(check);
                // For whoever has to end it when this process is killed.
                let left = id.zip(self.runner.as_ref());
                let left = left.map(|(id, runner)| Begun::leave_check(runner, id));
                self.troubles.extend(left.and_then(Result::err));
            }
            Err(problem) => self.troubles.push(problem.into()),
        }
    }

    /// Ends the check.
    async fn end_check(&mut self, last: &Last) {
        let Some(check) = self.check.take() else {
            return;
        };
        if let Err(problem) = check.end(&self.api, &last.verdict).await {
            self.troubles.push(problem.into());
        }
    }

    fn told(self) -> Told {
        Told {
            comment_url: self
                .comments
                .iter()
                .find_map(|one| one.url().map(str::to_owned)),
            troubles: self.troubles,
        }
    }
}

/// The page of the workflow's run.
fn run_url(env: &BTreeMap<String, String>) -> Option<String> {
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
    let (server, repository) = (set("GITHUB_SERVER_URL")?, set("GITHUB_REPOSITORY")?);
    Some(format!(
        "{server}/{repository}/actions/runs/{}",
        set("GITHUB_RUN_ID")?
    ))
}

/// The last word about a run.
#[derive(Debug)]
struct Last {
    comment: String,
    verdict: Verdict,
}

impl Last {
    fn of_report(
        report: &Report,
        inconclusive: Inconclusive,
        links: &Links,
        gates: &[GatePlace],
    ) -> Self {
        let url = links.run_url.as_deref();
        let name = check::name(&report.project, &report.destination);
        Self {
            comment: body::ended(report, links),
            verdict: Verdict {
                run: report.run.clone(),
                check: check::end(report, gates, inconclusive, url, Timestamp::now()),
                status: Some(check::status(&name, report, inconclusive, url)),
                name,
            },
        }
    }

    /// A report of a run without rights: its check is another one than ours, and never says that
    /// all is well, which a status could not leave open.
    fn of_stranger(report: &Report, links: &Links) -> Self {
        let Self { verdict, .. } = Self::of_report(report, Inconclusive::Pass, links, &[]);
        let check = verdict.check.into_iter().map(check::without_success);
        Self {
            comment: body::of_stranger(report, links),
            verdict: Verdict {
                name: check::name_of_stranger(&report.project, &report.destination),
                check: check.collect(),
                status: None,
                ..verdict
            },
        }
    }

    fn of_error(project: &str, destination: &str, run: &str, error: &Error, links: &Links) -> Self {
        let url = links.run_url.as_deref();
        let name = check::name(project, destination);
        Self {
            comment: body::broken(project, destination, &error.render(), links),
            verdict: Verdict {
                run: run.to_owned(),
                check: vec![check::failed(error, url, Timestamp::now())],
                status: Some(check::status_failed(&name, error, url)),
                name,
            },
        }
    }
}

/// A desk at work, beside the run.
#[derive(Debug)]
pub struct Teller {
    plan: Plan,
    links: Links,
    gates: Vec<GatePlace>,
    end: oneshot::Sender<End>,
    work: JoinHandle<Told>,
    runner: Option<Runner>,
}

/// How telling ends.
#[derive(Debug)]
enum End {
    /// With a last word, before somebody ends this process.
    Word { last: Box<Last>, is_urgent: bool },
    /// With the phase that goes on without us.
    Left(String),
}

impl Teller {
    /// Tells of a plan, and from then on of the phases of its run. To be called within a runtime.
    #[must_use]
    pub fn start(desk: Desk, plan: &Plan) -> Self {
        let (listener, phases) = unbounded_channel();
        talk::listen(listener);
        let (end, ending) = oneshot::channel();
        Self {
            plan: plan.clone(),
            links: desk.links.clone(),
            gates: desk.gates.clone(),
            runner: desk.runner.clone(),
            end,
            work: tokio::spawn(work(desk, plan.clone(), phases, ending)),
        }
    }

    /// Says the last word, and waits until GitHub has heard it.
    pub async fn finish(self, ended: &Result<Reported>) -> Told {
        let (last, is_cancelled) = match ended {
            Ok(Reported { report, .. }) => {
                let inconclusive = self.plan.report.inconclusive;
                let last = Last::of_report(report, inconclusive, &self.links, &self.gates);
                (last, report.status == Status::Cancelled)
            }
            Err(error) => (
                Last::of_error(
                    &self.plan.project,
                    self.plan.destination.name(),
                    &self.plan.run,
                    error,
                    &self.links,
                ),
                error.exit_code() == ExitCode::Cancelled,
            ),
        };
        let patience = match is_cancelled {
            true => CANCELLED,
            false => PATIENCE,
        };
        // NOTE: whoever is gone says so below.
        let _ = self.end.send(End::Word {
            last: Box::new(last),
            is_urgent: is_cancelled,
        });
        wait(self.work, patience, self.runner.as_ref()).await
    }

    /// Leaves comment and check as those of a job that runs on.
    pub async fn leave(self, job: &str) -> Told {
        let _ = self
            .end
            .send(End::Left(format!("{job}, which is collected later")));
        wait(self.work, PATIENCE, self.runner.as_ref()).await
    }
}

/// Tells something that no run waits for: as long as there is patience and nobody cancels.
pub async fn in_time(telling: impl Future<Output = Told>, interrupts: &mut Interrupts) -> Told {
    let why = tokio::select! {
        told = telling => return told,
        () = sleep(PATIENCE) => "it took too long",
        () = asked_again(interrupts, 0) => "cancelled",
    };
    untold(why)
}

fn untold(why: &str) -> Told {
    Told {
        comment_url: None,
        troubles: vec![
            Error::new(ExitCode::Report, "GitHub was not told how the run ended").because(why),
        ],
    }
}

/// Waits for those who tell, and no longer: the step that cleans up has more time.
async fn wait(mut work: JoinHandle<Told>, patience: Duration, runner: Option<&Runner>) -> Told {
    match timeout(patience, &mut work).await {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => untold(&error.to_string()),
        Err(_) => {
            work.abort();
            let mut told = untold("it took too long");
            let left = runner.map(Begun::leave_untold);
            told.troubles.extend(left.and_then(Result::err));
            told
        }
    }
}

/// The phases of a run, as they are shown.
#[derive(Debug, Default)]
struct Course {
    phases: Vec<(String, Option<f64>)>,
    since: Option<Instant>,
}

impl Course {
    /// A phase has begun: the one before it is over.
    fn enter(&mut self, name: String, now: Instant) {
        if let (Some((_, seconds @ None)), Some(since)) = (self.phases.last_mut(), self.since) {
            *seconds = Some((now - since).as_secs_f64());
        }
        self.phases.push((name, None));
        self.since = Some(now);
    }
}

async fn work(
    mut desk: Desk,
    plan: Plan,
    mut phases: UnboundedReceiver<String>,
    mut end: oneshot::Receiver<End>,
) -> Told {
    desk.begin_check(&plan).await;
    let planned = body::planned(&plan, &desk.links);
    desk.say(&planned).await;
    let mut course = Course::default();
    let mut next = Instant::now() + PACE;
    let mut due = None;
    loop {
        tokio::select! {
            // The last word goes before all others.
            biased;
            word = &mut end => {
                match word {
                    Ok(End::Word { last, is_urgent }) => {
                        if is_urgent {
                            desk.api.hurry();
                        }
                        desk.last(&last).await;
                    }
                    Ok(End::Left(job)) => {
                        course.enter(job, Instant::now());
                        desk.say(&body::running(&plan, &course.phases, &desk.links)).await;
                    }
                    // Whoever asked is gone.
                    Err(_) => {}
                }
                return desk.told();
            }
            Some(name) = phases.recv() => {
                course.enter(name, Instant::now());
                due.get_or_insert(next);
            }
            () = sleep_until(due.unwrap_or(next)), if due.is_some() => {
                due = None;
                let body = body::running(&plan, &course.phases, &desk.links);
                desk.say(&body).await;
                next = Instant::now() + PACE;
            }
        }
    }
}

/// Says what GitHub could not be told, and sets the comment's page as an output.
///
/// # Errors
/// Something could not be told, and that was asked for.
pub fn conclude(
    told: &Told,
    wanted: &cli::Tell,
    runner: Option<&Runner>,
    talk: &Talk,
) -> Result<()> {
    let Told {
        comment_url,
        troubles,
    } = told;
    if let Some(url) = comment_url {
        talk.say(&format!("comment: {url}"));
        if let Some(runner) = runner {
            runner.output("comment_url", url)?;
        }
    }
    for trouble in troubles {
        talk.say(&trouble.render().replacen("error: ", "warning: ", 1));
        talk::annotate(Level::Warning, "mlaction", &trouble.to_string());
    }
    match troubles.first() {
        Some(first) if wanted.require_report => Err(first.clone()),
        _ => Ok(()),
    }
}
