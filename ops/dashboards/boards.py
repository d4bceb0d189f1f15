"""All dashboards, in the order in which they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import promql_parser

from ops.dashboards.board import Dashboard
from ops.dashboards.business import BUSINESS
from ops.dashboards.payments import PAYMENTS
from ops.dashboards.resources import RESOURCES
from ops.dashboards.saga_health import SAGA_HEALTH
from ops.dashboards.sale_night import SALE_NIGHT
from ops.dashboards.services import SERVICES
from ops.dashboards.unshown import UNSHOWN

DASHBOARDS: Final[tuple[Dashboard, ...]] = (SALE_NIGHT, SAGA_HEALTH, PAYMENTS, SERVICES, RESOURCES, BUSINESS)


def metrics_in(query: str) -> set[str]:
    """The names of the metrics that a query reads.

    Raises:
        ValueError: It is no PromQL.
    """
    found: set[str] = set()

    def visit(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.VectorSelector) and part.name:
            found.add(part.name)

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


def shown() -> set[str]:
    """The names of all metrics that a panel reads."""
    queries = (query for board in DASHBOARDS for panel in board.panels for query in panel.queries.values())
    return set().union(*map(metrics_in, queries))


def forgotten(names: set[str]) -> Iterator[str]:
    """Those of these metrics that are on no panel, without a reason; a histogram is shown if one of its parts is."""
    on_panels = {_family(name) for name in shown()}
    for name in sorted(names):
        if _family(name) not in on_panels and not any(re.fullmatch(pattern, name) for pattern in UNSHOWN):
            yield name


def _family(name: str) -> str:
    return re.sub(r"_(bucket|count|sum|total)$", "", name)
