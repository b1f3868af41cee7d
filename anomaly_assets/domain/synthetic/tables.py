"""Rows as Arrow: the transactions as a source delivers them, the truth about them, and their fingerprint."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.schema import TIME
from anomaly_assets.domain.synthetic.dirt import BAD_AMOUNTS, Dirt, MissingId
from anomaly_assets.domain.synthetic.kinds import AnomalyKind
from anomaly_assets.domain.synthetic.randomness import Stream, hashed, mixed
from anomaly_assets.domain.synthetic.rows import DayRows
from anomaly_assets.domain.synthetic.wallets import ORGANISATIONS, Wallets
from anomaly_assets.domain.synthetic.world import World

TRUTH = pa.schema(
    [
        pa.field("tx_id", pa.string(), nullable=False),
        pa.field("wallet_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
    ]
)
"""The truth of a day: one row a planted transaction, sorted by tx_id; kind is a value of ``AnomalyKind``."""

_HEX = np.array([tuple(f"{byte:02x}".encode()) for byte in range(256)], dtype=np.uint8)


def transactions_schema(world: World) -> pa.Schema:
    """The columns as delivered: amounts are text where there is dirt, numbers otherwise."""
    return pa.schema(
        [
            pa.field("tx_id", pa.string()),
            pa.field("wallet_id", pa.string()),
            pa.field("tx_completed_at", TIME),
            pa.field("total_amount", pa.string() if world.dirt > 0 else pa.float64()),
            pa.field("org_name", pa.string()),
        ]
    )


def transactions_batch(world: World, wallets: Wallets, day: date, rows: DayRows) -> pa.RecordBatch:
    """``rows`` of ``day`` as delivered, in their order."""
    tx_id = _transaction_ids(world.seed, day, rows.number)
    wallet_id = wallets.ids.take(pa.array(rows.wallet))
    if world.dirt > 0:
        tx_id = _without(tx_id, rows, null=MissingId.TX_NULL, empty=MissingId.TX_EMPTY)
        wallet_id = _without(wallet_id, rows, null=MissingId.WALLET_NULL, empty=MissingId.WALLET_EMPTY)
    organisation = pa.array(rows.organisation, mask=rows.organisation < 0)
    return pa.RecordBatch.from_arrays(
        [
            tx_id,
            wallet_id,
            pa.array(rows.completed_at_us).view(TIME),
            _amount_texts(rows) if world.dirt > 0 else pa.array(rows.cents / 100.0),
            pa.array(ORGANISATIONS).take(organisation),
        ],
        schema=transactions_schema(world),
    )


def truth_table(world: World, wallets: Wallets, day: date, rows: DayRows) -> pa.Table:
    """What was planted among ``rows`` of ``day``: schema ``TRUTH``."""
    planted = rows.take(rows.planted > 0)
    kinds = pa.array([kind.value for kind in AnomalyKind], pa.string())
    columns = [
        _transaction_ids(world.seed, day, planted.number),
        wallets.ids.take(pa.array(planted.wallet)),
        kinds.take(pa.array(planted.planted - 1)),
    ]
    return pa.Table.from_arrays(columns, schema=TRUTH).sort_by("tx_id")


def fingerprint(world: World, day: date, rows: DayRows) -> tuple[int, int]:
    """Two 64-bit sums over a hash of each row's content; order does not matter, and days' sums may be added."""
    ordinal = np.full(len(rows), day.toordinal())
    content = (rows.number, rows.wallet, rows.completed_at_us, rows.cents, rows.organisation)
    is_ill_formed = (rows.dirt == Dirt.BAD_AMOUNT) | (rows.dirt == Dirt.MISSING_ID)
    flaws = np.where(is_ill_formed, 256 * rows.dirt.astype(np.int64) + rows.flaw, 0)
    row = hashed(world.seed, Stream.FINGERPRINT, ordinal, *content, flaws)
    return int(np.sum(row)), int(np.sum(mixed(~row)))


def _transaction_ids(seed: int, day: date, number: np.ndarray) -> pa.Array:
    """Ids of 16 hex digits: a bijection of (day, number), so they are unique for ever and tell nothing."""
    secret = hashed(seed, Stream.TRANSACTION_ID, np.zeros(1, dtype=np.int64))
    words = mixed((np.uint64(day.toordinal() << 32) | number.astype(np.uint64)) ^ secret)
    letters = _HEX[words.astype(">u8").view(np.uint8)].reshape(-1)
    offsets = np.arange(len(number) + 1, dtype=np.int32) * np.int32(16)
    return pa.StringArray.from_buffers(len(number), pa.py_buffer(offsets), pa.py_buffer(letters))


def _without(ids: pa.Array, rows: DayRows, *, null: MissingId, empty: MissingId) -> pa.Array:
    missing = rows.dirt == Dirt.MISSING_ID
    ids = pc.if_else(pa.array(missing & (rows.flaw == null)), pa.scalar(None, pa.string()), ids)
    return pc.if_else(pa.array(missing & (rows.flaw == empty)), "", ids)


def _amount_texts(rows: DayRows) -> pa.Array:
    """Amounts as decimal text with two places; what stands for a bad amount is in ``BAD_AMOUNTS``."""
    words = np.stack([rows.cents, np.zeros_like(rows.cents)], axis=1)  # a 128-bit integer: low word, high word
    decimals = pa.Array.from_buffers(pa.decimal128(18, 2), len(rows), [None, pa.py_buffer(words)])
    bad = pa.array(BAD_AMOUNTS, pa.string()).take(pa.array(np.where(rows.dirt == Dirt.BAD_AMOUNT, rows.flaw, 0)))
    return pc.if_else(pa.array(rows.dirt == Dirt.BAD_AMOUNT), bad, decimals.cast(pa.string()))
