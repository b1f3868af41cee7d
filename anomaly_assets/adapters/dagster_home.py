"""DAGSTER_HOME of a home: a folder with a ``dagster.yaml`` that switches off what nobody asked for."""

from pathlib import Path

import yaml

from anomaly_assets.adapters.atomic_files import write_atomically

MAX_RUNTIME_SECONDS = 86_400
"""A run that takes a day is taken for dead."""


def dagster_yaml(max_concurrent_runs: int) -> bytes:
    """The instance's configuration: no telemetry, no first-visit dialog, few runs at once."""
    config = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "concurrency": {"runs": {"max_concurrent_runs": max_concurrent_runs}},
        "run_queue": {"dequeue_interval_seconds": 1},
        # runs whose process died must not hold a place in the queue for ever
        "run_monitoring": {"enabled": True, "max_runtime_seconds": MAX_RUNTIME_SECONDS},
    }
    header = "# Written by anomaly-assets from its settings; change max_concurrent_runs in anomaly.yaml.\n"
    return (header + yaml.safe_dump(config, sort_keys=False)).encode()


def prepare_dagster_home(folder: Path, *, max_concurrent_runs: int) -> Path:
    """Create ``folder`` and its ``dagster.yaml``, or bring the file up to date; returns the folder."""
    target, content = folder / "dagster.yaml", dagster_yaml(max_concurrent_runs)
    if not target.exists() or target.read_bytes() != content:
        write_atomically(target, content)
    return folder
