"""The service models of botocore: what requests and answers look like."""

import functools

import botocore.loaders


class Model:
    """One service: its operations and shapes."""

    def __init__(self, service: str):
        raw = botocore.loaders.Loader().load_service_model(service, "service-2")
        self.shapes = raw["shapes"]
        self.operations = raw["operations"]

    def input_of(self, operation: str) -> str | None:
        return self.operations[operation].get("input", {}).get("shape")

    def output_of(self, operation: str) -> str | None:
        return self.operations[operation].get("output", {}).get("shape")

    def only_members_of(self, shape: str, values: dict) -> dict:
        """Those of the values that the structure has, without the absent ones."""
        members = self.shapes[shape]["members"]
        return {name: value for name, value in values.items() if name in members and value is not None}


@functools.cache
def load(service: str) -> Model:
    return Model(service)
