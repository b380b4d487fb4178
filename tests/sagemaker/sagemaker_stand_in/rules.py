"""Rules of CreateTrainingJob between fields, which the model does not have."""

import regex

from .errors import not_valid
from .model import Model

RESERVED = ("/opt/ml", "/opt/ml/input", "/opt/ml/model", "/opt/ml/output", "/opt/ml/code")


def check(request: dict, model: Model) -> None:
    """The first rule that is broken, as the service answers it."""
    check_tags(request.get("Tags", []))
    if "ServerlessJobConfig" in request:
        raise not_valid("Serverless training jobs are not available in this stand-in.")
    missing = [
        name
        for name in ("algorithmSpecification", "resourceConfig", "stoppingCondition")
        if request.get(name[0].upper() + name[1:]) is None
    ]
    if missing:
        noun = "error" if len(missing) == 1 else "errors"
        texts = [f"Value null at '{name}' failed to satisfy constraint: Member must not be null" for name in missing]
        raise not_valid(f"{len(missing)} validation {noun} detected: " + "; ".join(texts))
    check_algorithm(request["AlgorithmSpecification"])
    check_resources(request)
    check_time(request)
    check_channels(request)
    check_checkpoints(request)


def check_tags(tags: list[dict]) -> None:
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) != len(keys):
        raise not_valid("Duplicate tag keys found. Please note that Tag keys are case sensitive.")
    if any(key.lower().startswith("aws:") for key in keys):
        raise not_valid("aws: prefixed tag key names are not allowed for external use.")


def check_algorithm(algorithm: dict) -> None:
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise not_valid("You must specify exactly one of TrainingImage and AlgorithmName in AlgorithmSpecification.")
    if "AlgorithmName" in algorithm:
        raise not_valid("Algorithms by name are not available in this stand-in: specify TrainingImage.")
    names = set()
    for metric in algorithm.get("MetricDefinitions", []):
        if metric["Name"] in names:
            raise not_valid(f"Metric definition names must be unique: {metric['Name']} is used more than once.")
        names.add(metric["Name"])
        try:
            regex.compile(metric["Regex"])
        except regex.error as error:
            raise not_valid(f"Invalid regular expression for metric {metric['Name']}: {error}") from error


def check_resources(request: dict) -> None:
    resources = request["ResourceConfig"]
    spot = request.get("EnableManagedSpotTraining", False)
    ways = [name for name in ("InstanceType", "InstanceGroups", "InstancePreferences") if name in resources]
    if len(ways) != 1:
        raise not_valid(
            "You must specify exactly one of InstanceType, InstanceGroups and InstancePreferences in ResourceConfig."
        )
    if ways == ["InstanceType"] and "InstanceCount" not in resources:
        raise not_valid("InstanceCount is required when InstanceType is specified in ResourceConfig.")
    places = [resources, *resources.get("InstanceGroups", []), *resources.get("InstancePreferences", [])]
    if any(place.get("InstanceCount") == 0 for place in places):
        raise not_valid("InstanceCount must be 1 or more.")
    if ways == ["InstanceGroups"]:
        names = [group.get("InstanceGroupName") for group in resources["InstanceGroups"]]
        if len(set(names)) != len(names):
            raise not_valid("Instance group names must be unique.")
        if "InstanceCount" in resources:
            raise not_valid("InstanceCount cannot be specified together with InstanceGroups.")
        for group in resources["InstanceGroups"]:
            if "InstanceType" not in group or "InstanceCount" not in group:
                raise not_valid("Each instance group needs InstanceType and InstanceCount.")
    if ways == ["InstancePreferences"]:
        if spot:
            raise not_valid("InstancePreferences cannot be specified when EnableManagedSpotTraining is true.")
        if "InstancePlacementConfig" in resources:
            raise not_valid("InstancePreferences cannot be specified together with InstancePlacementConfig.")
        if "InstanceCount" not in resources and any(
            "InstanceCount" not in choice for choice in resources["InstancePreferences"]
        ):
            raise not_valid("InstanceCount is required in ResourceConfig or in each of InstancePreferences.")
    if "SelectedInstanceType" in resources or "SelectedInstanceCount" in resources:
        raise not_valid("SelectedInstanceType and SelectedInstanceCount cannot be specified in a request.")
    if resources.get("KeepAlivePeriodInSeconds"):
        if spot:
            raise not_valid("KeepAlivePeriodInSeconds cannot be specified when EnableManagedSpotTraining is true.")
        if ways == ["InstanceGroups"] and len(resources["InstanceGroups"]) > 1:
            raise not_valid("KeepAlivePeriodInSeconds cannot be specified with more than one instance group.")


def check_time(request: dict) -> None:
    condition = request["StoppingCondition"]
    spot = request.get("EnableManagedSpotTraining", False)
    if spot and condition.get("MaxWaitTimeInSeconds", 0) < condition.get("MaxRuntimeInSeconds", 86400):
        raise not_valid(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        )
    if not spot and "MaxWaitTimeInSeconds" in condition:
        raise not_valid("MaxWaitTimeInSeconds can only be specified when EnableManagedSpotTraining is true")


def check_channels(request: dict) -> None:
    names = set()
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    groups = {group.get("InstanceGroupName") for group in request["ResourceConfig"].get("InstanceGroups", [])}
    for channel in request.get("InputDataConfig", []):
        name = channel["ChannelName"]
        if name in names:
            raise not_valid(f"Channel names must be unique: {name} is used more than once.")
        names.add(name)
        if name in (".", ".."):
            raise not_valid(f"Invalid channel name: {name}")
        mode = channel.get("InputMode", default)
        sources = [kind for kind, value in channel["DataSource"].items() if value is not None]
        if len(sources) != 1:
            raise not_valid(f"Channel {name} must specify exactly one data source.")
        if sources == ["FileSystemDataSource"]:
            if "VpcConfig" not in request or mode != "File":
                raise not_valid("File system data sources need VpcConfig and TrainingInputMode File.")
            continue
        if sources != ["S3DataSource"]:
            raise not_valid(f"Channel {name}: {sources[0]} is not available in this stand-in.")
        check_s3_source(name, mode, channel, groups)


def check_s3_source(name: str, mode: str, channel: dict, groups: set) -> None:
    source = channel["DataSource"]["S3DataSource"]
    kind = source["S3DataType"]
    if kind == "Converse":
        raise not_valid(f"Channel {name}: S3DataType Converse is for serverless training jobs.")
    if mode == "FastFile" and kind != "S3Prefix":
        raise not_valid(f"Channel {name}: S3DataType {kind} is not supported with input mode FastFile.")
    if kind == "AugmentedManifestFile":
        if mode != "Pipe":
            raise not_valid(f"Channel {name}: S3DataType AugmentedManifestFile is only supported with input mode Pipe.")
        if not source.get("AttributeNames"):
            raise not_valid(f"Channel {name}: AttributeNames is required with S3DataType AugmentedManifestFile.")
    elif source.get("AttributeNames"):
        raise not_valid(f"Channel {name}: AttributeNames is only supported with S3DataType AugmentedManifestFile.")
    if mode != "Pipe" and channel.get("CompressionType", "None") != "None":
        raise not_valid(f"Channel {name}: CompressionType is only supported with input mode Pipe.")
    if mode != "Pipe" and channel.get("RecordWrapperType", "None") != "None":
        raise not_valid(f"Channel {name}: RecordWrapperType is only supported with input mode Pipe.")
    unknown = set(source.get("InstanceGroupNames") or []) - groups
    if unknown:
        raise not_valid(f"Channel {name}: there is no instance group {sorted(unknown)[0]}.")


def check_checkpoints(request: dict) -> None:
    path = request.get("CheckpointConfig", {}).get("LocalPath", "/opt/ml/checkpoints").rstrip("/")
    inside = any(path.startswith(folder + "/") for folder in RESERVED[1:])
    if not path.startswith("/") or path in RESERVED or inside:
        raise not_valid(f"Invalid LocalPath in CheckpointConfig: {path} is reserved or not absolute.")
