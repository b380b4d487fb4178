"""Requests (and, in the tests, answers) held against the model, in the words of the service."""

import functools

import regex

from .errors import ApiError, not_valid
from .model import Model

JAVA_NAMES = {"integer": "Integer", "long": "Long", "float": "Float", "double": "Double", "boolean": "Boolean"}


def check(model: Model, shape: str, value: object) -> None:
    """All errors of a value at once, as one ValidationException."""
    found = Validator(model)
    found.visit(shape, value, "")
    if found.errors:
        count = len(found.errors)
        noun = "error" if count == 1 else "errors"
        raise not_valid(f"{count} validation {noun} detected: " + "; ".join(found.errors))


@functools.cache
def compiled(pattern: str) -> regex.Pattern | None:
    try:
        return regex.compile(pattern)
    except regex.error:
        # Some patterns of other operations have Java's surrogate classes, which no other dialect takes.
        return None


class Validator:
    def __init__(self, model: Model):
        self.model = model
        self.errors: list[str] = []

    def visit(self, name: str, value: object, path: str) -> None:
        shape = self.model.shapes[name]
        getattr(self, "visit_" + shape["type"])(shape, value, path)

    def refuse(self, value: object, path: str, constraint: str) -> None:
        shown = "null" if value is None else f"'{display(value)}'"
        self.errors.append(f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}")

    def visit_structure(self, shape: dict, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise not_convertible(value, "a structure")
        present = {name: item for name, item in value.items() if item is not None}
        for name in shape.get("required", []):
            if name not in present:
                self.refuse(None, joined(path, name), "Member must not be null")
        if shape.get("union") and len(present) != 1:
            self.refuse(value, path, "Exactly one member must be set")
        for name, item in present.items():
            member = shape["members"].get(name)
            if member is None:
                # The service ignores these. A tool under test that sends them has a mistake.
                self.refuse(item, joined(path, name), "Member is not known to the operation")
            else:
                self.visit(member["shape"], item, joined(path, name))

    def visit_list(self, shape: dict, value: object, path: str) -> None:
        if not isinstance(value, list):
            raise not_convertible(value, "a list")
        for constraint in bounds(shape, len(value), "length"):
            self.refuse(value, path, constraint)
        for index, item in enumerate(value, 1):
            self.visit(shape["member"]["shape"], item, f"{path}.{index}.member")

    def visit_map(self, shape: dict, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise not_convertible(value, "a map")
        for constraint in bounds(shape, len(value), "length"):
            self.refuse(value, path, constraint)
        for key, item in value.items():
            for part, content, word in (("key", key, "keys"), ("value", item, "value")):
                inner = Validator(self.model)
                inner.visit(shape[part]["shape"], content, f"{path}.{key}")
                if not inner.errors:
                    continue
                if self.model.shapes[shape[part]["shape"]]["type"] == "string":
                    constraints = [error.split("failed to satisfy constraint: ", 1)[1] for error in inner.errors]
                    self.refuse(value, path, f"Map {word} must satisfy constraint: [{', '.join(constraints)}]")
                else:
                    self.errors.extend(inner.errors)

    def visit_string(self, shape: dict, value: object, path: str) -> None:
        if not isinstance(value, str):
            raise not_convertible(value, "a String")
        if "enum" in shape and value not in shape["enum"]:
            self.refuse(value, path, f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]")
        for constraint in bounds(shape, len(value), "length"):
            self.refuse(value, path, constraint)
        # Written as if a part could match; the service wants the whole.
        pattern = compiled(shape["pattern"]) if "pattern" in shape else None
        if pattern and not pattern.fullmatch(value):
            self.refuse(value, path, f"Member must satisfy regular expression pattern: {shape['pattern']}")

    def visit_integer(self, shape: dict, value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise not_convertible(value, f"an {JAVA_NAMES[shape['type']]}")
        for constraint in bounds(shape, value, "value"):
            self.refuse(value, path, constraint)

    visit_long = visit_integer

    def visit_float(self, shape: dict, value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise not_convertible(value, f"a {JAVA_NAMES[shape['type']]}")
        for constraint in bounds(shape, value, "value"):
            self.refuse(value, path, constraint)

    visit_double = visit_float

    def visit_boolean(self, shape: dict, value: object, path: str) -> None:
        if not isinstance(value, bool):
            raise not_convertible(value, "a Boolean")

    def visit_timestamp(self, shape: dict, value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise not_convertible(value, "a Timestamp")

    def visit_blob(self, shape: dict, value: object, path: str) -> None:
        if not isinstance(value, str):
            raise not_convertible(value, "a Blob")


def bounds(shape: dict, size: float, what: str) -> list[str]:
    broken = []
    if "min" in shape and size < shape["min"]:
        broken.append(f"Member must have {what} greater than or equal to {shape['min']}")
    if "max" in shape and size > shape["max"]:
        broken.append(f"Member must have {what} less than or equal to {shape['max']}")
    return broken


def joined(path: str, name: str) -> str:
    """`TrainingJobName` is called `trainingJobName` in messages."""
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name


def display(value: object) -> str:
    """A value as Java's toString shows it."""
    if isinstance(value, list):
        return "[" + ", ".join(display(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={display(item)}" for key, item in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def not_convertible(value: object, target: str) -> ApiError:
    tokens = {str: "STRING_VALUE", bool: f"{str(value).upper()}_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}
    token = tokens.get(type(value))
    if token is None:
        kinds = {dict: "Start of structure or map", list: "Start of list", type(None): "Null"}
        return ApiError("SerializationException", f"{kinds[type(value)]} found where not expected.")
    return ApiError("SerializationException", f"{token} can not be converted to {target}")
