"""Reads the metrics of a stack's processes, as Prometheus does."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from stack import Spawned, Stack
from tests.http_client import http_client

PATHS = {"sagas": "/metrics"}


async def value(stack: Stack | Spawned, process: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels.

    Args:
        stack: Whose processes are read, or one process.
        process: The port's name without `-metrics`.
        name: The sample's name, with its suffix.
        labels: What a sample must have, among others.
    """
    async with http_client(f"http://127.0.0.1:{stack.ports[f'{process}-metrics']}") as http:
        text = (await http.get(PATHS.get(process, "/metrics/"))).raise_for_status().text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
