"""Scored days in a Snowflake table: whole or not at all, the same after any number of times."""

from datetime import timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from snowflake_stand_in import CANARY, StandIn

from anomaly_assets.adapters.scores_table import ScoresTable, additions, declaration
from anomaly_assets.adapters.snowflake_account import Patience, arguments_with_secrets, connect
from anomaly_assets.assets import graph as assets_graph
from anomaly_assets.backfill import is_up_to_date
from anomaly_assets.composition import build_definitions
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.published import published_schema
from anomaly_assets.jobs import DETECT
from graph.conftest import Prepared
from graph.deployment import Deploy, Deployment, error_of, source_of
from graph.invented import DAY, ROWS_OF_DAY, moment

PUBLISHED = "published_scores"
DAY_BEFORE = DAY - timedelta(days=1)


def target(stand_in: StandIn) -> str:
    return f"{stand_in.database}.PUBLIC.SCORES"


@pytest.fixture
def publishing(deploy: Deploy, prepared: Prepared, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment over ingested days FIRST..DAY that writes scored days to the stand-in; the table is there."""
    monkeypatch.setattr(assets_graph, "RETRY", None)
    settings = stand_in.settings(**{"published_scores.table": target(stand_in), "snowflake.retries": 1})
    deployment = deploy(home=prepared.ingested, **source_of(prepared.files), **settings)
    schema = published_schema(deployment.settings.detection.detectors()).arrow
    with connect(arguments_with_secrets(deployment.settings.snowflake), "test") as connection:
        connection.cursor().execute(declaration(target(stand_in), schema))
    return deployment


def held(stand_in: StandIn) -> list[list[Any]]:
    """The rows of the table, in order."""
    rows = stand_in.sql(f"SELECT * EXCLUDE TX_COMPLETED_AT, epoch_us(TX_COMPLETED_AT) FROM {target(stand_in)}")
    return sorted(rows, key=lambda row: str(row[0]))


def expected(deployment: Deployment) -> list[list[Any]]:
    """The same of the published file."""
    rows = deployment.published(DAY).sort_by("TX_ID").to_pylist()
    return [
        [*(v for k, v in row.items() if k != "TX_COMPLETED_AT"), round(row["TX_COMPLETED_AT"].timestamp() * 1e6)]
        for row in rows
    ]


def test_a_scored_day_arrives_with_every_row_and_column(publishing: Deployment, stand_in: StandIn) -> None:
    publishing.detect(DAY)
    assert held(stand_in) == expected(publishing)
    (event,) = publishing.materializations(PUBLISHED, DAY)
    assert event.metadata["dagster/partition_row_count"].value == ROWS_OF_DAY
    assert stand_in.open_sessions() == 0
    assert all(value not in insert["sql"] for insert in stand_in.seen("INSERT") for value in ("busy-1", "constant"))


def test_again_is_the_same_and_other_days_stay(publishing: Deployment, stand_in: StandIn) -> None:
    other = "INSERT INTO {t} (TX_ID, TX_COMPLETED_AT) VALUES ('{i}', '{at}+00')"
    for i, at in (("before", f"{DAY_BEFORE} 23:59:59.999999"), ("after", f"{DAY + timedelta(days=1)} 00:00:00")):
        stand_in.sql(other.format(t=target(stand_in), i=i, at=at))
    stand_in.sql(other.format(t=target(stand_in), i="old", at=f"{DAY} 00:00:00"))
    publishing.detect(DAY)
    once = held(stand_in)
    assert {row[0] for row in once} - {row[0] for row in expected(publishing)} == {"before", "after"}
    assert publishing.run(DETECT, DAY, only=[PUBLISHED]).success
    assert held(stand_in) == once


@pytest.mark.parametrize(
    "fault",
    [
        {"match": "INSERT", "code": "000604", "sqlstate": "57014", "message": "canceled"},
        {"match": "INSERT", "cut": True},
        {"match": "COMMIT", "code": "000603", "sqlstate": "XX000", "message": "internal"},
        {"match": "DELETE", "code": "003001", "message": "Insufficient privileges to operate on table"},
    ],
    ids=["killed insert", "cut insert", "failed commit", "wrong role"],
)
def test_a_fault_midway_leaves_the_old_day(publishing: Deployment, stand_in: StandIn, fault: dict[str, Any]) -> None:
    publishing.detect(DAY)
    before = held(stand_in)
    stand_in.fail(**fault)
    result = publishing.run(DETECT, DAY, only=[PUBLISHED])
    assert not result.success
    stand_in.calm()
    assert held(stand_in) == before
    assert publishing.run(DETECT, DAY, only=[PUBLISHED]).success
    assert held(stand_in) == before


def test_a_fault_that_passes_is_met_with_the_whole_transaction_again(publishing: Deployment, stand_in: StandIn) -> None:
    stand_in.fail("COMMIT", times=1, code="000604", sqlstate="57014", message="canceled")
    publishing.detect(DAY)
    assert held(stand_in) == expected(publishing)
    assert len(stand_in.seen("^BEGIN")) == 2


def test_rows_that_did_not_arrive_stop_the_commit(publishing: Deployment, stand_in: StandIn) -> None:
    """What was written is counted before it is committed; the old day stays."""
    publishing.detect(DAY)
    before = held(stand_in)
    stand_in.fail("INSERT", lost=True)
    result = publishing.run(DETECT, DAY, only=[PUBLISHED])
    assert not result.success
    assert f"holds 0 rows of {DAY} after {ROWS_OF_DAY} were written" in error_of(result)
    assert held(stand_in) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE {t} DROP COLUMN reason", "reason is missing"),
        ("ALTER TABLE {t} ALTER zscore TYPE VARCHAR", "zscore is TEXT"),
        ("DROP TABLE {t}", "does not exist"),
    ],
)
def test_a_table_of_another_shape_is_refused_with_the_shape_it_needs(
    publishing: Deployment, stand_in: StandIn, change: str, said: str
) -> None:
    stand_in.sql(change.format(t=target(stand_in)))
    result = publishing.run(DETECT, DAY)
    assert not result.success
    assert said in error_of(result)
    assert publishing.published(DAY).num_rows == ROWS_OF_DAY  # the files do not wait for the table


def test_days_by_other_lists_of_detectors_share_a_table(
    publishing: Deployment, stand_in: StandIn, prepared: Prepared, deploy: Deploy
) -> None:
    """A day by fewer has nulls, and nothing of what it replaces; one by more is refused, saying what to add."""
    publishing.detect(DAY)
    settings = stand_in.settings(**{"published_scores.table": target(stand_in)})
    fewer = deploy(beside=publishing, **source_of(prepared.files), **settings, detectors=["statistical"])
    fewer.detect(DAY)
    names = fewer.published(DAY).column_names
    gone = [
        name for name in published_schema(publishing.settings.detection.detectors()).arrow.names if name not in names
    ]
    assert {"isolation_forest_anomaly", "hour_unseen"} <= set(gone)
    rows = stand_in.sql(f"SELECT {', '.join(names[:1] + gone)} FROM {target(stand_in)}")
    assert sorted(row[0] for row in rows) == sorted(fewer.rows(DAY))
    assert {value for row in rows for value in row[1:]} == {None}

    stand_in.sql(*(f"ALTER TABLE {target(stand_in)} DROP COLUMN {name}" for name in gone))
    before = held(stand_in)
    more = deploy(beside=publishing, **source_of(prepared.files), **settings)
    result = more.run(DETECT, DAY)
    assert not result.success
    assert all(f"{name} is missing" in error_of(result) for name in gone)
    assert held(stand_in) == before
    schema = published_schema(more.settings.detection.detectors()).arrow
    statements = additions(target(stand_in), [schema.field(name) for name in gone])
    assert all(statement in error_of(result).replace("\\", "") for statement in statements)
    with connect(arguments_with_secrets(more.settings.snowflake), "test") as connection:
        for statement in statements:
            connection.cursor().execute(statement)
    assert more.run(DETECT, DAY, only=[PUBLISHED]).success
    shown = more.published(DAY).column_names
    listed = ", ".join(name for name in shown if name != "TX_COMPLETED_AT")
    rows = stand_in.sql(f"SELECT {listed}, epoch_us(TX_COMPLETED_AT) FROM {target(stand_in)}")
    assert sorted(rows, key=lambda row: str(row[0])) == expected(more)


def test_whole_numbers_of_a_detector_have_a_column(stand_in: StandIn, publishing: Deployment) -> None:
    """A detector of another package may report some."""
    whole = ScoresTable(
        f"{stand_in.database}.PUBLIC.WHOLE",
        partial(connect, arguments_with_secrets(publishing.settings.snowflake), "test"),
        Patience(0, 0.0),
    )
    times = pa.array([moment(DAY, 3.0)], pa.timestamp("us", "UTC"))
    rows = pa.table({"TX_ID": ["a"], "TX_COMPLETED_AT": times, "n_before": pa.array([2**53 + 1], pa.int64())})
    with connect(arguments_with_secrets(publishing.settings.snowflake), "test") as connection:
        connection.cursor().execute(declaration(whole.name, rows.schema))
    assert whole.replace_day(DayRange.of(DAY), rows) == 1
    assert stand_in.sql(f"SELECT n_before FROM {whole.name}") == [[2**53 + 1]]


def test_other_settings_write_nothing_to_the_table(publishing: Deployment, stand_in: StandIn) -> None:
    other = {"resources": {"detection": {"config": {"zscore_threshold": 9.0}}}}
    assert not publishing.run(DETECT, DAY, config=other).success
    assert held(stand_in) == []


def test_a_day_whose_scores_did_not_arrive_is_not_up_to_date(publishing: Deployment, stand_in: StandIn) -> None:
    stand_in.fail("INSERT", code="003001", message="Insufficient privileges")
    assert not publishing.run(DETECT, DAY).success
    assert not is_up_to_date(publishing.home, publishing.settings, DAY)
    stand_in.calm()
    assert publishing.run(DETECT, DAY, only=[PUBLISHED]).success
    assert is_up_to_date(publishing.home, publishing.settings, DAY)


def test_the_asset_is_there_when_it_is_configured_and_the_password_is_in_no_event(
    publishing: Deployment, stand_in: StandIn, prepared: Prepared, deploy: Deploy
) -> None:
    without = build_definitions(deploy(**source_of(prepared.files)).settings).resolve_asset_graph()
    keys = publishing.definitions.resolve_asset_graph().get_all_asset_keys()
    assert {key.to_user_string() for key in keys - without.get_all_asset_keys()} == {PUBLISHED}
    result = publishing.run(DETECT, DAY)
    assert not any(CANARY in repr(event) for event in publishing.instance.all_logs(result.run_id))
