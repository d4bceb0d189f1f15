"""The CPU meter of the benchmark."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.cpu import Meter, between, tree

BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_a_process_is_charged_for_children_that_have_ended() -> None:
    meter = Meter({"bench": os.getpid()})
    before = meter.read()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert between(before, meter.read())["bench"] >= 0.25


def test_a_process_is_charged_for_grandchildren_that_still_live() -> None:
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN + chr(10) + 'print(1); input()'!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = Meter({"parent": process.pid}).read()["parent"]
        assert len(tree(process.pid)) == 2
        process.communicate(b"\n")
    assert used >= 0.25


def test_our_own_clock_leaves_out_the_children() -> None:
    meter = Meter({}, own="client")
    before = meter.read()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert between(before, meter.read())["client"] < 0.25
