"""Keeps the worst patterns of translated prose out of the docs, the docstrings and the comments.

Each pattern has its reason, and what to write instead. The list stays short: it is for what a reader whose second
language is English has to read twice.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PATTERNS = {
    r"\bwhoever\b": "name the subject: the buyer, the caller, the operator",
    r"(?:^|[.;:] |so that )Who (?:asks|calls|has|holds|wants|comes|buys|pays|is|gives|reads|leaves|looks|invites)\b": (
        "name the subject: a caller that …"
    ),
    r"\b(?:nobody|somebody)\b": "name who: no buyer, another worker",
    r"\b(?:of|at) ours\b": "say our own, or name the thing",
    r"\blikewise\b": "say what happens, or: the same",
    r"\bmeanwhile\b": "say when: while the payment runs",
    r"\b(?:is|are) told\b": "say who receives what: the buyer gets, the worker reads",
    r"\btells? (?:of|it|them|us|so)\b": "write: publishes, reports, says",
    r"\bnews\b": "write: notification",
    r"\b(?:is|are) to be\b": "write: must be, or state the fact",
    r"\bmend(?:s|ed|ing)?\b": "write: fix",
    r"\blooks? (?:whether|it up|them up)\b": "write: checks whether, reads",
}
_ALLOWED = {"docs/glossary.md", "docs/proof"}


def main() -> int:
    """Print each finding with its place and reason; the exit code is 1 if there is one."""
    findings = [*_of_docs(), *_of_code()]
    for finding in findings:
        print(finding)
    if findings:
        print(f"{len(findings)} passages to write in plain English")
    return 1 if findings else 0


def _of_docs() -> Iterator[str]:
    for path in _tracked("*.md"):
        if not any(path.startswith(allowed) for allowed in _ALLOWED):
            for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
                yield from _findings(f"{path}:{number}", line)


def _of_code() -> Iterator[str]:
    for path in _tracked("*.py"):
        if path.startswith(("tests/", "ops/plain_english.py")):
            continue
        source = (ROOT / path).read_text()
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield from _findings(f"{path}:{token.start[0]}", token.string.lstrip("# "))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                start = getattr(node, "lineno", 1)
                yield from _findings(f"{path}:{start}", ast.get_docstring(node) or "")


def _findings(place: str, text: str) -> Iterator[str]:
    prose = re.sub(r"`[^`\n]*`", "``", text)  # a name in code is what it is
    for pattern, reason in PATTERNS.items():
        for found in re.finditer(pattern, prose, re.IGNORECASE | re.MULTILINE):
            yield f"{place}: “{found[0]}”: {reason}"


def _tracked(pattern: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(path for path in listed.stdout.splitlines() if (ROOT / path).exists())


if __name__ == "__main__":
    sys.exit(main())
