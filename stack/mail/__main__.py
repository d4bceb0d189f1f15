"""`python -m stack.mail`: run the catcher until SIGTERM."""

import argparse
import asyncio
import signal
from pathlib import Path

from aiohttp import web

from stack.mail.smtp import connection
from stack.mail.store import Store
from stack.mail.web import application


async def serve(host: str, smtp_port: int, port: int, store: Store) -> None:
    """Listen for SMTP and HTTP until it is stopped."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    runner = web.AppRunner(application(store), access_log=None)
    await runner.setup()
    smtp = await loop.create_server(lambda: connection(store), host, smtp_port)
    await web.TCPSite(runner, host, port).start()
    await stopped.wait()
    smtp.close()
    await runner.cleanup()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m stack.mail")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--port", type=int, default=8025)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(given.host, given.smtp_port, given.port, Store(given.data / "mails.sqlite")))


if __name__ == "__main__":
    main()
