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

use super::launch::Creating;
use super::logs::LogReader;
use super::plan::SagemakerPlan;
use super::request::Request;
use super::settings::OnCancel;
use super::{account, problem, state, stop};
use crate::destination::job_log::JobLog;
use crate::destination::{Artifacts, Destination, JobState, Patience, PollError, Stop};
use crate::error::{Error, ExitCode, Result};
use crate::registry::ImageRef;
use crate::report::jobs::JobInfo;
use crate::talk::Talk;

/// An answer that takes longer is taken up the next time.
const ASKING: Duration = Duration::from_secs(1);

/// Longest time between two questions about a job while AWS is busy, in times of the usual one.
const WIDEST: u32 = 4;

/// SageMaker itself keeps to the limits of a job, which do not count the time that it waits for
/// instances. Nobody waits longer than this.
const LONGEST: Duration = Duration::from_secs(60 * 24 * 3600);

/// A job that is stopped uploads its results after its grace.
const UPLOADING: Duration = Duration::from_secs(600);

/// Without an answer for so long, a job is out of sight.
const LOST: Duration = Duration::from_secs(600);

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
    /// For the region of the jobs.
    pub config: &'a SdkConfig,
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
    pub(super) plan: SagemakerPlan,
    pub(super) way: Way,
    pub(super) run: PathBuf,
    pub(super) role: String,
    pub(super) talk: Talk,
    pub(super) log: JobLog,
    /// Its name, once it may be there.
    pub(in crate::destination) name: Option<String>,
    pub(super) creating: Option<Creating>,
    describing: Option<JoinHandle<Described>>,
    /// When it was asked about, and how long to wait until the next time.
    asked: Option<Instant>,
    pace: Duration,
    pub(super) reader: Option<LogReader<File>>,
    reading: Option<JoinHandle<Read>>,
    /// What SageMaker said last.
    pub(super) last: Option<DescribeTrainingJobOutput>,
    ended: Option<JobState>,
    /// Nobody looks after it any more.
    pub(super) is_left: bool,
}

impl SagemakerDestination {
    /// A place for one job; nobody is asked yet.
    #[must_use]
    pub fn new(settings: Settings<'_>) -> Self {
        let Settings {
            config,
            plan,
            way,
            run,
            role,
            talk,
        } = settings;
        Self {
            sdk: Sdk::new(config),
            config: config.clone(),
            plan: plan.clone(),
            way,
            run: run.to_path_buf(),
            role: role.to_owned(),
            talk,
            log: JobLog::of(run),
            name: None,
            creating: None,
            describing: None,
            asked: None,
            pace: Duration::from_secs(plan.poll_seconds),
            reader: None,
            reading: None,
            last: None,
            ended: None,
            is_left: false,
        }
    }

    /// How the job is watched: its state is asked for every `poll`, its log more often.
    #[must_use]
    pub fn patience(&self) -> Patience {
        let poll = Duration::from_secs(self.plan.poll_seconds);
        Patience {
            poll: (poll / 10, poll / 3),
            max_runtime: LONGEST,
            stop_within: Duration::from_secs(super::plan::GRACE_SECONDS) + UPLOADING,
            lost_after: LOST.max(poll * 3),
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

    /// Whether the log is read now.
    fn starts_to_read(&mut self, has_ended: bool) -> bool {
        if let Some(reader) = self.reader.take_if(|reader| reader.is_due()) {
            self.reading = Some(tokio::spawn(reader.read(has_ended)));
        }
        self.reading.is_some()
    }

    /// Waits for what is read of the log; at its end, until it is there.
    async fn read(&mut self, has_ended: bool) -> Result<(), String> {
        let Some(mut reading) = self.reading.take() else {
            return Ok(());
        };
        let patience = if has_ended { LOST } else { ASKING };
        match timeout(patience, &mut reading).await {
            Ok(Ok((reader, read))) => {
                self.reader = Some(reader);
                read
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                self.reading = Some(reading);
                match has_ended {
                    true => Err("Amazon CloudWatch Logs does not answer".to_owned()),
                    false => Ok(()),
                }
            }
        }
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
        self.start(request).await
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
        match self.described(&name).await {
            None => Ok(JobState::Running),
            Some(Ok(answer)) => {
                self.pace = Duration::from_secs(self.plan.poll_seconds);
                Ok(self.take(answer))
            }
            Some(Err(cause)) => {
                let usual = Duration::from_secs(self.plan.poll_seconds);
                self.pace = (self.pace * 2).min(usual * WIDEST);
                let what = format!("ask about the job `{name}`");
                let action = "sagemaker:DescribeTrainingJob";
                let error = self.failed(&what, action, &name, ExitCode::JobFailed, &cause);
                Err(match problem::is_lasting(&cause) {
                    true => PollError::Permanent(error),
                    false => PollError::Transient(error.to_string()),
                })
            }
        }
    }

    async fn logs(&mut self) -> Result<Vec<u8>, PollError> {
        if self.is_left {
            return Ok(Vec::new());
        }
        let has_ended = self.ended.is_some();
        let mut failed = None;
        while failed.is_none() && self.starts_to_read(has_ended) {
            failed = self.read(has_ended).await.err();
            if !has_ended {
                break;
            }
        }
        let bytes = self.log.more()?;
        match failed {
            Some(reason) if bytes.is_empty() => Err(PollError::Transient(reason)),
            _ => Ok(bytes),
        }
    }

    async fn stop(&mut self, how: Stop) -> Result<(), Error> {
        if self.ended.is_some() {
            return Ok(());
        }
        if self.plan.settings.on_cancel == OnCancel::Leave {
            self.is_left = true;
            return Ok(());
        }
        // What is asked for in this moment may be there after it.
        if let Some(creating) = self.creating.take() {
            creating.wait().await;
        }
        if let Some(name) = self.name.clone() {
            stop::tell(&self.sdk, &self.plan.settings, &name).await?;
        }
        // It ends by itself now, and there is no way to hurry it.
        self.is_left |= how == Stop::Now;
        Ok(())
    }

    async fn fetch(&mut self) -> Result<Artifacts, Error> {
        match (self.is_left, &self.last) {
            (false, Some(answer)) => self.bring(answer).await,
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
