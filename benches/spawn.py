"""Runs one command and prints its wall seconds, CPU seconds, peak memory in KiB and exit status.

Usage: python3 -I -S spawn.py STDOUT COMMAND [ARGUMENT...]

A process of its own: ru_maxrss of a child begins at the peak of the process that spawned it, so
the spawner has to be small. What remains, about 8 MiB, is the least that can be seen.
"""

import os
import sys
import time

_, target, command, *arguments = sys.argv
write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
actions = [
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, target, write, 0o644),
    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
]
started = time.perf_counter()
child = os.posix_spawnp(command, [command, *arguments], os.environ, file_actions=actions)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - started
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
