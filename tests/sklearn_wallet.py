"""One scikit-learn pipeline per wallet. Of its own, so that a process that runs it loads nothing else."""

import gc
import inspect
import warnings
from typing import NamedTuple

import numpy as np
import sklearn
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import RobustScaler
from sklearn.tree import ExtraTreeRegressor


class Wallet(NamedTuple):
    """What scikit-learn is given for one wallet: log amounts and UTC hours of its window and of the day."""

    train: np.ndarray
    train_hours: np.ndarray
    test: np.ndarray
    test_hours: np.ndarray


def start_worker() -> None:
    """Do once in a process what scikit-learn does again for each of many thousand trees. No result depends on it."""
    warnings.resetwarnings()  # the filters are put in place again for each tree
    warnings.simplefilter("error")
    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
    grow = ExtraTreeRegressor.__init__
    grow.__signature__ = inspect.signature(grow)
    gc.freeze()


def judge(wallet: Wallet) -> list[tuple[float | None, bool, bool]]:
    """Z-score, its flag and the forest's flag of each row of one wallet."""
    n = len(wallet.train)
    zscores: list[float | None] = [None] * len(wallet.test)
    forest = [False] * len(wallet.test)
    if n >= 30:
        zscores = ((wallet.test - wallet.train.mean()) / max(wallet.train.std(), 0.01)).tolist()
    if n >= 100 and len(np.unique(wallet.train)) > 1:
        scaler = RobustScaler().fit(wallet.train[:, None])
        model = IsolationForest(n_estimators=100, max_samples=min(256, n), contamination=0.01, random_state=42)
        model.fit(features(scaler, wallet.train, wallet.train_hours))
        forest = (model.predict(features(scaler, wallet.test, wallet.test_hours)) == -1).tolist()
    return [(z, z is not None and z > 3.5, flag) for z, flag in zip(zscores, forest, strict=True)]


def features(scaler: RobustScaler, amounts: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """The scaled amount and 24 columns of hours, float32."""
    one_hot = (hours[:, None] == np.arange(24)).astype(np.float32)
    return np.hstack([scaler.transform(amounts[:, None]).astype(np.float32), one_hot])
