"""What a stack remembers between launches: its ports, its passwords, and what was asked for."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Spawned:
    """A further process like one of the table, with ports and environment of its own."""

    like: str
    arguments: list[str]
    env: dict[str, str]
    ports: dict[str, int]


@dataclass
class State:
    """The content of state.json. Who runs is not here: each process writes that down itself (see exec_wrapper)."""

    ports: dict[str, int] = field(default_factory=dict)
    free_ports: bool = False
    watched: bool = False
    throwaway: bool = False
    postgres_password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    settings: dict[str, str] = field(default_factory=dict)
    spawned: dict[str, Spawned] = field(default_factory=dict)
    completed: dict[str, str] = field(default_factory=dict)


def load(path: Path) -> State:
    """The remembered state, or a new one."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return State()
    content["spawned"] = {name: Spawned(**spawned) for name, spawned in content["spawned"].items()}
    return State(**content)


def save(path: Path, state: State) -> None:
    """Write it whole or not at all, readable by its owner only."""
    write_private(path, json.dumps(asdict(state), indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; it holds passwords."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)
