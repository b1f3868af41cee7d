"""What is piped is whole: no line is wrapped and no cell cut, however narrow the terminal was or long the ids are."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cli.conftest import Shell, empty_folder

LONG = "wallet-" + "0123456789" * 20
ORGANISATION = "An organisation [/named] with [red]a name of " + "very " * 30 + "many words"
SETTINGS = """
home: home
first_day: 2024-01-01
source: {kind: files, files: {path: rows.csv}}
window: {days: 3}
statistical: {min_transactions: 3}
isolation_forest: {min_transactions: 6, n_estimators: 5}
checks: {max_anomaly_rate: 1.0, min_coverage: 0.0}
"""


def rows() -> Iterator[str]:
    yield "tx_id,wallet_id,tx_completed_at,total_amount,org_name"
    for day in range(1, 5):
        for hour in range(8, 20):
            amount = 90_000 if (day, hour) == (4, 19) else 10 + hour
            yield f"{'tx-' * 30}{day}-{hour},{LONG},2024-01-{day:02d}T{hour:02d}:00:00Z,{amount},{ORGANISATION}"


TX_ID = "tx-" * 30 + "4-19"


@pytest.fixture(scope="module")
def long_ids() -> Iterator[Shell]:
    """A scored day of a wallet, transactions and an organisation whose names are longer than any terminal is wide."""
    with empty_folder() as folder:
        (folder / "anomaly.yaml").write_text(SETTINGS, encoding="utf-8")
        (folder / "rows.csv").write_text("\n".join(rows()) + "\n", encoding="utf-8")
        shell = Shell(folder)
        shell.json("backfill", "--from", "2024-01-04", "--to", "2024-01-04")
        yield shell


REASON = "amount 90,000.00 is "
COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[str], Any]]] = {
    "report": (("report",), lambda line: REASON in line and "flag line" in line),
    "trace": (("trace", TX_ID), lambda line: LONG in line and ORGANISATION in line),
    "explain": (("explain", TX_ID), lambda line: LONG in line and TX_ID in line),
    "verify": (("verify", TX_ID), lambda line: TX_ID in line and "proven" in line),
    "compare": (
        ("compare", "--from", "2024-01-04", "--to", "2024-01-04", "--set", "statistical.zscore_threshold=9"),
        lambda line: TX_ID in line or ORGANISATION in line,
    ),
    "source check": (("source", "check"), lambda line: TX_ID[:90] in line or LONG in line),
    "an error": (("trace", "x" * 200), lambda line: "x" * 200 in line),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_is_a_line(long_ids: Shell, name: str) -> None:
    arguments, is_whole = COMMANDS[name]
    done = long_ids.run_apart(*arguments, COLUMNS="80")
    lines = (done.stdout + done.stderr).splitlines()
    assert any(map(is_whole, lines)), "\n".join(lines)


def test_at_a_terminal_it_is_wrapped_to_its_width(long_ids: Shell) -> None:
    """What a terminal of 80 columns shows has no line that is longer."""
    text = long_ids.at_terminal("verify", TX_ID)
    assert "proven" in text
    assert TX_ID not in text
