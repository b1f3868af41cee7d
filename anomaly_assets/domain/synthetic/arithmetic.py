"""Logarithm, exponential and normal quantile from + - * / and sqrt alone.

numpy's own transcendental functions pick their code by CPU and differ in the last bit between families. The ufuncs used
here (arithmetic, ``sqrt``, ``floor``, ``rint``, ``frexp``, ``ldexp``) are exact or correctly rounded by IEEE 754, and
no multiplication is fused with an addition because each is a pass of its own.

Sources: fdlibm ``e_log.c`` and ``e_exp.c`` (reduction and coefficients); Wichura 1988, algorithm AS 241, ``PPND16``.
"""

import numpy as np

_LN2_HI = 6.93147180369123816490e-01
_LN2_LO = 1.90821492927058770002e-10
_INVERSE_LN2 = 1.44269504088896338700e00
_SQRT_HALF = 0.7071067811865476

_LOG_ODD = (1.479819860511658591e-01, 1.818357216161805012e-01, 2.857142874366239149e-01, 6.666666666666735130e-01)
_LOG_EVEN = (1.531383769920937332e-01, 2.222219843214978396e-01, 3.999999999940941908e-01)
_EXP = (
    4.13813679705723846039e-08,
    -1.65339022054652515390e-06,
    6.61375632143793436117e-05,
    -2.77777777770155933842e-03,
    1.66666666666666019037e-01,
)

_CENTRAL_A = (
    2.5090809287301226727e3,
    3.3430575583588128105e4,
    6.7265770927008700853e4,
    4.5921953931549871457e4,
    1.3731693765509461125e4,
    1.9715909503065514427e3,
    1.3314166789178437745e2,
    3.3871328727963666080e0,
)
_CENTRAL_B = (
    5.2264952788528545610e3,
    2.8729085735721942674e4,
    3.9307895800092710610e4,
    2.1213794301586595867e4,
    5.3941960214247511077e3,
    6.8718700749205790830e2,
    4.2313330701600911252e1,
    1.0,
)
_MIDDLE_C = (
    7.74545014278341407640e-4,
    2.27238449892691845833e-2,
    2.41780725177450611770e-1,
    1.27045825245236838258e0,
    3.64784832476320460504e0,
    5.76949722146069140550e0,
    4.63033784615654529590e0,
    1.42343711074968357734e0,
)
_MIDDLE_D = (
    1.05075007164441684324e-9,
    5.47593808499534494600e-4,
    1.51986665636164571966e-2,
    1.48103976427480074590e-1,
    6.89767334985100004550e-1,
    1.67638483018380384940e0,
    2.05319162663775882187e0,
    1.0,
)
_FAR_E = (
    2.01033439929228813265e-7,
    2.71155556874348757815e-5,
    1.24266094738807843860e-3,
    2.65321895265761230930e-2,
    2.96560571828504891230e-1,
    1.78482653991729133580e0,
    5.46378491116411436990e0,
    6.65790464350110377720e0,
)
_FAR_F = (
    2.04426310338993978564e-15,
    1.42151175831644588870e-7,
    1.84631831751005468180e-5,
    7.86869131145613259100e-4,
    1.48753612908506148525e-2,
    1.36929880922735805310e-1,
    5.99832206555887937690e-1,
    1.0,
)


def log(x: np.ndarray) -> np.ndarray:
    """Natural logarithm of positive finite doubles, within 1 ulp."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < _SQRT_HALF
    k = exponent - small
    f = np.where(small, 2.0 * mantissa, mantissa) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    r = z * _polynomial(w, _LOG_ODD) + w * _polynomial(w, _LOG_EVEN)
    half_square = 0.5 * f * f
    logarithm: np.ndarray = k * _LN2_HI - ((half_square - (s * (half_square + r) + k * _LN2_LO)) - f)
    return logarithm


def exp(x: np.ndarray) -> np.ndarray:
    """e to the power of finite doubles between -700 and 700, within 1 ulp."""
    k = np.rint(x * _INVERSE_LN2)
    high = x - k * _LN2_HI
    low = k * _LN2_LO
    r = high - low
    t = r * r
    c = r - t * _polynomial(t, _EXP)
    power: np.ndarray = np.ldexp(1.0 - ((low - (r * c) / (2.0 - c)) - high), k.astype(np.int32))
    return power


def normal_quantile(p: np.ndarray) -> np.ndarray:
    """The z with standard normal probability ``p`` below it, for 0 < p < 1, to about 1 part in 10**16."""
    q = p - 0.5
    r = 0.180625 - q * q
    z: np.ndarray = q * _polynomial(r, _CENTRAL_A) / _polynomial(r, _CENTRAL_B)
    outer = np.flatnonzero(np.abs(q) > 0.425)
    tail = np.minimum(p[outer], 1.0 - p[outer])
    z[outer] = np.where(q[outer] < 0, -1.0, 1.0) * _tail_quantile(tail)
    return z


def _tail_quantile(tail: np.ndarray) -> np.ndarray:
    r = np.sqrt(-log(tail))
    middle, far = r - 1.6, r - 5.0
    z: np.ndarray = np.where(
        r <= 5.0,
        _polynomial(middle, _MIDDLE_C) / _polynomial(middle, _MIDDLE_D),
        _polynomial(far, _FAR_E) / _polynomial(far, _FAR_F),
    )
    return z


def _polynomial(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Horner's scheme, highest power first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value
