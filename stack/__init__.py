"""Runs real servers and our own processes on a machine without Docker: `python -m stack up`, or Stack("demo").up()."""

from stack.commands import app
from stack.errors import StackError
from stack.stack import Seen, Stack
from stack.state import Spawned

__all__ = ["Seen", "Spawned", "Stack", "StackError", "app"]
