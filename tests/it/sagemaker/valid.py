"""Hold a request for CreateTrainingJob against botocore's model of SageMaker.

botocore itself leaves out greatest lengths, patterns and enumerations; they are here.
"""

import json
import re
import sys

from botocore.session import get_session

UNITS = {"string": str, "boolean": bool, "integer": int, "long": int, "float": float}


def check(value, shape, place):
    kind, meta = shape.type_name, shape.metadata
    if kind == "structure":
        yield from (f"{place}: {name} is missing" for name in shape.required_members if name not in value)
        for name, inner in value.items():
            if name in shape.members:
                yield from check(inner, shape.members[name], f"{place}.{name}")
            else:
                yield f"{place}: {name} is unknown"
        return
    if kind == "list":
        for index, inner in enumerate(value):
            yield from check(inner, shape.member, f"{place}[{index}]")
    elif kind == "map":
        for name, inner in value.items():
            yield from check(name, shape.key, f"{place}.{name}")
            yield from check(inner, shape.value, f"{place}.{name}")
    elif type(value) is not UNITS[kind]:
        yield f"{place}: {value!r} is no {kind}"
        return
    size = value if kind in ("integer", "long") else len(value) if kind in ("string", "list", "map") else 0
    if not meta.get("min", size) <= size <= meta.get("max", size):
        yield f"{place}: {size} is out of range"
    # Python knows no \\p{L}; `\\w` and `\\s` have the same letters, digits and separators.
    pattern = meta.get("pattern", ".*").replace(r"\p{L}\p{Z}\p{N}", r"\w\s")
    if kind == "string" and not re.fullmatch(pattern, value):
        yield f"{place}: {value!r} does not match {pattern}"
    if "enum" in meta and value not in meta["enum"]:
        yield f"{place}: {value!r} is not one of {len(meta['enum'])} values"


model = get_session().get_service_model("sagemaker")
shape = model.operation_model("CreateTrainingJob").input_shape
print("\n".join(check(json.load(sys.stdin), shape, "request")), end="")
