"""Two days of third-party transactions through the real backfill, against scikit-learn and numpy alone."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from browser.conftest import Complaints
from browser.dashboard import errors_shown, ready, running_dashboard, whole
from browser.dashboard_pictures import PERIOD_SCREENS
from browser.pages import NO_CHROMIUM, browsing, chromium_path
from playwright.sync_api import expect
from short_folders import short_base
from sklearn_wallet import Wallet, judge, start_worker

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.backfill import Progress, Report, backfill
from anomaly_assets.domain.days import DayRange
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.reporting import top_flags
from anomaly_assets.settings import Settings, load_settings

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "sparkov_2019.parquet"
WINDOW_DAYS = 180
ROWS = {date(2019, 7, 3): 874, date(2019, 7, 4): 828}
DAYS = tuple(ROWS)
pytestmark = [
    pytest.mark.sparkov,
    pytest.mark.skipif(not DATA.exists(), reason=f"the third-party transactions are not at {DATA}"),
    pytest.mark.xdist_group("sparkov"),
    pytest.mark.timeout(900),
]


class Scored(NamedTuple):
    """What the backfill reported and where it wrote."""

    settings: Settings
    report: Report
    config: Path

    def rows(self, day: date) -> dict[str, dict[str, Any]]:
        """Published rows of a day by transaction id."""
        table = pq.read_table(Home(self.settings.home).published_path(day), partitioning=None)
        return {row["TX_ID"]: row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def scored() -> Iterator[Scored]:
    """DAYS scored with the whole history behind them, with the settings a new user has."""
    folder = Path(tempfile.mkdtemp(prefix="aas-", dir=short_base()))
    config = folder / "anomaly.yaml"
    first_day = DAYS[0] - timedelta(days=WINDOW_DAYS)
    source = f"source: {{kind: files, files: {{path: {json.dumps(str(DATA))}}}}}"
    config.write_text(f"home: home\nfirst_day: {first_day}\n{source}\n", encoding="utf-8")
    settings = load_settings(config, environ={})
    silent = Progress(lambda *_: None, lambda *_: None)
    days = DayRange(DAYS[0], DAYS[-1] + timedelta(days=1))
    try:
        yield Scored(settings, backfill(settings, days, silent, today=datetime.now(UTC).date()), config)
    finally:
        StoreProvider.from_settings(settings.redis).embedded(Home(settings.home)).stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_backfill_ingests_the_history_and_scores_both_days(scored: Scored) -> None:
    assert scored.report.failed == {}
    assert len(scored.report.ingested) == WINDOW_DAYS + len(DAYS)
    assert scored.report.detected == list(DAYS)


def test_every_row_of_the_days_is_published_once(scored: Scored) -> None:
    source = pq.read_table(DATA)
    for day in DAYS:
        delivered = source.filter(pc.equal(pc.cast(source.column("tx_completed_at"), pa.date32()), pa.scalar(day)))
        assert set(scored.rows(day)) == set(delivered.column("tx_id").to_pylist())
        assert len(scored.rows(day)) == delivered.num_rows == ROWS[day]


def test_nearly_every_row_is_judged_and_few_are_flagged(scored: Scored) -> None:
    for day in DAYS:
        rows = scored.rows(day).values()
        judged = sum(row["isolation_forest_status"] == "judged" for row in rows)
        assert judged > 0.98 * len(rows)
        assert 0 < sum(row["isolation_forest_anomaly"] for row in rows) < 0.05 * judged
        assert sum(row["statistical_anomaly"] for row in rows) < 0.01 * judged


@pytest.fixture(scope="module")
def expected() -> dict[date, dict[str, tuple[float | None, bool, bool]]]:
    """Of every row of DAYS its z-score and both flags, by scikit-learn in processes that load little else."""
    ids, wallets = zip(*map(wallets_of, DAYS), strict=True)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=start_worker) as pool:
        verdicts = [pool.map(judge, of_day, chunksize=16) for of_day in wallets]
        rows = [[verdict for of_wallet in of_day for verdict in of_wallet] for of_day in verdicts]
    return {day: dict(zip(*of_day, strict=True)) for day, *of_day in zip(DAYS, ids, rows, strict=True)}


@pytest.mark.parametrize("day", DAYS)
def test_flags_are_those_of_one_scikit_learn_pipeline_per_wallet(
    scored: Scored, expected: dict[date, dict[str, tuple[float | None, bool, bool]]], day: date
) -> None:
    """RobustScaler, IsolationForest of 100 trees, mean and population deviation, computed here from the file alone."""
    published = scored.rows(day)
    assert published.keys() == expected[day].keys()
    for tx_id, (zscore, statistical, forest) in expected[day].items():
        row = published[tx_id]
        assert row["statistical_anomaly"] is statistical, row
        assert row["isolation_forest_anomaly"] is forest, row
        assert (row["zscore"] is None) is (zscore is None)
        assert zscore is None or row["zscore"] == pytest.approx(zscore, rel=1e-9, abs=1e-9)
        assert row["is_anomaly"] is (statistical or forest)


def test_every_flag_is_proved_down_to_the_bytes_of_its_models(scored: Scored) -> None:
    home = Home(scored.settings.home)
    verifier = Verifier(home, head=home.log.head(), compute=Compute(2))
    for day in DAYS:
        flags = [tx_id for tx_id, row in scored.rows(day).items() if row["is_anomaly"]]
        proof = verifier.verify(day, flags)
        assert len(flags) > 0
        assert proof.grades() == dict.fromkeys(Grade, Outcome.PROVEN), proof.broken


def wallets_of(day: date) -> tuple[list[str], list[Wallet]]:
    """Transaction ids of the day, and its wallets in the order of these."""
    table = pq.read_table(DATA, columns=["tx_id", "wallet_id", "tx_completed_at", "total_amount"])
    days = table.column("tx_completed_at").cast(pa.date32()).cast(pa.int32()).to_numpy()
    hours = pc.hour(table.column("tx_completed_at")).to_numpy()
    ordinal = (day - date(1970, 1, 1)).days
    inside, today = (days >= ordinal - WINDOW_DAYS) & (days < ordinal), days == ordinal
    # rows of one wallet in the order of (time, id), which decides what a seeded forest draws
    order = table.append_column("row", pa.array(np.arange(table.num_rows))).sort_by(
        [(name, "ascending") for name in ("wallet_id", "tx_completed_at", "tx_id")]
    )
    rows = order.column("row").to_numpy()
    wallet_ids = np.array(table.column("wallet_id").to_pylist(), dtype=object)
    amounts, ids = np.log1p(table.column("total_amount").to_numpy()), table.column("tx_id").to_pylist()
    tests: dict[str, list[int]] = {}
    for row in rows[today[rows]]:
        tests.setdefault(wallet_ids[row], []).append(row)
    trains: dict[str, list[int]] = {wallet: [] for wallet in tests}
    for row in rows[inside[rows]]:
        if wallet_ids[row] in trains:
            trains[wallet_ids[row]].append(row)
    wallets = [Wallet(amounts[trains[w]], hours[trains[w]], amounts[tests[w]], hours[tests[w]]) for w in tests]
    return [ids[row] for of_wallet in tests.values() for row in of_wallet], wallets


@pytest.mark.browser
def test_every_screen_of_the_dashboard_shows_the_third_party_days_without_an_error(scored: Scored) -> None:
    chromium = chromium_path() or pytest.skip(NO_CHROMIUM)
    flag = top_flags(Home(scored.settings.home), DayRange(DAYS[0], DAYS[-1] + timedelta(days=1)), 1)[0]
    addresses = {f"?page={name}": heading for name, heading in PERIOD_SCREENS.items()}
    addresses[f"?tx={flag['TX_ID']}"] = "One transaction"
    addresses[f"?wallet={flag['WALLET_ID']}"] = "Wallet explorer"
    with running_dashboard(scored.config, scored.config.parent) as url, browsing(chromium) as context:
        complaints = Complaints(context)
        page = context.new_page()
        for address, heading in addresses.items():
            page.goto(f"{url}/{address}")
            ready(page, heading)
            whole(page)
            assert (address, errors_shown(page), complaints.found) == (address, [], [])
        page.goto(f"{url}/?page=overview")
        ready(page, "Overview")
        expect(page.get_by_text(f"{sum(ROWS.values()):,}").first).to_be_visible()
