"""stripe-mock, built from source: it checks each request against Stripe's own OpenAPI description."""

from collections.abc import Mapping

from stack.install_context import InstallContext
from stack.servers import golang

VERSION = "v0.203.0"
MODULE = "github.com/stripe/stripe-mock"


def locate(context: InstallContext) -> Mapping[str, str]:
    """Build it if need be, and say where it is."""
    return {"server": str(golang.built(context, "stripe-mock", MODULE, version=VERSION) / "stripe-mock")}
