"""What first looks need: imports of the screens and their figures, and what is known of the newest year, read ahead."""

from contextlib import suppress
from datetime import date

import plotly.graph_objects as go
import plotly.io

from anomaly_assets.dashboard.figures.style import figure
from anomaly_assets.dashboard.shell import Deployment, deployment
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.steps.run import MODELS, RAW, WINDOW
from anomaly_assets.views.digests import PARTS

DAYS = 366
"""Newest scored days that are read ahead."""


def warm() -> None:
    """Read ahead, the newest day first; whatever cannot be read is told to whoever looks at it."""
    _draw()
    found = deployment()
    for day in reversed(found.digests.days()[-DAYS:]):
        with suppress(AnomalyAssetsError):
            _read(found, day)


def _read(found: Deployment, day: date) -> None:
    """What is known of a day: seals, and the digest when it is made already."""
    for asset in (RAW, WINDOW, MODELS):
        found.current.find(asset, day)
    if found.digests.missing([day]):
        return
    for part in PARTS:
        found.digests.read(part, [day])
    found.digests.metrics([day])


def _draw() -> None:
    """Plotly imports what it draws with when it draws it first."""
    drawn = figure(x="", y="")
    for trace in (go.Scatter(), go.Bar(), go.Heatmap()):
        drawn.add_trace(trace)
    plotly.io.to_json(drawn, validate=False)
