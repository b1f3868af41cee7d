"""How long the dashboard's screens take over a year of many rows a day.

    python -m benchmarks.dashboard_year [--days N] [--rows N] [--quick] [--rounds N] [--json FILE]

A home is filled with invented days (``benchmarks/invented_days.py``). A year takes 15 GB of ``/tmp`` for a while.

Each screen is then run (views and figures, as Streamlit runs it) in a fresh process, once the digests of the days are
made: after reading ahead, as the dashboard's server does when it starts; again; and first without that. Of the first
run it is told when a picture is there, when every part of the screen is, and when it ends: on the screen of a wallet
the bands of some days are drawn with the other parts, and then those of every day.
"""

import logging
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.table import Table

from anomaly_assets.adapters.home import Home
from anomaly_assets.settings import load_settings
from anomaly_assets.steps.settings_record import record_settings
from benchmarks.command_line import parser_of, positive
from benchmarks.invented_days import FIRST, fill, looked_at
from benchmarks.measuring import machine, machine_line, write_result

DAYS, ROWS = 366, 100_000
KEPT_DAYS = 15
"""Newest days whose payloads are all kept."""
APP = Path(__file__).parents[1] / "anomaly_assets" / "dashboard" / "app.py"
IMPORTED = ("streamlit.testing.v1", "anomaly_assets.dashboard.warming", "benchmarks.invented_days", "rich.table")
"""What each fresh process finds imported: it is forked from one that did only that. No clock runs then."""
TIMEOUT = 600
"""Seconds a screen may take."""
SCREENS = ("overview", "comparison", "distributions", "timeline", "organisations", "operations")


def main() -> int:
    """Fill a home, run every screen twice, print, write."""
    parser = parser_of(__doc__)
    parser.add_argument("--days", type=positive, default=DAYS)
    parser.add_argument("--rows", type=positive, default=ROWS)
    arguments = parser.parse_args()
    n_days, n_rows = (10, 2_000) if arguments.quick else (arguments.days, arguments.rows)
    rounds = 1 if arguments.quick else arguments.rounds or 3
    spawn, fresh = multiprocessing.get_context("spawn"), multiprocessing.get_context("forkserver")
    fresh.set_forkserver_preload(list(IMPORTED))
    with tempfile.TemporaryDirectory(prefix="aay-", dir="/tmp") as folder:
        config = Path(folder) / "anomaly.yaml"
        config.write_text(f"home: home\nfirst_day: {FIRST}\n", encoding="utf-8")
        settings = load_settings(config, environ={})
        home = Home(settings.home)
        home.claim({"kind": "invented"}, FIRST)
        record_settings(home, settings.detection)
        days = [FIRST + timedelta(days=offset) for offset in range(n_days)]
        addresses = _addresses(n_rows, days[0], days[-1])
        seconds: dict[str, list[dict[str, float]]] = {name: [] for name in addresses}
        with ProcessPoolExecutor(2, mp_context=spawn) as pool:
            for place, day in enumerate(pool.map(partial(fill, config, n_rows, days[-KEPT_DAYS:][0]), days)):
                _say(f"{day}: {place + 1} of {n_days} days", last=place + 1 == n_days)
            digesting = list(pool.map(partial(_digest, config), days))
        for turn in range(rounds):
            for name, address in addresses.items():
                taken: dict[str, float] = {}
                for ahead in (True, False):
                    with ProcessPoolExecutor(1, mp_context=fresh) as pool:  # a fresh process each time
                        taken |= pool.submit(_run, config, address, ahead=ahead).result()
                seconds[name].append(taken)
                _say(f"{name}, round {turn + 1} of {rounds}", last=True)
    result = {
        "machine": machine(),
        "days": n_days,
        "rows_per_day": n_rows,
        "seconds": seconds,
        "digest_seconds_per_day": float(np.median(digesting)),
    }
    _print(result)
    print(f"written to {write_result('dashboard_year', result, path=arguments.json, quick=arguments.quick)}")
    return 0


def _addresses(n_rows: int, first: date, last: date) -> dict[str, dict[str, str]]:
    """What the address of each screen asks for: the period, and the wallet with most rows or one of the many."""
    screens = {name: {"page": name} for name in SCREENS}
    screens |= {name: {"page": "wallet", "wallet": wallet} for name, wallet in looked_at(n_rows).items()}
    return {name: {**asked, "from": str(first), "to": str(last)} for name, asked in screens.items()}


def _run(config: Path, address: dict[str, str], *, ahead: bool) -> dict[str, float]:
    """Seconds of the first run of a screen in this process and of the next, or of one without reading ahead."""
    import os  # noqa: PLC0415

    os.environ["ANOMALY_CONFIG"] = str(config)
    from streamlit.testing.v1 import AppTest  # noqa: PLC0415

    from anomaly_assets.dashboard.warming import warm  # noqa: PLC0415

    logging.getLogger("streamlit").setLevel(logging.ERROR)  # it warns of running without a browser

    taken = {}
    if ahead:
        started = time.perf_counter()
        warm()
        taken["reading ahead"] = time.perf_counter() - started
    for name in ("first", "again") if ahead else ("without reading ahead",):
        test = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
        test.query_params.update(address)
        with _noting_messages() as told:
            test.run()
        if wrong := [*(each.message for each in test.exception), *(str(each.value) for each in test.error)]:
            raise RuntimeError(f"{address}: {wrong}")
        if not told.began < told.ended < told.began + TIMEOUT:
            raise RuntimeError(
                f"{address}: began at {told.began} and ended at {told.ended}: Streamlit changed its harness"
            )
        taken[name] = told.ended - told.began
        if name == "first":
            taken["first picture"] = min(told.pictures.values()) - told.began
            taken["every part"] = max(told.parts.values()) - told.began
    return taken


@dataclass
class _Told:
    """When a run told the browser what, in seconds of ``perf_counter``.

    Parameters
    ----------
    began, ended : when it began, and when it told anything last
    pictures, parts : by place on the screen, when it was given a picture first, and anything at all
    """

    began: float = 0.0
    ended: float = 0.0
    pictures: dict[tuple[int, ...], float] = field(default_factory=dict)
    parts: dict[tuple[int, ...], float] = field(default_factory=dict)

    def note(self, message: Any) -> None:
        """Take notice of a message to the browser."""
        self.ended = time.perf_counter()
        if message.WhichOneof("type") == "delta":
            place = tuple(message.metadata.delta_path)
            part = message.delta.new_element.WhichOneof("type") or message.delta.WhichOneof("type")
            if part != "empty":
                self.parts.setdefault(place, self.ended)
            if part == "plotly_chart":
                self.pictures.setdefault(place, self.ended)


@contextmanager
def _noting_messages() -> Iterator[_Told]:
    """What a run tells the browser: without the harness, which makes a server of its own for each run."""
    from streamlit.runtime.forward_msg_queue import ForwardMsgQueue  # noqa: PLC0415
    from streamlit.testing.v1.local_script_runner import LocalScriptRunner  # noqa: PLC0415

    run, enqueue, told = LocalScriptRunner.run, ForwardMsgQueue.enqueue, _Told()

    def noting_start(*arguments: Any, **options: Any) -> Any:
        told.began = time.perf_counter()
        return run(*arguments, **options)

    def noting(queue: Any, message: Any) -> None:
        told.note(message)
        enqueue(queue, message)

    with (
        patch.object(LocalScriptRunner, "run", noting_start),
        patch.object(ForwardMsgQueue, "enqueue", noting),
    ):
        yield told


def _digest(config: Path, day: date) -> float:
    from anomaly_assets.views.digests import Digests  # noqa: PLC0415

    started = time.perf_counter()
    Digests(Home(load_settings(config, environ={}).home)).make(day)
    return time.perf_counter() - started


def _say(text: str, *, last: bool) -> None:
    print(f"\r{text:<60}", end="\n" if last else "", file=sys.stderr, flush=True)


def _print(result: dict[str, Any]) -> None:
    console = Console(width=120, highlight=False)
    console.print(machine_line(machine()))
    console.print(f"{result['days']} days of {result['rows_per_day']:,} rows, all chosen; seconds")
    measured = ("first picture", "every part", "first", "again", "without reading ahead")
    table = Table("screen", *measured[:-1], "first, not ahead", show_edge=False)
    for name, turns in result["seconds"].items():
        table.add_row(name, *(_spread([turn[each] for turn in turns]) for each in measured))
    console.print(table)
    console.print(f"the digest of a day is made once, in {result['digest_seconds_per_day']:.2f} s")
    ahead = [turn["reading ahead"] for turns in result["seconds"].values() for turn in turns]
    console.print(f"reading ahead, once when the server starts, takes {_spread(ahead)} s")


def _spread(seconds: list[float]) -> str:
    each = sorted(seconds)
    return f"{each[len(each) // 2]:.2f} ({each[0]:.2f}-{each[-1]:.2f})"


if __name__ == "__main__":
    sys.exit(main())
