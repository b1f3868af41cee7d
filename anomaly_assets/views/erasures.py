"""The erasures of a home as a table."""

from collections.abc import Sequence

import pyarrow as pa

from anomaly_assets.evidence.erasures import NOT_RECORDED, ListedErasure

ERASURES = pa.schema(
    [
        pa.field("entry", pa.int64()),
        pa.field("at", pa.string()),
        pa.field("by", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("ticket", pa.string()),
        pa.field("transactions", pa.int64()),
        pa.field("state", pa.string()),
        pa.field("wallet", pa.string()),
    ]
)
"""Number in the publication log, time, what was said, ids that answer erased, state, digest of the wallet's id."""


def erasures_table(found: Sequence[ListedErasure]) -> pa.Table:
    """``ERASURES``, newest first; those that the log does not name (yet) before all others."""
    rows = [
        {
            "entry": each.told.entry,
            "at": each.told.at,
            **{name: getattr(each.told, name) or NOT_RECORDED for name in ("by", "reason", "ticket")},
            "transactions": each.transactions,
            "state": each.state.value,
            "wallet": each.told.wallet[:16],
        }
        for each in reversed(found)
    ]
    return pa.Table.from_pylist(rows, schema=ERASURES)
