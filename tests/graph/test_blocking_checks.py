"""Every blocking check stops its day on bad data: nothing is published, the old revision stays, downstream rests.

The bad data is put in place of the staged file, on disk, between its writing and its checking.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.checks.texts import text_of
from anomaly_assets.jobs import DETECT, INGEST, NIGHTLY
from graph.conftest import Prepared
from graph.deployment import CHECKS, Deploy, Deployment, error_of, source_of, standing
from graph.invented import DAY

pytestmark = pytest.mark.xdist_group("blocking checks")

ORDER = ["raw_transactions", "training_window", "wallet_models", "scored_transactions", "anomaly_metrics"]
Spoil = Callable[[pa.Table], pa.Table]


class Case(NamedTuple):
    """A staged file of an asset, what is done to it, and the checks that must see it."""

    asset: str
    role: str
    spoil: Spoil
    seen_by: set[str]


def with_column(table: pa.Table, name: str, values: pa.Array | list[object]) -> pa.Table:
    index, field = table.schema.get_field_index(name), table.schema.field(name)
    return table.set_column(index, field, pa.array(values, field.type) if isinstance(values, list) else values)


def with_value(table: pa.Table, name: str, row: int, value: object) -> pa.Table:
    values = table.column(name).to_pylist()
    values[row] = value
    return with_column(table, name, values)


def with_a_repeated_id(table: pa.Table) -> pa.Table:
    return with_value(table, "tx_id", 1, table.column("tx_id")[0].as_py())


def as_seen_on_the_day_itself(table: pa.Table) -> pa.Table:
    midnight = pa.scalar(pc.strptime(DAY.isoformat(), "%Y-%m-%d", "us").as_py(), pa.timestamp("us", tz="UTC"))
    return with_value(table, "last_at", 0, midnight.as_py())


def with_the_first_flag_turned(table: pa.Table) -> pa.Table:
    return with_value(table, "is_anomaly", 0, not table.column("is_anomaly")[0].as_py())


def with_null_amounts(table: pa.Table) -> pa.Table:
    index = table.schema.get_field_index("total_amount")
    field = pa.field("total_amount", pa.float64(), nullable=True)
    return table.set_column(index, field, pa.nulls(table.num_rows, pa.float64()))


RAW = ("raw_transactions", "transactions")
MODELS = ("wallet_models", "models")
SCORED = ("scored_transactions", "scored")
CASES = {
    "a column with another name": Case(
        *RAW,
        lambda table: table.rename_columns(["id", *table.column_names[1:]]).append_column("tx_id", table[0]),
        {"schema"},
    ),
    "amounts that are null": Case(*RAW, with_null_amounts, {"schema"}),
    "rows in another order": Case(*RAW, lambda table: table.take(list(reversed(range(table.num_rows)))), {"schema"}),
    "an id that occurs twice": Case(*RAW, with_a_repeated_id, {"unique_transaction_ids"}),
    "a row that got lost": Case(*RAW, lambda table: table.slice(1), {"ledger_balances"}),
    "a quarantined row from nowhere": Case(
        "raw_transactions",
        "quarantine",
        lambda table: pa.Table.from_pylist([dict.fromkeys(table.column_names, "?")], schema=table.schema),
        {"ledger_balances"},
    ),
    "a wallet last seen on the scored day": Case(
        "training_window", "wallets", as_seen_on_the_day_itself, {"no_look_ahead"}
    ),
    "an eligible wallet without a model": Case(
        *MODELS, lambda table: table.slice(1), {"every_eligible_wallet_has_a_model"}
    ),
    "a model of a wallet that is not eligible": Case(
        *MODELS, lambda table: with_value(table, "wallet_id", 0, "rare"), {"every_eligible_wallet_has_a_model"}
    ),
    "a model that comes twice": Case(
        *MODELS, lambda table: pa.concat_tables([table, table.slice(0, 1)]), {"every_eligible_wallet_has_a_model"}
    ),
    "a transaction without verdict": Case(*SCORED, lambda table: table.slice(1), {"every_transaction_judged_once"}),
    "a transaction judged twice": Case(
        *SCORED, lambda table: pa.concat_tables([table, table.slice(0, 1)]), {"every_transaction_judged_once"}
    ),
    "an amount that changed while scoring": Case(
        *SCORED, lambda table: with_value(table, "TOTAL_AMOUNT", 0, 0.01), {"every_transaction_judged_once"}
    ),
    "a status that only exists online": Case(
        *SCORED,
        lambda table: with_value(table, "statistical_status", 0, "model_missing"),
        {"every_transaction_judged_once"},
    ),
    "a verdict without its model": Case(
        *SCORED, lambda table: with_value(table, "statistical_model_id", 0, None), {"every_transaction_judged_once"}
    ),
    "a unified flag that no detector raised": Case(*SCORED, with_the_first_flag_turned, {"unified_flag_is_the_or"}),
    "a flag without reason": Case(
        *SCORED, lambda table: with_column(table, "reason", [None] * table.num_rows), {"unified_flag_is_the_or"}
    ),
}


@pytest.fixture(scope="module")
def scored(prepared: Prepared) -> Iterator[Deployment]:
    """DAY detected; every test leaves its files as they were."""
    with standing(prepared.ingested, **source_of(prepared.files)) as deployment:
        deployment.detect(DAY)
        yield deployment


def swap_staged(deployment: Deployment, case: Case) -> Callable[[], None]:
    """What a failpoint does: rewrite the staged file of the case, spoiled."""

    def swap() -> None:
        folder: Path = deployment.home.lake.local_folder(case.asset, DAY)
        (staged,) = folder.glob(f".{case.role}.*.tmp")
        pq.write_table(case.spoil(pq.read_table(staged, partitioning=None)), staged)

    return swap


@pytest.mark.parametrize("name", CASES)
def test_bad_data_fails_its_check_and_nothing_is_published(scored: Deployment, name: str) -> None:
    case = CASES[name]
    before, served, log = scored.files("lake", "output", "models"), scored.served(), scored.log_entries()
    counts = {asset: len(scored.materializations(asset, DAY)) for asset in ORDER}

    with armed(f"{case.asset}.staged", swap_staged(scored, case)):
        result = scored.run(NIGHTLY, DAY)

    assert not result.success
    assert {check for check in scored.failed_checks(DAY) if check in CHECKS[case.asset]} >= case.seen_by
    for check in case.seen_by:
        evaluation = scored.evaluation(check, DAY)
        assert evaluation is not None
        assert (evaluation.partition, evaluation.severity) == (DAY.isoformat(), dg.AssetCheckSeverity.ERROR)
        assert evaluation.blocking
        assert evaluation.metadata["what to do"].value == text_of(check).remedy
        assert check in error_of(result)
    assert scored.files("lake", "output", "models") == before, "the old revision is not current byte for byte"
    assert scored.served() == served
    assert scored.temporary_files() == []
    position = ORDER.index(case.asset)
    now = {asset: len(scored.materializations(asset, DAY)) for asset in ORDER}
    assert now == {asset: counts[asset] + (ORDER.index(asset) < position) for asset in ORDER}
    ran = {event.step_key for event in result.all_events if event.event_type_value == "STEP_START"}
    assert not ran & set(ORDER[position + 1 :]), "downstream ran"
    assert len(scored.log_entries()) == len(log) + position, "what was not published is in the log"


def test_after_a_failed_check_the_next_good_run_heals_the_day(scored: Deployment) -> None:
    case = CASES["a unified flag that no detector raised"]
    before = scored.files()
    with armed(f"{case.asset}.staged", swap_staged(scored, case)):
        assert not scored.run(DETECT, DAY).success
    assert scored.run(DETECT, DAY).success
    assert scored.files() == before
    assert scored.failed_checks(DAY) == set()


def test_a_staged_file_that_changes_after_its_check_is_not_published(scored: Deployment) -> None:
    """What the checks saw is what is published: digests are compared again before the rename."""
    before = scored.files()
    spoil = CASES["a unified flag that no detector raised"]
    action = swap_staged(scored, spoil)
    path = scored.home.lake.path_of(scored.seal("scored_transactions", DAY), "scored")
    path.unlink()  # equal content would not be written again, so the day's file must be missing
    with armed("scored_transactions.checked", action):
        result = scored.run(DETECT, DAY)
    assert not result.success
    assert "changed between check and publication" in error_of(result)
    assert not path.exists()
    assert scored.temporary_files() == []
    scored.detect(DAY)
    assert scored.contents() == {name: digest for name, (digest, _) in before.items()}


def test_a_first_revision_that_fails_leaves_no_partition(deploy: Deploy, prepared: Prepared) -> None:
    """And detection alone is refused then, because readers look at the seal themselves."""
    deployment = deploy(home=prepared.history, **source_of(prepared.files))
    case = CASES["a row that got lost"]
    with armed("raw_transactions.staged", swap_staged(deployment, case)):
        assert not deployment.run(INGEST, DAY).success
    assert deployment.home.lake.find("raw_transactions", DAY) is None

    result = deployment.run(DETECT, DAY)
    assert not result.success
    assert f"raw_transactions of {DAY} has no seal" in error_of(result)
    assert deployment.materializations("scored_transactions", DAY) == []
    assert not deployment.home.published_path(DAY).exists()


def test_a_seal_with_a_failed_check_is_not_read(detected: Deployment) -> None:
    """Even a consistent seal, written by whatever means, is refused when it says that a blocking check failed."""
    seal = detected.seal("raw_transactions", DAY)
    checks = {**seal.checks, "schema": {**seal.checks["schema"], "passed": False}}
    forged = Seal(**{**{name: getattr(seal, name) for name in Seal.__dataclass_fields__}, "checks": checks})
    (detected.home.lake.local_folder("raw_transactions", DAY) / "seal.json").write_bytes(forged.to_bytes())
    result = detected.run(DETECT, DAY)
    assert not result.success
    assert "was sealed with failed checks ['schema']" in error_of(result)
