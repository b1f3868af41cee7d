"""``doctor``: what an operator lives on, line by line: ok, a warning, or failed with what to do."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.text import Text

from anomaly_assets.commands.options import as_json, configured, out, require_home
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import Settings

if TYPE_CHECKING:
    from anomaly_assets.doctor.findings import Finding

STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command(short_help="Examine everything that a nightly run depends on.")
@click.option(
    "--quick", is_flag=True, help="For probes: the due day, its evidence, the store, the disk; a moment, no Dagster."
)
@configured
@as_json
def doctor(settings: Settings, quick: bool, as_json: bool) -> None:
    """Examine source, days, evidence, store, Dagster and machine; exit code 1 when something failed.

    A warning alone is no failure. Nothing is made, started or changed.
    """
    from anomaly_assets.doctor.examine import examine
    from anomaly_assets.doctor.findings import Level, worst
    from anomaly_assets.installed_families import installed_families

    now, families = datetime.now(UTC), installed_families()
    findings = examine(settings, lambda: require_home(settings), families, now=now, quick=quick)
    level = worst(findings)
    if as_json:
        click.echo(json.dumps({"level": level, "findings": [finding.as_json() for finding in findings]}))
    else:
        _show(findings)
    if level is Level.FAILED:
        raise click.exceptions.Exit(ExitCode.FINDING)


def _show(findings: Sequence["Finding"]) -> None:
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        line = Text(f"{finding.level:<8}", style=STYLES[finding.level])
        out.print(
            line.append(f" {finding.topic:<{width}}  {finding.about}: {finding.found}", "default"), soft_wrap=True
        )
        for word, text in (("Expected", finding.expected), ("What to do", finding.remedy)):
            if text and finding.level != "ok":
                out.print(Text(f"{'':<{width + 11}}{word}: {text}"), soft_wrap=True)
    counts = {level: sum(finding.level == level for finding in findings) for level in STYLES}
    told = ", ".join(f"{count} {level}" for level, count in counts.items())
    worst = next((level for level in ("failed", "warning") if counts[level]), "ok")
    out.print(Text(told, style=STYLES[worst]))
