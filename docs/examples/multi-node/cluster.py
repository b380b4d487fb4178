"""Which hosts a job has: what SageMaker writes to `resourceconfig.json`, on every host."""

import json
import os
import pathlib
from dataclasses import dataclass

BASE = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


@dataclass(frozen=True)
class Cluster:
    hosts: list
    rank: int
    interface: str

    @classmethod
    def read(cls):
        config = json.loads((BASE / "input/config/resourceconfig.json").read_text())
        hosts = sorted(config["hosts"], key=lambda name: int(name.rsplit("-", 1)[1]))
        return cls(hosts, hosts.index(config["current_host"]), config["network_interface_name"])

    @property
    def lead(self):
        """The host that the others turn to: `algo-1`."""
        return self.hosts[0]

    @property
    def host(self):
        return self.hosts[self.rank]

    @property
    def is_lead(self):
        return self.rank == 0
