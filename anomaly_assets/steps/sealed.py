"""What a step handed back, from the sealed files alone: for whoever tells of a partition long after its run."""

from collections.abc import Callable, Mapping

import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.steps.measure import metric_figures
from anomaly_assets.steps.run import Outcome
from anomaly_assets.steps.score import score_figures
from anomaly_assets.steps.settings_record import recorded_settings
from anomaly_assets.steps.train import model_figures
from anomaly_assets.steps.window import window_figures


def outcome_of(home: Home, seal: Seal) -> Outcome:
    """The outcome of the run that sealed a partition of the published lake, without what only that run knows.

    Rows of wallets that were erased since are not among its tables and figures. The figures of the ledger and of the
    window are those that were sealed.

    Raises ``CorruptFile`` when a file is damaged or gone, ``NotSealed`` when what it was made with is not there.
    """
    return _OUTCOMES[seal.asset](home, seal)


def detectors_of(home: Home, seal: Seal) -> list[str]:
    """Names of the detectors that a detection partition was made with. Raises ``NotSealed``, ``CorruptFile``."""
    return [detector.name for detector in recorded_settings(home, str(seal.settings_id)).detectors]


def _raw_day(home: Home, seal: Seal) -> Outcome:
    tables = {"kept": home.lake.read(seal, "transactions"), "quarantine": home.lake.read(seal, "quarantine")}
    wallets = int(pc.count_distinct(tables["kept"].column("wallet_id")).as_py())
    return Outcome(seal, False, seal.verdicts, tables, {**seal.counts, "wallets": wallets})


def _window(home: Home, seal: Seal) -> Outcome:
    return Outcome(seal, False, seal.verdicts, {"wallets": home.lake.read(seal, "wallets")}, window_figures(seal))


def _models(home: Home, seal: Seal) -> Outcome:
    models = home.lake.read(seal, "models")
    return Outcome(seal, False, seal.verdicts, {"models": models}, model_figures(seal, models))


def _scores(home: Home, seal: Seal) -> Outcome:
    scored = home.lake.read(seal, "scored")
    models = home.lake.require(MODELS, seal.day, seal.inputs["models"])
    numbers = score_figures(scored, detectors_of(home, seal), models)
    return Outcome(seal, False, seal.verdicts, {"scored": scored}, numbers)


def _metrics(home: Home, seal: Seal) -> Outcome:
    metrics = home.lake.read(seal, "metrics")
    return Outcome(seal, False, seal.verdicts, {"metrics": metrics}, metric_figures(metrics))


_OUTCOMES: Mapping[str, Callable[[Home, Seal], Outcome]] = {
    RAW: _raw_day,
    WINDOW: _window,
    MODELS: _models,
    SCORED: _scores,
    METRICS: _metrics,
}
