"""Three ways to add up numbers over all processes of a job. Each gives the own rank and a function."""

import os
import socket
import struct
import time

from cluster import Cluster

PORT = 29400
PATIENCE = 300  # seconds; hosts do not start at the same moment


def plain():
    """A ring over TCP with nothing but the standard library, for a few numbers: each hands on what it gets."""
    cluster = Cluster.read()
    count, rank = len(cluster.hosts), cluster.rank
    if count == 1:
        return 0, list
    listener = socket.create_server(("", PORT), backlog=1)
    listener.settimeout(PATIENCE)
    after = connect(cluster.hosts[(rank + 1) % count])
    before, _ = listener.accept()

    def add_up(values):
        pieces = {rank: struct.pack(f"{len(values)}d", *values)}
        for step in range(count - 1):
            after.sendall(pieces[(rank - step) % count])
            pieces[(rank - step - 1) % count] = receive(before, 8 * len(values))
        # In the order of the ranks, so that every host gets the same bits.
        rows = [struct.unpack(f"{len(values)}d", pieces[number]) for number in range(count)]
        return [sum(column) for column in zip(*rows)]

    return rank, add_up


def torchrun():
    """torch.distributed; `torchrun` has set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT."""
    import torch
    import torch.distributed

    # "nccl" with GPUs.
    torch.distributed.init_process_group("gloo")

    def add_up(values):
        tensor = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(tensor)
        return tensor.tolist()

    return int(os.environ["RANK"]), add_up


def mpirun():
    """MPI; `mpirun` has started this process."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    return world.Get_rank(), lambda values: [world.allreduce(value) for value in values]


def connect(host):
    """A connection to a host that may not listen yet, or have no name yet."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = socket.create_connection((host, PORT), timeout=5)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            connection.settimeout(None)
            return connection


def receive(connection, size):
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("another host has gone")
        received += part
    return received


WAYS = {"plain": plain, "torchrun": torchrun, "mpirun": mpirun}
