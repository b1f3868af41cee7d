"""What a step handed back, from the sealed files alone: for whoever tells of a partition long after its run.

What only the run knows is not there, nor are rows of wallets that were erased since, in tables and figures; those of
the ledger and of the window are as they were sealed.

Everything here raises ``CorruptFile`` when a file is damaged or gone, ``NotSealed`` when what it was made with is not
there.
"""

import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.families import DETECTION
from anomaly_assets.domain.lineage import MODELS
from anomaly_assets.steps.measure import metric_figures
from anomaly_assets.steps.run import Outcome, data_version_of
from anomaly_assets.steps.score import score_figures
from anomaly_assets.steps.settings_record import recorded_settings
from anomaly_assets.steps.train import model_figures
from anomaly_assets.steps.window import window_figures


def detectors_of(home: Home, seal: Seal) -> list[str]:
    """Names of the detectors that a detection partition was made with."""
    return [detector.name for detector in recorded_settings(home, str(seal.settings_id)).detectors]


def raw_day_outcome(home: Home, seal: Seal) -> Outcome:
    """Of a raw day."""
    tables = {"kept": home.lake.read(seal, "transactions"), "quarantine": home.lake.read(seal, "quarantine")}
    wallets = int(pc.count_distinct(tables["kept"].column("wallet_id")).as_py())
    return Outcome(seal, False, seal.verdicts, tables, {**seal.counts, "wallets": wallets})


def window_outcome(home: Home, seal: Seal) -> Outcome:
    """Of a training window."""
    return Outcome(seal, False, seal.verdicts, {"wallets": home.lake.read(seal, "wallets")}, window_figures(seal))


def models_outcome(home: Home, seal: Seal) -> Outcome:
    """Of a day's models."""
    models = home.lake.read(seal, "models")
    version = data_version_of(seal, DETECTION)
    return Outcome(seal, False, seal.verdicts, {"models": models}, model_figures(seal, models), version=version)


def scores_outcome(home: Home, seal: Seal) -> Outcome:
    """Of a scored day."""
    scored = home.lake.read(seal, "scored")
    models = home.lake.require(MODELS, seal.day, seal.inputs["models"])
    numbers = score_figures(scored, detectors_of(home, seal), models)
    return Outcome(seal, False, seal.verdicts, {"scored": scored}, numbers)


def metrics_outcome(home: Home, seal: Seal) -> Outcome:
    """Of a day's metrics."""
    metrics = home.lake.read(seal, "metrics")
    return Outcome(seal, False, seal.verdicts, {"metrics": metrics}, metric_figures(metrics))
