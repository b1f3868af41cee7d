"""Writes one partition of a lake in a process of its own: ``python lake_writer.py ROOT VALUE``."""

import sys
from datetime import date
from pathlib import Path

import pyarrow as pa

from anomaly_assets.adapters.lake import Lake, PartitionWriter
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.verdicts import Verdict

ASSET = "raw_transactions"
DAY = date(2024, 2, 29)
GOOD = Verdict("schema", passed=True, message="fits", blocking=True)


def lake_at(root: Path) -> Lake:
    """The lake of these tests below ``root``."""
    return Lake(root / "lake", root / "locks")


def root_of(lake: Lake) -> Path:
    """The folder of a lake on this machine."""
    assert isinstance(lake.root, Path)
    return lake.root


def tables(value: float, rows: int = 3) -> dict[str, pa.Table]:
    """Two roles, of which only one depends on ``value``."""
    return {
        "transactions": pa.table({"tx_id": [f"t{n}" for n in range(rows)], "amount": [value] * rows}),
        "quarantine": pa.table({"reason": ["negative_amount"]}),
    }


def write(lake: Lake, value: float, *, asset: str = ASSET, day: date = DAY, made_from: tuple[Seal, ...] = ()) -> Seal:
    """Stage and commit one partition."""
    with lake.writing(asset, day, timeout_seconds=60) as writer:
        return commit(writer, value, made_from=made_from)[0]


def commit(writer: PartitionWriter, value: float, *, made_from: tuple[Seal, ...] = ()) -> tuple[Seal, bool]:
    """Stage and commit with a writer at hand."""
    content = tables(value)
    revision = table_digest(content["transactions"])
    return writer.commit(writer.stage(content), revision=revision, verdicts=[GOOD], still_current=made_from)


if __name__ == "__main__":
    write(lake_at(Path(sys.argv[1])), float(sys.argv[2]))
