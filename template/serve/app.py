"""The web service: routes, and what happens around every request.

gunicorn starts it with ``serve.app:create_app()``; see docs/deployment.md.
"""

from __future__ import annotations

import logging
import os
import re
import time
import uuid
from http import HTTPStatus

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from serve import auth, logs, model, openapi, payload
from serve.problems import MEDIA_TYPE, FieldIssue, Problem, invalid_input, malformed
from serve.settings import Settings

OPEN_PATHS = {"/ping", "/openapi.json"}
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> Flask:
    """Load keys and model and build the service. Raises StartupError if it cannot work."""
    logs.set_up()
    settings = settings or Settings.from_env(os.environ)
    keyring = auth.load_keyring(settings)
    if keyring is None:
        log.warning("API keys are off: whoever reaches this service may use it")
    loaded = model.load(settings)
    document = openapi.document(loaded, settings.max_instances)

    app = Flask("serve", static_folder=None)
    # One byte more than allowed: Werkzeug cuts a body without a length off at this limit and
    # says nothing; only the extra byte shows that there was more (_read_body).
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1
    app.json.sort_keys = False
    app.url_map.merge_slashes = False  # "//ping" is a wrong path, not a redirect

    @app.get("/ping")
    def ping() -> Response:
        """Tell SageMaker and load balancers that predictions can be asked for."""
        return jsonify(status="ok", model=loaded.id)

    @app.get("/openapi.json")
    def describe_api() -> Response:
        return jsonify(document)

    @app.get("/v1/model")
    def describe_model() -> Response:
        return jsonify(id=loaded.id, sha256=loaded.sha256, info=loaded.info)

    @app.post("/invocations")  # the path that SageMaker calls
    @app.post("/v1/predict")
    def predict() -> Response:
        """Predict the rows of the body."""
        _check_headers()
        given = payload.read(
            _read_body(settings.max_body_bytes),
            request.mimetype,
            request.mimetype_params,
            loaded.schema,
            settings.max_instances,
        )
        try:
            predictions = loaded.predict(given.rows)
        except model.PredictionError as error:
            if not given.warnings:
                raise  # nothing is odd about the input: our fault, a 500
            log.warning("no prediction: %s", error)
            raise invalid_input(_unusable(given.warnings)) from error
        warnings = [issue.as_json() for issue in given.warnings]
        return jsonify(model=loaded.id, predictions=predictions, warnings=warnings)

    _install_hooks(app, keyring, settings.max_body_bytes)
    return app


def _check_headers() -> None:
    """Refuse what the caller sends, or wants to get, in a form that is not spoken here."""
    if request.mimetype not in (payload.JSON, payload.CSV):
        detail = f"send {payload.JSON} or {payload.CSV} (header Content-Type)"
        accepted = {"Accept-Post": f"{payload.JSON}, {payload.CSV}"}
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, headers=accepted)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        detail = "compressed bodies are not accepted (header Content-Encoding)"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    if request.accept_mimetypes and not request.accept_mimetypes[payload.JSON]:
        detail = f"answers are {payload.JSON}; allow it in the header Accept"
        raise Problem(HTTPStatus.NOT_ACCEPTABLE, detail)


def _read_body(limit: int) -> bytes:
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # gunicorn has its own kinds: broken chunks, for one
        raise malformed("the body could not be read to its end") from error
    if len(body) > limit:
        raise RequestEntityTooLarge
    if len(body) < (request.content_length or 0):
        raise malformed("the body is shorter than the header Content-Length says")
    return body


def _unusable(warnings: list[FieldIssue]) -> list[FieldIssue]:
    hint = "no prediction can be computed, perhaps because "
    return [FieldIssue(issue.pointer, hint + issue.detail) for issue in warnings]


def _install_hooks(app: Flask, keyring: auth.Keyring | None, body_limit: int) -> None:
    """Identify, guard, answer errors and log: the same for every request."""

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()
        wanted = request.headers.get("X-Request-Id", "")
        g.request_id = wanted if REQUEST_ID.fullmatch(wanted) else uuid.uuid4().hex
        g.key_name = None

    @app.before_request
    def require_key() -> None:
        """Guard every path but the open ones, even paths that do not exist."""
        if keyring is None or request.path in OPEN_PATHS:
            return
        g.key_name = keyring.owner(_presented_key())
        if g.key_name is None:
            # One answer for no key and for a wrong one.
            detail = "a valid API key is needed (header X-API-Key or Authorization: Bearer)"
            challenge = {"WWW-Authenticate": 'Bearer realm="predictions"'}
            raise Problem(HTTPStatus.UNAUTHORIZED, detail, headers=challenge)

    @app.errorhandler(Problem)
    def answer_problem(problem: Problem) -> Response:
        response = jsonify(problem.as_json(g.request_id))
        response.status_code = problem.status
        response.mimetype = MEDIA_TYPE
        response.headers.update(problem.headers)
        return response

    @app.errorhandler(HTTPException)
    def answer_http_error(error: HTTPException) -> Response:
        """Flask's own errors (404, 405, 413, 500 ...) take the same form."""
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        if isinstance(error, RequestEntityTooLarge):
            return answer_problem(Problem(status, f"the body may have at most {body_limit} bytes"))
        problem = Problem(status, error.description or status.description)
        if isinstance(error, MethodNotAllowed):
            problem.headers["Allow"] = ", ".join(sorted(error.valid_methods or []))
        return answer_problem(problem)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        response.headers.update(SECURITY_HEADERS)
        # Never the query, the headers or the body: keys and personal data live there.
        fields = {
            "method": request.method[:20],
            "path": request.path[:200],
            "status": response.status_code,
            "duration_ms": round((time.perf_counter() - g.started) * 1000, 1),
            "request_id": g.request_id,
            "key": g.key_name,
        }
        log.info("request", extra={"fields": fields})
        return response


def _presented_key() -> str:
    key = request.headers.get("X-API-Key", "")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return key or (token.strip() if scheme.lower() == "bearer" else "")
