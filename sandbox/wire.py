"""How an answer is lost: the client's connection hangs or breaks, with no byte of an answer."""

from __future__ import annotations

import asyncio
import socket
import struct

from aiohttp import web

from sandbox.faults import Fault


async def lose(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Break the connection; a timeout hangs for its delay first, in which most clients give up."""
    if fault.kind.startswith("timeout"):
        await asyncio.sleep(fault.delay_seconds)
    _reset(request)
    return web.Response()  # aiohttp wants one; the connection is gone before it could be written


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    # Closing with a linger time of zero sends RST, which is what a crashed load balancer looks like.
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
