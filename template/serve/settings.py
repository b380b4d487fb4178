"""Settings of the service. All of them come from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class StartupError(RuntimeError):
    """The service cannot start.

    gunicorn prints the message of a ``RuntimeError`` and stops without a traceback.
    """


@dataclass(frozen=True)
class Settings:
    """See docs/deployment.md for the meaning of each variable."""

    model_dir: Path = Path("/opt/ml/model")
    model_sha256: str = ""
    api_keys: str = ""
    api_keys_file: str = ""
    max_body_bytes: int = 6_291_456  # the limit of a SageMaker endpoint (6 MiB)
    max_instances: int = 1_000

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings from environment variables."""
        return cls(
            model_dir=Path(environ.get("MODEL_DIR") or cls.model_dir),
            model_sha256=environ.get("MODEL_SHA256", "").strip().lower(),
            api_keys=environ.get("API_KEYS", "").strip(),
            api_keys_file=environ.get("API_KEYS_FILE", "").strip(),
            max_body_bytes=_positive(environ, "MAX_BODY_BYTES", cls.max_body_bytes),
            max_instances=_positive(environ, "MAX_INSTANCES", cls.max_instances),
        )


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise StartupError(f"{name} must be a whole number above zero, not {text!r}")
    return int(text)
