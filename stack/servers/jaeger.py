"""Jaeger 2, built from source: it gathers the spans of all processes, and shows each trace."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from string import Template

from stack.errors import StackError
from stack.install_context import InstallContext
from stack.servers import golang, install

VERSION = "v1.76.0"  # of the Go module; its program is Jaeger 2
RELEASE = "2.13.0"  # the same, as its image is called
MODULE = "github.com/jaegertracing/jaeger"
SETTINGS = Path(__file__).with_name("jaeger.yaml")


def locate(context: InstallContext) -> Mapping[str, str]:
    """Build it if need be, and say where it is."""
    home = install.once(context, f"jaeger-{VERSION}", lambda at: _build(context, at))
    return {"server": str(home / "jaeger")}


def lay_out(context: InstallContext, facts: Mapping[str, str]) -> None:
    """Write its settings."""
    context.data.mkdir(parents=True, exist_ok=True)
    ports = {name.replace("-", "_"): port for name, port in context.ports.items() if name.startswith("jaeger")}
    (context.data / "jaeger.yaml").write_text(Template(SETTINGS.read_text()).substitute(ports))


def _build(context: InstallContext, target: Path) -> None:
    """Build it within a module that replaces what Jaeger's own does: `go install` refuses a module that replaces."""
    go, source = golang.go(context), target / "source"
    source.mkdir()
    jaeger = _downloaded(context, go, source)
    replaced = re.findall(r"^(?:replace )?\t?(\S+(?: v\S+)? => \S+ v\S+)", (jaeger / "go.mod").read_text(), re.M)
    version = re.search(r"^go .*$", (jaeger / "go.mod").read_text(), re.M)
    lines = ["module seatwright/jaeger", version[0] if version else "", f"require {MODULE} {VERSION}"]
    (source / "go.mod").write_text("\n".join([*lines, *(f"replace {each}" for each in replaced)]) + "\n")
    (source / "go.sum").write_bytes((jaeger / "go.sum").read_bytes())
    context.say("building from source: some minutes, once")
    command = [go, "build", "-C", str(source), "-mod=mod", "-o", str(target / "jaeger"), f"{MODULE}/cmd/jaeger"]
    install.run(context, command, {"GOFLAGS": "", "CGO_ENABLED": "0"})


def _downloaded(context: InstallContext, go: str, folder: Path) -> Path:
    context.say("downloading its source")
    command = [go, "mod", "download", "-json", f"{MODULE}@{VERSION}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"{context.name}: `go mod download` failed:\n{done.stderr or done.stdout}")
    return Path(json.loads(done.stdout)["Dir"])
