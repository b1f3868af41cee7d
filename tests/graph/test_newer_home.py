"""Dagster's processes of an older release over a home that a newer one writes: runs fail in words, nothing changes."""

import json

from anomaly_assets.adapters.home import HOME_FORMAT_VERSION
from anomaly_assets.adapters.seal import FORMAT_VERSION, SEAL_ID, Seal
from anomaly_assets.domain.identity import canonical_json, sealed_json
from anomaly_assets.jobs import DETECT
from graph.deployment import Deployment, error_of
from graph.invented import DAY

REMEDY = "use the release that wrote it, or a newer one"


def test_a_run_over_a_home_of_a_newer_format_fails_and_says_which_release_it_takes(ingested: Deployment) -> None:
    path = ingested.home.root / "home.json"
    path.write_bytes(canonical_json({**json.loads(path.read_bytes()), "format": HOME_FORMAT_VERSION + 1}))
    assert_refused(ingested, f"home.json of the home has format {HOME_FORMAT_VERSION + 1}")


def test_a_run_over_a_day_that_a_newer_release_sealed_fails_and_says_which_release_it_takes(
    ingested: Deployment,
) -> None:
    path = ingested.home.lake.local_folder("raw_transactions", DAY) / "seal.json"
    content = Seal.from_bytes(path.read_bytes(), "seal.json").content
    path.write_bytes(sealed_json({**content, "format": FORMAT_VERSION + 1}, SEAL_ID))
    assert_refused(ingested, f"has format {FORMAT_VERSION + 1}")


def assert_refused(deployment: Deployment, found: str) -> None:
    """A run fails with these words and the remedy, is not tried again, and scores nothing."""
    before = deployment.files("lake/raw_transactions", "output")
    home = (deployment.home.root / "home.json").read_bytes()
    result = deployment.run(DETECT, DAY)
    assert not result.success
    said = error_of(result)
    assert found in said
    assert REMEDY in said
    assert not any(event.is_step_up_for_retry for event in result.all_events)
    assert deployment.files("lake/raw_transactions", "output") == before
    assert (deployment.home.root / "home.json").read_bytes() == home
