"""The audit of what we depend on finds what it is there to find."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ops import dependencies

ROOT = Path(__file__).parents[2]
CHECKED = ("requirements.lock", "pyproject.toml", "ops/advisories.txt")


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


def test_what_we_have_passes(checkout: Path) -> None:
    assert dependencies.main() == 0


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
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
        ("pyproject.toml", '"limits>=5.8"', '"limits>=99"', "wants limits>=99"),
        ("pyproject.toml", '"limits>=5.8"', '"not-there"', "wants not-there"),
        ("ops/advisories.txt", "jinja2<3.1.6", "jinja2<99", "jinja2"),
    ],
)
def test_what_is_wrong_is_found(
    checkout: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, told: str
) -> None:
    _replace(checkout / file, old, new)
    assert dependencies.main() == 1
    assert told in capsys.readouterr().err
