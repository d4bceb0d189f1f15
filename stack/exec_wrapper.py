"""Becomes a server, detached, after it has written down its own pid: so no server ever runs unrecorded or twice.

The launcher runs this file with `python -I -S`, gives it one JSON request and waits for it. A file lock, which the
server inherits and so holds until it and all its children are gone, is the truth about "running"; the record beside it
names the process. A launcher that is killed at any moment therefore leaves nothing that the next one cannot find.
"""

import fcntl
import json
import os
import sys
import time
from typing import Any

ALREADY_RUNNING = 75


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; pid and this together name one process for ever."""
    with open(f"/proc/{pid}/stat") as stat:
        # The name in parentheses may itself hold spaces and parentheses, so count from the last one.
        return int(stat.read().rpartition(")")[2].split()[19])


def boot_id() -> str:
    """A name for this boot of the machine: ticks of different boots must not be compared."""
    with open("/proc/sys/kernel/random/boot_id") as boot:
        return boot.read().strip()


def main(request: dict[str, Any]) -> int:
    """Fork the server; return once it has been executed, or has failed to be (and then say why on stderr)."""
    lock = os.open(request["lock"], os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return ALREADY_RUNNING
    reader, writer = os.pipe()  # closed by a successful exec, so that end-of-file means "it runs"
    if os.fork() == 0:
        try:
            _become(request, lock)
        except Exception as error:
            os.write(writer, str(error).encode())
        os._exit(127)
    os.close(writer)
    trouble = os.read(reader, 4096).decode()
    sys.stderr.write(trouble)
    return 1 if trouble else 0


def _become(request: dict[str, Any], lock: int) -> None:
    os.setsid()
    os.set_inheritable(lock, True)
    os.chdir(request["cwd"])
    log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    _record(request)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if request["user"] is not None:
        os.setgroups([])
        os.setgid(request["user"][1])
        os.setuid(request["user"][0])
    os.execve(request["command"][0], request["command"], request["environment"])


def _record(request: dict[str, Any]) -> None:
    own = os.getpid()
    record = {
        "pid": own,
        "ticks": start_ticks(own),
        "boot": boot_id(),
        "started_at": time.time(),
        "fingerprint": request["fingerprint"],
    }
    fresh = request["record"] + ".new"
    with open(fresh, "w") as file:
        json.dump(record, file)
    os.replace(fresh, request["record"])


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.stdin.read())))
