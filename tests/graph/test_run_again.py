"""Running a day again changes nothing but the log."""

from anomaly_assets.jobs import NIGHTLY
from graph.deployment import Deployment
from graph.invented import DAY

ASSETS = {"raw_transactions", "training_window", "wallet_models", "scored_transactions", "anomaly_metrics"}


def test_running_a_day_again_touches_no_file_and_is_logged(detected: Deployment) -> None:
    files, entries = detected.files(), detected.log_entries()
    assert detected.run(NIGHTLY, DAY).success
    assert detected.files() == files
    grown = detected.log_entries()
    assert grown[: len(entries)] == entries
    assert {entry["asset"] for entry in grown[len(entries) :]} == ASSETS
    assert grown[-1]["hash"] == detected.home.log.head() != entries[-1]["hash"]


def test_running_a_day_again_changes_nothing_that_is_served(detected: Deployment) -> None:
    with detected.server() as client:
        before = {key: client.dump(key) for key in client.keys("*")}
        assert detected.run(NIGHTLY, DAY).success
        assert {key: client.dump(key) for key in client.keys("*")} == before
    assert detected.materializations("wallet_models", DAY)[0].metadata["store"].value == "unchanged"


def test_a_second_run_says_that_nothing_was_written_and_keeps_the_data_versions(detected: Deployment) -> None:
    assert detected.run(NIGHTLY, DAY).success
    for asset in ASSETS - {"raw_transactions"}:
        again, first = detected.materializations(asset, DAY)
        assert str(again.metadata["written"].value).startswith("no")
        assert str(first.metadata["written"].value) == "yes"
        assert (again.tags or {})["dagster/data_version"] == (first.tags or {})["dagster/data_version"]
    again, first = detected.materializations("wallet_models", DAY)
    assert (again.metadata["fitted now"].value, again.metadata["reused"].value) == (0, 8)


def test_a_deleted_published_file_comes_back_with_the_same_bytes(detected: Deployment) -> None:
    path = detected.home.published_path(DAY)
    content = path.read_bytes()
    path.unlink()
    detected.detect(DAY)
    assert path.read_bytes() == content


def test_a_damaged_file_of_the_lake_is_mended_with_the_same_bytes(detected: Deployment) -> None:
    path = detected.home.lake.path_of(detected.seal("scored_transactions", DAY), "scored")
    content = path.read_bytes()
    path.write_bytes(content[:-20] + b"x" + content[-19:])
    detected.detect(DAY)
    assert path.read_bytes() == content


def test_a_damaged_seal_is_replaced_by_the_same_one(detected: Deployment) -> None:
    path = detected.home.lake.local_folder("scored_transactions", DAY) / "seal.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"revision":"', b'"revision":"0', 1))
    detected.detect(DAY)
    assert path.read_bytes() == content
