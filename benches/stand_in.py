"""The stand-in for SageMaker of the tests' rig, and projects that train there."""

import json
import os
import shutil
import subprocess
import urllib.request

BUCKET = "lake"
CONFIG = """[project]
name = "bench"
destination = "cloud"
[image]
context = "image"
dockerfile = "image/Dockerfile"
[registry]
kind = "ecr"
region = "us-east-1"
[data.train]
path = "data"
[training]
entry_point = "train.py"
channels = ["train"]
container_entrypoint = ["/busybox", "sh", "-c", "{script}"]
max_runtime = "1h"
[destinations.cloud]
kind = "sagemaker"
region = "us-east-1"
role = "arn:aws:iam::123456789012:role/training"
s3 = "s3://{bucket}/bench"
instance_type = "ml.m5.xlarge"
poll = "{poll}"
"""


class StandIn:
    """A running stand-in whose jobs run in an engine; it ends with the block."""

    def __init__(self, engine):
        self.engine = engine

    def __enter__(self):
        command = [os.path.join(self.engine.tools, "bin", "sagemaker-stand-in"), "--engine", self.engine.address, "--until-eof"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.endpoint, self.env = ready["endpoint"], ready["environment"]
        self.ask("PUT", f"/{BUCKET}")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.endpoint + path, data, method=method)) as answer:
            return answer.read()

    def set(self, what, content):
        self.ask("POST", f"/_stand-in/{what}", content)

    def launch(self, name, tags):
        """Asks for a training job as any program could; signatures are not checked."""
        body = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": "127.0.0.1:5000/none@sha256:" + "0" * 64, "TrainingInputMode": "File"},
            "RoleArn": "arn:aws:iam::123456789012:role/training",
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/bench/output"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "Tags": [{"Key": f"mlaction:{key}", "Value": value} for key, value in tags.items()],
        }
        headers = {
            "Authorization": "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/sagemaker/aws4_request, SignedHeaders=host, Signature=0",
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "SageMaker.CreateTrainingJob",
        }
        request = urllib.request.Request(self.endpoint + "/", json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request):
            pass

    def journal(self):
        return json.loads(self.ask("GET", "/_stand-in/journal"))


def make_project(place, engine, fill, bucket=BUCKET, script="true", poll="1s"):
    """A project whose image is a shell; `fill` writes its data, one small file when it is none."""
    os.makedirs(os.path.join(place, "image"))
    os.makedirs(os.path.join(place, "data"))
    texts = {
        "mlaction.toml": CONFIG.format(script=script, bucket=bucket, poll=poll),
        "train.py": "",
        "image/Dockerfile": f"FROM scratch\nLABEL bench={os.path.basename(os.path.dirname(place))}\nCOPY busybox /\n",
    }
    for name, text in texts.items():
        with open(os.path.join(place, name), "w", encoding="utf-8") as file:
            file.write(text)
    shutil.copy(os.path.join(engine.tools, "bin", "busybox"), os.path.join(place, "image", "busybox"))
    if fill:
        fill(os.path.join(place, "data"))
    else:
        with open(os.path.join(place, "data", "rows"), "w", encoding="utf-8") as file:
            file.write("1")
