"""Prints what the SageMaker training toolkit gives a program; `recorded.json` is its answer.

Run by the test `toolkit` of `tests/it` as the entry point of a project, with a Python that has
`sagemaker-training==5.1.4` (PyPI; aws/sagemaker-training-toolkit):

    python3 -m venv toolkit && toolkit/bin/pip install sagemaker-training==5.1.4
    RECORD_TOOLKIT=$PWD/toolkit/bin/python cargo test --test it toolkit
"""

import json
import os
import pathlib

from sagemaker_training.environment import Environment

# What the SDK adds to every script-mode job; the toolkit takes the program's name from it.
hyperparameters = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "input/config/hyperparameters.json")
sdk = {
    "sagemaker_program": json.dumps("src/train.py"),
    "sagemaker_job_name": json.dumps(os.environ["TRAINING_JOB_NAME"]),
}
hyperparameters.write_text(json.dumps(json.loads(hyperparameters.read_text()) | sdk))

toolkit = Environment()
print("SEEN " + json.dumps({"arguments": toolkit.to_cmd_args(), "variables": toolkit.to_env_vars()}))
