"""toxiproxy, built from source: tests put it between our processes and a server, to make the network bad."""

from collections.abc import Mapping

from stack.install_context import InstallContext
from stack.servers import golang

VERSION = "v2.12.0"
MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server"


def locate(context: InstallContext) -> Mapping[str, str]:
    """Build it if need be, and say where it is."""
    return {"server": str(golang.built(context, "toxiproxy", MODULE, version=VERSION) / "server")}
