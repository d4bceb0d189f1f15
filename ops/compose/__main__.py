"""Runs docker-compose.yml on a container engine, makes one booking, and removes everything: `make compose-test`.

The product's image is always built for real. Where no registry of images is reached, the servers run from one image
that is made of wheels and jars; the report at the end says which.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from ops.compose import images, services, stand_in
from ops.compose.engine import Engine, EngineError, find, that_runs
from ops.compose.images import ROOT
from ops.compose.project import Project
from ops.compose.services import Service
from stack.environment import computed
from stack.table import DEFAULT_PORTS

T = TypeVar("T")
_PASSWORD = "seatwright"  # as docker-compose.yml has it


def main() -> int:
    """Build, start, book, report; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m ops.compose", description=__doc__)
    parser.add_argument("--keep-images", action="store_true", help="leave the images for the next run")
    parser.add_argument("--stand-ins", action="store_true", help="pull nothing, even where a registry is reached")
    given = parser.parse_args()
    try:
        engine = find()
        return _test(engine, pulls=not given.stand_ins, keeps_images=given.keep_images)
    except EngineError as failed:
        print(f"failed: {failed}", file=sys.stderr)
        return 1


def _test(engine: Engine, *, pulls: bool, keeps_images: bool) -> int:
    pulls = pulls and _timed(f"pull {images.PYTHON}", lambda: images.is_pulled(engine, images.PYTHON))
    if not pulls:
        print("no registry of images: the servers run from stand-ins", flush=True)
        _timed("base image", lambda: images.make_base(engine))
    base = images.PYTHON if pulls else images.BASE
    engine = that_runs(engine, base)
    described, volumes = services.read(ROOT / "docker-compose.yml")
    project = Project(engine, volumes)
    try:
        _timed("product's image", lambda: images.build_product(engine, base))
        if not pulls:
            _timed("stand-in image", lambda: images.build_stand_in(engine))
        project.open()
        report = [_start(project, service, pulls=pulls) for service in described]
        _timed("one booking", _book)
    finally:
        project.close()
        if not keeps_images:
            images.remove(engine)
    print(*report, sep="\n")
    return 0


def _start(project: Project, service: Service, *, pulls: bool) -> str:
    """Start the service and give its line of the report."""
    replaced = None if pulls or service.is_built_here else stand_in.of(service)
    if not (pulls or service.is_built_here or replaced):
        return f"{service.name:20} not run: no package has {service.image}"
    _timed(service.name, lambda: project.start(service, replaced))
    return f"{service.name:20} {f'STAND-IN: {replaced.what}' if replaced else service.image}"


def _book() -> None:
    """Make a booking from outside of the containers, through the ports that the file publishes."""
    environment = os.environ | computed(DEFAULT_PORTS, _PASSWORD)
    done = subprocess.run(
        [sys.executable, "-m", "cli", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    print(done.stdout, flush=True)
    if done.returncode:
        raise EngineError(f"the booking failed:\n{done.stderr}")


def _timed(what: str, do: Callable[[], T]) -> T:
    started = time.monotonic()
    done = do()
    print(f"{time.monotonic() - started:6.1f} s  {what}", flush=True)
    return done


if __name__ == "__main__":
    sys.exit(main())
