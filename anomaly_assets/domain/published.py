"""Published scores: the columns other systems read, in one place."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from anomaly_assets.domain.algorithms import flags_of
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.layouts import LAYOUTS
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.domain.schema import TIME, Column, TableSchema
from anomaly_assets.domain.table_identity import table_digest

FORMAT_VERSION = LAYOUTS[SCORED]
"""Version of the published columns and their meaning; raised when either changes."""

INPUT_NAMES = {
    "tx_id": "TX_ID",
    "wallet_id": "WALLET_ID",
    "tx_completed_at": "TX_COMPLETED_AT",
    "total_amount": "TOTAL_AMOUNT",
    "org_name": "ORG_NAME",
}
"""Canonical input column to published column."""


def anomaly_column(detector: str) -> str:
    """Published flag of one detector."""
    return f"{detector}_anomaly"


def status_column(detector: str) -> str:
    """Published status of one detector."""
    return f"{detector}_status"


def model_id_column(detector: str) -> str:
    """Published id of the model of one detector that judged the row."""
    return f"{detector}_model_id"


def published_schema(detectors: Sequence[Detector]) -> TableSchema:
    """Columns of ``scored_transactions`` and of the published files, in order."""
    scores = [
        Column(d.score_column, pa.float64(), f"score of {d.name}; higher is more anomalous", nullable=True)
        for d in detectors
    ]
    extra = [
        Column(field.name, field.type, f"reported by {d.name}", nullable=field.nullable)
        for d in detectors
        for field in d.extra_columns
    ]
    return TableSchema(
        (
            Column("TX_ID", pa.string(), "transaction id"),
            Column("WALLET_ID", pa.string(), "wallet"),
            Column("TX_COMPLETED_AT", TIME, "completion time, UTC"),
            Column("TOTAL_AMOUNT", pa.float64(), "amount"),
            Column("ORG_NAME", pa.string(), "organisation", nullable=True),
            *scores[:1],
            *(Column(anomaly_column(d.name), pa.bool_(), f"flag of {d.name}") for d in detectors),
            *(Column(flag.column, pa.bool_(), f"{' or '.join(flag.of)} flags the row") for flag in flags_of(detectors)),
            *scores[1:],
            Column(
                "anomaly_score", pa.float64(), "rank across wallets in [0, 1); above 0.5 when flagged", nullable=True
            ),
            *(Column(status_column(d.name), pa.string(), f"what {d.name} could say") for d in detectors),
            *extra,
            *(
                Column(model_id_column(d.name), pa.string(), f"model of {d.name} that judged the row", nullable=True)
                for d in detectors
            ),
            Column("reason", pa.string(), "why the row is flagged, as a sentence", nullable=True),
        )
    )


def with_provenance(
    table: pa.Table,
    *,
    day: date,
    manifest_id: str,
    settings_id: str,
    layout: int = FORMAT_VERSION,
    content_digest: str | None = None,
) -> pa.Table:
    """The table with the schema metadata every published file carries: no run, no clock.

    ``layout`` is that of the day's record; ``content_digest`` is that of the table, unless another one is given.
    """
    return table.replace_schema_metadata(
        {
            "anomaly_assets.format_version": str(layout),
            "anomaly_assets.day": day.isoformat(),
            "anomaly_assets.window_manifest": manifest_id,
            "anomaly_assets.settings_id": settings_id,
            "anomaly_assets.content_digest": content_digest or table_digest(table),
        }
    )
