"""A report as text or JSON. stdout is data, stderr is talk; colour only on a terminal (and never with NO_COLOR)."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any, Final

import click

from dari.values.finding import Finding, Severity
from dari.values.report import Report, Section

_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def style(text: str, **how: Any) -> str:
    """Colour `text` unless NO_COLOR is set; click drops colour where the stream is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **how)


def write(report: Report, *, as_json: bool) -> int:
    """Print a report and return its exit code."""
    if as_json:
        click.echo(json.dumps(_document(report), indent=2, ensure_ascii=False))
        return report.exit_code
    click.echo(style(report.headline, bold=True))
    for section in report.sections:
        click.echo(_table(section))
    write_findings(report.findings)
    for step in report.next_steps:
        click.echo(f"  {style('→', fg='green')} {step}")
    return report.exit_code


def write_findings(findings: Iterable[Finding]) -> None:
    """Tell findings on stderr, the worst last, where a reader's eye rests."""
    for finding in sorted(findings, key=lambda one: list(Severity).index(one.severity), reverse=True):
        head = style(finding.severity.value, fg=_COLOURS[finding.severity], bold=True)
        click.echo(f"{head} {finding.message}  {style(f'[{finding.id}]', dim=True)}", err=True)
        for label, text in (("where", finding.where), ("because", finding.cause)):
            if text:
                click.echo(f"    {label}: {text}", err=True)
        for way in finding.ways_out:
            click.echo(f"    {style('way out', fg='cyan')}: {way}", err=True)


def _document(report: Report) -> dict[str, Any]:
    findings = [
        {
            "id": finding.id,
            "severity": finding.severity.value,
            "message": finding.message,
            "where": finding.where,
            "cause": finding.cause,
            "ways_out": list(finding.ways_out),
        }
        for finding in report.findings
    ]
    return {"schema": f"dari/{report.kind}/1", **report.document, "findings": findings}


def _wrapped(text: str, indent: str) -> str:
    """Break a last cell at the terminal's edge; piped output keeps its lines whole."""
    width = shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() else 0
    room = width - len(indent)
    return textwrap.fill(text, room).replace("\n", "\n" + indent) if room > 30 else text  # noqa: PLR2004 - narrower than 30 columns reads worse wrapped


def _table(section: Section) -> str:
    rows = ([section.columns] if section.columns else []) + list(section.rows)
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    indent = "  " + "".join(" " * (width + 2) for width in widths[:-1])
    lines = [
        "  " + "".join(cell.ljust(width + 2) for cell, width in zip(row[:-1], widths[:-1], strict=True)) + wrapped
        for row in rows
        for wrapped in [_wrapped(row[-1], indent)]
    ]
    if section.columns:
        lines[0] = style(lines[0], dim=True)
    return "\n".join([style(section.title, underline=True), *lines] if section.title else lines)
