"""What training and scoring costs as there is more of everything: wallets, rows of each, days of a window, days.

    python -m benchmarks.growth [--quick] [--rounds N] [--json FILE]

The steps of a day without Dagster, files and store: assemble the window from decoded days, summarize it, fit and encode
every model on threads, decode the models and judge the day. Each size is twice the one before, four times over; the
sizes take turns. The exponent is that of seconds ~ size^exponent, fitted by least squares to the logarithms: 1 is
linear, less is better. It is that of the fastest turn at each size, since a busy machine only ever adds, and never to
all sizes alike. What does not grow makes it small at small sizes, so that of the last doubling is told as well.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, pairwise
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from anomaly_assets.domain.days import MICROSECONDS_PER_DAY, DayRange
from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.judging import ModelOf, batches_of, judge_day
from anomaly_assets.domain.raw_day import DecodedDay, assemble_window, window_digests
from anomaly_assets.domain.recipes import Recipe, recipes_of
from anomaly_assets.domain.training import Fitted, fit_models, warm_up
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.domain.window import summarize_window
from anomaly_assets.engines.threads import Threads
from benchmarks.command_line import parsed, parser_of
from benchmarks.measuring import (
    Rounds,
    Spread,
    Stopwatch,
    Turn,
    interleaved,
    machine,
    machine_line,
    usable_cores,
    write_result,
)
from benchmarks.wallet_fleet import DAY, WINDOW_DAYS, WINDOW_START, equal_wallets

DOUBLINGS = 4
LINEAR = 1.05
"""Exponents up to this one are called linear: a larger one costs 15 % more after four doublings than linear growth."""
SEED = 20240703
WINDOW, SUMMARY, FIT, SCORE = "window", "summary", "fit", "score"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Sweep:
    """One thing that doubles while the others stay.

    Parameters
    ----------
    grows : which of the others is multiplied by 1, 2, 4, 8, 16
    wallets : how many
    rows : of each wallet over ``WINDOW_DAYS`` days; a window holds the share of its days
    window_days : length of the window, below ``WINDOW_DAYS``
    days : how many days are trained and scored, the last ones
    """

    grows: str
    wallets: int
    rows: int
    window_days: int
    days: int = 1

    @property
    def sizes(self) -> list[int]:
        """The sizes it is measured at."""
        return [getattr(self, self.grows) * 2**doubling for doubling in range(DOUBLINGS + 1)]

    @property
    def fixed(self) -> dict[str, int]:
        """What stays, by its label."""
        return {label: getattr(self, name) for name, label in LABELS.items() if name != self.grows}

    def case(self, size: int) -> "Case":
        """What is done at one of the sizes."""
        change: dict[str, Any] = {self.grows: size}
        at_size = replace(self, **change)
        history = days_of(equal_wallets(at_size.wallets, at_size.rows, seed=SEED))
        return Case(history, at_size.window_days, at_size.days)


LABELS = {
    "wallets": "wallets",
    "rows": f"rows per wallet in {WINDOW_DAYS} days",
    "window_days": "days in the window",
    "days": "days of a backfill",
}
WHOLE = WINDOW_DAYS - 1
"""Days of a window that holds the history but for its last day, which is judged."""
SWEEPS = (
    Sweep("wallets", wallets=250, rows=360, window_days=WHOLE),
    Sweep("rows", wallets=250, rows=512, window_days=WHOLE),
    Sweep("window_days", wallets=250, rows=3_600, window_days=10),
    Sweep("days", wallets=125, rows=720, window_days=90, days=2),
)
QUICK = (
    Sweep("wallets", wallets=2, rows=200, window_days=WHOLE),
    Sweep("rows", wallets=4, rows=128, window_days=WHOLE),
    Sweep("window_days", wallets=4, rows=3_600, window_days=10),
    Sweep("days", wallets=2, rows=400, window_days=90),
)


@dataclass(frozen=True, eq=False)
class Case:
    """The last ``n_days`` of ``history`` (a decoded day for each date), each trained on the days before it."""

    history: Sequence[DecodedDay]
    window_days: int
    n_days: int

    def turn(self, detectors: Sequence[Detector], *, threads: int) -> Turn:
        """Train and score every day; the units are models."""
        watch, n_models, n_judged = Stopwatch(), 0, 0
        for place in range(len(self.history) - self.n_days, len(self.history)):
            window = self.history[place - self.window_days : place]
            models, judged = train_and_score(window, self.history[place], detectors, watch, threads=threads)
            n_models, n_judged = n_models + models, n_judged + judged
        return Turn(n_models, watch.seconds, {"rows_judged": n_judged})


def train_and_score(
    window: Sequence[DecodedDay], today: DecodedDay, detectors: Sequence[Detector], watch: Stopwatch, *, threads: int
) -> tuple[int, int]:
    """One day's work; how many models it made and how many verdicts on rows."""
    with watch.stage(WINDOW):
        rows, digests = assemble_window(window), window_digests(window)[1]
    with watch.stage(SUMMARY):
        recipes = recipes_of(summarize_window(rows, digests, detectors), detectors)
    with watch.stage(FIT):
        shards = fit_models(Threads(threads), rows, recipes, range(len(recipes)))
        fitted = list(chain.from_iterable(shards))
    with watch.stage(SCORE):
        judged = sum(_judge(detector, today, recipes, fitted, threads=threads) for detector in detectors)
    return len(fitted), judged


def _judge(
    detector: Detector, today: DecodedDay, recipes: Sequence[Recipe], fitted: Sequence[Fitted], *, threads: int
) -> int:
    """Rows of the day that the detector judged, by its models alone, some wallets at a time as scoring does."""
    rows = rows_of(today)
    made = {recipes[model.recipe].wallet_id: model for model in fitted if recipes[model.recipe].detector is detector}
    models = [made.get(wallet_id) for wallet_id in rows.wallet_ids]
    payloads = {ModelOf(detector.name, place): model.payload for place, model in enumerate(models) if model}
    model_ids = {detector.name: [model and model.model_id for model in models]}
    at_hand = partial(batches_of, [detector], payloads)
    judged = judge_day([detector], rows, model_ids, [at_hand], engine=Threads(threads))
    return int(judged.verdicts[detector.name].judgement.judged.sum())


def days_of(rows: WalletRows) -> list[DecodedDay]:
    """A history of ``WINDOW_DAYS`` days as the lake's days would be decoded, with random digests."""
    random = np.random.default_rng(SEED)
    days = DayRange(WINDOW_START, DAY)
    place, wallet = (rows.completed_at_us - days.start_us) // MICROSECONDS_PER_DAY, rows.wallet_of_row
    order = np.lexsort((rows.completed_at_us, wallet, place))
    bounds = np.searchsorted(place[order], np.arange(len(days) + 1))
    ids = np.array(rows.wallet_ids)
    made = []
    for start, end in pairwise(bounds):
        chosen = order[start:end]
        active, counts = np.unique(wallet[chosen], return_counts=True)
        digests = np.frombuffer(random.bytes(_DIGEST_BYTES * len(active)), dtype=f"V{_DIGEST_BYTES}")
        names = pa.array(ids[active].tolist(), pa.large_string())
        made.append(DecodedDay(names, counts, digests, rows.completed_at_us[chosen], rows.amounts[chosen]))
    return made


def rows_of(day: DecodedDay) -> WalletRows:
    """The rows of a decoded day."""
    offsets = np.concatenate([[0], np.cumsum(day.counts)]).astype(np.int64)
    return WalletRows(day.wallets.to_pylist(), offsets, day.completed_at_us, day.amounts)


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The exponent of the power law that fits best, by least squares of logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main() -> int:
    """Measure every sweep, print, write."""
    parser = parser_of(__doc__)
    arguments = parsed(parser, rounds=3)
    before, threads = machine(), usable_cores()
    detectors: list[Detector] = [made() for made in DETECTORS.values()]
    warm_up(detectors)
    measured: dict[str, tuple[Sweep, Rounds]] = {}
    for sweep in QUICK if arguments.quick else SWEEPS:
        label = LABELS[sweep.grows]
        cases = {f"{size:,} {label}": sweep.case(size) for size in sweep.sizes}
        next(iter(cases.values())).turn(detectors, threads=threads)  # whatever the first call of a kind costs
        work = {name: _turn_of(case, detectors, threads) for name, case in cases.items()}
        measured[label] = sweep, interleaved(work, arguments.rounds, subject="growth")
    result = {
        "machine": before,
        "load_average_1_min_after": machine()["load_average_1_min"],
        "threads": threads,
        "linear_up_to": LINEAR,
        "sweeps": {label: result_of(sweep, list(rounds.values())) for label, (sweep, rounds) in measured.items()},
    }
    _print(result)
    print(f"written to {write_result('growth', result, path=arguments.json, quick=arguments.quick)}")
    return 0


def _turn_of(case: Case, detectors: Sequence[Detector], threads: int) -> Callable[[], Turn]:
    return lambda: case.turn(detectors, threads=threads)


def result_of(sweep: Sweep, turns: Sequence[Sequence[Turn]]) -> dict[str, Any]:
    """Seconds at each size and exponents, of the whole and by stage, for JSON; ``turns`` by size, then by round."""
    sizes, names = sweep.sizes, list(turns[0][0].seconds)
    whole = [[sum(turn.seconds.values()) for turn in of_size] for of_size in turns]
    stages = {name: [[turn.seconds[name] for turn in of_size] for of_size in turns] for name in names}
    fastest = [min(seconds) for seconds in whole]
    fitted = exponent(sizes, fastest)
    return {
        "fixed": sweep.fixed,
        "sizes": sizes,
        "seconds": [asdict(Spread.of(seconds)) for seconds in whole],
        "stage_seconds": {name: [median(seconds) for seconds in values] for name, values in stages.items()},
        "models": [of_size[0].units for of_size in turns],
        "rows_judged": [of_size[0].details["rows_judged"] for of_size in turns],
        "exponent": fitted,
        "exponent_by_round": asdict(Spread.of([exponent(sizes, seconds) for seconds in zip(*whole, strict=True)])),
        "exponent_by_stage": {
            name: exponent(sizes, [min(seconds) for seconds in values]) for name, values in stages.items()
        },
        "exponent_of_last_doubling": exponent(sizes[-2:], fastest[-2:]),
        "linear_or_better": fitted <= LINEAR,
    }


def _print(result: Mapping[str, Any]) -> None:
    console = Console(width=120, highlight=False)
    console.print(machine_line(result["machine"]))
    for label, sweep in result["sweeps"].items():
        console.print(_table(label, sweep))
        verdict = "linear or better" if sweep["linear_or_better"] else f"more than linear (over {LINEAR})"
        last = sweep["exponent_of_last_doubling"]
        console.print(f"{label}: {verdict}; exponent {sweep['exponent']:.2f}, of the last doubling {last:.2f}\n")


def _table(label: str, sweep: Mapping[str, Any]) -> Table:
    fixed = ", ".join(f"{name}: {value:,}" for name, value in sweep["fixed"].items())
    stages = sweep["stage_seconds"]
    table = Table(show_edge=False, title=fixed, title_justify="left")
    for column in (label, "seconds", "ms per unit", "models", *stages):
        table.add_column(column, justify="right")
    for place, (size, seconds) in enumerate(zip(sweep["sizes"], sweep["seconds"], strict=True)):
        shown, per_unit = Spread(**seconds).shown(".3f"), 1e3 * seconds["median"] / size
        parts = (f"{values[place]:.3f}" for values in stages.values())
        table.add_row(f"{size:,}", shown, f"{per_unit:.2f}", f"{sweep['models'][place]:,}", *parts)
    spread = Spread(**sweep["exponent_by_round"])
    whole = f"{sweep['exponent']:.2f} ({spread.lowest:.2f} to {spread.highest:.2f})"
    table.add_section()
    table.add_row("exponent", whole, "", "", *(f"{value:.2f}" for value in sweep["exponent_by_stage"].values()))
    return table


if __name__ == "__main__":
    sys.exit(main())
