"""The `seatwright` command: the one place that wires everything together."""

from cli.commands import app

__all__ = ["app"]
