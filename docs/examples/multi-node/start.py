"""What the container runs on every host: `start.py plain`, `start.py torchrun` or `start.py mpirun`.

Each starts `train.py` with the same arguments; they differ in who finds the other hosts.
"""

import os
import signal
import socket
import subprocess
import sys

import exchange
from cluster import Cluster

RENDEZVOUS = 29500
PROCESSES_PER_HOST = int(os.environ.get("PROCESSES_PER_HOST", "1"))  # with GPUs: one for each


def plain(cluster):
    os.execvp(sys.executable, [sys.executable, "train.py", "plain"])


def torchrun(cluster):
    # Gloo and NCCL ask the machine for its address; these say which one the others can reach.
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = cluster.interface
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # `torchrun` is this module. Each host says its rank, so that rank 0 is the lead host.
    os.execvp(
        sys.executable,
        [
            *(sys.executable, "-m", "torch.distributed.run"),
            f"--nnodes={len(cluster.hosts)}",
            f"--nproc_per_node={PROCESSES_PER_HOST}",
            f"--node_rank={cluster.rank}",
            f"--master_addr={cluster.lead}",
            f"--master_port={RENDEZVOUS}",
            *("train.py", "torchrun"),
        ],
    )


def mpirun(cluster):
    subprocess.run(["/usr/sbin/sshd"], check=True)
    if not cluster.is_lead:
        sys.exit(follow(cluster))
    # The others connect when their SSH servers run, and stay connected until the lead says how it ended.
    with socket.create_server(("", exchange.PORT), backlog=len(cluster.hosts)) as listener:
        listener.settimeout(exchange.PATIENCE)
        others = [listener.accept()[0] for _ in cluster.hosts[1:]]
    places = ",".join(f"{host}:{PROCESSES_PER_HOST}" for host in cluster.hosts)
    process = subprocess.Popen(
        [
            *("mpirun", "--allow-run-as-root", "--host", places),
            *("-np", str(PROCESSES_PER_HOST * len(cluster.hosts)), "--bind-to", "none"),
            *("--mca", "btl_tcp_if_include", cluster.interface),
            *("--mca", "oob_tcp_if_include", cluster.interface),
            *(argument for name in PASSED if name in os.environ for argument in ("-x", name)),
            *(sys.executable, "train.py", "mpirun"),
        ]
    )
    # SIGTERM is how a job is stopped; mpirun hands it on to every process.
    signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
    status = process.wait()
    for other in others:
        other.sendall(bytes([status & 0xFF]))
    sys.exit(status)


# SSH does not carry variables: mpirun is told which the processes need.
PASSED = ("PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")


def follow(cluster):
    """Waits until the lead host says how it ended; without its word, it broke down."""
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    lead = exchange.connect(cluster.lead)
    word = lead.recv(1)
    return word[0] if word else 1


def main():
    ways = {"plain": plain, "torchrun": torchrun, "mpirun": mpirun}
    if len(sys.argv) < 2 or sys.argv[1] not in ways:
        sys.exit(f"usage: start.py {'|'.join(ways)}")
    ways[sys.argv[1]](Cluster.read())


if __name__ == "__main__":
    main()
