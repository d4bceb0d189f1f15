"""Nothing runs unseen: what has no metrics, spans, panel or alert fails here.

Routes, steps, workflows and consumers are measured in one place each; docs/extending.md says what is left to do.
"""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from prometheus_client.parser import text_string_to_metric_families

from adapters.kafka.client import CONSUMER_GROUPS
from ops.dashboards.boards import DASHBOARDS, metrics_in
from stack import Spawned, Stack
from temporal import queues
from tests.architecture.wire_names import (
    ROOT,
    activity_definitions,
    application,
    classes,
    sources,
    workflow_definitions,
)
from tests.http_client import http_client
from tests.metrics import value
from tests.ops.test_alerts import NAMES as ALERTS
from tests.otlp import receiver
from tests.waiting import eventually
from workers import consumers, relay

# What is kept apart by this label, and the metric that does so.
KEPT_APART = {
    "route": "seatwright_http_request_seconds",
    "workflow_type": "temporal_workflow_completed",
    "activity_type": "temporal_activity_execution_latency",
    "consumer": "seatwright_consumer_delay_seconds",
    "service": "seatwright_outbox_delay_seconds",
    "database": "seatwright_sql_statement_seconds",
    "call": "seatwright_provider_call_seconds",
}
# Which alert says that a workflow of this type is in trouble; all can also fail as a whole (WorkflowsFail,
# ReconciliationFails).
IN_TROUBLE = {
    "Booking": "BookingsFail",
    "DailyReconciliation": "ReconciliationLate",
    "EstimateCancellation": "WorkflowsFail",  # an organizer waits for the figures, and asks again
    "EventCancellation": "SagaNeedsAttention",
    "Exchange": "SagaNeedsAttention",
    "LatePayment": "LatePaymentNeedsAttention",
    "ProviderRefunds": "WorkflowsFail",  # reconciliation finds what it misses
    "PublishEvent": "WorkflowsFail",  # an organizer waits for it, and asks again
    "Reconciliation": "ReconciliationLate",
    "Refund": "SagaNeedsAttention",
    "RefundTakenBack": "WorkflowsFail",  # it starts the refund again, whose alert is above
}
UNTRACED = re.compile(r"/livez|/readyz|.*/stream")  # api/edge/request_context.py says why


def routes() -> list[tuple[str, str]]:
    """Each route's method and template; a HEAD is answered as a GET."""
    found = [context.original_route for context in iter_route_contexts(application().routes)]
    return [
        (method, route.path)
        for route in found
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
        if method != "HEAD"
    ]


async def test_each_route_is_measured_and_traced_by_its_template(stack: Stack) -> None:
    name = f"api-watched-{uuid4().hex[:6]}"
    with receiver() as spans:
        variables = {"SEATWRIGHT_TRACES_ENDPOINT": spans.endpoint}
        api = await asyncio.to_thread(lambda: stack.spawn(name, "api", env=variables))
        try:
            await call_all(api)
            assert set(routes()) - await measured(api) == set()
            wanted = {f"{method} {path}" for method, path in routes() if not UNTRACED.fullmatch(path)}

            def all_are_traced() -> bool:
                assert wanted - spans.names() == set()
                return True

            await eventually(all_are_traced)
        finally:
            await asyncio.to_thread(stack.stop, name)


async def call_all(api: Spawned) -> None:
    """Call every route without an account: it is refused, and counted all the same."""
    public, internal = (http_client(f"http://127.0.0.1:{api.ports[name]}") for name in ("api", "api-internal"))
    async with public, internal:
        for method, path in routes():
            http = internal if path.startswith("/internal") else public
            await http.request(method, re.sub(r"{\w+(:path)?}", str(uuid4()), path))


async def measured(api: Spawned) -> set[tuple[str, str]]:
    """The methods and routes that its metrics show."""
    async with http_client(f"http://127.0.0.1:{api.ports['api-metrics']}") as http:
        text = (await http.get("/metrics/")).text
    return {
        (sample.labels["method"], sample.labels["route"])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "seatwright_http_request_seconds_count"
    }


def test_each_workflow_and_step_runs_in_a_worker_that_measures_and_traces_it() -> None:
    """All clients come from temporal/connection.py, all workers from workers/temporal/worker.py."""
    module = ROOT / "workers" / "temporal" / "worker.py"
    named = {node.id for node in ast.walk(sources()[module]) if isinstance(node, ast.Name)}
    assert {definition.cls.__name__ for definition in workflow_definitions()} <= named
    steps = {definition.fn for definition in activity_definitions()}
    owners = {each for each in classes() if any(member in steps for member in vars(each).values() if callable(member))}
    assert {each.__name__ for each in owners} <= named
    assert set(made("Worker")) == {module}
    assert set(made("Client.connect")) == {ROOT / "temporal" / "connection.py"}


def made(what: str) -> Iterator[Path]:
    """The modules of the product that call it."""
    for path, tree in sources().items():
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        if any(ast.unparse(call.func) == what for call in calls):
            yield path


@pytest.mark.parametrize("queue", [queues.CATALOGUE, queues.RESERVATION, queues.PAYMENT, queues.REFUNDS])
async def test_each_task_queue_shows_the_workers_that_ask_for_its_tasks(stack: Stack, queue: str) -> None:
    await eventually(lambda: value(stack, "sagas", "temporal_num_pollers", task_queue=queue))


def test_each_consumer_reads_through_the_runner_that_measures_and_traces_it() -> None:
    folder = ROOT / "workers" / "consumers"
    assert set(made("Subscriber")) == {folder / "runner.py"}
    assert set(made("Runner")) == {folder / "__init__.py"}  # for each name of its table
    assert set(consumers.NAMES) == {*CONSUMER_GROUPS}


@pytest.mark.parametrize("service", relay.SERVICES)
async def test_each_outbox_shows_what_waits_in_it(stack: Stack, service: str) -> None:
    assert await has(stack, "relay", "seatwright_outbox_waiting", service=service)


async def has(stack: Stack, process: str, name: str, **labels: str) -> bool:
    async with http_client(f"http://127.0.0.1:{stack.ports[f'{process}-metrics']}") as http:
        text = (await http.get("/metrics/")).text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return any(sample.name == name and labels.items() <= sample.labels.items() for sample in samples)


@pytest.mark.parametrize(("label", "metric"), KEPT_APART.items())
def test_a_panel_keeps_apart_what_is_measured_apart(label: str, metric: str) -> None:
    queries = [query for board in DASHBOARDS for panel in board.panels for query in panel.queries.values()]
    apart = [query for query in queries if re.search(rf"by \([^)]*\b{label}\b", query)]
    assert any(name.startswith(metric) for query in apart for name in metrics_in(query))


def test_each_workflow_has_an_alert_that_says_when_it_is_in_trouble() -> None:
    assert sorted(IN_TROUBLE) == [definition.name for definition in workflow_definitions()]
    assert {*IN_TROUBLE.values(), "WorkflowsFail"} <= set(ALERTS)
