"""A client of plain HTTP, as patient as a slow machine needs it."""

from __future__ import annotations

from typing import Any

import httpx2

_ANSWER_SECONDS = 90


def http_client(base_url: str = "", *, timeout: float = _ANSWER_SECONDS, **more: Any) -> httpx2.AsyncClient:
    """Nothing here speaks TLS, and to load the machine's certificates would cost every test 25 ms."""
    return httpx2.AsyncClient(base_url=base_url, timeout=timeout, verify=False, **more)
