"""Jaeger, with the settings for production, keeps what has failed or was slow, and a share of the rest."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time_ns

import httpx2
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import StatusCode, format_trace_id, set_span_in_context

from cli.trace import of_trace
from sandbox.testing import free_port
from stack import Stack
from stack.paths import CHECKOUT
from tests.waiting import eventually

pytestmark = pytest.mark.thorough  # to build Jaeger takes minutes

SETTINGS = CHECKOUT / "ops" / "jaeger" / "jaeger.yaml"
MINUTE = 60 * 10**9  # nanoseconds


class Jaeger:
    """One with the settings for production, but for its ports, its folder, and the time until it judges."""

    def __init__(self, receives: int, answers: int) -> None:
        self._api = f"http://127.0.0.1:{answers}"
        self._provider = TracerProvider(shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"http://127.0.0.1:{receives}/v1/traces")
        self._provider.add_span_processor(SimpleSpanProcessor(exporter))

    def booking(self, step: str, *, nanoseconds: int = 10**6, failed: bool = False) -> str:
        """Send the trace of a booking of ten minutes with this one step; its id."""
        tracer, now = self._provider.get_tracer("test"), time_ns()
        whole = tracer.start_span("RunWorkflow:Booking", start_time=now - 10 * MINUTE)
        one = tracer.start_span(step, set_span_in_context(whole), start_time=now - MINUTE)
        if failed:
            one.set_status(StatusCode.ERROR)
        one.end(now - MINUTE + nanoseconds)
        whole.end(now)
        return format_trace_id(whole.get_span_context().trace_id)

    def kept(self, trace: str) -> int:
        """How many spans of a trace it has."""
        with httpx2.Client(base_url=self._api) as http:
            return sum(len(found["spans"]) for found in of_trace(http, trace))


@contextmanager
def jaeger(stack: Stack, folder: Path, share: int) -> Iterator[Jaeger]:
    stack.up("jaeger")  # builds the program; only that is needed
    stack.stop("jaeger")
    [program] = stack.paths.tools.glob("jaeger-*/jaeger")
    receives, answers, grpc, health = (free_port() for _ in range(4))
    changed = {
        "receivers.otlp.protocols.http.endpoint": f"127.0.0.1:{receives}",
        "extensions.jaeger_query.http.endpoint": f"127.0.0.1:{answers}",
        "extensions.jaeger_query.grpc.endpoint": f"127.0.0.1:{grpc}",
        "extensions.healthcheckv2.http.endpoint": f"127.0.0.1:{health}",
        "service.telemetry.metrics.level": "none",
    }
    options = [word for name, value in changed.items() for word in ("--set", f"{name}={value}")]
    env = {"JAEGER_WAIT": "2s", "JAEGER_SHARE": str(share), "JAEGER_DATA": str(folder), "PATH": os.environ["PATH"]}
    with subprocess.Popen([program, "--config", SETTINGS, *options], env=env) as process:
        yield Jaeger(receives, answers)
        process.terminate()


async def _ready(at: Jaeger) -> None:
    def answers() -> bool:
        try:
            return at.kept("0" * 31 + "1") == 0
        except httpx2.HTTPError:
            return False

    await eventually(answers)


async def test_what_failed_or_was_slow_is_kept_and_the_rest_is_not(stack: Stack, tmp_path: Path) -> None:
    with jaeger(stack, tmp_path, share=0) as at:
        await _ready(at)
        usual = at.booking("RunActivity:capture")
        failed = at.booking("RunActivity:capture", failed=True)
        slow = at.booking("stripe capture", nanoseconds=3 * 10**9)
        await eventually(lambda: at.kept(failed) == at.kept(slow) == 2)
        assert at.kept(usual) == 0, "a buyer who thinks for ten minutes is not slow"


async def test_a_share_of_the_rest_is_kept(stack: Stack, tmp_path: Path) -> None:
    with jaeger(stack, tmp_path, share=100) as at:
        await _ready(at)
        usual = at.booking("RunActivity:capture")
        await eventually(lambda: at.kept(usual) == 2)
