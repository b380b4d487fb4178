//! What a process job gets: SageMaker's files and variables, decided before anything runs.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::raw::Destination;
use crate::context::Context;
use crate::error::{Error, ExitCode, Result};

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
    /// Its kind.
    pub kind: String,
    /// The Python environment.
    pub environment: PythonEnvironment,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace_seconds: u64,
    /// Names of the variables that jobs inherit from mlaction.
    pub inherited: Vec<String>,
}

/// A virtual environment made from the requirements, or the interpreter as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonEnvironment {
    /// The interpreter.
    pub python: String,
    /// The requirements file, when the config names one.
    pub requirements: Option<PathBuf>,
    /// Hash over the requirements and the interpreter; names the environment's folder.
    pub key: Option<String>,
    /// The environment's folder.
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
    pub fn new(
        root: &Path,
        name: &str,
        settings: &Destination,
        requirements: Option<&str>,
        context: &Context,
    ) -> Result<Self> {
        let Destination::Process {
            python,
            grace,
            pass_environment,
        } = settings;
        let python = context.find_program(root, python).ok_or_else(|| {
            Error::new(ExitCode::Build, format!("there is no `{python}` on PATH")).hint(format!(
                "install Python 3.10 or newer, or set `python` in [destinations.{name}]"
            ))
        })?;
        let grace = crate::config::duration::parse(grace)
            .map_err(|reason| Error::new(ExitCode::Config, reason))?;
        Ok(Self {
            name: name.to_owned(),
            kind: "process".to_owned(),
            environment: PythonEnvironment::new(root, &python, requirements, context)?,
            grace_seconds: grace.as_secs().max(1),
            inherited: context
                .env
                .keys()
                .filter(|name| {
                    INHERITED.contains(&name.as_str())
                        || INHERITED_PREFIXES
                            .iter()
                            .any(|prefix| name.starts_with(prefix))
                        || pass_environment.contains(name)
                })
                .cloned()
                .collect(),
        })
    }

    /// The request for one job.
    #[must_use]
    pub fn request(&self, job: &JobSettings<'_>) -> Request {
        let code = job.base.join("code");
        let host = "algo-1";
        let files = IndexMap::from([
            (
                "input/config/hyperparameters.json".to_owned(),
                json!(job.hyperparameters),
            ),
            (
                "input/config/inputdataconfig.json".to_owned(),
                input_data_config(&job.inputs),
            ),
            (
                "input/config/resourceconfig.json".to_owned(),
                resource_config(host),
            ),
        ]);
        let arguments = arguments(job.hyperparameters);
        let python = self.environment.interpreter();
        let mut environment = toolkit_variables(job, &code, host, &arguments, &files);
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
            working_directory: code,
            code: job.sources.to_vec(),
            code_fingerprint: job.code_fingerprint.to_owned(),
            inputs: job.inputs.clone(),
            files,
            environment,
            base: job.base.clone(),
        }
    }
}

impl PythonEnvironment {
    fn new(
        root: &Path,
        python: &Path,
        requirements: Option<&str>,
        context: &Context,
    ) -> Result<Self> {
        let interpreter = python.display().to_string();
        let Some(requirements) = requirements else {
            return Ok(Self {
                python: interpreter,
                requirements: None,
                key: None,
                folder: None,
                ready: true,
            });
        };
        let path = root.join(requirements);
        let content = std::fs::read(&path).map_err(|cause| {
            Error::new(ExitCode::Config, format!("cannot read `{requirements}`")).because(cause)
        })?;
        let mut hasher = blake3::Hasher::new_derive_key("mlaction python environment v1");
        hasher
            .update(interpreter.as_bytes())
            .update(&[0])
            .update(&content);
        let key = hasher.finalize().to_hex()[..16].to_owned();
        let folder = context.cache.join("venvs").join(&key);
        let ready = super::environment::is_ready(&folder);
        Ok(Self {
            python: interpreter,
            requirements: Some(path),
            key: Some(key),
            folder: Some(folder),
            ready,
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

/// `inputdataconfig.json` with the keys of the training containers' contract.
fn input_data_config(inputs: &IndexMap<String, PathBuf>) -> Value {
    let channel = json!({"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"});
    inputs
        .keys()
        .map(|name| (name.clone(), channel.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn resource_config(host: &str) -> Value {
    json!({
        "current_host": host,
        "current_instance_type": "local",
        "current_group_name": "homogeneousCluster",
        "hosts": [host],
        "instance_groups": [{"instance_group_name": "homogeneousCluster", "instance_type": "local", "hosts": [host]}],
        "network_interface_name": "lo",
    })
}

/// Hyperparameters as command-line arguments, as the SageMaker training toolkit passes them.
fn arguments(hyperparameters: &IndexMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = hyperparameters.keys().collect();
    names.sort();
    names
        .into_iter()
        .flat_map(|name| {
            let dashes = if name.chars().count() == 1 { "-" } else { "--" };
            [format!("{dashes}{name}"), hyperparameters[name].clone()]
        })
        .collect()
}

/// The variables of the SageMaker training toolkit (`ENVIRONMENT_VARIABLES.md` of
/// aws/sagemaker-training-toolkit) and those that SageMaker itself sets.
fn toolkit_variables(
    job: &JobSettings<'_>,
    code: &Path,
    host: &str,
    arguments: &[String],
    files: &IndexMap<String, Value>,
) -> IndexMap<String, String> {
    let base = |part: &str| job.base.join(part).display().to_string();
    let decoded: serde_json::Map<String, Value> = job
        .hyperparameters
        .iter()
        .map(|(name, value)| {
            (
                name.clone(),
                serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
            )
        })
        .collect();
    let config = |name: &str| {
        files
            .get(&format!("input/config/{name}.json"))
            .cloned()
            .unwrap_or(Value::Null)
    };
    let module = Path::new(job.entry_point)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let channels: Vec<&String> = job.inputs.keys().collect();
    let channel_dirs: serde_json::Map<String, Value> = channels
        .iter()
        .map(|name| ((*name).clone(), json!(base(&format!("input/data/{name}")))))
        .collect();
    let mut variables: IndexMap<String, String> = [
        ("SAGEMAKER_BASE_DIR", job.base.display().to_string()),
        ("TRAINING_JOB_NAME", job.name.to_owned()),
        (
            "TRAINING_JOB_ARN",
            format!(
                "arn:local:sagemaker:local:000000000000:training-job/{}",
                job.name
            ),
        ),
        ("PYTHONPATH", code.display().to_string()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("SM_MODEL_DIR", base("model")),
        ("SM_INPUT_DIR", base("input")),
        ("SM_INPUT_CONFIG_DIR", base("input/config")),
        ("SM_OUTPUT_DIR", base("output")),
        ("SM_OUTPUT_DATA_DIR", base("output/data")),
        ("SM_OUTPUT_INTERMEDIATE_DIR", base("output/intermediate")),
        ("SM_CHANNELS", json!(channels).to_string()),
        ("SM_HPS", Value::from(decoded.clone()).to_string()),
        ("SM_HOSTS", json!([host]).to_string()),
        ("SM_CURRENT_HOST", host.to_owned()),
        ("SM_CURRENT_INSTANCE_TYPE", "local".to_owned()),
        ("SM_CURRENT_INSTANCE_GROUP", "homogeneousCluster".to_owned()),
        ("SM_NETWORK_INTERFACE_NAME", "lo".to_owned()),
        ("SM_NUM_CPUS", job.context.cpus.to_string()),
        ("SM_NUM_GPUS", job.context.gpus.to_string()),
        ("SM_NUM_NEURONS", "0".to_owned()),
        ("SM_LOG_LEVEL", "20".to_owned()),
        ("SM_USER_ARGS", json!(arguments).to_string()),
        ("SM_USER_ENTRY_POINT", job.entry_point.to_owned()),
        ("SM_MODULE_DIR", code.display().to_string()),
        ("SM_MODULE_NAME", module.clone()),
        (
            "SM_INPUT_DATA_CONFIG",
            config("inputdataconfig").to_string(),
        ),
        ("SM_RESOURCE_CONFIG", config("resourceconfig").to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for name in channels {
        variables.insert(
            format!("SM_CHANNEL_{}", name.to_uppercase()),
            base(&format!("input/data/{name}")),
        );
    }
    for (name, value) in &decoded {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        variables.insert(
            format!("SM_HP_{}", name.to_uppercase().replace('-', "_")),
            text,
        );
    }
    let training_env = json!({
        "channel_input_dirs": channel_dirs,
        "current_host": host,
        "hosts": [host],
        "hyperparameters": decoded,
        "input_config_dir": base("input/config"),
        "input_data_config": config("inputdataconfig"),
        "input_dir": base("input"),
        "job_name": job.name,
        "model_dir": base("model"),
        "module_dir": code.display().to_string(),
        "module_name": module,
        "num_cpus": job.context.cpus,
        "num_gpus": job.context.gpus,
        "output_data_dir": base("output/data"),
        "output_dir": base("output"),
        "resource_config": config("resourceconfig"),
        "user_entry_point": job.entry_point,
    });
    variables.insert("SM_TRAINING_ENV".to_owned(), training_env.to_string());
    variables.retain(|name, _| !name.contains(['=', '\0']));
    variables
}
