"""Installs something into the shared tools folder once, however many stacks ask for it at the same time."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stack import locks
from stack.errors import StackError
from stack.install_context import InstallContext
from stack.preflight import find_jdk, find_maven

JAVA = Path(__file__).parent.parent / "java"


def once(context: InstallContext, name: str, build: Callable[[Path], None]) -> Path:
    """The folder `tools/<name>`, built in a folder aside and renamed when complete: it is whole or absent."""
    target = context.paths.tools / name
    with locks.held(context.paths.tools / f"{name}.lock", lambda: context.say("waiting for another installation")):
        if not target.exists():
            fresh = target.with_name(name + ".new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            build(fresh)
            fresh.rename(target)
    return target


def jdk() -> Path:
    """The home of the JDK that runs our Java servers."""
    home = find_jdk()
    if home is None:
        raise StackError("no JDK 21 or later; `python -m stack doctor` says how to get one")
    return Path(home)


def jars(context: InstallContext, pom: Path, target: Path) -> None:
    """Let Maven put all jars that the pom asks for into the target folder."""
    maven = find_maven()
    if maven is None:
        raise StackError("no Maven; `python -m stack doctor` says how to get it")
    context.say("downloading jars with Maven")
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    command = [maven, "-B", "--no-transfer-progress", "-f", str(pom), plugin, f"-DoutputDirectory={target}"]
    # One at a time: several Mavens that fill the same local repository may each see half of what another writes.
    with locks.held(context.paths.tools / "maven.lock"):
        run(context, command, {"JAVA_HOME": str(jdk())})


def run(context: InstallContext, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run one step of an installation; its output goes to the process's log, and into the error if it fails."""
    with context.paths.log(context.name).open("a") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        start = log.tell()
        everything = os.environ | (environment or {})
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=everything, check=False, close_fds=False
        )
    if code.returncode:
        said = context.paths.log(context.name).read_text(errors="replace")[start:].strip().splitlines()[-15:]
        raise StackError(f"{context.name}: `{command[0]}` failed:\n" + "\n".join(said))
