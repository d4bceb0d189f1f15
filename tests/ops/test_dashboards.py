"""The dashboards are code: what is written is current, and every metric is shown or has a reason not to be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import promql_parser
import pytest
import temporalio.bridge
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from ops.dashboards.__main__ import HERE, files
from ops.dashboards.board import Dashboard
from ops.dashboards.boards import DASHBOARDS, forgotten, metrics_in, shown
from ops.dashboards.unshown import UNSHOWN
from tests.architecture.wire_names import HERE as LISTS

WRITTEN = [*HERE.glob("grafana/*"), *HERE.glob("vmui/*")]
QUERIES = [
    pytest.param(query, id=f"{board.name}: {panel.title}: {name}")
    for board in DASHBOARDS
    for panel in board.panels
    for name, query in panel.queries.items()
]


def ours() -> Iterator[str]:
    """The names of our own metrics, as Prometheus stores them."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
    for name, kind in re.findall(r"^metric (\S+) (\S+) ", (LISTS / "wire_names.txt").read_text(), re.MULTILINE):
        yield from (name + suffix for suffix in suffixes[kind])


@cache
def _sdk() -> bytes:
    (bridge,) = Path(temporalio.bridge.__path__[0]).glob("temporal_sdk_bridge*.so")
    return bridge.read_bytes()


def unknown_to_temporals_sdk(names: set[str]) -> set[str]:
    """Those of these metrics that begin as the SDK's, and that it does not have: its program holds all their names."""
    bare = {name: re.sub(r"_(bucket|count|sum)$", "", name).removeprefix("temporal_") for name in names}
    return {name for name in names if name.startswith("temporal_") and bare[name].encode() not in _sdk()}


@pytest.mark.parametrize(("path", "text"), files().items(), ids=lambda value: Path(str(value)).name[:40])
def test_a_written_dashboard_is_what_its_code_says(path: Path, text: str) -> None:
    assert path.read_text() == text, "run `python -m ops.dashboards`"


def test_no_file_of_a_dashboard_is_left_behind() -> None:
    assert set(WRITTEN) == set(files())


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.name)
def test_grafana_reads_each_dashboard_with_all_its_panels(board: Dashboard) -> None:
    register_default_plugins()  # the kinds of panels and of queries
    read = GrafanaDashboard.from_json(json.loads((HERE / "grafana" / f"{board.name}.json").read_text()))
    assert read.uid == f"seatwright-{board.name}"
    drawn = [panel for panel in read.panels or () if panel.type_val == "timeseries"]
    assert [panel.title for panel in drawn] == [panel.title for panel in board.panels]
    kept = [[target.expr for target in panel.targets or ()] for panel in drawn]  # type: ignore[union-attr]
    assert kept == [list(panel.queries.values()) for panel in board.panels]


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.name)
def test_each_panel_of_a_dashboard_has_a_title_of_its_own(board: Dashboard) -> None:
    assert len({panel.title for panel in board.panels}) == len(board.panels)


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_is_promql_and_reads_metrics_that_exist(query: str) -> None:
    promql_parser.parse(query)
    assert metrics_in(query)
    assert {name for name in metrics_in(query) if name.startswith("seatwright_")} <= set(ours())
    assert unknown_to_temporals_sdk(metrics_in(query)) == set()


def test_a_metric_that_temporals_sdk_does_not_have_is_noticed() -> None:
    assert unknown_to_temporals_sdk({"temporal_workflow_fails", "temporal_workflow_failed"}) == {
        "temporal_workflow_fails"
    }


def test_a_query_that_is_no_promql_is_noticed() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        metrics_in("sum by (job) (rate(up[2m])")


def test_every_metric_of_ours_is_on_a_panel_or_has_a_reason_not_to_be() -> None:
    assert list(forgotten(set(ours()))) == []
    assert list(forgotten({"seatwright_new_total", "seatwright_streams"})) == ["seatwright_new_total"]


@pytest.mark.parametrize("pattern", UNSHOWN)
def test_what_is_left_out_with_a_reason_is_on_no_panel(pattern: str) -> None:
    assert {name for name in shown() if re.fullmatch(pattern, name)} == set()
