"""A stand-in that really runs, with an image whose program is given by the job."""

import io
import json
import os
import pathlib
import shutil
import tarfile
import time
import urllib.error
import urllib.request

import botocore.config
import botocore.exceptions
import botocore.session
import pytest

from sagemaker_stand_in import model, validation
from sagemaker_stand_in.engine import Engine
from stand_in_base.process import Process

HERE = pathlib.Path(__file__).parent.parent
ENGINE = os.environ.get("MLACTION_TEST_ENGINES", "unix:///var/run/docker.sock").split(",")[0]
ROLE = "arn:aws:iam::123456789012:role/training"
BUCKET = "lake"
# The image's program: what the job says in its environment.
TRAIN = b'#!/bin/sh\neval "$PROGRAM"\n'


class StandIn(Process):
    """The process, and clients that talk to it as any program would."""

    patience = 60

    def __init__(self, *options: str):
        super().__init__("sagemaker_stand_in", HERE, "--engine", ENGINE, *options)
        self.host = self.endpoint.removeprefix("http://")
        self.session = botocore.session.Session()
        self.engine = Engine(ENGINE)
        self.number = 0

    def client(self, service: str, **settings):
        variables = self.ready["environment"]
        keys = {
            "aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
        }
        config = botocore.config.Config(
            retries={"total_max_attempts": settings.pop("attempts", 1)}, read_timeout=settings.pop("timeout", 60)
        )
        client = self.session.create_client(
            service,
            region_name=settings.pop("region", variables["AWS_REGION"]),
            endpoint_url=self.endpoint,
            config=config,
            **{**keys, **settings},
        )
        # Every answer is held against the model, as every request is.
        client.meta.events.register("before-parse.sagemaker", check_answer)
        return client

    def control(self, path: str, content: object = None, method: str | None = None) -> dict:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.endpoint}/_stand-in/{path}", data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def post(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """A request as it is: botocore would refuse some of them itself."""
        headers = {
            "X-Amz-Target": f"SageMaker.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/sagemaker/"
            "aws4_request, SignedHeaders=host, Signature=0",
        }
        try:
            with urllib.request.urlopen(urllib.request.Request(self.endpoint, body, headers)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def push_image(self, name: str = "app:1", files: dict[str, bytes] | None = None) -> str:
        """An image of busybox alone."""
        busybox = shutil.which("busybox")
        contents = {"bin/busybox": pathlib.Path(busybox).read_bytes(), "bin/train": TRAIN, **(files or {})}
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            for path, data in contents.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(data), 0o755
                archive.addfile(entry, io.BytesIO(data))
            for program in ("sh", "cat", "sleep", "echo", "mkdir", "ls", "touch", "hostname", "wget", "ping", "kill"):
                entry = tarfile.TarInfo(f"bin/{program}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(entry)
            entry = tarfile.TarInfo("tmp")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(entry)
        image = f"{self.host}/{name}"
        self.client("ecr").create_repository(repositoryName=name.partition(":")[0])
        repository, _, tag = image.rpartition(":")
        with self.engine.stream(
            "POST",
            f"/images/create?fromSrc=-&repo={repository}&tag={tag}&changes=ENV+PATH=/bin",
            layer.getvalue(),
            {"Content-Type": "application/x-tar"},
        ) as answer:
            answer.read()
        with self.engine.stream("POST", f"/images/{repository}/push?tag={tag}", b"", {"X-Registry-Auth": "e30="}) as a:
            said = a.read().decode()
        assert '"error"' not in said, said
        self.engine.remove_image(image)
        wanted = {"repositoryName": repository.partition("/")[2], "imageIds": [{"imageTag": tag}]}
        [details] = self.client("ecr").describe_images(**wanted)["imageDetails"]
        return f"{repository}@{details['imageDigest']}"

    def name(self) -> str:
        self.number += 1
        return f"job-{self.number}"


@pytest.fixture(scope="session")
def stand_in():
    running = StandIn()
    running.image = running.push_image()
    running.sagemaker = running.client("sagemaker")
    running.s3 = running.client("s3")
    running.logs = running.client("logs")
    running.s3.create_bucket(Bucket=BUCKET)
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def ordinary(request):
    """Every test begins with no fault set, and at full speed."""
    yield
    if "stand_in" in request.fixturenames:
        running = request.getfixturevalue("stand_in")
        running.control("faults", method="DELETE")
        running.control("scale", DEFAULT_SCALE)


DEFAULT_SCALE = {
    "factor": 1,
    "grace": 120,
    "capacity_patience": 3600,
    "checkpoint_interval": 10,
    "log_delay": 0,
    "minimum": {},
}


def check_answer(operation_model, response_dict: dict, **_) -> None:
    if response_dict["status_code"] == 200 and operation_model.output_shape:
        known = model.load("sagemaker")
        answer = json.loads(response_dict["body"])
        validation.check(known, known.output_of(operation_model.name), answer)
        CHECKED.add(operation_model.name)


CHECKED: set[str] = set()


class Jobs:
    """Jobs of one test."""

    def __init__(self, running: StandIn):
        self.running = running
        self.api = running.sagemaker

    def request(self, program: str = "true", **changes) -> dict:
        request = {
            "TrainingJobName": self.running.name(),
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": self.running.image, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "Environment": {"PROGRAM": program},
        }
        for name, value in changes.items():
            if isinstance(value, dict) and isinstance(request.get(name), dict):
                value = {**request[name], **value}
            request[name] = value
        return request

    def start(self, program: str = "true", **changes) -> str:
        request = self.request(program, **changes)
        self.api.create_training_job(**request)
        return request["TrainingJobName"]

    def describe(self, name: str) -> dict:
        return self.api.describe_training_job(TrainingJobName=name)

    def until(self, name: str, condition, seconds: float = 60) -> dict:
        return poll(lambda: self.describe(name), condition, seconds)

    def end(self, name: str) -> dict:
        return self.until(name, lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"))

    def run(self, program: str = "true", **changes) -> dict:
        return self.end(self.start(program, **changes))

    def output(self, name: str, path: str) -> bytes:
        return self.running.s3.get_object(Bucket=BUCKET, Key=f"out/{name}/output/{path}")["Body"].read()

    def archive(self, name: str, path: str) -> dict[str, bytes]:
        with tarfile.open(fileobj=io.BytesIO(self.output(name, path))) as archive:
            return {item.name: archive.extractfile(item).read() for item in archive if item.isreg()}

    def outputs(self, name: str) -> list[str]:
        listed = self.running.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"out/{name}/output/").get("Contents", [])
        return [item["Key"].split("/output/", 1)[1] for item in listed]

    def log(self, name: str, host: str = "algo-1") -> list[str]:
        """All lines of a host, of every attempt."""
        group = "/aws/sagemaker/TrainingJobs"
        try:
            streams = self.running.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/{host}-")
        except self.running.logs.exceptions.ResourceNotFoundException:
            # The first job of an account makes it.
            return []
        lines = []
        for stream in streams["logStreams"]:
            events = self.running.logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )
            lines += [event["message"] for event in events["events"]]
        return lines

    def history(self, name: str) -> dict:
        return next(job for job in self.running.control("journal")["jobs"] if job["name"] == name)


@pytest.fixture
def jobs(stand_in):
    return Jobs(stand_in)


def poll(ask, condition, seconds: float = 60):
    """What is asked for, once the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition(answer := ask()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {answer}"
        time.sleep(0.02)
    return answer


def steps(job: dict) -> list[str]:
    return [step["Status"] for step in job["SecondaryStatusTransitions"]]


def code_of(error: pytest.ExceptionInfo) -> str:
    return error.value.response["Error"]["Code"]


def message_of(error: pytest.ExceptionInfo) -> str:
    return error.value.response["Error"]["Message"]


def put(stand_in: StandIn, key: str, data: bytes) -> None:
    stand_in.s3.put_object(Bucket=BUCKET, Key=key, Body=data)


def channel(name: str, prefix: str, **changes) -> dict:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}", **changes.pop("source", {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **changes}


ClientError = botocore.exceptions.ClientError
