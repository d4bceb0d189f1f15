"""What a dashboard is made of, and the few shapes that most of its queries have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WINDOW: Final = "2m"
"""Over which rates are taken: some reads of the metrics, and short enough for the rush of a sale."""


@dataclass(frozen=True)
class Panel:
    """One graph.

    Attributes:
        title: What it shows.
        queries: PromQL by the name of its lines; `{{label}}` in a name is the label's value.
        unit: Grafana's name of the unit.
        note: What a reader may not know.
    """

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    note: str = ""


@dataclass(frozen=True)
class Dashboard:
    """Graphs that answer one question, in named rows.

    Attributes:
        name: Of its file, and in its address.
        title: As readers see it.
        about: The question.
        rows: Graphs by the title of their row.
    """

    name: str
    title: str
    about: str
    rows: Mapping[str, Sequence[Panel]]

    @property
    def panels(self) -> list[Panel]:
        """All graphs, from top to bottom."""
        return [panel for row in self.rows.values() for panel in row]


def rate(metric: str, selector: str = "", *, by: str = "") -> str:
    """How often something is counted, a second."""
    return f"{_sum(by)}(rate({metric}{_braced(selector)}[{WINDOW}]))"


def quantile(share: float, metric: str, selector: str = "", *, by: str = "") -> str:
    """The value that this share of a histogram's observations does not exceed.

    Args:
        share: Such as 0.99.
        metric: The histogram's name, without `_bucket`.
        selector: Which of its series.
        by: Labels that are kept apart.
    """
    kept = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', selector, by=kept)})"


def quantiles(metric: str, selector: str = "") -> dict[str, str]:
    """The middle and the slowest percent, as two lines."""
    return {"half": quantile(0.5, metric, selector), "99%": quantile(0.99, metric, selector)}


def total(metric: str, selector: str = "", *, by: str = "") -> str:
    """The sum over all processes."""
    return f"{_sum(by)}({metric}{_braced(selector)})"


def largest(metric: str, selector: str = "", *, by: str = "job") -> str:
    """The largest value of all processes."""
    grouped = f"max by ({by}) " if by else "max"
    return f"{grouped}({metric}{_braced(selector)})"


def or_none(query: str) -> str:
    """The query, and 0 where nothing has been counted yet; the first label of its lines is `none` then."""
    label = re.search(r"\bby \((\w+)", query)
    none = f'label_replace(vector(0), "{label[1]}", "none", "", "")' if label else "vector(0)"
    return f"{query} or on() {none}"


def _sum(by: str) -> str:
    return f"sum by ({by}) " if by else "sum"


def _braced(selector: str) -> str:
    return f"{{{selector}}}" if selector else ""
