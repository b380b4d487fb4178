"""Runs one command and prints its seconds, its peak resident KiB and its exit code.

A process of its own, and started with `-I -S`, because Linux counts what the starting process
holds (about 8 MiB here) in the peak of the started one.
"""

import os
import sys
import time

null = os.open(os.devnull, os.O_RDWR)
streams = [(os.POSIX_SPAWN_DUP2, null, stream) for stream in (0, 1, 2)]
started = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=streams)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - started
print(seconds, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
