"""What a server's own module gets to know in order to install itself and to lay out its data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.places import Place


@dataclass(frozen=True)
class Given:
    """One process within one stack; `say` tells the person at the terminal what takes so long."""

    name: str
    place: Place
    ports: Mapping[str, int]
    env: Mapping[str, str]
    postgres_password: str
    say: Callable[[str], None] = lambda text: None

    @property
    def data(self) -> Path:
        """The folder of this process that outlives it."""
        return self.place.data(self.name)
