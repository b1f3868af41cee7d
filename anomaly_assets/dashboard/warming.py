"""What first looks need: imports of the screens and their figures, and what is known of the newest year, read ahead."""

import gc
from collections.abc import Sequence
from contextlib import suppress
from datetime import date

import plotly.graph_objects as go
import plotly.io

from anomaly_assets.dashboard.figures import wallet as figures
from anomaly_assets.dashboard.figures.style import figure
from anomaly_assets.dashboard.shell import Deployment, deployment
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.flagged_row import FlaggedRow
from anomaly_assets.domain.lineage import MODELS, RAW, WINDOW
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.explain import explain
from anomaly_assets.views import wallet as views
from anomaly_assets.views.digests import PARTS

DAYS = 366
"""Newest scored days that are read ahead."""
HOUR = 12
"""Any hour of day."""


def warm() -> None:
    """Read ahead, the newest day first; whatever cannot be read is told to whoever looks at it."""
    _draw()
    found = deployment()
    days = found.digests.days()[-DAYS:]
    for look in (_look_at_a_flag, _look_at_a_wallet):
        with suppress(AnomalyAssetsError, OSError):
            for flag in _flags(found, days[-1:]):
                look(found, days[-1], flag)
    for day in reversed(days):
        with suppress(AnomalyAssetsError, OSError):
            _read(found, day)
    gc.collect()
    gc.freeze()  # what was read stays: to look for garbage in it takes longer than to draw a screen


def _read(found: Deployment, day: date) -> None:
    """What is known of a day: seals, whose models are kept, and the digest when it is made already."""
    for asset in (RAW, WINDOW, MODELS):
        found.current.find(asset, day)
    if not found.digests.missing([day]):
        for part in PARTS:
            found.digests.read(part, [day])
        found.digests.metrics([day])
    found.home.models.read_ahead(day)


def _flags(found: Deployment, days: Sequence[date]) -> list[FlaggedRow]:
    """A flag of these days, if there is one; none when their digests are not made."""
    rows = [] if found.digests.missing(days) else found.digests.read("flags", days).slice(0, 1).to_pylist()
    return [FlaggedRow.of(row, ()) for row in rows]


def _look_at_a_flag(found: Deployment, day: date, flag: FlaggedRow) -> None:
    """As its screen does: what is compiled is loaded from disk when it is called first."""
    explained = explain(Case.of(found.home, day, compute=found.compute), flag.tx_id)
    for said in explained.detectors:
        if said.normal_by_hour is not None:
            figures.normal_map(said.normal_by_hour, explained.history.hours, explained.history.amounts)


def _look_at_a_wallet(found: Deployment, day: date, flag: FlaggedRow) -> None:
    wallet, days = flag.wallet_id, [day]
    listed = views.models(found.wallets, wallet, days)
    normal = views.normal_over_time(found.home, listed, found.detectors, HOUR)
    rows, flagged = views.points(found.wallets, wallet, days), views.flagged_rows(found.digests, wallet, days)
    figures.history(rows, flagged, normal, HOUR)
    for name in {each.detector for each in listed}:
        figures.numbers_over_time(listed, name, [name])


def _draw() -> None:
    """Plotly imports what it draws with when it draws it first."""
    drawn = figure(x="", y="")
    for trace in (go.Scatter(), go.Bar(), go.Heatmap()):
        drawn.add_trace(trace)
    plotly.io.to_json(drawn, validate=False)
