"""The metrics of Temporal's SDK are served where the settings say, also at an address of IPv6."""

from __future__ import annotations

import pytest

from sandbox.testing import free_port
from temporal.logs import runtime
from tests.http_client import http_client


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1"), ("::1", "http://[::1]")])
async def test_the_metrics_of_the_sdk_are_served_at_the_address_that_is_set(host: str, url: str) -> None:
    port = free_port()
    runtime(host, port)
    async with http_client(f"{url}:{port}") as http:
        assert (await http.get("/metrics")).status_code == 200
