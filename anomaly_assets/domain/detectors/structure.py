"""Checks of a stored model's structure that every detector needs before it trusts the arrays."""

from collections.abc import Callable, Mapping
from typing import Any

from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.portable import LINEAR_LIMIT

AMOUNT_SCALES = ("log1p", "signed_log1p", "none")


def whole(low: int, high: int) -> Callable[[Any], bool]:
    """Accepts integers ``low..high``."""
    return lambda value: type(value) is int and low <= value <= high


def is_amount_scale(value: Any) -> bool:
    """Accepts the known amount scales."""
    return value in AMOUNT_SCALES


def require_parameters(model: Model, name: str, accepts: Mapping[str, Callable[[Any], bool]]) -> None:
    """Raise ``ModelFormatError`` unless the model is of detector ``name`` with these parameters, each accepted."""
    if model.detector != name:
        raise malformed(name, f"the model is of detector {model.detector!r}")
    if set(model.parameters) != set(accepts):
        raise malformed(name, f"its parameters are {sorted(model.parameters)}, expected {sorted(accepts)}")
    for key, accept in accepts.items():
        if not accept(model.parameters[key]):
            raise malformed(name, f"parameter {key} is {model.parameters[key]!r}")


def require_arrays(model: Model, dtypes: Mapping[str, str], *, scalars: frozenset[str]) -> None:
    """Raise ``ModelFormatError`` unless the arrays are these: flat, of these types, ``scalars`` of one value."""
    if set(model.arrays) != set(dtypes):
        raise malformed(model.detector, f"its arrays are {sorted(model.arrays)}, expected {sorted(dtypes)}")
    for key, dtype in dtypes.items():
        array = model.arrays[key]
        if (
            array.dtype.str[1:] != dtype
            or not array.dtype.isnative
            or array.ndim != 1
            or (key in scalars and len(array) != 1)
        ):
            raise malformed(model.detector, f"array {key} has type {array.dtype} and shape {array.shape}")


def require_number(model: Model, key: str, *, low: float = -LINEAR_LIMIT, high: float = LINEAR_LIMIT) -> float:
    """The only value of array ``key``. Raises ``ModelFormatError`` unless it is a number in ``low..high``."""
    value = model.arrays[key][0].item()
    if not low <= value <= high:
        raise malformed(model.detector, f"{key} is {value}, expected {low} to {high}")
    return float(value)


def malformed(detector: str, what: str) -> ModelFormatError:
    """The error for a stored model that must not be used."""
    return ModelFormatError(
        f"a stored model of {detector} is malformed: {what}",
        remedy="materialize wallet_models of its day again; the stored copy is bad",
    )
