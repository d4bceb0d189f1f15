"""What the result of a step says about a failure that is no error: a decline, a refused refund, a problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_WORDS = {
    ("result", "declined"): "the provider declined the payment",
    ("result", "rejected"): "the provider does not accept the request",
    ("result", "lapsed"): "no charge was started in time",
    ("state", "failed"): "the provider did not make the refund",
    ("state", "pending"): "the provider has not decided about the refund",
}
_CAPTURES = frozenset({"capture", "capture_difference"})
"""Steps whose result is the provider's code, if it refuses."""


class Finding(NamedTuple):
    """What a result says.

    Attributes:
        problem: Why the step failed, in words.
        provider: Which payment provider, if the result names it.
        code: The provider's own code.
    """

    problem: str | None = None
    provider: str | None = None
    code: str | None = None


def find_problem(step: str, result: Any) -> Finding:
    """Read the result of a step or of a command, as it is in JSON."""
    if step in _CAPTURES and isinstance(result, str):
        return Finding(_with_code("the provider refuses to take the money", result), code=result)
    if not isinstance(result, dict):
        return Finding()
    provider = _text(result.get("provider"))
    problem = result if {"type", "detail"} <= result.keys() else result.get("problem")
    if isinstance(problem, dict):
        members = problem.get("members")
        code = _text(members.get("code")) if isinstance(members, dict) else None
        return Finding(_with_code(_text(problem.get("detail")), code), provider, code)
    return _of_provider(result, provider)


def _of_provider(result: Mapping[str, Any], provider: str | None) -> Finding:
    """The answer of a provider, of an activity that authorizes or refunds."""
    code, message = _text(result.get("code")), _text(result.get("message"))
    for field in ("result", "state"):
        words = _WORDS.get((field, str(result.get(field))))
        if words and "code" in result:
            return Finding(_with_code(": ".join(filter(None, (words, message))), code), provider, code)
    return Finding(provider=provider)


def _with_code(words: str | None, code: str | None) -> str | None:
    return f"{words} ({code})" if words and code else words


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
