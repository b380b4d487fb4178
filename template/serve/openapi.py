"""The description of the service, made from the schema of the model (OpenAPI 3.1)."""

from __future__ import annotations

import csv
import io
from typing import Any

from serve import payload, problems
from serve.model import Model
from serve.schema import Feature, Schema

Json = dict[str, Any]


def document(model: Model, max_instances: int) -> Json:
    """Describe every path, input field and answer."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": model.info["name"],
            "version": model.sha256[:12],
            "description": f"Predicts `{model.schema.target}`. The version is that of the model.",
        },
        "security": [{"ApiKey": []}, {"Bearer": []}],
        "paths": {
            "/v1/predict": {"post": _predict(model, "predict")},
            "/invocations": {"post": _predict(model, "invoke")},
            "/v1/model": {"get": _get("describeModel", "What the model is", "ModelDescription")},
            "/ping": {"get": _get("ping", "Is the service ready?", "Health") | {"security": []}},
        },
        "components": {
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "Bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": _schemas(model, max_instances),
        },
    }


def _schemas(model: Model, max_instances: int) -> Json:
    text = {"type": "string"}
    issue = _object({"pointer": text, "detail": text})
    prediction: Json = {"prediction": {"type": "number"}}
    if model.classes:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        shares = _object({str(label): share for label in model.classes})
        prediction = {"prediction": {"enum": model.classes}, "probabilities": shares}
    predictions = {"type": "array", "items": _object(prediction, required=["prediction"])}
    problem = {
        "type": text,
        "title": text,
        "status": {"type": "integer"},
        "detail": text,
        "request_id": text,
        "errors": {"type": "array", "items": _ref("Issue")},
    }
    instances = {
        "type": "array",
        "items": _ref("Instance"),
        "minItems": 1,
        "maxItems": max_instances,
    }
    return {
        "Instance": _instance(model.schema),
        "Instances": _object({"instances": instances}) | {"additionalProperties": False},
        "Predictions": _object(
            {
                "model": text,
                "predictions": predictions,
                "warnings": {"type": "array", "items": _ref("Issue")},
            }
        ),
        "Issue": issue,
        "Problem": _object(problem, required=["type", "title", "status", "detail"]),
        "ModelDescription": _object({"id": text, "sha256": text, "info": {"type": "object"}}),
        "Health": _object({"status": text, "model": text}),
    }


def _instance(schema: Schema) -> Json:
    required = [feature.name for feature in schema.features if not feature.nullable]
    properties = {feature.name: _property(feature) for feature in schema.features}
    closed = {"additionalProperties": False, "minProperties": 1}
    return _object(properties, required=required) | closed


def _property(feature: Feature) -> Json:
    description = [f"in {feature.unit}"] if feature.unit else []
    if feature.minimum is not None and feature.maximum is not None:
        # Not "minimum": a value outside is answered, with a warning.
        description.append(f"training data: {feature.minimum} to {feature.maximum}")
    if feature.type == "number":
        result: Json = {"type": ["number", "null"] if feature.nullable else "number"}
    elif feature.allow_unknown:
        result = {"type": ["string", "null"] if feature.nullable else "string"}
        description.append("training data: " + ", ".join(map(str, feature.categories)))
    else:
        result = {"enum": [*feature.categories, *([None] if feature.nullable else [])]}
    if description:
        result["description"] = "; ".join(description)
    return result


def _predict(model: Model, operation: str) -> Json:
    example = model.schema.example()
    one_or_many = {"oneOf": [_ref("Instances"), _ref("Instance")]}
    return {
        "operationId": operation,
        "summary": f"Predict {model.schema.target}",
        "requestBody": {
            "required": True,
            "content": {
                payload.JSON: {"schema": one_or_many, "example": {"instances": [example]}},
                payload.CSV: {"schema": {"type": "string"}, "example": _csv(example)},
            },
        },
        "responses": {
            "200": _answer("The predictions, in the order of the instances", "Predictions"),
            "4XX": _problem("The request cannot be answered; errors names each wrong field"),
        },
    }


def _get(operation: str, summary: str, schema: str) -> Json:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": _answer(summary, schema), "4XX": _problem("The request is refused")},
    }


def _answer(description: str, schema: str) -> Json:
    return {"description": description, "content": {payload.JSON: {"schema": _ref(schema)}}}


def _problem(description: str) -> Json:
    content = {problems.MEDIA_TYPE: {"schema": _ref("Problem")}}
    return {"description": description, "content": content}


def _object(properties: Json, required: list[str] | None = None) -> Json:
    """Describe an object; all its properties are required unless told otherwise."""
    needed = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": needed}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _csv(row: Json) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([row.keys(), row.values()])
    return buffer.getvalue()
