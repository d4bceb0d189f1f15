"""VictoriaMetrics, built from source: it shows the graphs of all metrics, which Prometheus sends it."""

from collections.abc import Mapping

from stack.install_context import InstallContext
from stack.paths import CHECKOUT
from stack.servers import golang

VERSION = "v1.150.0"  # later ones need a newer Go
MODULE = "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"
DASHBOARDS = CHECKOUT / "ops" / "dashboards" / "vmui"


def locate(context: InstallContext) -> Mapping[str, str]:
    """Build it if need be, and say where it and its dashboards are."""
    home = golang.built(context, "victoria-metrics", MODULE, version=VERSION)
    return {"server": str(home / "victoria-metrics"), "dashboards": str(DASHBOARDS)}
