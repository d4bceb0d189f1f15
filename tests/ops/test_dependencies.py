"""The audit of the dependencies finds each kind of problem."""

from __future__ import annotations

import shutil
from importlib.metadata import distributions
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops import dependencies

ROOT = Path(__file__).parents[2]
CHECKED = ("requirements.lock", "requirements-production.lock", "pyproject.toml", "ops/advisories.txt")


@pytest.fixture(scope="module")
def installed() -> list[SimpleNamespace]:
    """The packages of the venv: to read what they say of themselves is most of what an audit costs."""
    return [
        SimpleNamespace(metadata=each.metadata, version=each.version, requires=each.requires)
        for each in distributions()
    ]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files that the audit reads."""
    for name in CHECKED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(dependencies, "ROOT", tmp_path)
    return tmp_path


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_the_dependencies_pass_their_audit(checkout: Path) -> None:
    assert dependencies.main() == 0


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("requirements.lock", "limits==", "limits>=", "not pinned"),
        ("requirements.lock", "--hash=sha256:", "--hash=md5:", "not pinned"),
        ("requirements.lock", "limits==5", "limits==4", "is locked, here is"),
        (
            "requirements.lock",
            "aiohappyeyeballs==",
            "--index-url https://example.test\naiohappyeyeballs==",
            "index-url",
        ),
        ("requirements.lock", "aiohappyeyeballs==", "other @ https://example.test/o.whl\naiohappyeyeballs==", "o.whl"),
        ("requirements-production.lock", "limits==", "limits>=", "not pinned"),
        ("requirements-production.lock", "limits==5", "limits==4", "is not what requirements.lock has"),
        ("requirements-production.lock", "--hash=sha256:0", "--hash=sha256:1", "is not what requirements.lock has"),
        ("requirements-production.lock", "limits==", "ruff==", "ruff is not needed in production"),
        ("requirements-production.lock", "limits==", "ruff==", "limits is missing"),
        ("pyproject.toml", '"limits>=5.8"', '"limits>=99"', "wants limits>=99"),
        ("pyproject.toml", '"limits>=5.8"', '"not-there"', "wants not-there"),
        ("ops/advisories.txt", "jinja2<3.1.6", "jinja2<99", "jinja2"),
    ],
)
def test_each_problem_of_a_dependency_is_found(
    checkout: Path,
    installed: list[SimpleNamespace],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    old: str,
    new: str,
    named: str,
) -> None:
    monkeypatch.setattr(dependencies, "distributions", lambda: installed)
    _replace(checkout / file, old, new)
    assert dependencies.main() == 1
    assert named in capsys.readouterr().err
