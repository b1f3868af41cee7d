"""Flags with ids that no page and no shell should stumble over."""

import subprocess
from datetime import UTC, datetime

import pyarrow as pa

HOSTILE = [
    "a`b",
    "``code``",
    "`",
    "a|b",
    "a\\|b",
    "a\\\\|b",
    'it\'s "quoted"',
    "$(id) & rm",
    "line\nbreak",
    "two  spaces",
    "<script>alert(1)</script>",
    "**bold** [x](http://a)",
    "x" * 256,
]
"""Ids that would end a cell, end code, run something or burst the page."""


def flags(*tx_ids: str, reason: str = "amount 5,000.00 is 7.1 standard deviations above") -> pa.Table:
    """Published rows of flags, as far as the page shows them."""
    return pa.table(
        {
            "anomaly_score": [0.62578] * len(tx_ids),
            "TX_COMPLETED_AT": [datetime(2024, 3, 5, 21, 4, 5, tzinfo=UTC)] * len(tx_ids),
            "WALLET_ID": ["W1"] * len(tx_ids),
            "TX_ID": list(tx_ids),
            "TOTAL_AMOUNT": [5000.0] * len(tx_ids),
            "reason": [reason] * len(tx_ids),
        }
    )


def given_to_the_command(line: str) -> list[str]:
    """The arguments that the shell gives to the command of a line."""
    script = f"anomaly-assets() {{ printf '%s\\0' \"$@\"; }}\n{line}\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]
