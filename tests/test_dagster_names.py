"""Names in Dagster: our own behind a prefix, the same that Dagster makes of it, and back."""

from pathlib import Path

import dagster as dg
import pytest

from anomaly_assets.composition import build_definitions
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.settings import load_settings

PREFIXES = ["", "payments", "eu/payments"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_asset_leads_to_its_key_and_the_key_back_to_the_asset(prefix: str) -> None:
    names = DagsterNames(prefix)
    key = names.key(RAW)
    assert key == dg.AssetKey(RAW).with_prefix(prefix.split("/") if prefix else [])
    assert names.asset(key) == RAW


@pytest.mark.parametrize("other", ["", "cards", "payments/eu", "raw_transactions"])
def test_a_key_of_another_prefix_is_no_asset_of_ours(other: str) -> None:
    assert DagsterNames("payments").asset(DagsterNames(other).key(RAW)) is None


@pytest.mark.parametrize("prefix", PREFIXES)
def test_steps_are_called_as_dagster_calls_them(prefix: str) -> None:
    names = DagsterNames(prefix)

    @dg.asset(key=names.key(RAW))
    def raw() -> None: ...

    assert raw.op.name == names.step(RAW)


def test_a_job_of_a_prefix_has_a_name_that_dagster_takes() -> None:
    assert [DagsterNames(prefix).of("nightly") for prefix in PREFIXES] == [
        "nightly",
        "payments_nightly",
        "eu_payments_nightly",
    ]


def test_group_owners_and_the_buttons_that_descriptions_name_are_those_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = {"key_prefix": "payments", "group_name": "fraud/payments", "owners": ["team:payments", "a@example.org"]}
    definitions = build_definitions(load_settings(environ={}, overrides={"dagster": chosen}))
    specs = list(definitions.resolve_all_asset_specs())
    assert len(specs) == 5
    assert {(spec.group_name, *spec.owners) for spec in specs} == {("fraud/payments", "team:payments", "a@example.org")}
    said = {spec.key.path[-1]: str(spec.description) for spec in specs}
    assert "Jobs > payments_ingest_transactions > Materialize…" in said[RAW]
    assert "Jobs > payments_ingest_transactions" in said["training_window"]
    job = definitions.resolve_job_def("payments_ingest_transactions")
    assert "before payments_detect_anomalies" in str(job.description)
