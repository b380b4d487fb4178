//! Fields of `CreateTrainingJob` that mlaction has no key for, merged into the request.

use serde_json::{Map, Value};

use crate::config::problem::{did_you_mean, one_of};

/// The fields of the request that `extra` may begin with (service model, `CreateTrainingJob`).
const OPEN: &[&str] = &[
    "AlgorithmSpecification",
    "DebugHookConfig",
    "DebugRuleConfigurations",
    "ExperimentConfig",
    "InfraCheckConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "OutputDataConfig",
    "ProfilerConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig",
    "ResourceConfig",
    "SessionChainingConfig",
    "StoppingCondition",
    "TensorBoardOutputConfig",
];

/// Fields that have a key of their own, and the key.
const NAMED: &[(&str, &str)] = &[
    ("AlgorithmSpecification.AlgorithmName", "[image]"),
    (
        "AlgorithmSpecification.ContainerArguments",
        "training.container_arguments",
    ),
    (
        "AlgorithmSpecification.ContainerEntrypoint",
        "training.container_entrypoint",
    ),
    (
        "AlgorithmSpecification.MetricDefinitions",
        "[[metrics.definitions]]",
    ),
    ("AlgorithmSpecification.TrainingImage", "[image]"),
    (
        "AlgorithmSpecification.TrainingInputMode",
        "input_mode of [data.NAME]",
    ),
    ("CheckpointConfig", "checkpoints"),
    ("EnableInterContainerTrafficEncryption", "encrypt_traffic"),
    ("EnableManagedSpotTraining", "spot"),
    ("EnableNetworkIsolation", "network_isolation"),
    ("Environment", "training.environment"),
    ("HyperParameters", "training.hyperparameters"),
    ("InputDataConfig", "[data.NAME]"),
    ("OutputDataConfig.KmsKeyId", "s3_kms_key"),
    ("OutputDataConfig.S3OutputPath", "s3"),
    ("ResourceConfig.InstanceCount", "instances"),
    ("ResourceConfig.InstanceGroups", "instance_groups"),
    ("ResourceConfig.InstancePreferences", "instance_types"),
    ("ResourceConfig.InstanceType", "instance_type"),
    ("ResourceConfig.KeepAlivePeriodInSeconds", "keep_alive"),
    ("ResourceConfig.VolumeKmsKeyId", "volume_kms_key"),
    ("ResourceConfig.VolumeSizeInGB", "volume_gb"),
    ("RetryStrategy", "retry_attempts"),
    ("RoleArn", "role"),
    (
        "StoppingCondition.MaxRuntimeInSeconds",
        "training.max_runtime",
    ),
    ("StoppingCondition.MaxWaitTimeInSeconds", "max_wait"),
    ("Tags", "tags"),
    ("TrainingJobName", "[project] name"),
    ("VpcConfig", "subnets and security_groups"),
];

/// How results are packed; they are read as archives.
const COMPRESSION: &str = "OutputDataConfig.CompressionType";

/// What is wrong with `extra`, each with advice.
pub(super) fn mistakes(extra: &Map<String, Value>) -> Vec<(String, String)> {
    let mut mistakes = Vec::new();
    for (name, value) in extra {
        let is_known = OPEN.contains(&name.as_str());
        match key_of(name) {
            Some(key) => mistakes.push(named(name, key)),
            None if !is_known => mistakes.push((
                format!("`{name}` is no field of a training job's request"),
                match did_you_mean(name, OPEN.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", one_of(OPEN.iter().copied())),
                },
            )),
            None => {
                for (inner, _) in value.as_object().into_iter().flatten() {
                    let path = format!("{name}.{inner}");
                    mistakes.extend(key_of(&path).map(|key| named(&path, key)));
                    if path == COMPRESSION && value[inner] != "GZIP" {
                        let message =
                            format!("`{path}` other than GZIP leaves no archive of the model");
                        mistakes.push((
                            message,
                            "mlaction reads `model.tar.gz`: leave it out".to_owned(),
                        ));
                    }
                }
                // NOTE: parts of these are the request's own, so a text in their place would lose them.
                let has_keys = NAMED
                    .iter()
                    .any(|(path, _)| path.starts_with(&format!("{name}.")));
                if has_keys && !value.is_object() {
                    mistakes.push((
                        format!("`{name}` is a table"),
                        "write its fields".to_owned(),
                    ));
                }
                if has_datetime(value) {
                    let message = format!("`{name}` has a date in it, which JSON does not know");
                    mistakes.push((message, "write it as text, in quotes".to_owned()));
                }
            }
        }
    }
    mistakes
}

fn key_of(path: &str) -> Option<&'static str> {
    NAMED
        .iter()
        .find(|(name, _)| *name == path)
        .map(|(_, key)| *key)
}

fn named(path: &str, key: &str) -> (String, String) {
    let message = format!("`{path}` in `extra` has a key of its own");
    (message, format!("use {key}"))
}

/// How the TOML reader hands a date to a type that knows none.
fn has_datetime(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.starts_with("$__toml_private") || has_datetime(value)),
        Value::Array(items) => items.iter().any(has_datetime),
        _ => false,
    }
}

/// Puts the fields into the request, beside those that it has.
pub(super) fn merge(request: &mut Value, extra: &Map<String, Value>) {
    let Value::Object(fields) = request else {
        return;
    };
    for (name, value) in extra {
        match (fields.get_mut(name), value) {
            (Some(inner @ Value::Object(_)), Value::Object(more)) => merge(inner, more),
            _ => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(extra: &Value) -> Vec<String> {
        let mistakes = mistakes(extra.as_object().unwrap());
        mistakes
            .into_iter()
            .map(|(message, help)| format!("{message}: {help}"))
            .collect()
    }

    #[test]
    fn what_has_a_key_of_its_own_is_refused_and_what_is_unknown_too() {
        let mistakes = check(&json!({
            "ProfilerConfig": {"DisableProfiler": true},
            "StoppingCondition": {"MaxPendingTimeInSeconds": 1800, "MaxRuntimeInSeconds": 1},
            "RoleArn": "x",
            "OutputDataConfig": {"CompressionType": "NONE"},
            "DebugHookConf": {},
            "ResourceConfig": "many",
            "ExperimentConfig": {"RunName": {"$__toml_private_datetime": "2026-01-01"}},
        }));
        assert_eq!(
            mistakes,
            [
                "`StoppingCondition.MaxRuntimeInSeconds` in `extra` has a key of its own: use training.max_runtime",
                "`RoleArn` in `extra` has a key of its own: use role",
                "`OutputDataConfig.CompressionType` other than GZIP leaves no archive of the model: mlaction reads `model.tar.gz`: leave it out",
                "`DebugHookConf` is no field of a training job's request: did you mean `DebugHookConfig`?",
                "`ResourceConfig` is a table: write its fields",
                "`ExperimentConfig` has a date in it, which JSON does not know: write it as text, in quotes",
            ]
        );
    }

    #[test]
    fn fields_are_put_beside_those_that_are_there() {
        let mut request = json!({"StoppingCondition": {"MaxRuntimeInSeconds": 60}});
        let extra =
            json!({"StoppingCondition": {"MaxPendingTimeInSeconds": 1800}, "ProfilerConfig": {}});
        merge(&mut request, extra.as_object().unwrap());
        assert_eq!(
            request,
            json!({"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxPendingTimeInSeconds": 1800}, "ProfilerConfig": {}})
        );
    }
}
