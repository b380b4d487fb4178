//! `[destinations.NAME]` with `kind = "sagemaker"`, exactly as it is written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `kind = "sagemaker"`: training jobs of Amazon SageMaker AI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SagemakerSettings {
    /// Region of the jobs. The image's registry and the bucket must be in it too.
    #[schemars(regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]+$"))]
    pub region: String,
    /// ARN of the role that the jobs take on.
    #[schemars(regex(
        pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[a-zA-Z0-9_+=,.@/-]{1,512}$"
    ))]
    pub role: String,
    /// Where data, checkpoints and results go: `s3://BUCKET/PREFIX`.
    #[schemars(regex(
        pattern = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*/?$"
    ))]
    pub s3: String,
    /// Type of the instances: `ml.m5.xlarge`.
    #[schemars(regex(pattern = r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$"))]
    pub instance_type: Option<String>,
    /// Up to five types in place of `instance_type`: the first one with capacity is taken.
    #[serde(default)]
    #[schemars(inner(regex(pattern = r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")))]
    pub instance_types: Vec<String>,
    /// Up to five groups in place of `instance_type`, for a cluster of several types.
    #[serde(default)]
    pub instance_groups: Vec<InstanceGroup>,
    /// How many instances the training job has.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub instances: u32,
    /// Disk of each instance in GB, where its type has none of its own.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 16384))]
    pub volume_gb: u32,
    /// Keep the training job's instances so long for the next one, at most 6 h. They are paid for.
    pub keep_alive: Option<String>,
    /// Train on spare capacity, which AWS may take back in the middle.
    #[serde(default)]
    pub spot: bool,
    /// With `spot`: the training job has ended after this long, waiting included.
    pub max_wait: Option<String>,
    /// Keep `/opt/ml/checkpoints` in S3: an interrupted job goes on from there, and so does the
    /// next attempt at the same content.
    #[serde(default)]
    pub checkpoints: bool,
    /// Use `spot` without `checkpoints`: an interrupted job begins anew.
    #[serde(default)]
    pub spot_without_checkpoints: bool,
    /// How often SageMaker tries again by itself after an error of its own.
    #[schemars(range(min = 1, max = 30))]
    pub retry_attempts: Option<u32>,
    /// Subnets of a VPC that the instances get an interface in, with `security_groups`.
    #[serde(default)]
    #[schemars(inner(regex(pattern = r"^[0-9a-zA-Z-]{1,32}$")))]
    pub subnets: Vec<String>,
    /// Security groups of these interfaces.
    #[serde(default)]
    #[schemars(inner(regex(pattern = r"^[0-9a-zA-Z-]{1,32}$")))]
    pub security_groups: Vec<String>,
    /// KMS key (id or ARN) for what is put into S3.
    #[schemars(regex(
        pattern = r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/)?[a-zA-Z0-9-]{1,256}$"
    ))]
    pub s3_kms_key: Option<String>,
    /// KMS key (id or ARN) for the instances' disks. Types with disks of their own take none.
    #[schemars(regex(
        pattern = r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/)?[a-zA-Z0-9-]{1,256}$"
    ))]
    pub volume_kms_key: Option<String>,
    /// Let the containers reach nothing: no network, no credentials.
    #[serde(default)]
    pub network_isolation: bool,
    /// Encrypt what the instances of a job send each other.
    #[serde(default)]
    pub encrypt_traffic: bool,
    /// Price of an instance hour, on demand: a number, or a table by instance type.
    pub price_per_hour: Option<Price>,
    /// Where that price comes from; printed with each cost.
    pub price_source: Option<String>,
    /// As of when: `2026-01-31`.
    pub price_date: Option<String>,
    /// In which currency: `USD`; printed with each cost.
    pub price_currency: Option<String>,
    /// Ask the AWS Price List for these prices when a run begins, in place of `price_per_hour`.
    #[serde(default)]
    pub look_up_price: bool,
    /// Refuse a run that may cost more, in the currency of the price.
    pub max_cost: Option<f64>,
    /// Tags of the jobs, besides those that say where they come from.
    #[serde(default)]
    pub tags: IndexMap<String, String>,
    /// More fields of the training job's request in AWS's names, such as `ProfilerConfig`, or
    /// `StoppingCondition.MaxPendingTimeInSeconds`. Never one that has a key of its own.
    #[serde(default)]
    pub extra: Map<String, Value>,
    /// Where validation runs.
    #[serde(default)]
    pub validate_on: ValidateOn,
    /// Bring the model into the record of the run. If not, it stays in S3, and only its
    /// `metrics.json` is read; validation cannot run here then.
    #[serde(default = "yes")]
    pub keep_model: bool,
    /// What becomes of a job when mlaction is told to stop.
    #[serde(default)]
    pub on_cancel: OnCancel,
    /// A newer commit of a pull request stops the jobs of its older ones.
    #[serde(default)]
    pub supersede: bool,
    /// Keep the baseline in S3, beside the models: the last run of this branch that passed its
    /// gates sets it. `baseline.path` is for other destinations then.
    #[schemars(length(min = 1))]
    pub baseline_branch: Option<String>,
    /// How often a job is asked for its state.
    #[serde(default = "half_a_minute")]
    pub poll: String,
    /// A job of which nothing is heard for so long is given up: it is told to stop, unless
    /// `on_cancel = "leave"`.
    #[serde(default = "ten_minutes")]
    pub lost_after: String,
}

/// Some instances of one type in a cluster of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceGroup {
    /// Its name: what a data channel or the program calls it.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.-]{1,64}$"))]
    pub name: String,
    /// Type of its instances.
    #[schemars(regex(pattern = r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$"))]
    pub instance_type: String,
    /// How many there are.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub instances: u32,
}

/// The price of an instance hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Price {
    /// Of the one type that there is.
    One(f64),
    /// By instance type.
    ByType(IndexMap<String, f64>),
}

/// Where validation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValidateOn {
    /// In a container of the same image, on the engine that built it.
    #[default]
    Here,
    /// As a SageMaker job of its own, on one instance.
    Job,
}

/// What becomes of a job when mlaction is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnCancel {
    /// It is stopped.
    #[default]
    Stop,
    /// It runs on.
    Leave,
}

/// How a job reads a data channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum InputMode {
    /// Copied to the disk before the start.
    #[default]
    File,
    /// Files that are fetched when they are read.
    FastFile,
    /// A stream, from a named pipe.
    Pipe,
}

/// What each instance gets of a data channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Distribution {
    /// All of it.
    #[default]
    FullyReplicated,
    /// Its share of the objects.
    ShardedByS3Key,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn thirty() -> u32 {
    30
}

fn ten_minutes() -> String {
    "10m".to_owned()
}

fn half_a_minute() -> String {
    "30s".to_owned()
}
