//! One job of SageMaker, as the watch loop sees it. What asks AWS while the job runs does so in
//! the background, so that nobody who wants to stop it waits for an answer.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sagemaker::Client as Sdk;
use aws_sdk_sagemaker::error::SdkError;
use aws_sdk_sagemaker::operation::describe_training_job::{
    DescribeTrainingJobError, DescribeTrainingJobOutput,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::creating::Creating;
use super::logs::LogReader;
use super::plan::SagemakerPlan;
use super::request::Request;
use super::settings::OnCancel;
use super::unsigned::Unsigned;
use super::{account, problem, state, stop};
use crate::aws::Access;
use crate::aws::errors::is_without_credentials;
use crate::destination::job_log::JobLog;
use crate::destination::{Artifacts, Destination, JobState, Patience, PollError, Stop};
use crate::error::{Error, ExitCode, Result};
use crate::registry::ImageRef;
use crate::report::jobs::JobInfo;
use crate::talk::Talk;

/// An answer that takes longer is taken up the next time.
pub(super) const ASKING: Duration = Duration::from_secs(1);

/// Longest time between two questions about a job while AWS is busy, in times of the usual one.
const WIDEST: u32 = 4;

/// SageMaker itself keeps to the limits of a job, which do not count the time that it waits for
/// instances. Nobody waits longer than this.
const LONGEST: Duration = Duration::from_secs(60 * 24 * 3600);

/// A job that is stopped uploads its results after its grace.
const UPLOADING: Duration = Duration::from_secs(600);

/// How a job comes to be.
#[derive(Debug, Clone)]
pub enum Way {
    /// It is launched, or found by its name and taken.
    Launch {
        /// The image, published.
        image: ImageRef,
        /// Where the model is, for a job that validates it.
        model: Option<String>,
    },
    /// It was launched before, and is followed whatever it is doing.
    Follow {
        /// Its name.
        job: String,
        /// How many hosts it has.
        hosts: usize,
    },
}

/// What a job is launched with.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Who asks AWS, in the region of the jobs.
    pub access: &'a Access,
    /// Where and how.
    pub plan: &'a SagemakerPlan,
    /// How the job comes to be.
    pub way: Way,
    /// Folder of the run's record.
    pub run: &'a Path,
    /// `train` or `validate`.
    pub role: &'a str,
    /// Says what the job is doing.
    pub talk: Talk,
}

/// A reader, and how its last round went.
type Read = (LogReader<File>, Result<(), String>);

type Described = Result<DescribeTrainingJobOutput, SdkError<DescribeTrainingJobError>>;

/// A training job of SageMaker.
#[derive(Debug)]
pub struct SagemakerDestination {
    pub(super) sdk: Sdk,
    pub(super) config: SdkConfig,
    unsigned: Unsigned,
    pub(super) plan: SagemakerPlan,
    pub(super) way: Way,
    pub(super) run: PathBuf,
    pub(super) role: String,
    pub(super) talk: Talk,
    pub(super) log: JobLog,
    /// Its name, once it may be there.
    pub(in crate::destination) name: Option<String>,
    pub(super) creating: Option<Creating>,
    /// Nobody knows whether it is there.
    pub(super) may_run: bool,
    /// The word to stop was heard.
    is_stopping: bool,
    describing: Option<JoinHandle<Described>>,
    /// When it was asked about, and how long to wait until the next time.
    asked: Option<Instant>,
    pace: Duration,
    /// Why the last question about it had no answer.
    unseen: Option<String>,
    pub(super) reader: Option<LogReader<File>>,
    pub(super) reading: Option<JoinHandle<Read>>,
    /// When the log was read last.
    pub(super) read_at: Option<Instant>,
    /// What SageMaker said last.
    pub(super) last: Option<DescribeTrainingJobOutput>,
    ended: Option<JobState>,
    /// What is missing in its results.
    pub(super) warnings: Vec<String>,
    /// Nobody looks after it any more.
    pub(super) is_left: bool,
}

impl SagemakerDestination {
    /// A place for one job; nobody is asked yet.
    #[must_use]
    pub fn new(settings: Settings<'_>) -> Self {
        let Settings {
            access,
            plan,
            way,
            run,
            role,
            talk,
        } = settings;
        Self {
            sdk: super::client(&access.config),
            config: access.config.clone(),
            unsigned: Unsigned::new(access),
            plan: plan.clone(),
            way,
            run: run.to_path_buf(),
            role: role.to_owned(),
            talk,
            log: JobLog::of(run),
            name: None,
            creating: None,
            may_run: false,
            is_stopping: false,
            describing: None,
            asked: None,
            pace: Duration::from_secs(plan.poll_seconds),
            unseen: None,
            reader: None,
            reading: None,
            read_at: None,
            last: None,
            ended: None,
            warnings: Vec::new(),
            is_left: false,
        }
    }

    /// How the job is watched: its state is asked for every `poll`, its log more often.
    #[must_use]
    pub fn patience(&self) -> Patience {
        let poll = Duration::from_secs(self.plan.poll_seconds);
        Patience {
            poll: (self.log_pace(), poll / 3),
            max_runtime: LONGEST,
            stop_within: Duration::from_secs(super::plan::GRACE_SECONDS) + UPLOADING,
            lost_after: Duration::from_secs(self.plan.lost_after_seconds).max(poll * 3),
        }
    }

    pub(super) fn region(&self) -> &str {
        &self.plan.settings.region
    }

    /// The answer to a question that is asked when it is time to, if it is there.
    async fn described(&mut self, name: &str) -> Option<Described> {
        let is_due = self.asked.is_none_or(|asked| asked.elapsed() >= self.pace);
        let mut describing = match self.describing.take() {
            Some(describing) => describing,
            None if is_due => {
                self.asked = Some(Instant::now());
                let call = self.sdk.describe_training_job().training_job_name(name);
                tokio::spawn(call.send())
            }
            None => return None,
        };
        match timeout(ASKING, &mut describing).await {
            // NOTE: a task that was neither aborted nor has panicked has an answer.
            Ok(answer) => answer.ok(),
            Err(_) => {
                self.describing = Some(describing);
                None
            }
        }
    }

    /// The job runs on, and nobody looks after it any more.
    fn out_of_sight(&mut self, name: &str) -> PollError {
        self.is_left = true;
        PollError::Permanent(self.unsigned.error(name, &self.plan.name))
    }

    fn take(&mut self, answer: DescribeTrainingJobOutput) -> JobState {
        let phase = state::phase(&answer);
        if self.last.as_ref().map(state::phase) != Some(phase.clone()) {
            self.talk.say(&format!("SageMaker: {phase}"));
        }
        let state = state::of(&answer);
        self.last = Some(answer);
        if state != JobState::Running {
            self.ended = Some(state.clone());
        }
        state
    }
}

impl Destination for SagemakerDestination {
    type Request = Request;

    async fn launch(&mut self, request: &Request) -> Result<(), Error> {
        let started = self.start(request).await;
        let leaves = self.plan.settings.on_cancel == OnCancel::Leave;
        match (started, &self.name) {
            (Err(error), Some(name)) if self.may_run && !leaves => {
                Err(self.given_up(name, error).await)
            }
            (started, _) => started,
        }
    }

    async fn poll(&mut self) -> Result<JobState, PollError> {
        if let Some(state) = &self.ended {
            return Ok(state.clone());
        }
        let Some(name) = self.name.clone() else {
            let error = Error::new(ExitCode::Internal, "the job was never launched");
            return Err(PollError::Permanent(error));
        };
        if self.is_left {
            return Ok(JobState::Stopped {
                reason: format!("mlaction left `{name}` before its end"),
            });
        }
        if self.unsigned.is_given_up() {
            return Err(self.out_of_sight(&name));
        }
        match self.described(&name).await {
            // Nothing new: whoever is out of sight stays so.
            None => match self.unseen.clone() {
                Some(reason) => Err(PollError::Transient(reason)),
                None => Ok(JobState::Running),
            },
            Some(Ok(answer)) => {
                self.unseen = None;
                if self.unsigned.is_over() {
                    self.talk.say("AWS takes the credentials again");
                }
                self.pace = Duration::from_secs(self.plan.poll_seconds);
                Ok(self.take(answer))
            }
            Some(Err(cause)) if is_without_credentials(&cause) => {
                let what = format!("ask about the job `{name}`");
                let action = "sagemaker:DescribeTrainingJob";
                let error = self.failed(&what, action, &name, &cause);
                match self.unsigned.is_put_up_with(error) {
                    true => Ok(JobState::Running),
                    false => Err(self.out_of_sight(&name)),
                }
            }
            Some(Err(cause)) => {
                let usual = Duration::from_secs(self.plan.poll_seconds);
                self.pace = (self.pace * 2).min(usual * WIDEST);
                let what = format!("ask about the job `{name}`");
                let action = "sagemaker:DescribeTrainingJob";
                let error = self.failed(&what, action, &name, &cause);
                Err(match problem::is_lasting(&cause) {
                    true => PollError::Permanent(error),
                    false => {
                        self.unseen = Some(error.to_string());
                        PollError::Transient(error.to_string())
                    }
                })
            }
        }
    }

    async fn logs(&mut self) -> Result<Vec<u8>, PollError> {
        if self.is_left {
            return Ok(Vec::new());
        }
        let failed = match self.ended {
            None => self.read_on().await.err(),
            Some(_) => {
                self.read_out().await;
                None
            }
        };
        let bytes = self.log.more()?;
        match failed {
            Some(reason) if bytes.is_empty() => Err(PollError::Transient(reason)),
            _ => Ok(bytes),
        }
    }

    async fn stop(&mut self, how: Stop) -> Result<(), Error> {
        if self.ended.is_some() || self.is_left {
            return Ok(());
        }
        if self.plan.settings.on_cancel == OnCancel::Leave {
            self.is_left = true;
            return Ok(());
        }
        if let Some(name) = self.name.clone().filter(|_| !self.is_stopping) {
            let told = match self.creating.take() {
                // What is asked for in this moment may be there after it.
                Some(creating) => self.take_back(&name, creating).await,
                None => stop::tell(&self.sdk, &self.plan.settings, &name)
                    .await
                    .map(drop),
            };
            self.unsigned.stopped(how, &told);
            if self.unsigned.is_given_up() {
                // The next look at the job says what becomes of it.
                return Ok(());
            }
            told?;
            self.is_stopping = true;
        }
        // It ends by itself now, and there is no way to hurry it.
        self.is_left |= how == Stop::Now;
        Ok(())
    }

    async fn fetch(&mut self) -> Result<Artifacts, Error> {
        match (self.is_left, &self.last) {
            (false, Some(answer)) => {
                let brought = self.bring(answer).await.map_err(|error| match self.ended {
                    Some(JobState::Succeeded) => still_there(error),
                    _ => error,
                });
                let mut artifacts = brought?;
                artifacts.warnings.append(&mut self.warnings);
                Ok(artifacts)
            }
            _ => Ok(Artifacts::default()),
        }
    }

    fn account(&self) -> Vec<JobInfo> {
        let described = self.last.iter();
        described
            .map(|answer| account::of(&self.plan, &self.role, answer))
            .collect()
    }
}

/// The job has done its work, whatever becomes of the way here.
fn still_there(error: Error) -> Error {
    error.also(
        "the job has ended well: the same command fetches what it left, and trains nothing again",
    )
}
