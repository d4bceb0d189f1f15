"""The `seatwright` command: starts the processes, and holds the tools for operators."""

from cli.entrypoint import main

__all__ = ["main"]
