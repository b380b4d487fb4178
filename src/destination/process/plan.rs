//! What a process job gets: SageMaker's files and variables, decided before anything runs.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{interpreter, requirements};
use crate::context::Context;
use crate::destination::toolkit;
use crate::error::{Error, ExitCode, Result};
use crate::github::runner::is_runner;

/// Variables that a job inherits. Everything else, credentials above all, stays outside unless
/// `pass_environment` names it.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "TERM",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The same by prefix: locale, GPUs, threads of numeric libraries.
const INHERITED_PREFIXES: &[&str] = &[
    "LC_",
    "CUDA_",
    "NVIDIA_",
    "ROCR_",
    "HIP_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "NUMEXPR_",
    "VECLIB_",
];

/// Where and how processes run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessPlan {
    /// Name of the destination in mlaction.toml.
    pub name: String,
    /// The Python environment.
    pub environment: PythonEnvironment,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace_seconds: u64,
    /// Names of the variables that jobs inherit from mlaction.
    pub inherited: Vec<String>,
    /// Those of them that the config asks for.
    pub passed: Vec<String>,
}

/// What the config says of a process destination.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Its name.
    pub name: &'a str,
    /// The interpreter: a name on `PATH`, or a path.
    pub python: &'a str,
    /// Time between SIGTERM and SIGKILL.
    pub grace: &'a str,
    /// Variables that jobs inherit, besides the usual.
    pub pass_environment: &'a [String],
    /// The requirements file.
    pub requirements: Option<&'a str>,
}

/// A virtual environment made from the requirements, or the interpreter as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonEnvironment {
    /// The interpreter.
    pub python: String,
    /// Its minor version, `python3.12`; its path where that does not say it.
    pub language: String,
    /// The requirements file, when the config names one.
    pub requirements: Option<PathBuf>,
    /// Hash over the requirements and the files that they include.
    pub requirements_hash: Option<String>,
    /// The environment's folder, named by the requirements and the interpreter.
    pub folder: Option<PathBuf>,
    /// Whether it is already there.
    pub ready: bool,
}

/// The exact request for one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The job's name.
    pub name: String,
    /// What stands for `/opt/ml`.
    pub base: PathBuf,
    /// The command line.
    pub command: Vec<String>,
    /// Where it runs.
    pub working_directory: PathBuf,
    /// Files and folders that are copied there, relative to the project.
    pub code: Vec<String>,
    /// Content hash that the copy must have.
    pub code_fingerprint: String,
    /// Data channels: name → file or folder that is linked to `input/data/NAME`.
    pub inputs: IndexMap<String, PathBuf>,
    /// Files written before the start, relative to the base.
    pub files: IndexMap<String, Value>,
    /// Environment variables, besides the inherited ones.
    pub environment: IndexMap<String, String>,
}

/// What a request is made from.
#[derive(Debug)]
pub struct JobSettings<'a> {
    /// The job's name.
    pub name: &'a str,
    /// What stands for `/opt/ml`.
    pub base: PathBuf,
    /// The program, relative to the project.
    pub entry_point: &'a str,
    /// Files and folders of code, relative to the project.
    pub sources: &'a [String],
    /// Content hash over the code.
    pub code_fingerprint: &'a str,
    /// Data channels.
    pub inputs: IndexMap<String, PathBuf>,
    /// Hyperparameters as strings.
    pub hyperparameters: &'a IndexMap<String, String>,
    /// Environment variables that the config sets.
    pub environment: &'a IndexMap<String, String>,
    /// The machine.
    pub context: &'a Context,
    /// The project's folder.
    pub root: &'a Path,
}

impl ProcessPlan {
    /// Finds the interpreter and names the environment.
    ///
    /// # Errors
    /// No interpreter on `PATH`, or unreadable requirements.
    pub fn new(root: &Path, settings: &Settings<'_>, context: &Context) -> Result<Self> {
        let Settings {
            name,
            python,
            grace,
            pass_environment,
            requirements,
        } = *settings;
        let python = context.find_program(root, python).ok_or_else(|| {
            let hint = match is_runner(&context.env) {
                true => "the Action's image has no Python: name another destination (`destination: docker`), or run the plain binary where there is Python 3.10 or newer".to_owned(),
                false => format!(
                    "install Python 3.10 or newer, or set `python` in [destinations.{name}]"
                ),
            };
            Error::new(ExitCode::Build, format!("there is no `{python}` on PATH")).hint(hint)
        })?;
        let grace = crate::config::duration::parse(grace)
            .map_err(|reason| Error::new(ExitCode::Config, reason))?;
        Ok(Self {
            name: name.to_owned(),
            environment: PythonEnvironment::new(root, &python, requirements, context)?,
            grace_seconds: grace.as_secs().max(1),
            passed: pass_environment.to_vec(),
            inherited: context
                .env
                .keys()
                .filter(|name| is_inherited(name) || pass_environment.contains(name))
                .cloned()
                .collect(),
        })
    }

    /// The request for one job.
    #[must_use]
    pub fn request(&self, job: &JobSettings<'_>) -> Request {
        let code = job.base.join("code");
        let arguments = toolkit::arguments(job.hyperparameters);
        let python = self.environment.interpreter();
        let hosts = [toolkit::HOST.to_owned()];
        let toolkit = toolkit::JobSettings {
            name: job.name,
            base: &job.base,
            code: &code,
            entry_point: job.entry_point,
            inputs: &job.inputs,
            hyperparameters: job.hyperparameters,
            hosts: &hosts,
            host: toolkit::HOST,
            network_interface: "lo",
            cpus: job.context.cpus,
            gpus: job.context.gpus,
        };
        let mut environment = toolkit::variables(&toolkit, &arguments);
        environment.extend(
            job.environment
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Request {
            name: job.name.to_owned(),
            command: [python, job.entry_point.to_owned()]
                .into_iter()
                .chain(arguments)
                .collect(),
            working_directory: code.clone(),
            code: job.sources.to_vec(),
            code_fingerprint: job.code_fingerprint.to_owned(),
            inputs: job.inputs.clone(),
            files: toolkit::files(&toolkit),
            environment,
            base: job.base.clone(),
        }
    }
}

/// Whether a job inherits a variable without being asked: never one that sounds like a secret.
pub(super) fn is_inherited(name: &str) -> bool {
    let is_secret = ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"]
        .iter()
        .any(|word| name.contains(word));
    let is_known = INHERITED.contains(&name)
        || INHERITED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    is_known && !is_secret
}

impl PythonEnvironment {
    fn new(
        root: &Path,
        python: &Path,
        requirements: Option<&str>,
        context: &Context,
    ) -> Result<Self> {
        let python = interpreter::behind(python, root)?;
        let interpreter = Self {
            python: python.display().to_string(),
            language: match requirements.is_none() && interpreter::is_environment(&python) {
                // Its packages are whatever somebody installed in it.
                true => python.display().to_string(),
                false => interpreter::language(&python),
            },
            requirements: None,
            requirements_hash: None,
            folder: None,
            ready: true,
        };
        let Some(requirements) = requirements else {
            return Ok(interpreter);
        };
        let hash = requirements::hash(root, Path::new(requirements), &context.env)?;
        // `python3` is often a link to the version that makes the environment.
        let resolved = python.canonicalize().unwrap_or(python);
        let mut hasher = blake3::Hasher::new_derive_key("mlaction python environment v1");
        hasher
            .update(hash.as_bytes())
            .update(resolved.as_os_str().as_encoded_bytes());
        let key = &hasher.finalize().to_hex()[..16];
        let folder = context.cache.join("venvs").join(key);
        Ok(Self {
            requirements: Some(root.join(requirements)),
            requirements_hash: Some(hash),
            ready: super::environment::is_ready(&folder),
            folder: Some(folder),
            ..interpreter
        })
    }

    /// The interpreter that jobs are started with.
    #[must_use]
    pub fn interpreter(&self) -> String {
        match &self.folder {
            Some(folder) => folder.join("bin/python").display().to_string(),
            None => self.python.clone(),
        }
    }
}
