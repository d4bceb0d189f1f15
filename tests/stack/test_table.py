"""The table is sound: every need and port exists, and none is there twice."""

import pytest

from stack import table
from stack.table import DEFAULT_PORTS, TABLE


def test_every_need_stands_above_who_needs_it() -> None:
    seen: set[str] = set()
    for row in TABLE.values():
        assert set(row.needs) <= seen
        seen.add(row.name)


def test_no_two_listeners_have_the_same_port() -> None:
    assert len(set(DEFAULT_PORTS.values())) == len(DEFAULT_PORTS)


def test_naming_one_brings_what_it_needs() -> None:
    assert {row.name for row in table.with_needs(["work"])} >= {"work", "migrate", "postgres", "kafka"}
    assert [row.name for row in table.with_needs(["redis"])] == ["redis"]


def test_what_is_optional_is_only_started_when_asked_for() -> None:
    assert not {"jaeger", "prometheus", "stripe-mock", "toxiproxy", "victoria-metrics"} & set(table.usual())
    assert set(table.usual(servers_only=True)) < set(table.usual())


@pytest.mark.parametrize("ours", ["api", "work", "relay", "consume"])
def test_our_own_processes_stop_before_any_server_that_they_use(ours: str) -> None:
    assert {"postgres", "kafka", "temporal", "redis", "sandbox"} <= set(table.all_needs(ours))
