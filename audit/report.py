"""The report of the audit: one line for each violation, with the booking's id, for a terminal and for grep."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from audit.invariants import INVARIANTS
from audit.run import Finding


def print_findings(findings: Sequence[Finding]) -> None:
    """Print the violations, or that all invariants hold."""
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        console.print(f"[red]broken[/] [bold]{finding.invariant}[/]: {finding.subject}: {finding.detail}")
    if findings:
        console.print(f"{len(findings)} violations of {len({each.invariant for each in findings})} invariants")
    else:
        console.print(f"[green]clean[/]: all {len(INVARIANTS)} invariants hold")
