"""The shipped Snowflake settings in Dagster's pages: a week of a table ingested and scored by clicks alone.

The table is in the stand-in; what that cannot show is listed in docs/sources.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from graph.invented import DAY, FIRST, ROWS_OF_DAY, Row, days_from, ordinary_day
from playwright.sync_api import Page, expect
from snowflake_shop import deliver, sell, shop_table, write_example
from snowflake_stand_in import CANARY, StandIn, fresh

from anomaly_assets.adapters.home import Home
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.settings import load_settings
from browser.conftest import Shoot
from browser.dagster_ui import UNTOUCHED, RunningUi, alive, running_ui, stop_store
from browser.pages import entry, launch_backfill, open_day, opened, see_it_done

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(900)]

HISTORY_DAYS = 1
MORE = (1.1, 1.2, 1.3)
"""Every made-up row comes again with so many times its amount: few days then hold as many transactions as the shipped
settings ask of a wallet, for both detectors."""
DAYS = days_from(FIRST, HISTORY_DAYS + 7)
WEEK = DAYS[HISTORY_DAYS:]
PATIENCE_MILLISECONDS = 300_000


@dataclass(frozen=True)
class Shop:
    """The table, the settings that name it, and the home the pages write to."""

    stand_in: StandIn
    config: Path

    @property
    def home(self) -> Home:
        """Where the published days are."""
        return Home(load_settings(self.config, environ={}).home)


@pytest.fixture(scope="module")
def shop(snowflake_port: int, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Ten days of payments and the example's settings file, in which the account alone is another one."""
    stand_in = fresh(snowflake_port)
    deliver(stand_in, *DAYS)
    for day in DAYS:
        rows = ordinary_day(day)
        sell(stand_in, [again(row, factor) for factor in MORE for row in rows])
    patient = {"snowflake.login_timeout_seconds": 60, "snowflake.network_timeout_seconds": 60}
    return Shop(stand_in, write_example(stand_in, tmp_path_factory.mktemp("shop") / "shop.yaml", **patient))


def again(row: Row, factor: float) -> Row:
    """One more transaction like this one."""
    return row._replace(tx_id=f"{row.tx_id}-{factor}", total_amount=round(row.total_amount * factor, 2))


@pytest.fixture(scope="module")
def ui(chromium: str, shop: Shop) -> Iterator[RunningUi]:
    """Dagster's pages over it; nothing is ingested."""
    environment = {**UNTOUCHED, "SNOWFLAKE_TEST_PASSWORD": CANARY}
    try:
        with running_ui(shop.config, shop.config.parent, environment) as ui:
            yield ui
            family = ui.family()
        assert alive(family) == []
    finally:
        stop_store(shop.config)


def test_a_week_is_ingested_and_scored_by_clicks(ui: RunningUi, page: Page, shoot: Shoot, shop: Shop) -> None:
    page.goto(f"{ui.url}/assets/raw_transactions")
    for text in ("Snowflake", "One row is"):
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    shoot(page, "snowflake_1_raw_transactions")

    ingest = launch_backfill(
        page, ui.url, INGEST, DAYS[0], DAYS[-1], chosen=lambda page: shoot(page, "snowflake_2_ingest")
    )
    see_it_done(page, ingest, INGEST, len(DAYS), within=PATIENCE_MILLISECONDS)
    shoot(page, "snowflake_3_ingested")
    detect = launch_backfill(
        page, ui.url, DETECT, WEEK[0], WEEK[-1], chosen=lambda page: shoot(page, "snowflake_4_detect")
    )
    see_it_done(page, detect, DETECT, len(WEEK), within=PATIENCE_MILLISECONDS)
    shoot(page, "snowflake_5_scored")

    in_table = "SELECT CAST(COMPLETED_AT AT TIME ZONE 'UTC' AS DATE), COUNT(*) FROM {table} WHERE STATE = 'COMPLETED' "
    rows = shop.stand_in.sql(in_table.format(table=shop_table(shop.stand_in)) + "GROUP BY 1 ORDER BY 1")
    counted = {day: count for day, count in rows if day >= WEEK[0].isoformat()}
    published = {day: shop.home.published_path(day) for day in WEEK}
    assert sorted(shop.home.output.iterdir()) == sorted(published.values())
    assert {str(day): pq.read_metadata(path).num_rows for day, path in published.items()} == counted
    assert counted[str(DAY)] == ROWS_OF_DAY * (1 + len(MORE))

    open_day(page, ui.url, "scored_transactions", DAY.isoformat())
    expect(entry(page, "rows")).to_contain_text(str(counted[str(DAY)]))
    with opened(page, "top flags") as dialog:
        expect(dialog.get_by_text("5,000.00").first).to_be_visible()
        shoot(page, "snowflake_6_top_flags")
    for asset in ("raw_transactions", "training_window", "wallet_models", "anomaly_metrics"):
        open_day(page, ui.url, asset, DAY.isoformat())
    page.goto(f"{ui.url}/automation")
    expect(page.locator("a[href$='/schedules/nightly']")).to_be_visible()
    shoot(page, "snowflake_7_automation")
    assert CANARY not in ui.log.read_text()
