"""Which function does NumPy lack? The error function, by Cody's rational approximations."""

from collections.abc import Sequence

from backends.kernels.pair import Array, Namespace

# W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23 (1969),
# 631-637. Highest power first; the denominators' leading 1 is left out.
SMALL = 0.46875
SMALL_NUMERATOR = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
SMALL_DENOMINATOR = (2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
LARGE_NUMERATOR = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
LARGE_DENOMINATOR = (
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)


def erf(xp: Namespace, x: Array, *, y: Array, work: tuple[Array, ...]) -> None:
    """y = erf(x) = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x.   x, y (any shape); work: three arrays like x.

    With a = |x|, and P / Q two pairs of polynomials:

        a <= 0.46875:   erf(a) = a P(a^2) / Q(a^2)
        a >  0.46875:   erf(a) = 1 - e^(-a^2) P(a) / Q(a)

    Cody's third form, for a > 4, matters to 1 - erf only. Both forms are computed for every element and one is masked
    out: no branch. Absolute error below 1e-15 in float64; erf(0) = 0, erf(inf) = 1, NaN stays NaN.
    """
    a, masked, mask = work
    xp.abs(x, out=a)
    xp.minimum(a, 6.0, out=a)  # erf(6) is 1 in float64, and the polynomials stay finite

    _polynomial(xp, a, LARGE_NUMERATOR, out=masked)
    _monic_polynomial(xp, a, LARGE_DENOMINATOR, out=y)
    xp.divide(masked, y, out=masked)
    xp.multiply(a, a, out=y)
    xp.negative(y, out=y)
    xp.exp(y, out=y)
    xp.multiply(masked, y, out=masked)
    xp.subtract(1.0, masked, out=masked)
    xp.greater(a, SMALL, out=mask)
    xp.multiply(masked, mask, out=masked)

    xp.subtract(1.0, mask, out=mask)
    xp.multiply(mask, a, out=mask)
    xp.multiply(a, a, out=a)
    _polynomial(xp, a, SMALL_NUMERATOR, out=y)
    xp.multiply(mask, y, out=mask)
    _monic_polynomial(xp, a, SMALL_DENOMINATOR, out=y)
    xp.divide(mask, y, out=y)

    xp.add(y, masked, out=y)
    xp.copysign(y, x, out=y)


def _polynomial(xp: Namespace, x: Array, coefficients: Sequence[float], *, out: Array) -> None:
    """out = c0 x^n + c1 x^(n-1) + ... + cn, by Horner's rule."""
    xp.multiply(x, coefficients[0], out=out)
    xp.add(out, coefficients[1], out=out)
    for coefficient in coefficients[2:]:
        xp.multiply(out, x, out=out)
        xp.add(out, coefficient, out=out)


def _monic_polynomial(xp: Namespace, x: Array, coefficients: Sequence[float], *, out: Array) -> None:
    """out = x^n + c1 x^(n-1) + ... + cn, by Horner's rule."""
    xp.add(x, coefficients[0], out=out)
    for coefficient in coefficients[1:]:
        xp.multiply(out, x, out=out)
        xp.add(out, coefficient, out=out)
