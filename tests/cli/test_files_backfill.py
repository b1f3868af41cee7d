"""Data files through the real command: their dialect, and the copy in order of day that processes share."""

import json

import pyarrow.parquet as pq

from cli.conftest import SMALL, Shell

MARKET_ROWS = [
    f'{1_709_251_200_000 + (day * 24 + hour) * 3_600_000};t{day}-{hour};w{hour % 3};"1.{hour:03d},50"'
    for day in range(4)
    for hour in range(12)
]


def test_a_dialect_of_csv_is_ingested_and_put_in_order_once(shell: Shell) -> None:
    """Semicolons, decimal commas, milliseconds since 1970, an organisation in the folder's name."""
    folder = shell.folder / "data" / "org=M%C3%A4rkte"
    folder.mkdir(parents=True)
    (folder / "x.csv").write_text("\n".join(["when;id;wallet_id;amount", *MARKET_ROWS, ""]), encoding="cp1252")
    columns = {"tx_id": "id", "tx_completed_at": "when", "total_amount": "amount", "org_name": "org"}
    reading = {"delimiter": "auto", "encoding": "cp1252", "decimal": ",", "thousands": ".", "epoch_unit": "ms"}
    source = {"kind": "files", "files": {"path": "data", "columns": columns, **reading}}
    (shell.folder / "anomaly.yaml").write_text(json.dumps({"first_day": "2024-03-01", "source": source}))

    first = shell.json("backfill", "--from", "2024-03-03", "--to", "2024-03-03", **SMALL)
    assert (first["days"][0]["transactions"], first["failed"]) == (12, [])
    (copy,) = (shell.home / "source_days").glob("*.parquet")
    made = copy.stat().st_ino
    shell.json("backfill", "--from", "2024-03-04", "--to", "2024-03-04", **SMALL)
    assert copy.stat().st_ino == made

    rows = pq.read_table(shell.home / "output" / "labeled_transactions_20240304.parquet").to_pylist()
    assert {row["ORG_NAME"] for row in rows} == {"Märkte"}
    assert sorted(row["TOTAL_AMOUNT"] for row in rows) == [1000.5 + hour for hour in range(12)]
