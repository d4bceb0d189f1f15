"""Prometheus, built from source and without its pages: it gathers all metrics and judges the alerts."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

from stack.install_context import InstallContext
from stack.paths import CHECKOUT
from stack.servers import golang

VERSION = "v0.316.0"  # of the Go module; its program is Prometheus 3.16
MODULE = "github.com/prometheus/prometheus/cmd"
SETTINGS = Path(__file__).with_name("prometheus.yaml")
RULES = CHECKOUT / "ops" / "alerts" / "rules"


def locate(context: InstallContext) -> Mapping[str, str]:
    """Build it and promtool if need be, and say where they are."""
    modules = [f"{MODULE}/{program}" for program in ("prometheus", "promtool")]
    # Without the ways to find targets in clouds, which are most of its source.
    home = golang.built(context, "prometheus", *modules, version=VERSION, tags="remove_all_sd")
    return {"server": str(home / "prometheus"), "promtool": str(home / "promtool")}


def lay_out(context: InstallContext, facts: Mapping[str, str]) -> None:
    """Write its settings."""
    context.data.mkdir(parents=True, exist_ok=True)
    ports = {name.replace("-", "_"): port for name, port in context.ports.items()}
    (context.data / "prometheus.yaml").write_text(Template(SETTINGS.read_text()).substitute(ports, rules=RULES))
