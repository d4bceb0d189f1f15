"""Simulates a lost response: the connection hangs or breaks before the first byte."""

from __future__ import annotations

import asyncio
import socket
import struct

from aiohttp import web

from sandbox.faults import Fault


async def lose(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Break the connection; a timeout first hangs for its delay, until most clients give up."""
    if fault.kind.startswith("timeout"):
        await asyncio.sleep(fault.delay_seconds)
    _reset(request)
    return web.Response()  # aiohttp needs one, but the connection is already closed


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    # Closing with a linger time of zero sends RST, as from a crashed load balancer.
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
