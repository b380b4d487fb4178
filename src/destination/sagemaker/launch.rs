//! A job's way into SageMaker. `CreateTrainingJob` has no token that would make it safe to
//! repeat; the job's name is that token. What exists by that name is held against what is wanted,
//! and followed when it is the same.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::SdkBody;
use aws_sdk_sagemaker::error::SdkError;
use aws_sdk_sagemaker::operation::create_training_job::CreateTrainingJobError;
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::types::{Tag, TrainingJobStatus as Status};
use serde_json::{Value, json};

use super::creating::Creating;
use super::job::{SagemakerDestination, Way};
use super::logs::LogReader;
use super::names::{self, DETACHED, TAG_PREFIX};
use super::request::Request;
use super::{problem, request};
use crate::error::{Error, ExitCode, Result};
use crate::report::text;

/// How often the next attempt's name is tried.
const MOST_ATTEMPTS: u32 = 100;

/// Before a question is asked again that decides whether there is a job.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// What became of a name that exists.
enum Found {
    /// The job that is wanted.
    Same(Box<DescribeTrainingJobOutput>),
    /// An earlier attempt that is of no use, and why.
    Earlier(&'static str),
    /// Nothing, when it was looked at.
    Nothing,
}

impl SagemakerDestination {
    /// Launches the job, or finds it.
    pub(super) async fn start(&mut self, request: &Request) -> Result<()> {
        let (image, model) = match self.way.clone() {
            Way::Launch { image, model } => (image, model),
            Way::Follow { job, hosts } => return self.follow(&job, hosts),
        };
        let mut body = request.body(&image);
        if let Some(model) = &model {
            request::set_model(&mut body, model);
        }
        self.supersede(&body).await;
        let mut kinds = request.alternatives.iter();
        for _ in 0..MOST_ATTEMPTS {
            let name = request::name_of(&body).to_owned();
            self.name = Some(name.clone());
            let cause = match self.create(&body).await? {
                Ok(()) => {
                    self.talk.say(&format!("job {name} is launched"));
                    return self.follow(&name, request::instances_of(&body));
                }
                Err(cause) => cause,
            };
            if problem::is_code(&cause, "ResourceLimitExceeded") {
                let Some(kind) = kinds.next() else {
                    return Err(self.refused(&name, &cause));
                };
                self.talk.say(&format!(
                    "{}; {kind} is tried",
                    text::line(&problem::message(&cause), 300)
                ));
                body["ResourceConfig"]["InstanceType"] = json!(kind);
                continue;
            }
            // Whoever gets no answer does not know what became of the job.
            let is_unknown = cause.as_service_error().is_none() || problem::is_aws_own(&cause);
            if !is_unknown && !problem::is_code(&cause, "ResourceInUse") {
                return Err(self.refused(&name, &cause));
            }
            self.may_run |= is_unknown;
            match self.existing(&name, &body, request.takes_finished).await? {
                Found::Same(answer) => {
                    let status = answer.training_job_status().map_or("", Status::as_str);
                    self.talk.say(&format!(
                        "job {name} is there already ({status}): it is taken"
                    ));
                    return self.follow(&name, request::instances_of(&body));
                }
                Found::Earlier(why) => {
                    self.talk.detail(&format!("job {name} {why}"));
                    let next = names::next_attempt(&name);
                    body["TrainingJobName"] = json!(next);
                }
                Found::Nothing if is_unknown => return Err(self.unanswered(&name, &cause)),
                // It was deleted in this moment: its name is free again.
                Found::Nothing => {}
            }
        }
        let message = format!("there were {MOST_ATTEMPTS} attempts at this job");
        Err(Error::new(ExitCode::JobFailed, message).hint(
            "find out why they failed: `aws sagemaker list-training-jobs --name-contains PROJECT`",
        ))
    }

    /// Follows a job that was launched before; of its log, only the last lines and what comes after
    /// them, if so many are wanted.
    ///
    /// # Errors
    /// It is a job to be launched; its log cannot be read or written.
    pub async fn attach(&mut self, tail: Option<usize>) -> Result<()> {
        let Way::Follow { job, hosts } = self.way.clone() else {
            return Err(Error::new(
                ExitCode::Internal,
                "the job is not launched yet",
            ));
        };
        self.follow(&job, hosts)?;
        if let (Some(reader), Some(lines)) = (&mut self.reader, tail) {
            let read = reader.tail(lines).await;
            read.map_err(|reason| {
                Error::new(
                    ExitCode::JobFailed,
                    format!("cannot read the log of `{job}`"),
                )
                .because(reason)
            })?;
        }
        Ok(())
    }

    fn follow(&mut self, name: &str, hosts: usize) -> Result<()> {
        self.name = Some(name.to_owned());
        let out = self.log.appended()?;
        self.reader = Some(LogReader::new(&self.config, name, hosts, out));
        Ok(())
    }

    /// Sends the request as the plan has it; the SDK signs it, and reads the answer.
    async fn create(
        &mut self,
        body: &Value,
    ) -> Result<Result<(), SdkError<CreateTrainingJobError>>> {
        let bytes = Arc::new(body.to_string());
        let (creating, answered) = Creating::new();
        let call = self.sdk.create_training_job().customize();
        let call = call.interceptor(creating.guard());
        let call = call.mutate_request(move |request| {
            let length = bytes.len().to_string();
            request.headers_mut().insert("content-length", length);
            *request.body_mut() = SdkBody::from(bytes.as_str());
        });
        self.creating = Some(creating);
        let sending = tokio::spawn(async move {
            let answer = call.send().await;
            answered.send_replace(true);
            answer
        });
        let answer = sending.await.map_err(|error| {
            Error::new(ExitCode::Internal, "cannot launch the job").because(error)
        })?;
        let creating = self.creating.take();
        self.may_run = creating.is_some_and(|creating| creating.was_repeated());
        Ok(answer.map(drop))
    }

    /// The job that has the name, held against the one that is wanted.
    async fn existing(&mut self, name: &str, body: &Value, takes_finished: bool) -> Result<Found> {
        let Some(answer) = self.asked_for(name).await? else {
            return Ok(Found::Nothing);
        };
        let arn = answer.training_job_arn().unwrap_or_default();
        let tags = self.sdk.list_tags().resource_arn(arn);
        let tags = tags.into_paginator().items().send().try_collect().await;
        let tags = tags.map_err(|cause| {
            let what = format!("read the tags of the job `{name}`");
            self.failed(&what, "sagemaker:ListTags", name, &cause)
        })?;
        // From here on it is known what it is.
        self.may_run = false;
        for key in ["content", "role"].map(|key| format!("{TAG_PREFIX}{key}")) {
            let found = tags.iter().find(|tag| tag.key() == Some(&key));
            let found = found.and_then(|tag| tag.value()).unwrap_or_default();
            let wanted = request::tag_of(body, &key);
            if found != wanted {
                return Err(another(name, &key, found, wanted));
            }
        }
        let detached = format!("{TAG_PREFIX}{DETACHED}");
        let is_wanted = !request::tag_of(body, &detached).is_empty();
        let has_tag = tags.iter().any(|tag| tag.key() == Some(&detached));
        Ok(match answer.training_job_status() {
            Some(Status::Failed) => Found::Earlier("has failed"),
            Some(Status::Stopped | Status::Stopping) => Found::Earlier("was stopped"),
            Some(Status::Deleting) => Found::Earlier("is being deleted"),
            Some(Status::Completed) if !takes_finished => Found::Earlier("is not to be taken"),
            _ if !self.has_same_inputs(&answer, body) => {
                Found::Earlier("has another image or another model")
            }
            _ => {
                if is_wanted && !has_tag {
                    self.tag(name, arn, &detached).await?;
                }
                Found::Same(Box::new(answer))
            }
        })
    }

    /// Adds a tag to a job that is there.
    async fn tag(&self, name: &str, arn: &str, key: &str) -> Result<()> {
        let tag = Tag::builder().key(key).value("true").build();
        let call = self.sdk.add_tags().resource_arn(arn).tags(tag);
        let added = call.send().await.map(drop);
        added.map_err(|cause| {
            let what = format!("tag the job `{name}`");
            self.failed(&what, "sagemaker:AddTags", name, &cause)
        })
    }

    /// What there is by a name. The SDK repeats no question whose answer came damaged.
    async fn asked_for(&self, name: &str) -> Result<Option<DescribeTrainingJobOutput>> {
        let mut pauses = PAUSES.iter();
        loop {
            let call = self.sdk.describe_training_job().training_job_name(name);
            let cause = match call.send().await {
                Ok(answer) => return Ok(Some(answer)),
                Err(cause) if problem::is_absent(&cause) => return Ok(None),
                Err(cause) => cause,
            };
            match pauses.next() {
                Some(pause) if !problem::is_lasting(&cause) => tokio::time::sleep(*pause).await,
                _ => {
                    let what = format!("ask about the job `{name}`");
                    let action = "sagemaker:DescribeTrainingJob";
                    let error = self.failed(&what, action, name, &cause);
                    let region = self.region();
                    return Err(error.hint(format!(
                        "the job may run: `aws sagemaker describe-training-job --region {region} --training-job-name {name}`; the same command takes it up"
                    )));
                }
            }
        }
    }

    /// Image and model are made by steps before, perhaps anew.
    fn has_same_inputs(&self, answer: &DescribeTrainingJobOutput, body: &Value) -> bool {
        let image = answer
            .algorithm_specification()
            .and_then(|spec| spec.training_image());
        let channels = answer.input_data_config().iter();
        let mut models = channels.filter(|channel| channel.channel_name() == Some(request::MODEL));
        let model = models.find_map(|channel| channel.data_source()?.s3_data_source()?.s3_uri());
        let wanted = request::model_in(body);
        image == body["AlgorithmSpecification"]["TrainingImage"].as_str()
            && (wanted.is_none() || model == wanted)
    }

    /// Nobody said that the job is launched, and it is not there: it may come yet.
    fn unanswered(&self, name: &str, cause: &SdkError<CreateTrainingJobError>) -> Error {
        self.refused(name, cause)
            .also("no job is there now: run again, which takes it up if it comes")
    }

    fn refused(&self, name: &str, cause: &SdkError<CreateTrainingJobError>) -> Error {
        let what = format!("launch the job `{name}`");
        let action = "sagemaker:CreateTrainingJob";
        if problem::is_code(cause, "ResourceLimitExceeded") {
            let message = format!("cannot {what}: a quota is exhausted");
            return Error::new(ExitCode::NoCapacity, message)
                .passing()
                .because(text::line(&problem::message(cause), 500))
                .hint("wait for other jobs, take another `instance_type`, or ask for more in Service Quotas");
        }
        self.failed(&what, action, name, cause)
    }
}

fn another(name: &str, key: &str, found: &str, wanted: &str) -> Error {
    let message = format!("there is another job called `{name}`");
    let cause = match found {
        "" => format!("it has no tag `{key}`: mlaction did not make it"),
        found => format!(
            "its tag `{key}` is `{}`, not `{wanted}`",
            text::line(found, 80)
        ),
    };
    Error::new(ExitCode::Config, message)
        .because(cause)
        .hint("give the project another name in `[project]`, or delete that job")
}
