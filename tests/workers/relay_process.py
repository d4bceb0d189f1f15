"""A relay in its own process, for tests that kill it: `python -m tests.workers.relay_process URL BOOTSTRAP`."""

import asyncio
import sys

from workers.relay import Relay

if __name__ == "__main__":
    asyncio.run(Relay("reservation", sys.argv[1], sys.argv[2], asyncio.Event()).run(lambda _: None))
