"""Starts the sandbox: `python -m sandbox --host 127.0.0.1 --port 8900 --data DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sandbox.app import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--data", type=Path, required=True, help="folder of the ledger; made when missing")
    arguments = parser.parse_args()
    serve(arguments.host, arguments.port, arguments.data)


if __name__ == "__main__":
    main()
