//! The jobs of a project on SageMaker, whoever launched them: found by their tags.

mod info;
pub mod orphans;
mod which;

use aws_config::SdkConfig;
use aws_sdk_sagemaker::Client as Sdk;
use aws_sdk_sagemaker::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sagemaker::types::{
    Filter, Operator, ResourceType, SearchExpression, SearchSortOrder, TrainingJob,
};

use super::names::{DETACHED, TAG_PREFIX, is_job_name, tag_value};
use super::plan::SagemakerPlan;
use super::{problem, stop};
use crate::error::{Error, ExitCode, Result};

pub use info::ListedJob;
pub use which::Which;

/// Most jobs of one answer (service model, `Search`).
const PAGE: i32 = 100;

/// Among so many jobs, the newest ones, the job of a commit is looked for.
const MOST: usize = 2_000;

/// Which jobs of a project are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those that run, or are being stopped, only.
    pub running: bool,
    /// The training jobs of one pull request, by its number.
    pub pull_request: Option<String>,
    /// Those of one repository, as their tag says it.
    pub repository: Option<String>,
    /// Those whose results are collected later.
    pub detached: bool,
}

/// The jobs of one project.
#[derive(Debug)]
pub struct Jobs {
    sdk: Sdk,
    plan: SagemakerPlan,
    project: String,
}

impl Jobs {
    /// The jobs of a project at a destination; nobody is asked.
    #[must_use]
    pub fn new(config: &SdkConfig, plan: &SagemakerPlan, project: &str) -> Self {
        Self {
            sdk: super::client(config),
            plan: plan.clone(),
            project: tag_value(project),
        }
    }

    /// Jobs, the newest first, at most so many. What was launched in this moment may not be among
    /// them yet: AWS's index follows after.
    ///
    /// # Errors
    /// AWS refuses, or does not answer.
    pub async fn list(&self, wanted: &Wanted, most: usize) -> Result<Vec<ListedJob>> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let missing = most - found.len();
            let page = i32::try_from(missing).unwrap_or(PAGE).min(PAGE);
            let call = self.sdk.search().resource(ResourceType::TrainingJob);
            let answer = call
                .search_expression(self.expression(wanted))
                .sort_by("CreationTime")
                .sort_order(SearchSortOrder::Descending)
                .max_results(page)
                .set_next_token(token)
                .send()
                .await
                .map_err(|cause| self.failed("list the jobs", "sagemaker:Search", "*", &cause))?;
            let jobs = answer.results().iter();
            let jobs = jobs.filter_map(|record| record.training_job());
            found.extend(jobs.map(|job: &TrainingJob| ListedJob::of_record(job, &self.plan)));
            token = answer.next_token().map(str::to_owned);
            if token.is_none() || found.len() >= most {
                return Ok(found);
            }
        }
    }

    /// One job.
    ///
    /// # Errors
    /// There is none like that; AWS refuses, or does not answer.
    pub async fn find(&self, which: &Which) -> Result<ListedJob> {
        let found = match which {
            Which::Name(name) => return self.named(name).await,
            Which::Latest => self.list(&Wanted::default(), 1).await?.into_iter().next(),
            Which::Commit(commit) => {
                let jobs = self.list(&Wanted::default(), MOST).await?;
                let mut jobs: Vec<ListedJob> = jobs
                    .into_iter()
                    .filter(|job| job.tag("commit").is_some_and(|of| of.starts_with(commit)))
                    .collect();
                // Who names a commit means its training.
                jobs.sort_by_key(|job| job.tag("role") != Some("train"));
                jobs.into_iter().next()
            }
        };
        found.ok_or_else(|| {
            let message = match which {
                Which::Commit(commit) => format!("there is no job of commit {commit}"),
                _ => "there are no jobs of this project".to_owned(),
            };
            Error::new(ExitCode::Usage, message).hint("`mlaction jobs` lists them")
        })
    }

    /// The job of a name, as SageMaker itself has it, if it is one of this project.
    async fn named(&self, name: &str) -> Result<ListedJob> {
        if !is_job_name(name) {
            let message = format!("`{name}` is no name of a job, no commit and not `latest`");
            return Err(Error::new(ExitCode::Usage, message).hint("`mlaction jobs` lists them"));
        }
        let call = self.sdk.describe_training_job().training_job_name(name);
        let answer = call.send().await.map_err(|cause| {
            if problem::is_absent(&cause) {
                return Error::new(ExitCode::Usage, format!("there is no job `{name}`"))
                    .hint("`mlaction jobs` lists them");
            }
            let what = format!("ask about the job `{name}`");
            self.failed(&what, "sagemaker:DescribeTrainingJob", name, &cause)
        })?;
        let arn = answer.training_job_arn().unwrap_or_default();
        let tags = self.sdk.list_tags().resource_arn(arn);
        let tags = tags.into_paginator().items().send().try_collect().await;
        let tags = tags.map_err(|cause| {
            let what = format!("read the tags of the job `{name}`");
            self.failed(&what, "sagemaker:ListTags", name, &cause)
        })?;
        let job = ListedJob::of_answer(&answer, &tags, &self.plan);
        match job.tag("project") {
            Some(project) if project == self.project => Ok(job),
            project => {
                let of = match project {
                    Some(project) => format!("it belongs to the project `{project}`"),
                    None => format!("it has no tag `{TAG_PREFIX}project`"),
                };
                let message = format!("`{name}` is no job of this project");
                Err(Error::new(ExitCode::Usage, message).because(of))
            }
        }
    }

    /// Tells a job to stop; one that has ended stays as it is.
    ///
    /// # Errors
    /// AWS refuses, or does not answer.
    pub async fn stop(&self, name: &str) -> Result<()> {
        stop::tell(&self.sdk, &self.plan.settings, name)
            .await
            .map(drop)
    }

    fn expression(&self, wanted: &Wanted) -> SearchExpression {
        let Wanted {
            running,
            pull_request,
            repository,
            detached,
        } = wanted;
        let filter = |name: String, operator, value: &str| {
            let filter = Filter::builder().name(name).operator(operator);
            filter.value(value).build()
        };
        let tag = |key: &str, value: &str| {
            filter(format!("Tags.{TAG_PREFIX}{key}"), Operator::Equals, value)
        };
        let status = "TrainingJobStatus".to_owned();
        let filters = [
            Some(tag("project", &self.project)),
            running.then(|| filter(status, Operator::In, "InProgress,Stopping")),
            pull_request
                .as_ref()
                .map(|number| tag("pull-request", number)),
            repository
                .as_ref()
                .map(|name| tag("repository", &tag_value(name))),
            detached.then(|| tag(DETACHED, "true")),
        ];
        let filters = filters.into_iter().flatten().collect();
        SearchExpression::builder()
            .set_filters(Some(filters))
            .build()
    }

    fn failed<E>(&self, what: &str, action: &str, name: &str, cause: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let settings = &self.plan.settings;
        problem::of_job(settings, what, action, name, cause)
    }
}
