"""Channels in Pipe mode: one named pipe an epoch."""

import errno
import os
import pathlib
import threading
from collections.abc import Callable

from .channels import Channel
from .layout import Host


class Pipe:
    def __init__(
        self, folder: pathlib.Path, channel: Channel, host: Host, hosts: list[Host], fail: Callable[[str], None]
    ):
        self.folder, self.channel, self.host, self.hosts, self.fail = folder, channel, host, hosts, fail
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, name=f"pipe {channel.name}", daemon=True)
        self.make(0)

    def path(self, epoch: int) -> pathlib.Path:
        return self.folder / f"{self.channel.name}_{epoch}"

    def make(self, epoch: int) -> None:
        os.mkfifo(self.path(epoch))
        self.path(epoch).chmod(0o666)

    def start(self) -> None:
        self.thread.start()

    def run(self) -> None:
        try:
            self.feed()
        except Exception as error:
            # The program must not take half of its data for all.
            self.fail(f"ClientError: Data streaming failed on channel {self.channel.name}: {error}")

    def feed(self) -> None:
        epoch = 0
        while (pipe := self.opened(epoch)) is not None:
            # It is there before the reader asks for it.
            self.make(epoch + 1)
            try:
                with os.fdopen(pipe, "wb") as file:
                    for data in self.channel.stream(self.host, self.hosts, epoch):
                        file.write(data)
            except BrokenPipeError:
                # The program has read enough of this epoch.
                pass
            epoch += 1

    def opened(self, epoch: int) -> int | None:
        """A pipe opens for writing without waiting only once somebody reads."""
        while not self.stopped.is_set():
            try:
                pipe = os.open(self.path(epoch), os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                self.stopped.wait(0.02)
            else:
                os.set_blocking(pipe, True)
                return pipe
        return None

    def stop(self) -> None:
        self.stopped.set()
