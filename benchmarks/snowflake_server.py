"""A local stand-in for Snowflake with one table of invented transactions, in a process of its own."""

import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

TABLE = "BENCH.PUBLIC.TRANSACTIONS"
SERVED_DAY = date(2024, 3, 2)
_ROWS = """INSERT INTO BENCH.PUBLIC.TRANSACTIONS SELECT
  'tx' || lpad(CAST(i AS VARCHAR), 14, '0'), 'wallet' || lpad(CAST(hash(i) % {wallets} AS VARCHAR), 8, '0'),
  TIMESTAMP '{day} 00:00:00' + to_microseconds(CAST(hash(i + 1) % 86400000000 AS BIGINT)),
  CAST((hash(i + 2) % 1000000) / 100.0 AS DECIMAL(18, 2)), 'organisation ' || CAST(hash(i + 3) % 50 AS VARCHAR)
FROM range({first}, {end}) t(i)"""
_ROWS_AT_ONCE = 2_000_000


@contextmanager
def serving(n_rows: int, n_wallets: int) -> Iterator[int]:
    """A server for as long as the block lasts, its rows all on ``SERVED_DAY``; yields its port."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.snowflake_server", str(n_rows), str(n_wallets)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            if process.stdout is None or not (line := process.stdout.readline()):
                raise RuntimeError("the stand-in for Snowflake did not start")
            yield int(line)
        finally:
            process.kill()


def _serve(n_rows: int, n_wallets: int) -> None:
    import uvicorn  # noqa: PLC0415

    server_module: Any = importlib.import_module("fakesnow.server")
    cursor = server_module.shared_fs.connect().cursor()
    cursor.execute("CREATE DATABASE BENCH")
    cursor.execute("CREATE SCHEMA IF NOT EXISTS BENCH.PUBLIC")
    cursor.execute(
        "CREATE TABLE BENCH.PUBLIC.TRANSACTIONS (TX_ID VARCHAR, WALLET_ID VARCHAR, TX_COMPLETED_AT TIMESTAMP_NTZ, "
        "TOTAL_AMOUNT NUMBER(18,2), ORG_NAME VARCHAR)"
    )
    connection = server_module.shared_fs.duck_conn.cursor()
    for first in range(0, n_rows, _ROWS_AT_ONCE):
        end = min(first + _ROWS_AT_ONCE, n_rows)
        connection.execute(_ROWS.format(day=SERVED_DAY, wallets=n_wallets, first=first, end=end))
    server = uvicorn.Server(uvicorn.Config(server_module.app, host="127.0.0.1", port=0, log_level="critical"))
    threading.Thread(target=_tell_port, args=(server,), daemon=True).start()
    server.run()


def _tell_port(server: Any) -> None:
    while not server.started:
        time.sleep(0.05)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
