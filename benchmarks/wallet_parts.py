"""Where a wallet's milliseconds go in this project's engine: its steps one after the other, on one thread."""

from collections.abc import Mapping

from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.judging import genuine
from anomaly_assets.domain.model_codec import encode
from anomaly_assets.domain.training import warm_up
from benchmarks.measuring import Stopwatch
from benchmarks.wallet_fleet import Fleet


def parts_of(fleet: Fleet) -> Mapping[str, float]:
    """Milliseconds per wallet of every step of every detector, nothing else running in this process."""
    watch = Stopwatch()
    warm_up([made() for made in DETECTORS.values()])
    for made in DETECTORS.values():
        _go_through(made(), fleet, watch)
    return {name: 1e3 * seconds / fleet.n_wallets for name, seconds in watch.seconds.items()}


def _go_through(detector: Detector, fleet: Fleet, watch: Stopwatch) -> None:
    with watch.stage(f"{detector.name}: fit"):
        models = detector.fit(fleet.window, range(fleet.n_wallets))
    with watch.stage(f"{detector.name}: digest"):
        model_ids = [model.model_id for model in models]
    with watch.stage(f"{detector.name}: encode"):
        payloads = [encode(model) for model in models]
    with watch.stage(f"{detector.name}: decode, digest"):
        loaded = [genuine(*stored) for stored in zip(payloads, model_ids, strict=True)]
    with watch.stage(f"{detector.name}: prove, judge"):
        detector.judge(fleet.day, loaded)
