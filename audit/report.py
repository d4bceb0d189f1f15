"""The report of the audit: one line for each violation, with the booking's id, for a terminal and for grep."""

from __future__ import annotations

from rich.console import Console

from audit.invariants import INVARIANTS
from audit.run import Report


def print_report(report: Report) -> None:
    """Print the violations, or that all invariants hold, and what the checks of money leave out."""
    findings = report.findings
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        console.print(f"[red]broken[/] [bold]{finding.invariant}[/]: {finding.subject}: {finding.detail}")
    if findings:
        console.print(f"{len(findings)} violations of {len({each.invariant for each in findings})} invariants")
    else:
        console.print(f"[green]clean[/]: all {len(INVARIANTS)} invariants hold")
    if report.excused:
        bookings = ", ".join(f"{count} {status}" for status, count in sorted(report.excused.items()))
        console.print(
            f"[yellow]excused[/] from the checks of money, since a running workflow may still move theirs: {bookings}"
        )
