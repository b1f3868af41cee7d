"""A home of the first release is reported to an instance of today's Dagster: its records are enough for it."""

import json
from contextlib import chdir

import dagster as dg
from click.testing import CliRunner

from anomaly_assets.checks.scores_follow import NAME as FOLLOW
from anomaly_assets.cli import main as anomaly_assets
from anomaly_assets.domain.families import OURS, names_of
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.evidence.stale import stale_partitions
from compat.frozen import unpacked


def test_every_day_is_reported_as_it_is_and_the_erased_wallet_is_nowhere() -> None:
    """It holds a correction, a day that was missing, a trial, other settings and payloads that were dropped."""
    with unpacked("0.1.0/daily") as frozen, chdir(frozen.folder):
        try:
            done = CliRunner().invoke(anomaly_assets, ["dagster-restore", "--json"])
        finally:
            frozen.store.embedded(frozen.home).stop()
        assert done.exit_code == 0, done.stderr
        days = {asset: frozen.home.lake.days(asset) for asset in names_of(OURS)}
        instance_folder = frozen.home.root / "dagster"
        with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
            assert {asset: instance.get_materialized_partitions(dg.AssetKey(asset)) for asset in names_of(OURS)} == {
                asset: set(map(str, of_asset)) for asset, of_asset in days.items()
            }
            follow = dg.AssetCheckKey(dg.AssetKey(SCORED), FOLLOW)
            said = instance.event_log_storage.get_asset_check_partition_info([follow])
        failed = {info.partition_key for info in said if info.latest_execution_status.value == "FAILED"}
        stale = stale_partitions(frozen.home, frozen.settings.detection.settings_ids, OURS)
        assert failed == {str(item.day) for item in stale if item.asset == SCORED}
        assert {info.partition_key for info in said} == set(map(str, days[SCORED]))
        assert json.loads(done.stdout)["materializations"] == sum(map(len, days.values()))
        files = [path.read_bytes() for path in instance_folder.rglob("*") if path.is_file()]
        erased = frozen.facts["erased"]
        assert not any(erased[name].encode() in content for name in ("wallet_id", "tx_id") for content in files)
