"""Settings of the web server. gunicorn reads this file; docs/deployment.md explains it."""

import os
from pathlib import Path

wsgi_app = "serve.app:create_app()"
bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}"

# One process per CPU that this process may use; macOS can only tell how many there are.
# The first variable is gunicorn's own, the second that of SageMaker's serving containers.
usable_cpus = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
workers = int(
    os.environ.get("WEB_CONCURRENCY")
    or os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS")
    or len(usable_cpus)
)
# Threads answer /ping in time (SageMaker waits 2 s) while others predict.
worker_class = "gthread"
threads = 4
# The processes already use every CPU: numerical libraries must not add threads of their own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Load the model before the workers start: a bad model stops the server at once, with a
# message, and the workers share its memory.
preload_app = True

timeout = 60  # SageMaker gives up on a request after 60 s
graceful_timeout = 25  # after SIGTERM; SageMaker sends SIGKILL after 30 s
keepalive = 75  # longer than the idle time of common load balancers (60 s)

# Limits on what comes before the body. The body has its own: MAX_BODY_BYTES.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# Workers prove every second that they live by touching a file: keep it in memory.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None

control_socket_disable = True  # nothing here asks for it, and the disk may be read-only
accesslog = None  # serve/app.py writes the access log, as JSON
errorlog = "-"
loglevel = "warning"
