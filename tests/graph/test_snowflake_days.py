"""Days of a Snowflake table through the project's own jobs, with the settings file that is shipped as an example."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snowflake_shop import deliver, example_settings, shop_table, values, write_example
from snowflake_stand_in import CANARY, StandIn

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.snowflake_account import arguments_with_secrets
from anomaly_assets.assets import graph
from anomaly_assets.jobs import INGEST
from anomaly_assets.resources.source import source_resource
from graph.deployment import Deploy, Deployment, error_of, source_of
from graph.invented import DAY, FIRST, ROWS_OF_DAY, WINDOW_DAYS, days_from, ordinary_day


@pytest.fixture
def sold(stand_in: StandIn, deploy: Deploy) -> Deployment:
    """A deployment over days FIRST..DAY of the stand-in."""
    assert example_settings(stand_in)["first_day"] == FIRST
    deliver(stand_in, *days_from(FIRST, WINDOW_DAYS + 1))
    return deploy(**example_settings(stand_in))


def test_days_are_ingested_trained_and_scored_from_a_table(sold: Deployment, stand_in: StandIn) -> None:
    sold.ingest(*days_from(FIRST, WINDOW_DAYS + 1))
    sold.detect(DAY)
    assert sold.published(DAY).num_rows == ROWS_OF_DAY
    assert sold.failed_checks(DAY) == set()
    assert any(row["is_anomaly"] for row in sold.rows(DAY).values())
    assert not any(tx_id.startswith("void") for tx_id in sold.rows(DAY))
    assert stand_in.open_sessions() == 0


def test_the_queries_of_a_run_carry_its_id(sold: Deployment, stand_in: StandIn) -> None:
    result = sold.run(INGEST, DAY)
    assert result.success, error_of(result)
    tags = {login["data"]["SESSION_PARAMETERS"]["QUERY_TAG"] for login in stand_in.seen("^login$")}
    assert tags == {f"anomaly_assets run {result.run_id}"}


def test_a_table_and_files_of_the_same_rows_give_the_same_raw_days(
    sold: Deployment, deploy: Deploy, deliveries: Path
) -> None:

    files = deploy(**source_of(deliveries))
    for deployment in (sold, files):
        deployment.ingest(FIRST, DAY)
    for day in (FIRST, DAY):
        amounts = [
            d.table("raw_transactions", day, "transactions").drop_columns(["total_amount"]) for d in (sold, files)
        ]
        assert amounts[0].equals(amounts[1])


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"match": 'AS "TX_ID"', "code": "000604", "sqlstate": "57014"}, "did not answer (asked 2 times)"),
        ({"match": "GROUP BY 1", "times": 1, "sql": ["DELETE FROM {t} WHERE WALLET = 'rare'"]}, "while they were read"),
        ({"match": "^login$", "code": "390144", "message": "JWT token is invalid"}, "the key expired"),
        ({"match": "SELECT", "code": "003001", "message": "Insufficient privileges"}, "grant the role"),
        ({"match": "^login$", "sql": ["ALTER TABLE {t} RENAME AMOUNT TO AMOUNTS"]}, "AMOUNT is missing"),
    ],
    ids=["killed", "fewer rows", "expired key", "wrong role", "missing column"],
)
def test_a_day_that_cannot_be_read_whole_is_not_published_and_the_old_one_stays(
    sold: Deployment, stand_in: StandIn, fault: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold.ingest(DAY)
    before = sold.contents("lake")
    patient = Deployment(sold.folder, sold.instance, **{**example_settings(stand_in), "snowflake.retries": 1})
    table = shop_table(stand_in)
    stand_in.fail(**{**fault, "sql": [sql.format(t=table) for sql in fault.get("sql", [])]})
    monkeypatch.setattr(graph, "RETRY", None)
    result = patient.run(INGEST, DAY)
    assert not result.success
    assert said in error_of(result)
    assert sold.contents("lake") == before


def test_a_row_that_comes_between_counting_and_reading_is_there_after_a_retry(
    sold: Deployment, stand_in: StandIn
) -> None:
    sold.ingest(FIRST)
    late = values(ordinary_day(DAY)[0]._replace(tx_id="late"))
    table = shop_table(stand_in)
    stand_in.fail("^login$", skip=1, times=1, sql=[f"INSERT INTO {table} VALUES {late}"])
    result = sold.run(INGEST, DAY)
    assert result.success, error_of(result)
    assert [event.event_type_value for event in result.all_events].count("STEP_UP_FOR_RETRY") == 1
    assert sold.seal("raw_transactions", DAY).counts["n_in"] == ROWS_OF_DAY + 1


def test_another_table_is_another_source(sold: Deployment, stand_in: StandIn) -> None:
    sold.ingest(FIRST)
    other = {**example_settings(stand_in), "source.snowflake.filter": []}
    result = Deployment(sold.folder, sold.instance, **other).run(INGEST, FIRST)
    assert not result.success
    assert "is bound to filter" in error_of(result)
    same = {**example_settings(stand_in), "snowflake.role": "ANOTHER", "snowflake.query_timeout_seconds": 60}
    assert Deployment(sold.folder, sold.instance, **same).run(INGEST, FIRST).success


def test_the_password_is_nowhere_a_run_leaves_anything(sold: Deployment, stand_in: StandIn) -> None:
    """Neither in events and logs of good and bad runs, nor in a file of the home, nor in what resources look like."""
    good = sold.run(INGEST, FIRST)
    stand_in.fail("^login$", code="390100", message="Incorrect username or password was specified.")
    bad = sold.run(INGEST, DAY)
    assert (good.success, bad.success) == (True, False)
    events = [event for run in (good, bad) for event in sold.instance.all_logs(run.run_id)]
    resource = source_resource(sold.settings)
    with resource.process_config_and_initialize_cm() as with_secrets:
        assert with_secrets.connection.password == CANARY
        shown = [*map(repr, events), repr(resource), repr(with_secrets), repr(with_secrets.open()), error_of(bad)]
    assert [text for text in shown if CANARY in text] == []
    files = [path for path in sold.settings.home.rglob("*") if path.is_file()]
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


def test_dagster_and_the_command_line_log_in_with_the_same_arguments(sold: Deployment) -> None:
    with source_resource(sold.settings).process_config_and_initialize_cm() as resource:
        theirs = dict(resource.connection._connection_args)
    assert theirs.pop("application")
    environ = {"SNOWFLAKE_TEST_PASSWORD": CANARY}
    assert theirs == arguments_with_secrets(sold.settings.snowflake, environ)


def test_the_command_line_backfills_from_a_table(stand_in: StandIn, short_folder: Path) -> None:
    deliver(stand_in, *days_from(FIRST, 3))
    config = write_example(stand_in, short_folder / "shop.yaml", **{"window.days": 2})
    command: list[Any] = [
        Path(sys.executable).parent / "anomaly-assets",
        "backfill",
        "--from",
        "2024-03-03",
        "--to",
        "2024-03-03",
    ]
    done = subprocess.run([*command, "--config", config, "--json"], capture_output=True, text=True, check=False)
    try:
        assert done.returncode == 0, done.stderr[-2000:]
        (day,) = json.loads(done.stdout)["days"]
        assert day["transactions"] == ROWS_OF_DAY - 1  # no burst
        assert CANARY not in done.stdout + done.stderr
    finally:
        from anomaly_assets.adapters.store_provider import StoreProvider
        from anomaly_assets.settings import load_settings

        StoreProvider.from_settings(load_settings(config, environ={}).redis).embedded(
            Home(short_folder / "home")
        ).stop()
