"""The containers of one attempt of a job: one a host."""

import functools
import os
import pathlib
import shutil
import tarfile
import threading
import time
from collections.abc import Iterator
from io import BytesIO

from . import layout
from .channels import Channel
from .engine import Engine, EngineError
from .errors import JobFailed
from .job import Job
from .logs import LogStream
from .pipes import Pipe

CHECKPOINTS = "/opt/ml/checkpoints"
FOLDERS = ("input/config/", "input/data/", "model/", "output/data/")


class Fleet:
    def __init__(self, engine: Engine, labels: dict, job: Job, hosts: list[layout.Host], folder: pathlib.Path):
        self.engine = engine
        self.labels = {**labels, "mlaction.stand-in.job": job.name}
        self.job = job
        self.hosts = hosts
        self.folder = folder
        self.name = f"stand-in-{labels['mlaction.stand-in']}-{job.name}-{job.attempt}"
        self.containers: dict[str, str] = {}
        self.exit_codes: dict[str, int] = {}
        self.volumes: list[str] = []
        self.network: str | None = None
        self.pipes: list[Pipe] = []
        self.threads: list[threading.Thread] = []
        checkpoints = job.request.get("CheckpointConfig")
        self.checkpoints = checkpoints and checkpoints.get("LocalPath", CHECKPOINTS).rstrip("/")

    def data_folder(self, host: layout.Host, channel: Channel) -> pathlib.Path:
        return self.folder / host.name / "data" / channel.name

    def create(self, image: str, channels: list[Channel]) -> None:
        isolated = self.job.request.get("EnableNetworkIsolation", False)
        if len(self.hosts) > 1:
            self.network = self.name
            self.engine.create_network(self.name, self.labels, internal=isolated)
        for host in self.hosts:
            here = [channel for channel in channels if channel.is_for(host)]
            settings = self.settings(image, host, here, isolated)
            self.containers[host.name] = self.engine.create(f"{self.name}-{host.name}", settings)
            self.fill(host, here)

    def settings(self, image: str, host: layout.Host, channels: list[Channel], isolated: bool) -> dict:
        request = self.job.request
        algorithm = request["AlgorithmSpecification"]
        environment = {
            "TRAINING_JOB_NAME": self.job.name,
            "TRAINING_JOB_ARN": self.job.arn,
            "AWS_REGION": self.job.region,
            **request.get("Environment", {}),
        }
        network = self.network or ("none" if isolated else "bridge")
        settings = {
            "Image": image,
            "Hostname": host.name,
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Labels": self.labels,
            "HostConfig": {
                "Mounts": self.mounts(image, host, channels),
                "NetworkMode": network,
                "ShmSize": 1 << 30,
                "ExtraHosts": [f"{host.name}:127.0.0.1"] if network == "none" else [],
            },
        }
        if self.network:
            settings["NetworkingConfig"] = {"EndpointsConfig": {self.network: {"Aliases": [host.name]}}}
        if "ContainerEntrypoint" in algorithm:
            settings["Entrypoint"] = algorithm["ContainerEntrypoint"]
            settings["Cmd"] = algorithm.get("ContainerArguments", [])
        else:
            settings["Cmd"] = algorithm.get("ContainerArguments", ["train"])
        return settings

    def mounts(self, image: str, host: layout.Host, channels: list[Channel]) -> list[dict]:
        """One by one, so that what the image has elsewhere in /opt/ml is seen, and what it has there is not."""
        folders = ["/opt/ml/input", "/opt/ml/model", "/opt/ml/output"]
        if self.checkpoints:
            folders.append(self.checkpoints)
        options = {"NoCopy": True, "Labels": self.labels}
        mounts = [{"Type": "volume", "Target": folder, "VolumeOptions": options} for folder in folders]
        if any(channel.mode == "Pipe" for channel in channels):
            # Only a folder of this machine can hold pipes that are fed from outside.
            source = self.folder / host.name / "pipes"
            source.mkdir(parents=True, exist_ok=True)
            mounts.append({"Type": "bind", "Source": str(source), "Target": "/opt/ml/input/data"})
        for number, channel in enumerate(channels):
            if channel.mode == "FastFile":
                volume = f"{self.name}-{host.name}-{number}"
                self.engine.create_volume(volume, self.labels)
                self.volumes.append(volume)
                self.fill_volume(image, volume, self.data_folder(host, channel))
                target = f"/opt/ml/input/data/{channel.name}"
                mounts.append({"Type": "volume", "Source": volume, "Target": target, "ReadOnly": True})
        return mounts

    def fill_volume(self, image: str, volume: str, folder: pathlib.Path) -> None:
        """Through a container that never starts."""
        mount = {"Type": "volume", "Source": volume, "Target": "/mnt", "VolumeOptions": {"NoCopy": True}}
        helper = self.engine.create(
            f"{volume}-fill",
            {"Image": image, "Cmd": ["-"], "Labels": self.labels, "HostConfig": {"Mounts": [mount]}},
        )
        try:
            self.engine.put(helper, "/mnt", lambda archive: add_folder(archive, folder, ""))
        finally:
            self.engine.remove(helper)

    def fill(self, host: layout.Host, channels: list[Channel]) -> None:
        container = self.containers[host.name]
        files = layout.config_files(self.job.request, host, self.hosts)

        def fill_input(archive: tarfile.TarFile) -> None:
            add_directory(archive, "config")
            add_directory(archive, "data")
            for name, data in files.items():
                add_file(archive, f"config/{name}", data)
            for channel in channels:
                if channel.mode == "File":
                    add_folder(archive, self.data_folder(host, channel), f"data/{channel.name}")

        self.engine.put(container, "/opt/ml/input", fill_input)
        self.engine.put(container, "/opt/ml/output", lambda archive: add_directory(archive, "data"))
        if self.checkpoints:
            source = self.folder / host.name / "checkpoints"
            self.engine.put(container, self.checkpoints, lambda archive: add_folder(archive, source, ""))
        for channel in channels:
            if channel.mode == "Pipe":
                fail = functools.partial(self.job.wish, "breakdown")
                self.pipes.append(Pipe(self.folder / host.name / "pipes", channel, host, self.hosts, fail))

    def start(self, log_streams: dict[str, LogStream]) -> None:
        for pipe in self.pipes:
            pipe.start()
        for host in self.hosts:
            container = self.containers[host.name]
            run = {
                "host": host.name,
                "attempt": self.job.attempt,
                "container": container,
                "started": time.time(),
                "ended": None,
                "exit_code": None,
            }
            self.job.runs.append(run)
            stream = log_streams[host.name]
            output = self.engine.attach(container)
            try:
                self.engine.start(container)
            except EngineError as error:
                run.update(ended=time.time(), exit_code=127)
                raise JobFailed(f"AlgorithmError: CannotStartContainerError: {error}, exit code: 127") from error
            stream.open()
            arguments = (host, container, stream, output, run)
            thread = threading.Thread(target=self.follow, args=arguments, daemon=True)
            thread.start()
            self.threads.append(thread)

    def follow(
        self, host: layout.Host, container: str, stream: LogStream, output: Iterator[tuple[int, bytes]], run: dict
    ) -> None:
        stream.follow(output)
        code = self.engine.wait(container)
        run.update(ended=time.time(), exit_code=code)
        with self.job.condition:
            self.exit_codes[host.name] = code
            self.job.condition.notify_all()

    @property
    def done(self) -> bool:
        """All hosts are through, or one has failed."""
        return len(self.exit_codes) == len(self.hosts) or any(self.exit_codes.values())

    @property
    def all_ended(self) -> bool:
        return len(self.exit_codes) == len(self.containers)

    def signal(self, signal: str) -> None:
        for host, container in self.containers.items():
            if host not in self.exit_codes:
                self.engine.kill(container, signal)

    def join(self) -> None:
        for thread in self.threads:
            thread.join()

    def failure(self) -> str | None:
        """The reason in the service's form, if a host has failed."""
        # In the order of their ends: those after the first were killed for it.
        for host, code in self.exit_codes.items():
            if not code:
                continue
            text = ""
            with self.engine.get(self.containers[host], "/opt/ml/output/failure") as archive:
                for member in archive or []:
                    file = archive.extractfile(member)
                    text = file.read(4096).decode(errors="replace").strip() if file else ""
            end = f", exit code: {code}"
            return f"AlgorithmError: {text}"[: 1024 - len(end)] + end
        return None

    def remove(self) -> None:
        for pipe in self.pipes:
            pipe.stop()
        for container in self.containers.values():
            self.engine.remove(container)
        self.join()
        if self.network:
            self.engine.remove_network(self.network)
        for volume in self.volumes:
            self.engine.remove_volume(volume)
        shutil.rmtree(self.folder, ignore_errors=True)


def add_directory(archive: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o777, int(time.time())
    archive.addfile(entry)


def add_file(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o644, int(time.time())
    archive.addfile(entry, BytesIO(data))


def add_folder(archive: tarfile.TarFile, folder: pathlib.Path, name: str) -> None:
    if name:
        add_directory(archive, name)
    for place, directories, files in os.walk(folder):
        directories.sort()
        inner = pathlib.PurePosixPath(name, pathlib.Path(place).relative_to(folder).as_posix())
        if inner.parts and str(inner) != (name or "."):
            add_directory(archive, str(inner))
        for file in sorted(files):
            path = pathlib.Path(place, file)
            entry = tarfile.TarInfo(str(inner / file))
            entry.size, entry.mode, entry.mtime = path.stat().st_size, 0o644, int(time.time())
            with path.open("rb") as data:
                archive.addfile(entry, data)
