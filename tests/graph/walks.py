"""What Dagster's web server takes into a backfill of assets, which differs by the hash seed of its process.

``python -m graph.walks ASSETS DAY`` walks once, as the server does, over a repository that comes by the standard input
as it comes to the server: nothing of the project is loaded.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

if __name__ == "__main__":
    gc.disable()  # half of the time that such a process takes

import dagster as dg
from dagster._core.execution.asset_backfill import create_asset_backfill_data_from_asset_partitions
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.remote_representation.handle import RepositoryHandle
from dagster._core.workspace.workspace import CurrentWorkspace
from dagster_shared.serdes import deserialize_value, serialize_value

Walk = dict[str, list[date]]
"""Days by asset."""


def walks(whole: RepositorySnap, assets: Sequence[str], day: date, seeds: Iterable[int]) -> list[Walk]:
    """The walks of webservers with these hash seeds from a day of the first asset over the others, each once."""
    repository = serialize_value(RepositorySnap(whole.name, [], [], asset_nodes=whole.asset_nodes, job_datas=[]))
    found: list[Walk] = []
    for seed in seeds:
        printed = json.loads(
            subprocess.run(
                [sys.executable, "-m", "graph.walks", ",".join(assets), day.isoformat()],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONHASHSEED": str(seed)},
                input=repository,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
        )
        walk = {asset: [date.fromisoformat(each) for each in of] for asset, of in printed.items()}
        if walk not in found:
            found.append(walk)
    return found


def walked(repository: RepositorySnap, assets: Sequence[str], day: str) -> dict[str, list[str]]:
    """Days by asset of the walk of a webserver with the hash seed of this process."""
    remote = RemoteRepository(repository, RepositoryHandle.for_test(), auto_materialize_use_sensors=True)
    location = SimpleNamespace(name="", get_repositories=lambda: {repository.name: remote})
    workspace = CurrentWorkspace(cast("Any", {"": SimpleNamespace(code_location=location)}))
    data = create_asset_backfill_data_from_asset_partitions(
        workspace.asset_graph, [dg.AssetKey(name) for name in assets], [day], cast("Any", None)
    )
    target = data.target_subset
    return {
        key.to_user_string(): sorted(target.get_partitions_subset(key).get_partition_keys())
        for key in target.asset_keys
    }


if __name__ == "__main__":
    _assets, _day = sys.argv[1:]
    print(json.dumps(walked(deserialize_value(sys.stdin.read(), RepositorySnap), _assets.split(","), _day)))  # noqa: T201
