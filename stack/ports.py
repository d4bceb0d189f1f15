"""Which port each process listens on: the well-known ones of the demo, ones chosen by the user, or free ones."""

import os
import random
import socket
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the kernel's range for outgoing connections, so that no connection can take a port between choice and use.
FREE_RANGE = (20000, 32000)


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_free(names: Iterable[str], avoid: Iterable[int] = ()) -> dict[str, int]:
    """A free port for each name, none of them in `avoid`."""
    taken = set(avoid)
    chosen: dict[str, int] = {}
    for name in names:
        candidates = (random.randrange(*FREE_RANGE) for _ in range(10_000))
        chosen[name] = next(port for port in candidates if port not in taken and is_free(port))
        taken.add(chosen[name])
    return chosen


def holder(port: int) -> str:
    """Who listens there, as far as we may know: 'python3 (pid 4711)' or ''."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and _has_open(entry / "fd", sockets):
            return f"{(entry / 'comm').read_text().strip()} (pid {entry.name})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    listening = "0A"
    rows = [line.split() for table in ("tcp", "tcp6") for line in _lines(f"/proc/net/{table}")]
    return {row[9] for row in rows if row[3] == listening and row[1].endswith(f":{port:04X}")}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()[1:]
    except OSError:
        return []


def _has_open(descriptors: Path, sockets: set[str]) -> bool:
    try:
        return any(os.readlink(descriptor) in sockets for descriptor in descriptors.iterdir())
    except OSError:
        return False
