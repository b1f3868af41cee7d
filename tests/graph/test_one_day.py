"""One day, end to end: what Dagster shows, what the files hold, what the store serves, what the log says."""

import base64
import hashlib
import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pyarrow as pa
import pytest
from PIL import Image

from anomaly_assets.assets.metadata import PREVIEW_ROWS
from anomaly_assets.domain.model_codec import decode
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.jobs import DETECT, INGEST
from graph.conftest import Prepared
from graph.deployment import CHECKS, Deployment, source_of, standing
from graph.invented import BUSY, CONSTANT, DAY, FIRST, MIDDLING, RARE, ROWS_OF_DAY, ROWS_PER_DAY, WINDOW_DAYS

pytestmark = pytest.mark.xdist_group("one day")

ASSETS = ("raw_transactions", "training_window", "wallet_models", "scored_transactions", "anomaly_metrics")
NOW = datetime(2024, 3, 6, 2, tzinfo=UTC)
FIXED_CLOCK = {"resources": {"clock": {"config": {"fixed": NOW.isoformat()}}}}
ROLES = {
    "raw_transactions": "transactions",
    "training_window": "wallets",
    "wallet_models": "models",
    "scored_transactions": "scored",
    "anomaly_metrics": "metrics",
}
SHOWN = {
    "training_window": [
        *("wallet_id", "n_transactions", "n_hours", "last_at", "amount_min", "amount_median", "amount_max"),
        *("statistical_ineligible_reason", "isolation_forest_ineligible_reason"),
    ],
    "wallet_models": ["wallet_id", "detector", "model_id", "recipe_id", "n_transactions", "n_bytes"],
    "scored_transactions": [
        *("TX_ID", "WALLET_ID", "TX_COMPLETED_AT", "TOTAL_AMOUNT", "is_anomaly", "anomaly_score"),
        *("statistical_status", "isolation_forest_status"),
    ],
}
"""Columns of a preview where not all fit into its dialog."""
PUBLISHED = [
    ("TX_ID", pa.string(), False),
    ("WALLET_ID", pa.string(), False),
    ("TX_COMPLETED_AT", pa.timestamp("us", tz="UTC"), False),
    ("TOTAL_AMOUNT", pa.float64(), False),
    ("ORG_NAME", pa.string(), True),
    ("zscore", pa.float64(), True),
    ("statistical_anomaly", pa.bool_(), False),
    ("isolation_forest_anomaly", pa.bool_(), False),
    ("is_anomaly", pa.bool_(), False),
    ("isolation_forest_score", pa.float64(), True),
    ("anomaly_score", pa.float64(), True),
    ("statistical_status", pa.string(), False),
    ("isolation_forest_status", pa.string(), False),
    ("hour_unseen", pa.bool_(), True),
    ("statistical_model_id", pa.string(), True),
    ("isolation_forest_model_id", pa.string(), True),
    ("reason", pa.string(), True),
]
"""DESIGN section 4, name by name."""
MODEL_FIELDS = {
    "payload",
    "model_id",
    "recipe_id",
    "as_of",
    "generation",
    "window_start",
    "window_end",
    "n_transactions",
    "settings_id",
    "format_version",
    "run_id",
}


@pytest.fixture(scope="module")
def day(prepared: Prepared) -> Iterator[Deployment]:
    """DAY ingested and detected with a fixed clock. Only to be looked at."""
    with standing(prepared.history, **source_of(prepared.files)) as deployment:
        assert deployment.run(INGEST, DAY, config=FIXED_CLOCK).success
        assert deployment.run(DETECT, DAY, config=FIXED_CLOCK).success
        yield deployment


def metadata_of(day: Deployment, asset: str) -> dict[str, Any]:
    """Metadata of the only materialization of the day."""
    (materialization,) = day.materializations(asset, DAY)
    return dict(materialization.metadata)


@pytest.mark.parametrize("asset", ASSETS)
def test_a_materialization_counts_its_rows_and_shows_some(day: Deployment, asset: str) -> None:
    metadata, table = metadata_of(day, asset), day.table(asset, DAY, ROLES[asset])
    assert metadata["dagster/partition_row_count"].value == table.num_rows > 0
    preview = metadata["preview"].value.splitlines()
    assert preview[0].strip("| ").split(" | ") == SHOWN.get(
        asset, [name for name in table.column_names if name != "day"]
    )
    assert len(preview) > 3


@pytest.mark.parametrize("asset", ASSETS)
def test_a_plot_is_a_picture_that_decodes(day: Deployment, asset: str) -> None:
    pictures = [
        match.group(1)
        for value in metadata_of(day, asset).values()
        if isinstance(value, dg.MarkdownMetadataValue)
        and (match := re.fullmatch(r"!\[plot\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", value.value or ""))
    ]
    assert pictures
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture, validate=True))) as image:
            image.load()
            assert image.format == "PNG"
            colors = image.convert("RGB").getcolors(maxcolors=1 << 24)
            assert colors is not None
            assert len(colors) > 10, "an empty picture"


@pytest.mark.parametrize("asset", ASSETS)
def test_a_materialization_links_to_the_same_day_of_its_neighbours(day: Deployment, asset: str) -> None:
    links = {name: value.value for name, value in metadata_of(day, asset).items() if name.startswith("same day: ")}
    assert links == {
        f"same day: {other}": f"/assets/{other}?view=partitions&partition={DAY}" for other in ASSETS if other != asset
    }


@pytest.mark.parametrize(
    ("asset", "pages"),
    {
        "raw_transactions": {},
        "training_window": {"operations": "/?page=operations"},
        "wallet_models": {"operations": "/?page=operations"},
        "scored_transactions": {"overview": f"/?page=overview&from={DAY}&to={DAY}"},
        "anomaly_metrics": {
            "overview": f"/?page=overview&from={DAY}&to={DAY}",
            "organisations": f"/?page=organisations&from={DAY}&to={DAY}",
        },
    }.items(),
)
def test_a_materialization_links_to_the_pages_of_the_dashboard_about_its_day(
    day: Deployment, asset: str, pages: dict[str, str]
) -> None:
    links = {name: value.value for name, value in metadata_of(day, asset).items() if name.startswith("dashboard: ")}
    assert links == {f"dashboard: {page}": f"http://127.0.0.1:8501{path}" for page, path in pages.items()}


def test_every_flag_on_the_page_leads_to_its_page_in_the_dashboard(day: Deployment) -> None:
    flagged = {tx_id for tx_id, row in day.rows(DAY).items() if row["is_anomaly"]}
    links = re.findall(
        r"http://127\.0\.0\.1:8501/\?page=flag&[^)]+", metadata_of(day, "scored_transactions")["top flags"].value
    )
    found = [parse_qs(urlsplit(link).query) for link in links]
    assert {tx_id for arguments in found for tx_id in arguments["tx"]} <= flagged
    assert len(found) == min(len(flagged), PREVIEW_ROWS) > 0
    assert all(arguments["day"] == [str(DAY)] for arguments in found)


@pytest.mark.parametrize(
    ("asset", "figures"),
    {
        "raw_transactions": {"rows in", "kept", "quarantined", "duplicate", "wallets"},
        "training_window": {
            "days",
            "missing days",
            "transactions",
            "wallets",
            "eligible: statistical",
            "eligible: isolation_forest",
        },
        "wallet_models": {
            "models",
            "models: statistical",
            "models: isolation_forest",
            "fitted now",
            "reused",
            "payload bytes",
        },
        "scored_transactions": {
            "rows",
            "judged",
            "judged by statistical",
            "judged by isolation_forest",
            "coverage",
            "flagged",
            "flagged by statistical",
            "flagged by isolation_forest",
            "flag rate",
            "models from store",
        },
        "anomaly_metrics": {"n_rows", "n_judged", "n_flagged", "coverage", "rate", "disagreement"},
    }.items(),
)
def test_figures_are_numbers_that_dagster_plots_over_the_days(day: Deployment, asset: str, figures: set[str]) -> None:
    metadata = metadata_of(day, asset)
    plotted = {
        name
        for name, value in metadata.items()
        if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) and value.value is not None
    }
    assert plotted >= {*figures, "dagster/partition_row_count", "seconds", "bytes"}
    sealed = day.seal(asset, DAY).files.values()
    assert metadata["bytes"].value == sum(file.n_bytes for file in sealed) > 0
    assert metadata["seconds"].value > 0


@pytest.mark.parametrize("asset", ASSETS)
def test_the_declared_columns_are_those_on_disk(day: Deployment, asset: str) -> None:
    declared = day.definitions.resolve_asset_graph().get(dg.AssetKey(asset)).metadata["dagster/column_schema"]
    stored = day.table(asset, DAY, ROLES[asset]).schema
    assert [(c.name, c.type, c.constraints.nullable) for c in declared.columns] == [
        (field.name, str(field.type), field.nullable) for field in stored
    ]
    assert all(column.description for column in declared.columns)


@pytest.mark.parametrize("asset", ASSETS)
def test_the_data_version_follows_from_the_content(day: Deployment, asset: str) -> None:
    (materialization,) = day.materializations(asset, DAY)
    version, seal = (materialization.tags or {})["dagster/data_version"], day.seal(asset, DAY)
    assert re.fullmatch("[0-9a-f]{64}", version)
    assert (version == seal.revision) is (asset != "wallet_models")
    assert metadata_of(day, asset)["revision"].value == seal.revision
    assert metadata_of(day, asset)["seal"].value == seal.seal_id


def test_the_ledger_is_shown(day: Deployment) -> None:
    metadata = metadata_of(day, "raw_transactions")
    counts = {name: metadata[name].value for name in ("rows in", "kept", "quarantined", "duplicate", "wallets")}
    assert counts == {"rows in": ROWS_OF_DAY, "kept": ROWS_OF_DAY, "quarantined": 0, "duplicate": 0, "wallets": 6}
    assert f"| n_in | {ROWS_OF_DAY} |" in metadata["ledger"].value


def test_the_window_says_what_it_pinned(day: Deployment) -> None:
    metadata = metadata_of(day, "training_window")
    assert metadata["window"].value == f"[{FIRST}, {DAY})"
    assert (metadata["days"].value, metadata["missing days"].value) == (WINDOW_DAYS, 0)
    assert metadata["transactions"].value == WINDOW_DAYS * ROWS_PER_DAY
    pinned = [str(FIRST + timedelta(days=offset)) for offset in range(WINDOW_DAYS)]
    assert re.findall(r"^\| (\S+) \| `([0-9a-f]{64})` \| *$", metadata["manifest days"].value, re.MULTILINE) == [
        (on, day.seal("raw_transactions", date.fromisoformat(on)).revision) for on in pinned
    ]
    assert (metadata["eligible: statistical"].value, metadata["eligible: isolation_forest"].value) == (5, 3)


def test_the_models_say_how_many_were_fitted_and_served(day: Deployment) -> None:
    metadata = metadata_of(day, "wallet_models")
    assert (metadata["models"].value, metadata["fitted now"].value, metadata["reused"].value) == (8, 8, 0)
    assert metadata["store"].value == "published"


def test_the_scores_say_how_many_rows_were_judged_and_flagged(day: Deployment) -> None:
    metadata, published = metadata_of(day, "scored_transactions"), day.published(DAY).to_pylist()
    judged = [row for row in published if row["anomaly_score"] is not None]
    assert (metadata["rows"].value, metadata["judged"].value) == (ROWS_OF_DAY, len(judged))
    assert len(judged) == ROWS_OF_DAY - 1
    assert metadata["flagged"].value == sum(row["is_anomaly"] for row in published)
    assert metadata["flag rate"].value == pytest.approx(metadata["flagged"].value / len(judged), abs=1e-6)
    for name in ("statistical", "isolation_forest"):
        by_it = [row for row in published if row[f"{name}_status"] == "judged"]
        assert metadata[f"judged by {name}"].value == len(by_it)
    assert metadata["models from store"].value == metadata["models"].value == 8


def test_every_check_passed_for_this_day_and_has_no_result_for_another(day: Deployment) -> None:
    for name in (name for names in CHECKS.values() for name in names):
        evaluation = day.evaluation(name, DAY)
        assert evaluation is not None, f"{name} has no result for {DAY}"
        assert evaluation.partition == DAY.isoformat()
        assert evaluation.passed, f"{name}: {evaluation.description}"
        assert day.evaluation(name, DAY + timedelta(days=1)) is None


def test_the_published_file_has_exactly_the_promised_columns(day: Deployment) -> None:
    path = day.home.output / f"labeled_transactions_{DAY:%Y%m%d}.parquet"
    assert [file.name for file in day.home.output.iterdir()] == [path.name]
    schema = day.published(DAY).schema
    assert [(field.name, field.type, field.nullable) for field in schema] == PUBLISHED


def test_the_published_file_carries_its_provenance_and_neither_run_nor_clock(day: Deployment) -> None:
    published, content = day.published(DAY), day.home.published_path(DAY).read_bytes()
    metadata = {key.decode(): value.decode() for key, value in published.schema.metadata.items()}
    assert metadata == {
        "anomaly_assets.format_version": "1",
        "anomaly_assets.day": str(DAY),
        "anomaly_assets.window_manifest": day.seal("training_window", DAY).inputs["manifest_id"],
        "anomaly_assets.settings_id": day.settings.detection.settings_id,
        "anomaly_assets.content_digest": table_digest(published.replace_schema_metadata(None)),
    }
    for entry in day.log_entries():
        assert entry["run_id"].encode() not in content
    assert NOW.isoformat().encode() not in content


def test_another_home_run_at_another_time_publishes_the_same_bytes(day: Deployment, detected: Deployment) -> None:
    assert day.home.home_id != detected.home.home_id or day.log_entries() != detected.log_entries()
    assert day.home.published_path(DAY).read_bytes() == detected.home.published_path(DAY).read_bytes()


def test_a_wallet_is_judged_by_the_detectors_it_has_history_for(day: Deployment) -> None:
    expected = {
        **dict.fromkeys(BUSY, ("judged", "judged")),
        MIDDLING: ("judged", "insufficient_history"),
        RARE: ("insufficient_history", "insufficient_history"),
        CONSTANT: ("judged", "constant_history"),
    }
    rows = day.published(DAY).to_pylist()
    assert {row["WALLET_ID"]: (row["statistical_status"], row["isolation_forest_status"]) for row in rows} == expected
    for row in rows:
        for detector, score in (("statistical", "zscore"), ("isolation_forest", "isolation_forest_score")):
            judged = row[f"{detector}_status"] == "judged"
            assert (row[score] is not None) is judged
            assert (row[f"{detector}_model_id"] is not None) is judged
            assert judged or not row[f"{detector}_anomaly"]
        assert (row["reason"] is not None) is row["is_anomaly"]
    burst = day.rows(DAY)[f"{DAY}-busy-1-burst"]
    assert burst["statistical_anomaly"]
    assert burst["reason"].startswith("amount 5,000.00 is ")
    assert not all(row["is_anomaly"] for row in rows)


def test_the_store_holds_exactly_the_promised_keys_and_fields(day: Deployment) -> None:
    models = day.table("wallet_models", DAY, "models").to_pylist()
    members = {f"{model['detector']}:{model['wallet_id']}".encode() for model in models}
    run_id = next(entry["run_id"] for entry in day.log_entries() if entry["asset"] == "wallet_models")
    with day.server() as client:
        keys = {b"model:" + member for member in members} | {b"model_updates", b"models:published", b"models:home"}
        assert set(client.keys("*")) == keys
        assert dict(client.zrange("model_updates", 0, -1, withscores=True)) == dict.fromkeys(members, NOW.timestamp())
        for model in models:
            fields = client.hgetall(f"model:{model['detector']}:{model['wallet_id']}")
            payload = fields[b"payload"]
            assert decode(payload).model_id == model["model_id"]
            assert {key.decode(): value.decode() for key, value in fields.items() if key != b"payload"} == {
                "model_id": model["model_id"],
                "recipe_id": model["recipe_id"],
                "as_of": str(DAY),
                "generation": "1",
                "window_start": str(FIRST),
                "window_end": str(DAY),
                "n_transactions": str(model["n_transactions"]),
                "settings_id": day.settings.detection.settings_id,
                "format_version": fields[b"format_version"].decode(),
                "run_id": run_id,
            }
            assert {key.decode() for key in fields} == MODEL_FIELDS
        assert {key.decode(): value.decode() for key, value in client.hgetall("models:published").items()} == {
            "as_of": str(DAY),
            "generation": "1",
            "state": "complete",
            "count": str(len(models)),
            "manifest": day.seal("training_window", DAY).inputs["manifest_id"],
            "settings_id": day.settings.detection.settings_id,
        }


def test_the_publication_log_names_run_time_and_digests_of_every_file(day: Deployment) -> None:
    entries = [entry for entry in day.log_entries() if entry["day"] == str(DAY)]
    assert [entry["asset"] for entry in entries] == list(ASSETS)
    runs = {run.run_id for run in day.instance.get_runs()}
    for entry in entries:
        seal = day.seal(entry["asset"], DAY)
        assert (entry["revision"], entry["seal_id"]) == (seal.revision, seal.seal_id)
        assert (entry["run_id"] in runs, entry["at"]) == (True, NOW.isoformat())
        files = {
            role: hashlib.sha256(day.home.lake.path_of(seal, role).read_bytes()).hexdigest() for role in seal.files
        }
        assert entry["files"] == files
        assert metadata_of(day, entry["asset"])["publication log head"].value == entry["hash"]
    assert entries[-1]["hash"] == day.home.log.head()
    published = hashlib.sha256(day.home.published_path(DAY).read_bytes()).hexdigest()
    assert entries[ASSETS.index("scored_transactions")]["files"] == {"scored": published}


def test_metrics_add_up_over_every_way_of_grouping(day: Deployment) -> None:
    rows = [row for row in day.table("anomaly_metrics", DAY, "metrics").to_pylist() if row["detector"] == "unified"]
    flagged = sum(row["is_anomaly"] for row in day.published(DAY).to_pylist())
    for kind in ("all", "organisation", "wallet_size_decile"):
        group = [row for row in rows if row["group_kind"] == kind]
        assert (sum(row["n_rows"] for row in group), sum(row["n_flagged"] for row in group)) == (ROWS_OF_DAY, flagged)


def test_an_unfinished_file_is_nowhere(day: Deployment) -> None:
    assert day.temporary_files() == []
