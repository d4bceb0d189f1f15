"""What a server's own module needs to install the server and to lay out its data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.paths import Paths


@dataclass(frozen=True)
class InstallContext:
    """One process within one stack; `say` shows at the terminal what takes so long."""

    name: str
    paths: Paths
    ports: Mapping[str, int]
    env: Mapping[str, str]
    postgres_password: str
    say: Callable[[str], None] = lambda text: None
    throwaway: bool = False

    @property
    def data(self) -> Path:
        """The folder of this process that outlives it."""
        return self.paths.data(self.name)
