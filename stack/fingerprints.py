"""Short names for contents: equal as long as the content is, so that what was made from it need not be made again."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path


def of_folders(folders: Iterable[Path]) -> str:
    """Changes when a file in one of the folders does; a folder that is not there counts as empty."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(_files(folder)):
            digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def of_values(*values: object) -> str:
    """Changes when one of these (lists, dicts, strings) does."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
