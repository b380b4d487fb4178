//! What the plan reads: data, code, baseline, and what the destination needs of this machine.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use walkdir::WalkDir;

use super::{Code, Source, identity, imports};
use crate::config::problem::one_of;
use crate::config::raw::{Channel, Destination, RawConfig};
use crate::context::Context;
use crate::data::fingerprint::{Content, DataError, Fingerprint, fingerprint};
use crate::data::known::Known;
use crate::destination::docker::plan::DockerPlan;
use crate::destination::place::DestinationPlan;
use crate::destination::process;
use crate::destination::process::plan::ProcessPlan;
use crate::destination::sagemaker::Asked;
use crate::destination::sagemaker::location::{Location, is_s3};
use crate::destination::sagemaker::names::Origin;
use crate::destination::sagemaker::plan::SagemakerPlan;
use crate::error::{Error, ExitCode, Result};
use crate::github::runner::is_runner;
use crate::metrics::baseline::Baseline;
use crate::report::DataSource;

/// The place where jobs run: the one that was asked for, or the config's.
///
/// # Errors
/// There is no such destination, or what it needs is not on this machine.
pub fn destination(
    root: &Path,
    raw: &RawConfig,
    asked: Option<&str>,
    hyperparameters: &IndexMap<String, String>,
    context: &Context,
) -> Result<DestinationPlan> {
    let name = asked.unwrap_or(&raw.project.destination);
    let default = Destination::without_table(name);
    let Some(settings) = raw.destinations.get(name).or(default.as_ref()) else {
        let known = raw.destinations.keys().map(String::as_str);
        let known = known.chain(Destination::WITHOUT_TABLE);
        let hint = match Destination::needed_table(name) {
            Some(table) => table.to_owned(),
            None => format!("mlaction.toml has {}", one_of(known)),
        };
        let error = Error::new(ExitCode::Usage, format!("there is no destination `{name}`"));
        return Err(error.hint(hint));
    };
    if !matches!(settings, Destination::Sagemaker(_)) {
        stays_here(name, raw)?;
    }
    match settings {
        Destination::Process {
            python,
            grace,
            pass_environment,
        } => {
            let settings = process::plan::Settings {
                name,
                python,
                grace,
                pass_environment,
                requirements: raw.training.requirements.as_deref(),
            };
            ProcessPlan::new(root, &settings, context).map(DestinationPlan::Process)
        }
        Destination::Docker(settings) => {
            DockerPlan::new(name, settings, &context.owner(root)).map(DestinationPlan::Docker)
        }
        Destination::Sagemaker(settings) => {
            let asked = Asked {
                name,
                settings,
                raw,
                hyperparameters,
            };
            SagemakerPlan::new(&asked, &context.owner(root))
                .map(|plan| DestinationPlan::Sagemaker(Box::new(plan)))
        }
    }
}

/// Jobs on this machine read what lies on it.
fn stays_here(name: &str, raw: &RawConfig) -> Result<()> {
    for channel in raw.used_channels() {
        if let Some(data) = raw.data.get(&channel)
            && is_s3(&data.path)
        {
            let path = &data.path;
            let message = format!(
                "the data of `{channel}` lies in S3 (`{path}`), which the destination `{name}` does not read"
            );
            return Err(Error::new(ExitCode::Data, message)
                .hint("get it into a folder and name that as `path`, or train on SageMaker"));
        }
    }
    Ok(())
}

/// Reads the baseline, when there is one.
///
/// # Errors
/// The file is there and cannot be used, or it was asked for and is not there.
pub fn load_baseline(path: &Path, is_asked_for: bool) -> Result<Option<Baseline>> {
    if is_asked_for && !path.exists() {
        let missing = format!("there is no baseline `{}`", path.display());
        return Err(
            Error::new(ExitCode::Config, missing).hint("leave `--baseline` out to run without one")
        );
    }
    Baseline::load(path).map_err(|error| {
        Error::new(ExitCode::Config, error.to_string())
            .hint("restore it from Git, or set it again with `mlaction baseline set`")
    })
}

/// Where a destination keeps the baseline, and whether a run of what is checked out sets it: one
/// of a clean commit of the branch that it is kept for, and of no pull request.
pub(super) fn kept_baseline(
    root: &Path,
    project: &str,
    destination: &DestinationPlan,
    context: &Context,
) -> Option<(Location, bool)> {
    let DestinationPlan::Sagemaker(plan) = destination else {
        return None;
    };
    let branch = plan.settings.baseline_branch.as_ref()?;
    let origin = Origin::read(root, context);
    let is_clean = context.git.as_ref().is_some_and(|git| !git.dirty);
    let sets = is_clean
        && origin.pull_request.is_none()
        && origin.branch.as_ref() == Some(branch)
        && is_of_event(context);
    Some((plan.baseline(project), sets))
}

/// Whether a workflow has checked out what its event names. Events like `pull_request_target` and
/// `issue_comment` are of the default branch, whoever's code is checked out then.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>
fn is_of_event(context: &Context) -> bool {
    let set = |name: &str| {
        let value = context.env.get(name);
        value.filter(|value| !value.is_empty())
    };
    let commit = context.git.as_ref().map(|git| &git.commit);
    let event = set("GITHUB_SHA");
    set("GITHUB_HEAD_REF").is_none() && event.is_none_or(|event| commit == Some(event))
}

/// Where a channel's data lies now. A folder is found behind every link, so that a link that is
/// pointed elsewhere during a run changes nothing for it; a file keeps its name.
pub(super) fn place_of(root: &Path, path: &str) -> PathBuf {
    let path = root.join(path);
    let found = match (path.is_dir(), path.parent(), path.file_name()) {
        (false, Some(folder), Some(name)) => folder.canonicalize().map(|folder| folder.join(name)),
        _ => path.canonicalize(),
    };
    found.unwrap_or(path)
}

/// In a job of GitHub Actions, files and folders that are read must lie in the workspace, also behind
/// links: beside it lie the tokens of other steps and other people's projects.
///
/// # Errors
/// Something leads out of it.
pub(super) fn stay_in_workspace<'a>(
    root: &Path,
    paths: impl Iterator<Item = &'a str>,
    context: &Context,
) -> Result<()> {
    let workspace = context.env.get("GITHUB_WORKSPACE");
    let workspace = workspace.filter(|path| is_runner(&context.env) && !path.is_empty());
    let Some(workspace) = workspace.and_then(|path| Path::new(path).canonicalize().ok()) else {
        return Ok(());
    };
    for path in paths.filter(|path| !is_s3(path)) {
        let place = root.join(path);
        let inner = WalkDir::new(&place).follow_links(true).into_iter();
        // What cannot be read is told of by those who read it.
        let links = inner.filter_map(std::result::Result::ok);
        let links = links.filter(walkdir::DirEntry::path_is_symlink);
        let all = links.map(walkdir::DirEntry::into_path);
        for place in std::iter::once(place.clone()).chain(all) {
            let real = place.canonicalize().unwrap_or_else(|_| place.clone());
            if !real.starts_with(&workspace) {
                let message = format!("`{}` leads out of the workspace", place.display());
                return Err(Error::new(ExitCode::Config, message)
                    .because(format!("it is `{}`", real.display()))
                    .hint(
                        "in a workflow, what is trained on lies in the checkout: copy it there",
                    ));
            }
        }
    }
    Ok(())
}

/// What to say about data that is not there.
#[must_use]
pub fn missing_data(root: &Path, path: &str) -> Option<Error> {
    if is_s3(path) || root.join(path).exists() {
        return None;
    }
    let error = Error::new(ExitCode::Data, format!("there is no data at `{path}`"));
    let pointer = format!("{}.dvc", path.trim_end_matches('/'));
    Some(match root.join(&pointer).is_file() {
        true => error.hint(format!("DVC tracks it: `dvc pull {pointer}`")),
        false => error.hint("`path` in [data] is relative to mlaction.toml"),
    })
}

/// Wraps an error of reading data or code.
pub(crate) fn data_error(error: &DataError) -> Error {
    Error::new(ExitCode::Data, error.to_string())
}

pub(super) fn read_code(root: &Path, sources: Vec<String>, known: &Known) -> Result<Code> {
    let sources = sources
        .into_iter()
        .map(|path| {
            let Fingerprint {
                hash, files, bytes, ..
            } = fingerprint(&root.join(&path), Content::Code, known)
                .map_err(|error| data_error(&error))?;
            Ok(Source {
                path,
                fingerprint: hash,
                files,
                bytes,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let fingerprint = identity::combined(
        sources
            .iter()
            .map(|source| (source.path.as_str(), source.fingerprint.as_str())),
    );
    Ok(Code {
        sources,
        fingerprint,
    })
}

/// Hash over a program, its variables, and the project's modules that it imports.
pub(super) fn program_hash(
    root: &Path,
    program: &str,
    environment: &IndexMap<String, String>,
    code: &Code,
) -> Result<String> {
    let sources: Vec<String> = code
        .sources
        .iter()
        .map(|source| source.path.clone())
        .collect();
    let modules = imports::modules(root, program, &sources)
        .into_iter()
        .map(|module| {
            let name = module.display().to_string();
            let text = std::fs::read(root.join(&module)).map_err(|cause| {
                Error::new(ExitCode::Data, format!("cannot read `{name}`")).because(cause)
            })?;
            Ok((name, blake3::hash(&text).to_hex().to_string()))
        })
        .collect::<Result<Vec<_>>>()?;
    let modules = modules.iter().map(|(name, hash)| (&**name, &**hash));
    let variables = environment.iter().map(|(name, value)| (&**name, &**value));
    Ok(identity::combined(modules.chain(variables)))
}

pub(super) fn read_data<'a>(
    root: &Path,
    data: &IndexMap<String, Channel>,
    channels: impl Iterator<Item = &'a String>,
    known: &Known,
) -> Result<Vec<DataSource>> {
    let mut sources: Vec<DataSource> = Vec::new();
    for channel in channels {
        let Some(settings) = data.get(channel) else {
            continue;
        };
        if sources.iter().any(|source| source.channel == *channel) {
            continue;
        }
        if let Some(error) = missing_data(root, &settings.path) {
            return Err(error);
        }
        if is_s3(&settings.path) {
            sources.push(DataSource {
                channel: channel.clone(),
                path: settings.path.clone(),
                fingerprint: settings.path.clone(),
                files: 0,
                bytes: 0,
            });
            continue;
        }
        let Fingerprint {
            hash, files, bytes, ..
        } = fingerprint(&root.join(&settings.path), Content::Data, known)
            .map_err(|error| data_error(&error))?;
        sources.push(DataSource {
            channel: channel.clone(),
            path: settings.path.clone(),
            fingerprint: hash,
            files,
            bytes,
        });
    }
    Ok(sources)
}
