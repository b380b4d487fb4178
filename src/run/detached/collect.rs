//! The rest of a detached run, when its job has ended: results, validation, gates, report.

use std::collections::HashSet;
use std::path::{Component, Path};

use aws_config::SdkConfig;
use serde_json::Value;

use super::Launched;
use super::moved::moved;
use super::store::{self, Store};
use crate::aws::settings::AwsPlan;
use crate::context::Context;
use crate::data::fingerprint::{Content, fingerprint};
use crate::data::known::Known;
use crate::destination::place::{DestinationPlan, Request};
use crate::destination::sagemaker::jobs::ListedJob;
use crate::destination::sagemaker::plan::SagemakerPlan;
use crate::destination::watch::Interrupts;
use crate::error::{Error, ExitCode, Result};
use crate::plan::inputs::data_error;
use crate::plan::{Plan, TRAIN, identity};
use crate::record::{self, Phase, Record};
use crate::run::baseline;
use crate::run::measured::{Failure, Measured};
use crate::run::{Reported, Start, execute, report};
use crate::talk::Talk;

/// Where detached runs are collected.
#[derive(Debug)]
pub struct Collector<'a> {
    /// The destination.
    pub plan: &'a SagemakerPlan,
    /// Who collects: whoever launched a job may have signed in otherwise.
    pub aws: &'a AwsPlan,
    /// How AWS is asked.
    pub config: &'a SdkConfig,
    /// The project's folder.
    pub root: &'a Path,
    /// The project's name.
    pub project: &'a str,
    /// The surroundings.
    pub context: &'a Context,
    /// Says what is done.
    pub talk: &'a Talk,
    /// Who collects, for others.
    pub by: String,
}

/// What became of a job.
#[derive(Debug)]
pub enum Collected {
    /// It is reported, by this call.
    Reported(Box<Reported>),
    /// Another one has it.
    Elsewhere(String),
}

impl Collector<'_> {
    /// Of jobs, those that trained, have ended, and are not reported yet: the oldest first.
    ///
    /// # Errors
    /// AWS refuses, or does not answer.
    pub async fn waiting(&self, jobs: Vec<ListedJob>) -> Result<Vec<ListedJob>> {
        let reports: HashSet<String> = store::reports(self.plan, self.config).await?;
        let is_waiting = |job: &ListedJob| {
            let is_training = job.tag("role") == Some(TRAIN);
            is_training
                && !job.is_running()
                && !reports.contains(&self.store(job).report_key(&job.name))
        };
        let mut jobs: Vec<ListedJob> = jobs.into_iter().filter(is_waiting).collect();
        jobs.reverse();
        Ok(jobs)
    }

    /// Does the rest for one job, unless another one does.
    ///
    /// # Errors
    /// What the run left is not there or cannot be used; whatever stops a run.
    pub async fn collect(&self, job: &ListedJob, interrupts: &mut Interrupts) -> Result<Collected> {
        let store = self.store(job);
        let mut held = match store.claim(&job.name, &self.by).await? {
            Ok(held) => held,
            Err(by) => return Ok(Collected::Elsewhere(by)),
        };
        let done = tokio::select! {
            done = self.rest(&store, job, interrupts) => done,
            lost = held.keep() => Err(lost.err().unwrap_or_else(|| {
                Error::new(ExitCode::Internal, "the claim on the job ended")
            })),
        };
        let reported = match done {
            Ok(reported) => reported,
            Err(error) => {
                // NOTE: what cannot be given back is free again after a while.
                let _ = held.give_back().await;
                return Err(error);
            }
        };
        // What stops whoever collects, or passes, is not the job's last word.
        if let Some(failure) = passing(&reported)? {
            // NOTE: as above.
            let _ = held.give_back().await;
            let code = crate::run::exit_code(&record::load_plan(&reported.folder)?, failure.status);
            let message = "the job can be collected again";
            return Err(Error::new(code, message).because(failure.reason));
        }
        Ok(match store.deliver(&job.name, &reported.report).await? {
            true => Collected::Reported(Box::new(reported)),
            false => Collected::Elsewhere("another mlaction".to_owned()),
        })
    }

    fn store(&self, job: &ListedJob) -> Store {
        let content = job.tag("content").unwrap_or_default();
        Store::new(self.plan, self.config, self.project, content)
    }

    async fn rest(
        &self,
        store: &Store,
        job: &ListedJob,
        interrupts: &mut Interrupts,
    ) -> Result<Reported> {
        let mut launched = store.launched().await?;
        let content = job.tag("content");
        if content != Some(&launched.plan.content_hash) || launched.plan.project != self.project {
            let message = format!("the run that is kept for `{}` is another one", job.name);
            return Err(Error::new(ExitCode::Data, message));
        }
        launched.job = (job.name.clone(), job.hosts());
        let (mut plan, is_here) = self.run(&launched, job)?;
        plan.aws = Some(self.aws.clone());
        baseline::read(&mut plan, self.config).await?;
        self.has_data(&plan)?;
        let record = self.record(&plan, is_here)?;
        let start = Start::Launched(&launched);
        let folder = execute(
            &plan,
            &start,
            record,
            interrupts,
            self.context,
            &self.talk.aside(),
        )
        .await?;
        let reported = report(&plan, folder)?;
        baseline::set(&plan, &reported.report, self.config, self.talk).await?;
        Ok(reported)
    }

    /// The run to go on with: that of this machine, if it was launched here; and whether it was.
    fn run(&self, launched: &Launched, job: &ListedJob) -> Result<(Plan, bool)> {
        let states = record::states(self.root);
        let is_this =
            |phase: &Phase| matches!(phase, Phase::Detached { job: of } if *of == job.name);
        if let Some(state) = states.iter().find(|state| is_this(&state.phase)) {
            let folder = record::runs_dir(self.root).join(&state.run);
            return Ok((record::load_plan(&folder)?, true));
        }
        let Plan {
            project,
            content_hash,
            ..
        } = &launched.plan;
        let (attempt, run) = identity::free_name(self.root, project, content_hash, 0);
        let mut plan = moved(&launched.plan, self.root, &run)?;
        plan.attempt = attempt;
        self.trust(&mut plan)?;
        Ok((plan, false))
    }

    fn record(&self, plan: &Plan, is_here: bool) -> Result<Record> {
        if !is_here {
            return Record::create(plan);
        }
        let mut record = Record::open(record::runs_dir(self.root).join(&plan.run))?;
        record.enter(Phase::Running)?;
        Ok(record)
    }

    /// Whoever may write to the bucket may have written the plan: it runs here with the limits of
    /// here, and reads nothing but the project.
    fn trust(&self, plan: &mut Plan) -> Result<()> {
        let refused = |cause: String| {
            let message = format!("the plan of run {} cannot be used here", plan.run);
            Err(Error::new(ExitCode::Data, message).because(cause))
        };
        let jobs = [Some(&plan.training), plan.validation.as_ref()];
        let inputs = jobs
            .into_iter()
            .flatten()
            .flat_map(|job| job.request.inputs());
        for (channel, path) in inputs {
            let leads_out = path.components().any(|part| part == Component::ParentDir);
            if !path.starts_with(self.root) || leads_out {
                let path = path.display();
                return refused(format!("`{channel}` lies outside of the project: `{path}`"));
            }
        }
        let on_sagemaker = plan.validation.as_ref().map(|job| &job.request);
        if let Some(Request::Sagemaker(request)) = on_sagemaker
            && !self.is_ours(&request.create_training_job)
        {
            return refused("its validation asks for another role or other instances".to_owned());
        }
        let own = self.plan.baseline(&plan.project);
        if let Some(place) = plan
            .baseline
            .location
            .as_ref()
            .filter(|place| **place != own)
        {
            return refused(format!("its baseline lies elsewhere: {place}"));
        }
        match &mut plan.destination {
            DestinationPlan::Sagemaker(destination)
                if destination.root == self.plan.root
                    && destination.settings.role == self.plan.settings.role
                    && destination.settings.region == self.plan.settings.region =>
            {
                if destination.here.is_some() {
                    destination.here.clone_from(&self.plan.here);
                }
                Ok(())
            }
            other => {
                let name = other.name().to_owned();
                refused(format!("its destination `{name}` is another one"))
            }
        }
    }

    /// Whether a request for validation keeps to what the config of here allows.
    fn is_ours(&self, body: &Value) -> bool {
        let settings = &self.plan.settings;
        let resources = &body["ResourceConfig"];
        let kinds = match resources["InstancePreferences"].as_array() {
            Some(choices) => choices.iter().collect(),
            None => vec![resources],
        };
        let types = settings.types();
        body["RoleArn"] == *settings.role
            && resources["InstanceGroups"].is_null()
            && kinds.iter().all(|kind| {
                let name = kind["InstanceType"].as_str().unwrap_or_default();
                kind["InstanceCount"] == 1 && types.contains(&name)
            })
    }

    /// What is validated on here must be what the run was planned with.
    fn has_data(&self, plan: &Plan) -> Result<()> {
        let known = Known::load(&self.context.cache, self.root, self.context.now.as_second());
        let Some(job) = &plan.validation else {
            return Ok(());
        };
        if matches!(job.request, Request::Sagemaker(_)) {
            return Ok(());
        }
        for (channel, path) in job.request.inputs() {
            let Some(source) = plan.data.iter().find(|source| source.channel == *channel) else {
                continue;
            };
            let found = match path.exists() {
                true => Some(
                    fingerprint(path, Content::Data, &known)
                        .map_err(|error| data_error(&error))?
                        .hash,
                ),
                false => None,
            };
            if found.as_ref() == Some(&source.fingerprint) {
                continue;
            }
            let cause = match found {
                Some(_) => "what lies there is other data",
                None => "nothing lies there",
            };
            let commit = plan.commit.as_deref().unwrap_or("of the run");
            let message = format!("`{}` is not the data to validate on", path.display());
            return Err(Error::new(ExitCode::Data, message).because(cause).hint(format!(
                "get the data of commit {commit} (`git checkout`, `dvc pull`), or validate on SageMaker: `validate_on = \"job\"`"
            )));
        }
        Ok(())
    }
}

/// A failure that may not come the next time.
fn passing(reported: &Reported) -> Result<Option<Failure>> {
    let measured: Measured = record::read_json(&reported.folder, record::METRICS)?;
    Ok(measured.failure.filter(|failure| failure.is_passing))
}
