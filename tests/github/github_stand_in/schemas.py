"""Schemas of OpenAPI 3.0 as JSON Schema."""

import re

import jsonschema

# https://docs.github.com/en/rest/using-the-rest-api/timezones-and-the-rest-api
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ALTERNATIVES = ("oneOf", "anyOf", "allOf")

formats = jsonschema.FormatChecker(formats=())


@formats.checks("date-time")
def is_stamp(value: object) -> bool:
    return not isinstance(value, str) or STAMP.fullmatch(value) is not None


def converted(schema: object, strict: bool = False) -> object:
    """`nullable` as a type. Strictly, an object has no properties but those that it names."""
    if isinstance(schema, list):
        return [converted(item, strict) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {name: converted(item, strict) for name, item in value.items()}
        elif key in ("enum", "default", "required"):
            result[key] = value
        else:
            # An alternative says something of an object that is described beside it.
            result[key] = converted(value, strict and key not in ALTERNATIVES)
    if strict and "properties" in result:
        result.setdefault("additionalProperties", False)
    return with_null(result) if result.pop("nullable", False) else result


def with_null(schema: dict) -> dict:
    if "type" not in schema:
        return {"anyOf": [{"type": "null"}, schema]}
    schema["type"] = [schema["type"], "null"]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return schema


def faults(schema: dict, value: object, components: dict | None = None) -> list[str]:
    """What of a value breaks a schema; references are to the components."""
    root = {**schema, "components": components} if components else schema
    validator = jsonschema.Draft202012Validator(root, format_checker=formats)
    return [worded(error) for error in validator.iter_errors(value)]


def worded(error: jsonschema.ValidationError) -> str:
    place = "/".join(str(part) for part in error.absolute_path)
    return f"{place or 'body'}: {error.message[:300]}"
