"""Writes dashboards as Grafana and as VictoriaMetrics' pages read them."""

from __future__ import annotations

import json
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from ops.dashboards.board import Dashboard, Panel

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""As provisioning/datasources.yaml names it."""
_ACROSS, _HIGH = 24, 8
_IN_A_ROW = 3
_LETTERS = "ABCDEFGH"
_SHORT = {"bytes": "B", "ms": "ms", "percentunit": "", "reqps": "/s", "s": "s", "short": ""}
"""Grafana's names of units, as VictoriaMetrics' pages write them behind a number."""


def grafana(board: Dashboard) -> str:
    """The dashboard's JSON for Grafana."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(f"seatwright-{board.name}")
        .description(board.about)
        .tags(["seatwright"])
        .refresh("10s")
        .time("now-30m", "now")
        .readonly()
    )
    for title, panels in board.rows.items():
        built.with_row(dashboard.Row(title))
        for panel in panels:
            built.with_panel(_graph(panel))
    return json.dumps(built.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _graph(panel: Panel) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.note)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(_ACROSS // _IN_A_ROW)
        .height(_HIGH)
        .axis_soft_min(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    for letter, (name, query) in zip(_LETTERS, panel.queries.items(), strict=False):
        built.with_target(prometheus.Dataquery().expr(query).legend_format(name).ref_id(letter))
    return built


def vmui(board: Dashboard) -> str:
    """The dashboard's JSON for VictoriaMetrics' pages; in one row, since they show no other one unasked."""
    row = {"title": board.about, "panels": [_drawn(panel) for panel in board.panels]}
    return json.dumps({"title": board.title, "rows": [row]}, indent=1) + "\n"


def _drawn(panel: Panel) -> dict[str, Any]:
    width = 12 // _IN_A_ROW
    queries, names = list(panel.queries.values()), list(panel.queries)
    shown = {"title": panel.title, "description": panel.note, "unit": _SHORT[panel.unit], "width": width}
    return shown | {"showLegend": True, "expr": queries, "alias": names}
