"""Arithmetic on IEEE 754 alone: logarithms, exponentials, order statistics, moments.

numpy's vectorised ``log1p`` and ``power`` differ between CPU families in the last bit, which changes models. Everything
here uses IEEE 754 ``+ - * /``, ``sqrt``, ``frexp``, ``ldexp`` and comparisons only, in a fixed order, compiled by numba
without fastmath (so without contraction and reordering), so that the bytes of a result are those of another CPU;
``docs/method.md`` says where that was tried. Tables come from :mod:`decimal`, not from the C library.

Compiled functions elsewhere take arrays made here instead of calling these functions: numba does not notice that a
function of another file has changed and would go on using its old code.
"""

import math
from collections.abc import Callable
from decimal import Context, Decimal
from functools import cache, partial
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])

_DECIMAL = Context(prec=60)
_LN2 = _DECIMAL.ln(Decimal(2))
_STEPS = 128
"""Entries of the table of powers of two, per octave."""

LINEAR_LIMIT = 1e100
"""Amounts on the scale ``none`` are limited to this size, so that sums of squares stay finite."""


_kernels: list[Any] = []


def compiled(function: _Function) -> _Function:
    """Compile with numba on first call, keep the result on disk, release the interpreter lock while it runs."""
    compiler = partial(njit, nogil=True, error_model="numpy")
    try:
        kernel = compiler(cache=True)(function)
    except RuntimeError:  # no folder may be written to, so every process compiles for itself
        kernel = compiler()(function)
    _kernels.append(kernel)
    return cast("_Function", kernel)


def kernels_compiled() -> int:
    """How many kernels this process compiled, rather than loaded from disk, up to now."""
    return sum(sum(kernel.stats.cache_misses.values()) for kernel in _kernels)


def _short(value: Decimal, bits: int) -> float:
    """``value`` cut to ``bits`` significant bits, so that products with small integers are exact."""
    mantissa, exponent = math.frexp(float(value))
    return math.ldexp(math.floor(math.ldexp(mantissa, bits)), exponent - bits)


def _high_low(exact: Decimal, high: float) -> tuple[float, float]:
    return high, float(_DECIMAL.subtract(exact, Decimal(high)))


_POWERS = [_DECIMAL.exp(_DECIMAL.multiply(_LN2, _DECIMAL.divide(Decimal(j), Decimal(_STEPS)))) for j in range(_STEPS)]
_POWERS_HIGH = np.array([float(power) for power in _POWERS])
_POWERS_LOW = np.array([_high_low(power, float(power))[1] for power in _POWERS])
_LN2_FLOAT = float(_LN2)
_LN2_HIGH, _LN2_LOW = _high_low(_LN2, _short(_LN2, 32))
_LN2_STEP = _DECIMAL.divide(_LN2, Decimal(_STEPS))
_LN2_STEP_HIGH, _LN2_STEP_LOW = _high_low(_LN2_STEP, _short(_LN2_STEP, 32))
_STEPS_PER_LN2 = float(_DECIMAL.divide(Decimal(1), _LN2_STEP))
_SQRT_HALF = math.sqrt(0.5)
_INFINITY = math.inf
_NAN = math.nan


@compiled
def log1p(x: float) -> float:
    """Natural logarithm of ``1 + x``, error below 1 ulp.

    The scheme of fdlibm's ``s_log1p.c`` (Copyright 1993 Sun Microsystems, freely granted) with its minimax
    coefficients: ``1 + x = 2**k * (1 + f)``, a term for what rounding ``1 + x`` lost, and a polynomial in
    ``(f / (2 + f))**2``.
    """
    if not x > -1.0:
        return -_INFINITY if x == -1.0 else _NAN
    if x in (0.0, _INFINITY):
        return x
    k, f, lost = 0, x, 0.0
    if x < _SQRT_HALF - 1.0 or x >= 2.0 * _SQRT_HALF - 1.0:
        u = 1.0 + x
        m, k = math.frexp(u)
        if m < _SQRT_HALF:
            m, k = 2.0 * m, k - 1
        lost = (1.0 - (u - x) if x >= 1.0 else x - (u - 1.0)) / u  # exact either way before the division
        f = m - 1.0
    half_square = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    r = 1.531383769920937332e-01 + z * 1.479819860511658591e-01
    r = 2.222219843214978396e-01 + z * (1.818357216161805012e-01 + z * r)
    r = z * (6.666666666666735130e-01 + z * (3.999999999940941908e-01 + z * (2.857142874366239149e-01 + z * r)))
    tail = s * (half_square + r)
    if k == 0 and lost == 0.0:
        return f - (half_square - tail)
    return k * _LN2_HIGH - ((half_square - (tail + (k * _LN2_LOW + lost))) - f)


@compiled
def _exp_tail(r: float) -> float:
    """``exp(r) - 1`` for ``|r| <= ln(2) / 256``: the Taylor series, whose sixth term is below 2**-60."""
    return r + r * r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0))))


@compiled
def exp2(x: float) -> float:
    """``2**x``, error below 1 ulp: a table of ``2**(j / 128)`` to twice the precision, a short series for the rest."""
    if not -1100.0 < x < 1025.0:
        return _NAN if x != x else (_INFINITY if x > 0.0 else 0.0)  # noqa: PLR0124 - only NaN differs from itself
    n = math.floor(x * _STEPS + 0.5)
    step = int(n)
    tail = _exp_tail((x - n / _STEPS) * _LN2_FLOAT)
    high = _POWERS_HIGH[step & (_STEPS - 1)]
    return math.ldexp(high + (_POWERS_LOW[step & (_STEPS - 1)] + high * tail), step >> 7)


@compiled
def exp2_neg(x: float) -> float:
    """``2**-x``, error below 1 ulp."""
    return exp2(-x)


@compiled
def exp(x: float) -> float:
    """``e**x``, error below 1 ulp, from the same table as :func:`exp2`."""
    if not -760.0 < x < 710.0:
        return _NAN if x != x else (_INFINITY if x > 0.0 else 0.0)  # noqa: PLR0124 - only NaN differs from itself
    n = math.floor(x * _STEPS_PER_LN2 + 0.5)
    step = int(n)
    tail = _exp_tail((x - n * _LN2_STEP_HIGH) - n * _LN2_STEP_LOW)
    high = _POWERS_HIGH[step & (_STEPS - 1)]
    return math.ldexp(high + (_POWERS_LOW[step & (_STEPS - 1)] + high * tail), step >> 7)


@compiled
def expm1(x: float) -> float:
    """``e**x - 1``, error below 3 ulp: the inverse of :func:`log1p`."""
    if not -40.0 < x < 40.0:
        return exp(x) - 1.0
    n = math.floor(x * _STEPS_PER_LN2 + 0.5)
    step = int(n)
    tail = _exp_tail((x - n * _LN2_STEP_HIGH) - n * _LN2_STEP_LOW)
    if step == 0:
        return tail
    high = math.ldexp(_POWERS_HIGH[step & (_STEPS - 1)], step >> 7)
    low = math.ldexp(_POWERS_LOW[step & (_STEPS - 1)], step >> 7)
    return (high - 1.0) + (low + high * tail)


@compiled
def log1p_array(values: np.ndarray) -> np.ndarray:
    """:func:`log1p` of each value of a float64 array, as a new array."""
    result = np.empty(values.size)
    for i in range(values.size):
        result[i] = log1p(values[i])
    return result


@compiled
def signed_log1p_array(values: np.ndarray) -> np.ndarray:
    """``sign(x) * log1p(|x|)`` of each value of a float64 array, as a new array."""
    result = np.empty(values.size)
    for i in range(values.size):
        x = values[i]
        result[i] = log1p(x) if x >= 0.0 else -log1p(-x)
    return result


@compiled
def exp2_neg_array(values: np.ndarray) -> np.ndarray:
    """``2**-x`` of each value of a float64 array, as a new array."""
    result = np.empty(values.size)
    for i in range(values.size):
        result[i] = exp2_neg(values[i])
    return result


@compiled
def percentile(ascending: np.ndarray, q: float) -> float:
    """The ``q``-th percentile (0..100) of a non-empty ascending array, linear between neighbours.

    Equal to ``numpy.percentile(..., method="linear")`` in every bit, including its choice of the nearer neighbour.
    """
    place = (ascending.size - 1) * (q / 100.0)
    below = math.floor(place)
    if below >= ascending.size - 1:
        return float(ascending[-1])
    weight = place - below
    low, high = float(ascending[below]), float(ascending[below + 1])
    gap = high - low
    return high - gap * (1.0 - weight) if weight >= 0.5 else low + gap * weight


@compiled
def median(ascending: np.ndarray) -> float:
    """The middle value of a non-empty ascending array, or the mean of the two middle ones, as ``numpy.median``."""
    middle = ascending.size // 2
    if ascending.size % 2 == 1:
        return float(ascending[middle])
    return float((ascending[middle - 1] + ascending[middle]) / 2.0)


@compiled
def order_within(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Row numbers in ascending order of ``values`` within each part, equal ones as they are: a stable argsort.

    Part ``p`` is rows ``offsets[p]:offsets[p + 1]`` here and below.
    """
    order = np.empty(values.size, np.int64)
    for part in range(offsets.size - 1):
        first, end = offsets[part], offsets[part + 1]
        order[first:end] = np.argsort(values[first:end], kind="mergesort") + first
    return order


@compiled
def sorted_within(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """A copy of ``values``, ascending within each part."""
    result = values.copy()
    for part in range(offsets.size - 1):
        result[offsets[part] : offsets[part + 1]].sort()
    return result


@compiled
def percentiles_within(ascending: np.ndarray, offsets: np.ndarray, q: np.ndarray) -> np.ndarray:
    """:func:`percentile` ``q[k]`` of each part, none being empty: float64 array of shape (n_parts, n_q)."""
    found = np.empty((offsets.size - 1, q.size))
    for part in range(offsets.size - 1):
        for k in range(q.size):
            found[part, k] = percentile(ascending[offsets[part] : offsets[part + 1]], q[k])
    return found


@compiled
def medians_within(ascending: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """:func:`median` of each part, none being empty: float64 array of shape (n_parts,)."""
    found = np.empty(offsets.size - 1)
    for part in range(offsets.size - 1):
        found[part] = median(ascending[offsets[part] : offsets[part + 1]])
    return found


@compiled
def means_and_stds_within(ascending: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """:func:`mean_and_std` of each part, none being empty: two float64 arrays of shape (n_parts,)."""
    means, stds = np.empty(offsets.size - 1), np.empty(offsets.size - 1)
    for part in range(offsets.size - 1):
        means[part], stds[part] = mean_and_std(ascending[offsets[part] : offsets[part + 1]])
    return means, stds


@compiled
def compensated_sum(values: np.ndarray) -> float:
    """Sum of a float64 array with Neumaier's compensation (ZAMM 54, 1974, p. 39)."""
    total, lost = 0.0, 0.0
    for i in range(values.size):
        term = values[i]
        new = total + term
        lost += (total - new) + term if abs(total) >= abs(term) else (term - new) + total
        total = new
    return total + lost


@compiled
def mean_and_std(ascending: np.ndarray) -> tuple[float, float]:
    """Mean and population standard deviation of a non-empty ascending array, in two compensated passes.

    The mean never leaves the range of the values, so equal values have exactly that mean and no deviation.
    """
    mean = compensated_sum(ascending) / ascending.size
    mean = min(max(mean, ascending[0]), ascending[-1])
    squares = np.empty(ascending.size)
    for i in range(ascending.size):
        squares[i] = (ascending[i] - mean) * (ascending[i] - mean)
    return mean, math.sqrt(compensated_sum(squares) / ascending.size)


def ascending(values: np.ndarray) -> np.ndarray:
    """A sorted float64 copy, so that statistics do not depend on the order of rows."""
    return np.sort(np.asarray(values, dtype=np.float64))


def scale_amounts(amounts: np.ndarray, scale: str) -> np.ndarray:
    """Amounts on a detector's scale, as a new float64 array of the same shape.

    Parameters
    ----------
    amounts : float64 array of shape (n,), finite, in the source's currency; not negative when ``scale`` is ``log1p``
    scale : ``log1p``, ``signed_log1p`` or ``none``

    Raises ``ValueError`` for amounts outside the scale's domain and for an unknown scale.
    """
    values = np.ascontiguousarray(amounts, dtype=np.float64) + 0.0
    if not np.isfinite(values).all() or (scale == "log1p" and bool((values < 0).any())):
        raise ValueError(f"amounts must be finite, and not negative on the scale log1p (scale is {scale})")
    if scale == "log1p":
        return np.asarray(log1p_array(values))
    if scale == "signed_log1p":
        return np.asarray(signed_log1p_array(values))
    if scale == "none":
        return np.clip(values, -LINEAR_LIMIT, LINEAR_LIMIT)
    raise ValueError(f"unknown amount scale {scale!r}: known are log1p, signed_log1p and none")


def unscale_amount(value: float, scale: str) -> float:
    """The amount that :func:`scale_amounts` puts at ``value``; infinite beyond the largest float."""
    if scale == "none":
        return float(value)
    if scale == "log1p" or value >= 0.0:
        return float(expm1(value))
    return -float(expm1(-value))


@cache
def average_path_length(n: int) -> float:
    """Average depth c(n) of an unsuccessful search in a binary tree of ``n`` rows.

    Liu, Ting and Zhou, "Isolation forest", ICDM 2008, eq. 1, in the form of ``_average_path_length`` in
    ``sklearn/ensemble/_iforest.py``, the logarithm being correctly rounded.
    """
    if n <= 1:
        return 0.0
    if n == 2:
        return 1.0
    log = float(_DECIMAL.ln(Decimal(n - 1)))
    return 2.0 * (log + np.euler_gamma) - 2.0 * (n - 1.0) / n


def average_path_lengths(counts: np.ndarray) -> np.ndarray:
    """:func:`average_path_length` of each count of an integer array, as a new float64 array of the same shape."""
    distinct, places = np.unique(counts, return_inverse=True)
    return np.array([average_path_length(int(n)) for n in distinct])[places].reshape(counts.shape)
