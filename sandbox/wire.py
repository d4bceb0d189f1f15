"""How an answer is lost: the client's connection hangs or breaks, with no byte of an answer."""

from __future__ import annotations

import asyncio
import socket
import struct

from aiohttp import web

from sandbox.faults import Fault

LOOK_SECONDS = 0.05


async def lose(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Let a timeout hang until the client gives up or the delay is over, then break the connection."""
    if fault.kind.startswith("timeout"):
        await _hang(request, fault.delay_seconds)
    _reset(request)
    return web.Response()  # aiohttp wants one; the connection is gone before it could be written


async def _hang(request: web.Request, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while request.transport is not None and loop.time() < end:
        await asyncio.sleep(min(LOOK_SECONDS, seconds))


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    # Closing with a linger time of zero sends RST, which is what a crashed load balancer looks like.
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
