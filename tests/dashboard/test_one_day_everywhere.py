"""A day shows the same figures on Dagster's page, in the terminal, as a page that stands alone and in the dashboard."""

import re
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from cli.conftest import Shell
from dashboard.conftest import Shown
from evidence.conftest import DAYS, EVIDENCE
from reports.parsed import harmless

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.detectors.wording import share_text
from anomaly_assets.domain.lineage import SCORED

DAY = DAYS[-1]
DETECTORS = ("statistical", "isolation_forest")
SHOWN_FLAGS = 10


@dataclass(frozen=True)
class Expected:
    """What the published file says, counted row by row: rows, judged and flagged by any and by each, ids of flags."""

    n_rows: int
    judged: dict[str, int]
    flagged: dict[str, int]
    flags: list[str]

    def line(self, name: str) -> tuple[str, ...]:
        """Judged, coverage, flagged and rate by a detector or ``any``, as people read them."""
        judged, flagged = self.judged[name], self.flagged[name]
        return f"{judged:,}", share_text(judged / self.n_rows), f"{flagged:,}", share_text(flagged / judged)


@pytest.fixture
def expected(untouched: Home) -> Expected:
    rows = pq.read_table(untouched.published_path(DAY), partitioning=None).to_pylist()
    judged = {name: sum(row[f"{name}_status"] == "judged" for row in rows) for name in DETECTORS}
    judged["any"] = sum(row["anomaly_score"] is not None for row in rows)
    flagged = {name: sum(row[f"{name}_anomaly"] for row in rows) for name in DETECTORS}
    flagged["any"] = sum(row["is_anomaly"] for row in rows)
    flags = sorted((row for row in rows if row["is_anomaly"]), key=lambda row: (-row["anomaly_score"], row["TX_ID"]))
    return Expected(len(rows), judged, flagged, [row["TX_ID"] for row in flags[:SHOWN_FLAGS]])


def traced(text: str) -> list[str]:
    """Ids in the commands that trace flags, in their order."""
    return re.findall(r"anomaly-assets trace ([\w-]+)", text)


def test_dagster_shows_them(untouched: Home, expected: Expected) -> None:
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(SCORED), asset_partitions=[str(DAY)])
    with dg.DagsterInstance.from_config(str(untouched.root / "dagster")) as instance:
        (record,) = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization
    shown = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    assert shown["rows"] == expected.n_rows
    assert (shown["judged"], shown["flagged"]) == (expected.judged["any"], expected.flagged["any"])
    assert shown["coverage"] == round(expected.judged["any"] / expected.n_rows, 6)
    assert shown["flag rate"] == round(expected.flagged["any"] / expected.judged["any"], 6)
    for name in DETECTORS:
        assert (shown[f"judged by {name}"], shown[f"flagged by {name}"]) == (
            expected.judged[name],
            expected.flagged[name],
        )
    assert traced(str(shown["top flags"])) == expected.flags


def test_the_terminal_and_the_page_show_them(proved: Path, tmp_path: Path, expected: Expected) -> None:
    page = tmp_path / "day.html"
    done = Shell(proved).run_apart("report", "--day", str(DAY), "--html", str(page), **EVIDENCE)
    assert done.returncode == 0, done.stderr
    told, drawn = " ".join(done.stdout.split()), harmless(page.read_text(encoding="utf-8"))
    for name, words in {"any": "any of them", **{name: name.replace("_", " ") for name in DETECTORS}}.items():
        line = expected.line(name)
        assert " ".join([name, f"{expected.n_rows:,}", *line]) in told
        assert " ".join([words, *line]) in drawn.text
    assert traced(told) == traced(drawn.text) == expected.flags


def test_the_dashboard_shows_them(untouched: Home, shown: Shown, expected: Expected) -> None:
    screen = shown(untouched, page="overview", **{"from": str(DAY), "to": str(DAY)})
    assert not screen.exception
    figures = {metric.label: metric.value for metric in screen.metric}
    judged, flagged = expected.judged["any"], expected.flagged["any"]
    assert figures["Transactions"] == f"{expected.n_rows:,}"
    assert figures["Judged"] == share_text(judged / expected.n_rows, 1)
    assert (figures["Flagged"], figures["Rate"]) == (f"{flagged:,}", share_text(flagged / judged))
    for name in DETECTORS:
        assert figures[f"By {name.replace('_', ' ')}"] == f"{expected.flagged[name]:,}"
    (flags,) = [table.value for table in screen.dataframe if "transaction" in table.value.columns]
    assert flags["transaction"].tolist()[:SHOWN_FLAGS] == expected.flags
    why = next(table.value for table in screen.dataframe if "status" in table.value.columns)
    for name in DETECTORS:
        by_it = why[(why["detector"] == name) & (why["status"] == "judged")]
        assert by_it["n_rows"].tolist() == [expected.judged[name]]
