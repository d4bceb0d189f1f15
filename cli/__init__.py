"""The `seatwright` command: the one place that wires everything together."""

from cli.leaving import main

__all__ = ["main"]
