"""Fields that GitHub's answers have and nobody here reads: empty, and of the right type."""

from .contract import Contract, resolved


def filled(contract: Contract, schema: dict | None, content: object) -> object:
    """The content with every field that the schema requires."""
    if schema is None:
        return content
    schema = resolved(contract.spec, schema)
    if isinstance(content, list):
        return [filled(contract, schema.get("items"), item) for item in content]
    if not isinstance(content, dict):
        return content
    result = dict(content)
    for part in parts(contract, schema):
        properties = part.get("properties", {})
        for name, value in content.items():
            if name in properties:
                result[name] = filled(contract, properties[name], value)
        for name in part.get("required", []):
            if name not in result:
                result[name] = empty(contract, properties.get(name, {}))
    return result


def parts(contract: Contract, schema: dict) -> list[dict]:
    """The schema and what it is composed of; of alternatives the first."""
    found = [schema]
    for part in schema.get("allOf", []) + schema.get("anyOf", [])[:1]:
        found += parts(contract, resolved(contract.spec, part))
    return found


def empty(contract: Contract, schema: dict) -> object:
    schema = resolved(contract.spec, schema)
    if schema.get("nullable"):
        return None
    for part in schema.get("allOf", []) + schema.get("anyOf", []) + schema.get("oneOf", []):
        return empty(contract, part)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return filled(contract, schema, {})
    plain = {"array": [], "integer": 0, "number": 0, "boolean": False}
    text = {"date-time": "1970-01-01T00:00:00Z", "uri": "https://example.invalid"}
    return plain.get(kind, text.get(schema.get("format"), ""))
