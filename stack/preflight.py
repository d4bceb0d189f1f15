"""Names within a second what this machine lacks to run the stack, and how to get it; chooses Python for the venv.

Standard library only, and no syntax newer than Python 3.7: `make` runs it with the system's python3 before there is
any environment, perhaps with a Python that is too old for the rest of the project.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

PYTHON = (3, 11)
NEWEST_TESTED = (3, 13)
PYTHONS = ("python3.13", "python3.12", "python3.11", "python3", "python3.14")
NOISE = 1.05  # two measurements of the same interpreter differ by less
JDK = 21
JVM_FOLDERS = ("/usr/lib/jvm/*", "/opt/*", "/opt/java/*", "/usr/local/*", "~/.sdkman/candidates/java/*", "~/.jdks/*")

HOW_LINUX = "use docker-compose.yml, or a Linux machine"
HOW_PYTHON = "apt install python3 python3-venv (Debian 12 or later), or `uv python install 3.13`, or pyenv"
HOW_VENV = "apt install python3-venv"
# Debian 12's own JDK is 17, so `apt install default-jdk` would not help there.
HOW_JDK = (
    "Temurin 21 or 25 from https://adoptium.net, or `apt install openjdk-21-jdk-headless` (Debian 13, Ubuntu 24.04), "
    "or `sdk install java`; put it in /usr/lib/jvm or /opt, or set JAVA_HOME"
)
HOW_MAVEN = "apt install maven, or unpack it from https://maven.apache.org and put its bin folder on PATH"


# What a build was configured with does not say how fast it is: Debian's static interpreter shows the flags of its
# shared library. The shortest of many short runs is steady, even on a busy machine.
MEASURE = """
import ensurepip, sys, time, venv
def loop():
    total, seen = 0, {}
    for number in range(20000):
        total += number % 7
        seen[number & 255] = total
def seconds():
    start = time.process_time()
    loop()
    return time.process_time() - start
print(sys._base_executable, *sys.version_info[:3], min(seconds() for _ in range(15)), sep="\\n")
"""


class Python(NamedTuple):
    """An interpreter that is new enough and can make virtual environments.

    Attributes:
        seconds: CPU time of a plain loop.
    """

    path: str
    version: tuple[int, int, int]
    seconds: float

    def __str__(self) -> str:
        version = ".".join(map(str, self.version))
        return f"Python {version} at {self.path} ({self.seconds * 1000:.2f} ms for a plain loop)"


def pythons() -> list[Python]:
    """The interpreters of this machine that can make the environment, the fastest first.

    An optimised build saves up to a fifth. Among equals the newest version comes first that is tested.
    """
    found = _measured(_binaries()) or _measured(_scripts())
    tested = [each for each in found if each.version[:2] <= NEWEST_TESTED] or found
    fastest = min((each.seconds for each in tested), default=0.0)
    return sorted(tested, key=lambda each: max(each.seconds, fastest * NOISE))


def find_jdk() -> str | None:
    """The home of a full JDK that is new enough: JAVA_HOME first, then the usual folders (newest first), then PATH."""
    usual = sorted(_jvm_homes(), key=_jdk_version, reverse=True)
    compiler = shutil.which("javac")
    on_path = [os.path.dirname(os.path.dirname(os.path.realpath(compiler)))] if compiler else []
    candidates = [os.environ.get("JAVA_HOME", ""), *usual, *on_path]
    return next((home for home in candidates if home and _is_full_jdk(home)), None)


def find_maven() -> str | None:
    """The path of mvn."""
    home = os.environ.get("MAVEN_HOME") or os.environ.get("M2_HOME") or ""
    return shutil.which("mvn") or shutil.which(os.path.join(home, "bin", "mvn"))


def missing() -> list[tuple[str, str]]:
    """What is missing, as (what, how to get it) pairs; empty if the stack can be started."""
    lacks = []
    if not sys.platform.startswith("linux"):
        lacks.append((f"Linux (this is {sys.platform})", HOW_LINUX))
    if not _inside_environment() and not _can_make_environment():
        lacks.append(_python_lack())
    if find_jdk() is None:
        lacks.append((f"a full JDK {JDK} or later (with javac and jlink){_found_instead()}", HOW_JDK))
    if find_maven() is None:
        lacks.append(("Maven (mvn)", HOW_MAVEN))
    return lacks


def main(arguments: list[str]) -> int:
    """Print what is missing, if anything, and exit with 1 then; with --python, print the interpreter to use."""
    if arguments == ["--python"]:
        return _print_best_python()
    lacks = missing()
    for what, how in lacks:
        print(f"missing: {what}\n get it: {how}", file=sys.stderr)
    return 1 if lacks else 0


def _inside_environment() -> bool:
    return sys.version_info >= PYTHON and sys.prefix != sys.base_prefix


def _print_best_python() -> int:
    """The path to stdout, the reason to stderr."""
    found = pythons()
    if not found:
        return 1
    best, others = found[0], found[1:]
    print(best.path)
    print(f"{best}" + (f", chosen before {'; '.join(map(str, others))}" if others else ""), file=sys.stderr)
    return 0


def _can_make_environment() -> bool:
    code = f"import sys, venv, ensurepip; assert sys.version_info >= {PYTHON}"
    return any(_runs(found, code) for found in [*_binaries(), *_scripts()])


def _measured(paths: list[str]) -> list[Python]:
    found = [python for python in map(_measure, paths) if python and python.version >= PYTHON]
    return list({os.path.realpath(python.path): python for python in found}.values())


def _measure(path: str) -> Python | None:
    done = subprocess.run([path, "-I", "-c", MEASURE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        return None
    executable, major, minor, micro, seconds = done.stdout.decode().splitlines()
    return Python(executable, (int(major), int(minor), int(micro)), float(seconds))


def _binaries() -> list[str]:
    """All interpreters on PATH, and the one that runs this; each once."""
    paths = [path for path in [*_on_path(), sys.executable] if not _is_script(path)]
    first = {os.path.realpath(path): path for path in reversed(paths)}
    return [path for path in paths if first.pop(os.path.realpath(path), None)]


def _scripts() -> list[str]:
    """Scripts on PATH that start an interpreter, such as pyenv's; each takes a tenth of a second."""
    return [path for path in _on_path() if _is_script(path)]


def _on_path() -> list[str]:
    folders = os.get_exec_path()
    paths = [os.path.join(folder, name) for name in PYTHONS for folder in folders]
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


def _is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def _runs(python: str, code: str) -> bool:
    quiet = subprocess.DEVNULL
    return subprocess.call([python, "-I", "-c", code], stdout=quiet, stderr=quiet) == 0


def _python_lack() -> tuple[str, str]:
    if any(_runs(found, f"import sys; assert sys.version_info >= {PYTHON}") for found in [*_binaries(), *_scripts()]):
        return "python3-venv (Python's modules venv and ensurepip)", HOW_VENV
    return f"Python {PYTHON[0]}.{PYTHON[1]} or later (this is {sys.version.split()[0]})", HOW_PYTHON


def _jvm_homes() -> list[str]:
    return [home for pattern in JVM_FOLDERS for home in glob.glob(os.path.expanduser(pattern)) if _jdk_version(home)]


def _is_full_jdk(home: str) -> bool:
    # jlink distinguishes a JDK from a JRE, and Elasticsearch needs its module at run time.
    tools = [os.path.join(home, "bin", tool) for tool in ("java", "javac", "jlink")]
    return _jdk_version(home) >= JDK and all(os.access(tool, os.X_OK) for tool in tools)


def _jdk_version(home: str) -> int:
    # Every JDK says its version in the file `release`; starting each java to ask would take half a second.
    try:
        with open(os.path.join(home, "release"), encoding="utf-8", errors="replace") as release:
            said = re.search(r'^JAVA_VERSION="(\d+)', release.read(), re.MULTILINE)
    except OSError:
        return 0
    return int(said.group(1)) if said else 0


def _found_instead() -> str:
    homes = {os.path.realpath(home) for home in [*_jvm_homes(), os.environ.get("JAVA_HOME", "")] if _jdk_version(home)}
    return f"; found only {', '.join(f'{_jdk_version(home)} in {home}' for home in sorted(homes))}" if homes else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
