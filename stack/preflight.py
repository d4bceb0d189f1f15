"""Names within a second what this machine lacks to run the stack, and how to get it.

Standard library only, and no syntax newer than Python 3.7: `make` runs it with the system's python3 before there is
any environment, perhaps with a Python that is too old to run anything else of ours.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys

PYTHON = (3, 11)
PYTHONS = ("python3.13", "python3.12", "python3.11", "python3", "python3.14")
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


def python_with_venv() -> str | None:
    """The first interpreter on PATH that is new enough and can make virtual environments."""
    code = f"import sys, venv, ensurepip; assert sys.version_info >= {PYTHON}"
    return next((found for found in _pythons() if _runs(found, code)), None)


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
    if not _inside_environment() and python_with_venv() is None:
        lacks.append(_python_lack())
    if find_jdk() is None:
        lacks.append((f"a full JDK {JDK} or later (with javac and jlink){_found_instead()}", HOW_JDK))
    if find_maven() is None:
        lacks.append(("Maven (mvn)", HOW_MAVEN))
    return lacks


def main(arguments: list[str]) -> int:
    """Print what is missing and say by the exit code if anything is; with --python, name the one to use."""
    if arguments == ["--python"]:
        print(python_with_venv() or "")
        return 0
    lacks = missing()
    for what, how in lacks:
        print(f"missing: {what}\n get it: {how}", file=sys.stderr)
    return 1 if lacks else 0


def _inside_environment() -> bool:
    return sys.version_info >= PYTHON and sys.prefix != sys.base_prefix


def _pythons() -> list[str]:
    return [path for path in (*map(shutil.which, PYTHONS), sys.executable) if path]


def _runs(python: str, code: str) -> bool:
    quiet = subprocess.DEVNULL
    return subprocess.call([python, "-I", "-c", code], stdout=quiet, stderr=quiet) == 0


def _python_lack() -> tuple[str, str]:
    if any(_runs(found, f"import sys; assert sys.version_info >= {PYTHON}") for found in _pythons()):
        return "python3-venv (Python's modules venv and ensurepip)", HOW_VENV
    return f"Python {PYTHON[0]}.{PYTHON[1]} or later (this is {sys.version.split()[0]})", HOW_PYTHON


def _jvm_homes() -> list[str]:
    return [home for pattern in JVM_FOLDERS for home in glob.glob(os.path.expanduser(pattern)) if _jdk_version(home)]


def _is_full_jdk(home: str) -> bool:
    # jlink tells a JDK from a JRE, and Elasticsearch needs its module at run time.
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
