"""What the container runs. SageMaker starts an image as ``docker run IMAGE train`` or ``serve``.

    train     the training job (SageMaker)
    validate  the validation job
    serve     the web service behind a SageMaker endpoint, where AWS IAM guards every call
    api       the same web service anywhere else: it demands API keys

Each word replaces this process by the real program (exec), so that signals reach it: SageMaker
stops jobs and endpoints with SIGTERM.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB_SERVICE = ["-m", "gunicorn", "--config", "serve/gunicorn.conf.py"]
PROGRAMS = {
    "train": ["model/train.py"],
    "validate": ["model/validate.py"],
    "serve": WEB_SERVICE,
    "api": WEB_SERVICE,
}


def main(arguments: list[str]) -> None:
    """Become the program that the first argument names; the rest are its arguments."""
    if not arguments or arguments[0] not in PROGRAMS:
        sys.exit(f"{__doc__}\nThe argument must be one of: {', '.join(PROGRAMS)}")
    name, *rest = arguments
    # An endpoint has no way to receive the header with a key: SageMaker removes it.
    if name == "serve" and not (os.environ.get("API_KEYS") or os.environ.get("API_KEYS_FILE")):
        os.environ["API_KEYS"] = "off"
    os.environ["PYTHONPATH"] = str(ROOT)
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, *PROGRAMS[name], *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
