"""Runs a separate sandbox process, for tests that script, count or kill it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

READY_SECONDS = 120.0
LOOK_SECONDS = 0.02
API_KEY = "sk_test_sandbox"
ROOT = Path(__file__).resolve().parents[1]


class ControlError(Exception):
    """The control API refused a call.

    Attributes:
        status: HTTP status.
        body: The error as JSON.
    """

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class SandboxProcess:
    """A sandbox on a free loopback port with its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it is ready.

        Raises:
            RuntimeError: It died or was not ready in time.
        """
        command = [sys.executable, "-m", "sandbox", "--port", str(self.port), "--data", str(self._folder)]
        self._process = subprocess.Popen(command, cwd=ROOT)
        end = time.monotonic() + READY_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the sandbox did not start")
            time.sleep(LOOK_SECONDS)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and wait for the end; the data stays for the next start."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=READY_SECONDS)
            self._process = None

    def kill(self) -> None:
        """End the process without a chance to clean up, as kill -9 does."""
        self.stop(signal.SIGKILL)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API; returns its JSON.

        Raises:
            ControlError: It was refused.
        """
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(f"{self.url}{path}", data, method=method), timeout=READY_SECONDS) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise ControlError(error.code, json.load(error)) from None

    def fault(self, kind: str, booking_id: str, **fields: Any) -> None:
        """Apply a fault to the next call (or `times` calls) about a booking."""
        rule = {"kind": kind, "face": "stripe", "match": {"booking_id": booking_id}, **fields}
        self.call("POST", "/_sandbox/faults", rule)

    def ledger(self, booking_id: str) -> dict[str, Any]:
        """The movements of a booking's money."""
        answer: dict[str, Any] = self.call("GET", f"/_sandbox/ledger?booking={booking_id}")
        return answer

    def intents(self, booking_id: str) -> list[dict[str, Any]]:
        """The intents of a booking."""
        answer: list[dict[str, Any]] = self.call("GET", f"/_sandbox/intents?booking={booking_id}")["intents"]
        return answer

    def requests(self, booking_id: str, operation: str) -> list[dict[str, Any]]:
        """The calls of one operation about a booking, as the log has them."""
        path = f"/_sandbox/requests?booking={booking_id}&operation={operation}"
        answer: list[dict[str, Any]] = self.call("GET", path)["requests"]
        return answer

    def _ready(self) -> bool:
        try:
            self.call("GET", "/healthz")
        except (URLError, OSError):
            return False
        return True


def free_port() -> int:
    """A free port from the kernel, never one that a stack has reserved but not yet opened (`stack.ports`)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
