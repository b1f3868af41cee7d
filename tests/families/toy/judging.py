"""What is computed: the usual amount of a day, over all wallets, and which transactions are far above it."""

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.model_reference import EVERYBODY


def fitted(kept: pa.Table) -> pa.Table:
    """The one model of a day's transactions: ``scope, model_id, usual, n_rows``."""
    usual = sorted(kept.column("total_amount").to_pylist())[kept.num_rows // 2]
    columns = {"scope": EVERYBODY, "model_id": digest_of(["toy", usual]), "usual": usual, "n_rows": kept.num_rows}
    return pa.Table.from_pylist([columns])


def judged(kept: pa.Table, model: pa.Table, times: int) -> pa.Table:
    """Per transaction whether its amount is so many times the usual one.

    Columns are ``tx_id, wallet_id, amount, is_large, model_id``.
    """
    (row,) = model.to_pylist()
    amounts = kept.column("total_amount")
    return pa.table(
        {
            "tx_id": kept.column("tx_id"),
            "wallet_id": kept.column("wallet_id"),
            "amount": amounts,
            "is_large": pc.greater(amounts, row["usual"] * times),
            "model_id": pa.array([row["model_id"]] * kept.num_rows, pa.string()),
        }
    )
