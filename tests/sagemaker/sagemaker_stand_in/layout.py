"""Which hosts a job has, and the files of `/opt/ml/input/config`."""

import json
from dataclasses import dataclass

GROUP = "homogeneousCluster"


@dataclass(frozen=True)
class Host:
    name: str
    instance_type: str
    group: str


def hosts(resources: dict, selected: dict) -> list[Host]:
    groups = resources.get("InstanceGroups")
    if not groups:
        kind = selected.get("SelectedInstanceType") or resources["InstanceType"]
        count = selected.get("SelectedInstanceCount") or resources.get("InstanceCount", 1)
        groups = [{"InstanceGroupName": GROUP, "InstanceType": kind, "InstanceCount": count}]
    found: list[Host] = []
    for group in groups:
        for _ in range(group["InstanceCount"]):
            found.append(Host(f"algo-{len(found) + 1}", group["InstanceType"], group["InstanceGroupName"]))
    return found


def resource_config(host: Host, all_hosts: list[Host]) -> dict:
    groups: dict[str, dict] = {}
    for other in all_hosts:
        group = groups.setdefault(
            other.group,
            {"instance_group_name": other.group, "instance_type": other.instance_type, "hosts": []},
        )
        group["hosts"].append(other.name)
    return {
        "current_host": host.name,
        "current_instance_type": host.instance_type,
        "current_group_name": host.group,
        "hosts": [other.name for other in all_hosts],
        "instance_groups": list(groups.values()),
        "network_interface_name": "eth0",
        "topology": None,
    }


def input_data_config(channels: list[dict], default_mode: str) -> dict:
    config = {}
    for channel in channels:
        mode = channel.get("InputMode", default_mode)
        entry = {
            # A program cannot tell FastFile from File.
            "TrainingInputMode": "File" if mode == "FastFile" else mode,
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        source = channel["DataSource"].get("S3DataSource")
        if source:
            entry["S3DistributionType"] = source.get("S3DataDistributionType", "FullyReplicated")
        if "ContentType" in channel:
            entry["ContentType"] = channel["ContentType"]
        config[channel["ChannelName"]] = entry
    return config


def config_files(request: dict, host: Host, all_hosts: list[Host]) -> dict[str, bytes]:
    mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    contents = {
        "hyperparameters.json": request.get("HyperParameters", {}),
        "inputdataconfig.json": input_data_config(request.get("InputDataConfig", []), mode),
        "resourceconfig.json": resource_config(host, all_hosts),
    }
    return {name: json.dumps(content).encode() for name, content in contents.items()}
