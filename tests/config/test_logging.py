"""Every line of a process's log is one JSON object with its facts in fields, whoever writes the line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

PROGRAM = """
import asyncio, logging, threading, warnings
from types import SimpleNamespace
import structlog
from opentelemetry import context, propagate
from config.logging import configure
from config.settings import Settings

configure()
structlog.get_logger().warning("our own", booking="b1")
request = context.attach(propagate.extract({"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}))
structlog.get_logger().warning("in a trace")
logging.getLogger("library").warning("a library in a trace")
context.detach(request)
logging.getLogger("library").error("a library's %s", "line", extra={"step": "capture"})
logging.getLogger("library").error("a secret", extra={"password": "hunter2"})
warnings.warn("a warning")
threading.Thread(target=lambda: 1 / 0).start()


class Broken:
    def __del__(self):
        raise ValueError("in a destructor")


Broken()

from temporalio import activity, workflow
from temporalio.testing import ActivityEnvironment
from temporal.connection import connect
from temporal.logs import FORWARDING


async def main():
    await connect(Settings(mode="development", temporal_address="127.0.0.1:1"))
    lost = SimpleNamespace(level=30, target="retry", message="call retried", fields={"error": "away"}, time=1.0)
    FORWARDING._on_logs([lost])

    async def step():
        activity.logger.error("a step failed", extra={"step": "capture"})

    await ActivityEnvironment().run(step)
    assert not workflow.logger.workflow_info_on_message
    saga = {"temporal_workflow": {"workflow_id": "booking-1"}}
    workflow.logger.base_logger.error("a saga needs attention", extra=saga)


asyncio.run(main())
1 / 0
"""


def test_every_line_is_json_with_its_facts_in_fields() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    written = [*ran.stdout.splitlines(), *ran.stderr.splitlines()]
    lines: list[dict[str, Any]] = [json.loads(line) for line in written]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    by_event = {line["event"]: line for line in lines}
    assert by_event["our own"]["booking"] == "b1"
    assert {line["event"]: line["trace_id"] for line in lines if "trace_id" in line} == dict.fromkeys(
        ("in a trace", "a library in a trace"), "ab" * 16
    )
    assert by_event["a library's line"]["step"] == "capture"
    assert by_event["a secret"]["password"] == "[withheld]"
    assert by_event["a step failed"]["activity"]["activity_type"] == "unknown"
    assert by_event["a saga needs attention"]["workflow"] == {"workflow_id": "booking-1"}
    errors = "".join(line.get("exception", "") for line in lines if line["event"] == "uncaught error")
    assert errors.count("ZeroDivisionError") >= 2, "in a thread, and at the end"
    assert "in a destructor" in errors
    assert any("a warning" in line["event"] for line in lines)
    assert by_event["call retried"]["fields"] == {"error": "away"}


TWO_WRITERS = """
import logging, sys, threading
import structlog
from config.logging import configure

configure()
sys.setswitchinterval(1e-6)
other = threading.Thread(target=lambda: [logging.getLogger("library").warning("a library's") for _ in range(3000)])
other.start()
for _ in range(3000):
    structlog.get_logger().warning("our own")
other.join()
"""


def test_lines_of_two_threads_do_not_run_into_each_other() -> None:
    ran = subprocess.run([sys.executable, "-c", TWO_WRITERS], capture_output=True, text=True, timeout=120, check=True)
    events = [json.loads(line)["event"] for line in ran.stderr.splitlines()]
    assert sorted(set(events)) == ["a library's", "our own"]
    assert len(events) == 6000


LEVELS = """
import logging, os, signal, sys, threading
import structlog
from config.logging import configure


def say(at):
    for level in ("debug", "info", "warning"):
        getattr(structlog.get_logger(), level)(f"our {level} {at}")
        getattr(logging.getLogger("library"), level)(f"its {level} {at}")


def send(sent):
    os.kill(os.getpid(), sent)
    for thread in threading.enumerate()[1:]:
        thread.join()


configure("warning")
say("at warning")
send(signal.SIGUSR1)
say("at info")
send(signal.SIGUSR1)
send(signal.SIGUSR1)
say("at debug")
send(signal.SIGUSR2)
send(signal.SIGUSR2)
send(signal.SIGUSR2)
say("at error")
"""


def test_a_signal_changes_the_level_of_a_running_process() -> None:
    ran = subprocess.run([sys.executable, "-c", LEVELS], capture_output=True, text=True, timeout=120, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line.get("to") or line["event"] for line in lines] == [
        *("our warning at warning", "its warning at warning"),
        "info",
        *("our info at info", "its info at info", "our warning at info", "its warning at info"),
        *("debug", "debug"),
        *("our debug at debug", "our info at debug", "its info at debug"),
        *("our warning at debug", "its warning at debug"),
        *("info", "warning", "error"),
    ]
