//! `mlaction.toml`, exactly as it is written. The JSON Schema is generated from these types.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::aws::settings::AwsSettings;
use crate::destination::docker::settings::DockerSettings;
use crate::destination::sagemaker::settings::{Distribution, InputMode, SagemakerSettings};
use crate::image::build::Builder;
use crate::image::{Network, SecretSource};
use crate::metrics::gate::Gate;
use crate::metrics::log::Definition;
use crate::metrics::preset::Preset;
use crate::registry::settings::Registry;

/// The whole file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "mlaction.toml")]
pub struct RawConfig {
    /// The project.
    pub project: Project,
    /// The training image, for destinations that run containers.
    #[serde(default)]
    pub image: Image,
    /// Where the image is published. Without it, the image stays in the engine that built it.
    pub registry: Option<Registry>,
    /// Who asks Amazon Web Services.
    #[serde(default)]
    pub aws: AwsSettings,
    /// Data channels by name: what jobs find under `input/data/NAME`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"}))]
    pub data: IndexMap<String, Channel>,
    /// The training job.
    pub training: Training,
    /// The validation job: it sees the packed model and held-out data, nothing else.
    pub validation: Option<Validation>,
    /// How metrics are read from log lines. `metrics.json` needs no configuration.
    #[serde(default)]
    pub metrics: Metrics,
    /// Limits that a model must keep, by metric name.
    #[serde(default)]
    pub gates: IndexMap<String, Gate>,
    /// Where the baseline is kept.
    #[serde(default)]
    pub baseline: Baseline,
    /// The report.
    #[serde(default)]
    pub report: ReportSettings,
    /// Places where jobs can run, by name.
    #[serde(default)]
    pub destinations: IndexMap<String, Destination>,
    /// Serving.
    pub deployment: Option<Deployment>,
}

impl RawConfig {
    /// The channels that training gets: those it names, or every one that is not held out.
    #[must_use]
    pub fn trained_on(&self) -> Vec<String> {
        let named = self.training.channels.clone();
        named.unwrap_or_else(|| {
            let names = self.data.keys();
            let is_held_out = |name: &&String| self.held_out().contains(name);
            names.filter(|name| !is_held_out(name)).cloned().collect()
        })
    }

    /// The channels that only validation gets.
    #[must_use]
    pub fn held_out(&self) -> &[String] {
        let validation = self.validation.as_ref();
        validation.map_or(&[], |validation| &validation.channels)
    }

    /// The channels that a job gets.
    #[must_use]
    pub fn used_channels(&self) -> Vec<String> {
        let mut all = self.trained_on();
        all.extend_from_slice(self.held_out());
        all
    }
}

/// Longest project name, in characters.
pub const MAX_NAME: usize = 40;

/// A project's name: letters, digits and inner hyphens.
const NAME_PATTERN: &str = r"^[a-zA-Z0-9]([a-zA-Z0-9-]{0,38}[a-zA-Z0-9])?$";

/// Whether a text is a project's name, as the schema has it.
#[must_use]
pub fn is_project_name(text: &str) -> bool {
    // NOTE: the pattern is a constant; the schema's own test compiles it.
    regex::Regex::new(NAME_PATTERN).is_ok_and(|pattern| pattern.is_match(text))
}

/// `[project]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Letters, digits and inner hyphens, at most 40: the prefix of every job's name.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// The destination that `mlaction train` uses: a name from `[destinations]`, `process`, or `docker`.
    #[serde(default = "process")]
    pub destination: String,
}

/// `[image]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Image {
    /// Path of the Dockerfile, relative to the project; it may lie outside of the context.
    pub dockerfile: String,
    /// Build context: the folder that `COPY` copies from, without what `.dockerignore` names.
    pub context: String,
    /// Platform of the image, e.g. `linux/arm64`; SageMaker runs `linux/amd64`.
    #[schemars(regex(
        pattern = r"^linux/(386|amd64|arm|arm64|loong64|ppc64le|riscv64|s390x)(/v[0-9])?$"
    ))]
    pub platform: String,
    /// Stage to build, for a Dockerfile with several.
    pub target: Option<String>,
    /// Build arguments. They stay readable in the image: a secret belongs into `secrets`.
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,511}$"}))]
    pub build_args: IndexMap<String, String>,
    /// Labels, besides those that say where the image comes from.
    pub labels: IndexMap<String, String>,
    /// Secrets for `RUN --mount=type=secret,id=ID`: `{ env = "NAME" }` or `{ file = "PATH" }`.
    pub secrets: IndexMap<String, SecretSource>,
    /// What build steps may reach: `default`, the engine's network, or `none`.
    pub network: Network,
    /// Which builder: BuildKit where the engine has it (`auto`), or one by name.
    pub builder: Builder,
    /// Images in a registry whose build cache is used.
    pub cache_from: Vec<String>,
    /// Whether the image carries its build cache for others.
    pub inline_cache: bool,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            dockerfile: "Dockerfile".to_owned(),
            context: ".".to_owned(),
            platform: "linux/amd64".to_owned(),
            target: None,
            build_args: IndexMap::new(),
            labels: IndexMap::new(),
            secrets: IndexMap::new(),
            network: Network::Default,
            builder: Builder::Auto,
            cache_from: Vec::new(),
            inline_cache: false,
        }
    }
}

/// `[data.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// File or folder, relative to the project; for SageMaker also data that lies in S3:
    /// `s3://BUCKET/PREFIX/`.
    #[schemars(length(min = 1))]
    pub path: String,
    /// On SageMaker: how a job reads it.
    #[serde(default)]
    pub input_mode: InputMode,
    /// On SageMaker: what each instance gets of it.
    #[serde(default)]
    pub distribution: Distribution,
    /// On SageMaker: `path` is a manifest in S3, which lists the objects.
    #[serde(default)]
    pub manifest: bool,
}

/// `[training]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The program, relative to the project; it must lie in `source`.
    pub entry_point: String,
    /// Files and folders of code that the jobs get. Default: the entry point's folder.
    #[serde(default)]
    pub source: Vec<String>,
    /// Python requirements; a virtual environment is made from them and reused.
    pub requirements: Option<String>,
    /// Channels that the job gets. Default: every channel that validation does not use.
    pub channels: Option<Vec<String>>,
    /// Hyperparameters; the job gets them as strings, as on SageMaker.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, Hyperparameter>")]
    pub hyperparameters: IndexMap<String, toml::Spanned<toml::Value>>,
    /// A JSON file with one object of hyperparameters, instead of the table.
    pub hyperparameters_file: Option<String>,
    /// Environment variables of the job.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,511}$"}))]
    pub environment: IndexMap<String, String>,
    /// Arguments of the container, for destinations that run containers.
    #[serde(default = "train")]
    pub container_arguments: Vec<String>,
    /// Entry point of the container, in place of the image's own.
    pub container_entrypoint: Option<Vec<String>>,
    /// The job is stopped after this long: `90s`, `15m`, `2h`.
    #[serde(default = "one_day")]
    pub max_runtime: String,
}

/// A hyperparameter's value; lists and tables are handed over as JSON text.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum Hyperparameter {
    /// Text.
    Text(String),
    /// True or false.
    Flag(bool),
    /// A number; every digit is kept.
    Number(f64),
    /// A list.
    List(Vec<serde_json::Value>),
    /// A table.
    Table(IndexMap<String, serde_json::Value>),
}

/// `[validation]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// The program, relative to the project; it must lie in `training.source`.
    pub entry_point: String,
    /// Held-out channels. The model's archive comes as channel `model`.
    pub channels: Vec<String>,
    /// Environment variables of the job.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,511}$"}))]
    pub environment: IndexMap<String, String>,
    /// Arguments of the container, for destinations that run containers.
    #[serde(default = "validate")]
    pub container_arguments: Vec<String>,
    /// Entry point of the container, in place of the image's own.
    pub container_entrypoint: Option<Vec<String>>,
    /// The job is stopped after this long.
    #[serde(default = "one_hour")]
    pub max_runtime: String,
}

/// `[metrics]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Log formats to read by name.
    #[serde(default)]
    pub presets: Vec<Preset>,
    /// Regular expressions as on SageMaker: the first group is the value.
    #[serde(default)]
    pub definitions: Vec<Definition>,
}

/// `[baseline]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Baseline {
    /// The JSON file, committed with the project.
    pub path: String,
}

impl Default for Baseline {
    fn default() -> Self {
        Self {
            path: "baseline.json".to_owned(),
        }
    }
}

/// `[report]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSettings {
    /// How many of the last log lines the report keeps, for runs that fail.
    #[schemars(range(min = 0, max = 1000))]
    pub log_lines: u32,
    /// What a gate that cannot be decided (no comparable baseline) does to the run.
    pub inconclusive: Inconclusive,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            log_lines: 20,
            inconclusive: Inconclusive::Pass,
        }
    }
}

/// What to do about a gate that cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Inconclusive {
    /// The run ends with exit code 0 and says so.
    Pass,
    /// The run ends with exit code 30.
    Fail,
}

/// `[destinations.NAME]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Destination {
    /// A process on this machine, with SageMaker's folder layout.
    Process {
        /// The Python interpreter: a name on `PATH`, or a path.
        #[serde(default = "python3")]
        python: String,
        /// Time between SIGTERM and SIGKILL when the job is stopped.
        #[serde(default = "two_minutes")]
        grace: String,
        /// Environment variables that the job inherits, besides the usual (PATH, HOME, locale, threads, GPU).
        #[serde(default)]
        pass_environment: Vec<String>,
    },
    /// Containers of the image on a Docker Engine, with SageMaker's contract.
    Docker(DockerSettings),
    /// Training jobs of Amazon SageMaker AI.
    Sagemaker(Box<SagemakerSettings>),
}

impl Destination {
    /// The destinations that need no table: their names are their kinds.
    pub const WITHOUT_TABLE: [&str; 2] = ["process", "docker"];

    /// What a destination of this name must say of itself, when it cannot do without a table.
    #[must_use]
    pub fn needed_table(name: &str) -> Option<&'static str> {
        (name == "sagemaker").then_some(
            "write [destinations.sagemaker] with `kind = \"sagemaker\"`, `region`, `role`, `s3` and `instance_type`; docs/sagemaker.md has an example",
        )
    }

    /// The settings of a destination that has no table.
    #[must_use]
    pub fn without_table(name: &str) -> Option<Self> {
        match name {
            "process" => Some(Self::Process {
                python: python3(),
                grace: two_minutes(),
                pass_environment: Vec::new(),
            }),
            "docker" => Some(Self::Docker(DockerSettings::default())),
            _ => None,
        }
    }
}

/// `[deployment]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Folder of the serving application.
    pub app: String,
}

fn process() -> String {
    "process".to_owned()
}

fn train() -> Vec<String> {
    vec!["train".to_owned()]
}

fn validate() -> Vec<String> {
    vec!["validate".to_owned()]
}

fn python3() -> String {
    "python3".to_owned()
}

fn two_minutes() -> String {
    "120s".to_owned()
}

fn one_hour() -> String {
    "1h".to_owned()
}

fn one_day() -> String {
    "24h".to_owned()
}
