//! What the SageMaker training toolkit gives a program: arguments, `SM_*` variables, and the files
//! under `input/config`. Held against the toolkit itself (aws/sagemaker-training-toolkit 5.1.4).

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

/// The one host of a job that has one.
pub(crate) const HOST: &str = "algo-1";

/// Names of so many hosts, sorted as SageMaker sorts them: by text, so that `algo-10` comes
/// before `algo-2` (developer guide, "Distributed Training Configuration").
pub(crate) fn hosts(count: u32) -> Vec<String> {
    let mut hosts: Vec<String> = (1..=count.max(1)).map(|n| format!("algo-{n}")).collect();
    hosts.sort();
    hosts
}

const GROUP: &str = "homogeneousCluster";
const INSTANCE_TYPE: &str = "local";

/// What the toolkit needs to know of a job on one of its hosts.
#[derive(Debug, Clone, Copy)]
pub struct JobSettings<'a> {
    /// The job's name.
    pub name: &'a str,
    /// What stands for `/opt/ml`.
    pub base: &'a Path,
    /// Folder of the code.
    pub code: &'a Path,
    /// The program, relative to the code.
    pub entry_point: &'a str,
    /// Data channels by name.
    pub inputs: &'a IndexMap<String, PathBuf>,
    /// Hyperparameters as strings.
    pub hyperparameters: &'a IndexMap<String, String>,
    /// Names of all hosts of the job, the first one leads.
    pub hosts: &'a [String],
    /// The name of this host.
    pub host: &'a str,
    /// The network interface by which the hosts reach each other.
    pub network_interface: &'a str,
    /// Processors that the job may use.
    pub cpus: usize,
    /// GPUs that the job may use.
    pub gpus: usize,
}

/// The files of a job, relative to its base.
pub(crate) fn files(job: &JobSettings<'_>) -> IndexMap<String, Value> {
    let file = |name: &str| format!("input/config/{name}.json");
    IndexMap::from([
        (file("hyperparameters"), json!(job.hyperparameters)),
        (file("inputdataconfig"), input_data_config(job)),
        (file("resourceconfig"), resource_config(job)),
    ])
}

fn input_data_config(job: &JobSettings<'_>) -> Value {
    let channel = json!({"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"});
    let channels: Map<String, Value> = job
        .inputs
        .keys()
        .map(|name| (name.clone(), channel.clone()))
        .collect();
    channels.into()
}

fn resource_config(job: &JobSettings<'_>) -> Value {
    let (host, hosts) = (job.host, job.hosts);
    json!({
        "current_host": host,
        "current_instance_type": INSTANCE_TYPE,
        "current_group_name": GROUP,
        "hosts": hosts,
        "instance_groups": [{"instance_group_name": GROUP, "instance_type": INSTANCE_TYPE, "hosts": hosts}],
        "network_interface_name": job.network_interface,
    })
}

/// Hyperparameters as command-line arguments, sorted by name. Values that are JSON come as Python
/// prints them; numbers keep the digits that they were written with.
pub(crate) fn arguments(hyperparameters: &IndexMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = hyperparameters.keys().collect();
    names.sort();
    names
        .into_iter()
        .flat_map(|name| {
            let dashes = if name.chars().count() == 1 { "-" } else { "--" };
            let written = &hyperparameters[name];
            let value = match decoded(written) {
                Value::Number(_) => written.clone(),
                Value::String(text) => text,
                other => python(&other),
            };
            [format!("{dashes}{name}"), value]
        })
        .collect()
}

/// A hyperparameter's value: what its text says as JSON, or the text itself.
fn decoded(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

/// A JSON value as Python's `repr` has it.
fn python(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!(
            "'{}'",
            text.replace('\\', "\\\\")
                .replace('\'', "\\'")
                .replace('\n', "\\n")
        ),
        Value::Array(items) => format!("[{}]", list(items.iter().map(python).collect())),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("'{name}': {}", python(value)));
            format!("{{{}}}", list(members.collect()))
        }
    }
}

/// The variables of a job: the toolkit's, and those that SageMaker itself sets.
pub(crate) fn variables(job: &JobSettings<'_>, arguments: &[String]) -> IndexMap<String, String> {
    let (host, hosts, code) = (job.host, job.hosts, job.code);
    let base = |part: &str| job.base.join(part).display().to_string();
    let decoded: Map<String, Value> = job
        .hyperparameters
        .iter()
        .map(|(name, value)| (name.clone(), decoded(value)))
        .collect();
    let module = job
        .entry_point
        .strip_suffix(".py")
        .unwrap_or(job.entry_point);
    let channels: Vec<&String> = job.inputs.keys().collect();
    let channel_dirs: Map<String, Value> = channels
        .iter()
        .map(|name| ((*name).clone(), json!(base(&format!("input/data/{name}")))))
        .collect();
    let groups = json!({GROUP: {"hosts": hosts, "instance_group_name": GROUP, "instance_type": INSTANCE_TYPE}});
    let training_env = json!({
        "additional_framework_parameters": {},
        "channel_input_dirs": channel_dirs,
        "current_host": host,
        "current_instance_group": GROUP,
        "current_instance_group_hosts": hosts,
        "current_instance_type": INSTANCE_TYPE,
        "distribution_hosts": [],
        "distribution_instance_groups": [],
        "framework_module": null,
        "hosts": hosts,
        "hyperparameters": decoded,
        "input_config_dir": base("input/config"),
        "input_data_config": input_data_config(job),
        "input_dir": base("input"),
        "instance_groups": [GROUP],
        "instance_groups_dict": groups,
        "is_hetero": false,
        "is_master": hosts.first().is_some_and(|first| first == host),
        "is_modelparallel_enabled": null,
        "is_smddpmprun_installed": false,
        "is_smddprun_installed": false,
        "job_name": job.name,
        "log_level": 20,
        "master_hostname": hosts.first(),
        "model_dir": base("model"),
        "module_dir": code.display().to_string(),
        "module_name": module,
        "network_interface_name": job.network_interface,
        "num_cpus": job.cpus,
        "num_gpus": job.gpus,
        "num_neurons": 0,
        "output_data_dir": base("output/data"),
        "output_dir": base("output"),
        "output_intermediate_dir": base("output/intermediate"),
        "resource_config": resource_config(job),
        "topology": [],
        "user_entry_point": job.entry_point,
    });
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
        ("SM_HOSTS", json!(hosts).to_string()),
        ("SM_CURRENT_HOST", host.to_owned()),
        ("SM_CURRENT_INSTANCE_TYPE", INSTANCE_TYPE.to_owned()),
        ("SM_CURRENT_INSTANCE_GROUP", GROUP.to_owned()),
        ("SM_CURRENT_INSTANCE_GROUP_HOSTS", json!(hosts).to_string()),
        ("SM_INSTANCE_GROUPS", json!([GROUP]).to_string()),
        ("SM_INSTANCE_GROUPS_DICT", groups.to_string()),
        ("SM_DISTRIBUTION_INSTANCE_GROUPS", "[]".to_owned()),
        ("SM_IS_HETERO", "false".to_owned()),
        ("SM_FRAMEWORK_MODULE", String::new()),
        ("SM_FRAMEWORK_PARAMS", "{}".to_owned()),
        (
            "SM_NETWORK_INTERFACE_NAME",
            job.network_interface.to_owned(),
        ),
        ("SM_NUM_CPUS", job.cpus.to_string()),
        ("SM_NUM_GPUS", job.gpus.to_string()),
        ("SM_NUM_NEURONS", "0".to_owned()),
        ("SM_LOG_LEVEL", "20".to_owned()),
        ("SM_USER_ARGS", json!(arguments).to_string()),
        ("SM_USER_ENTRY_POINT", job.entry_point.to_owned()),
        ("SM_MODULE_DIR", code.display().to_string()),
        ("SM_MODULE_NAME", module.to_owned()),
        ("SM_INPUT_DATA_CONFIG", input_data_config(job).to_string()),
        ("SM_RESOURCE_CONFIG", resource_config(job).to_string()),
        ("SM_TRAINING_ENV", training_env.to_string()),
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
        variables.insert(format!("SM_HP_{}", name.to_uppercase()), text);
    }
    variables.retain(|name, value| !name.contains(['=', '\0']) && !value.contains('\0'));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_the_toolkit() {
        let hyperparameters = [
            ("lr", "1e-3"),
            ("epochs", "10"),
            ("name", "abc"),
            ("quoted", "\"abc\""),
            ("flag", "true"),
            ("layers", "[1,\"a'b\",null]"),
            ("x", "3"),
        ];
        let hyperparameters: IndexMap<String, String> = hyperparameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(
            arguments(&hyperparameters).join("|"),
            "--epochs|10|--flag|True|--layers|[1, 'a\\'b', None]|--lr|1e-3|--name|abc|--quoted|abc|-x|3"
        );
    }
}
