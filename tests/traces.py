"""The trace that the platform has made of a request."""

import re

import httpx2


def trace_of(answer: httpx2.Response) -> str:
    """Its id, of 32 hex digits."""
    found = re.fullmatch(r"00-([0-9a-f]{32})-[0-9a-f]{16}-01", answer.headers["traceresponse"])
    assert found, answer.headers["traceresponse"]
    return found[1]
