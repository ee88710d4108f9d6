"""Which functions bend the line? The activations: y = f(x) beside its derivative.

    x, y, dx, dy (any shape, all alike; Maxout's y and dy lack the axis of the pieces)

``saves`` says what backward reads: "x", "y" or both. ``forward_work`` and ``backward_work`` count the temporary
arrays like x that a direction wants in ``work``; where that is 0 there is no such argument. NaN in x stays NaN in y,
and every function has its limit at plus and minus infinity, except where the limit depends on the other elements.

Lecture 003, "Activation functions"; lecture 000 for sigmoid and softmax. Other sources by the class.
"""

import math

from backends.kernels.pair import Array, Namespace, Pair
from backends.kernels.special import erf


class ReLU(Pair):
    """y = max(0, x);  dx = dy where y > 0, else 0, also at x = 0."""

    saves = "y"
    forward_work = 0
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array) -> None:
        xp.maximum(x, 0.0, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, y: Array, *, dx: Array) -> None:
        xp.greater(y, 0.0, out=dx)  # 0 or 1, written as a float: no temporary
        xp.multiply(dx, dy, out=dx)


class LeakyReLU(Pair):
    """y = x where x > 0, else slope x;  dx = dy where x > 0, else slope dy."""

    saves = "x"
    forward_work = 0
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, negative_slope: float) -> None:
        xp.multiply(x, negative_slope, out=y)
        larger = xp.maximum if negative_slope <= 1 else xp.minimum  # the lecture's max(0.1 x, x), for any slope
        larger(x, y, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, *, dx: Array, negative_slope: float) -> None:
        xp.greater(x, 0.0, out=dx)
        xp.multiply(dx, 1.0 - negative_slope, out=dx)
        xp.add(dx, negative_slope, out=dx)
        xp.multiply(dx, dy, out=dx)


class ELU(Pair):
    """y = x where x > 0, else a (e^x - 1);  dx = dy where x > 0, else dy a e^x.

    Source: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by ELUs", 2016.
    """

    saves = "x"
    forward_work = 1
    backward_work = 1

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, work: tuple[Array, ...], alpha: float) -> None:
        (positive,) = work
        xp.minimum(x, 0.0, out=y)
        xp.expm1(y, out=y)
        xp.multiply(y, alpha, out=y)
        xp.maximum(x, 0.0, out=positive)
        xp.add(y, positive, out=y)  # one of the two is 0

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, *, dx: Array, work: tuple[Array, ...], alpha: float) -> None:
        (factor,) = work
        xp.minimum(x, 0.0, out=dx)
        xp.exp(dx, out=dx)
        xp.greater(x, 0.0, out=factor)  # factor: 1 where x > 0, else alpha
        xp.multiply(factor, 1.0 - alpha, out=factor)
        xp.add(factor, alpha, out=factor)
        xp.multiply(dx, factor, out=dx)
        xp.multiply(dx, dy, out=dx)


class Sigmoid(Pair):
    """y = 1 / (1 + e^-x);  dx = dy y (1 - y).

    Computed as max(e^-|x|, [x >= 0]) / (1 + e^-|x|): nothing overflows, and small y keep all their digits.
    """

    saves = "y"
    forward_work = 1
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, work: tuple[Array, ...]) -> None:
        (decay,) = work
        xp.abs(x, out=decay)
        xp.negative(decay, out=decay)
        xp.exp(decay, out=decay)
        xp.greater_equal(x, 0.0, out=y)
        xp.maximum(y, decay, out=y)
        xp.add(decay, 1.0, out=decay)
        xp.divide(y, decay, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, y: Array, *, dx: Array) -> None:
        xp.subtract(1.0, y, out=dx)
        xp.multiply(dx, y, out=dx)
        xp.multiply(dx, dy, out=dx)


class Tanh(Pair):
    """y = (e^x - e^-x) / (e^x + e^-x);  dx = dy (1 - y^2)."""

    saves = "y"
    forward_work = 0
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array) -> None:
        xp.tanh(x, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, y: Array, *, dx: Array) -> None:
        xp.multiply(y, y, out=dx)
        xp.subtract(1.0, dx, out=dx)
        xp.multiply(dx, dy, out=dx)


class GELU(Pair):
    """y = x P(x) with P(x) = (1 + erf(x / sqrt 2)) / 2;  dx = dy (P(x) + x p(x)) with p(x) = e^(-x^2/2) / sqrt(2 pi).

    Beyond |x| = 40 both P and p have reached their limits in either precision; the bounds keep 0 * inf away.
    Source: Hendrycks, Gimpel, "Gaussian error linear units", 2016.
    """

    saves = "x"
    forward_work = 4
    backward_work = 4

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, work: tuple[Array, ...]) -> None:
        GELU.cumulative_normal(xp, x, y=y, work=work)
        bounded = work[0]
        xp.maximum(x, -40.0, out=bounded)
        xp.multiply(y, bounded, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, *, dx: Array, work: tuple[Array, ...]) -> None:
        GELU.cumulative_normal(xp, x, y=dx, work=work)
        bounded, density = work[0], work[1]
        xp.clip(x, -40.0, 40.0, out=bounded)
        xp.multiply(bounded, bounded, out=density)
        xp.multiply(density, -0.5, out=density)
        xp.exp(density, out=density)
        xp.multiply(density, 1.0 / math.sqrt(2.0 * math.pi), out=density)
        xp.multiply(density, bounded, out=density)
        xp.add(dx, density, out=dx)
        xp.multiply(dx, dy, out=dx)

    @staticmethod
    def cumulative_normal(xp: Namespace, x: Array, *, y: Array, work: tuple[Array, ...]) -> None:
        """y = P(x), the probability that a standard normal number is below x."""
        scaled = work[3]
        xp.multiply(x, math.sqrt(0.5), out=scaled)
        erf(xp, scaled, y=y, work=work[:3])
        xp.add(y, 1.0, out=y)
        xp.multiply(y, 0.5, out=y)


class SiLU(Pair):
    """y = x s with s = 1 / (1 + e^-x);  dx = dy s (1 + x (1 - s)).

    Beyond |x| = 1000 s has reached its limit in either precision; the bounds keep 0 * inf away.
    Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units", 2018.
    """

    saves = "x"
    forward_work = 1
    backward_work = 2

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, work: tuple[Array, ...]) -> None:
        Sigmoid.forward(xp, x, y=y, work=work)
        (bounded,) = work
        xp.maximum(x, -1000.0, out=bounded)
        xp.multiply(y, bounded, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, *, dx: Array, work: tuple[Array, ...]) -> None:
        Sigmoid.forward(xp, x, y=dx, work=work[:1])
        slope, bounded = work
        xp.clip(x, -1000.0, 1000.0, out=bounded)
        xp.subtract(1.0, dx, out=slope)
        xp.multiply(slope, bounded, out=slope)
        xp.add(slope, 1.0, out=slope)
        xp.multiply(dx, slope, out=dx)
        xp.multiply(dx, dy, out=dx)


class Softplus(Pair):
    """y = log(1 + e^x);  dx = dy / (1 + e^-x) = dy (1 - e^-y).

    Computed as max(x, 0) + log(1 + e^-|x|): nothing overflows, and small y keep all their digits.
    Source: Dugas and others, "Incorporating second-order functional knowledge", 2001.
    """

    saves = "y"
    forward_work = 1
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, work: tuple[Array, ...]) -> None:
        (decay,) = work
        xp.abs(x, out=decay)
        xp.negative(decay, out=decay)
        xp.exp(decay, out=decay)
        xp.log1p(decay, out=decay)
        xp.maximum(x, 0.0, out=y)
        xp.add(y, decay, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, y: Array, *, dx: Array) -> None:
        xp.negative(y, out=dx)
        xp.expm1(dx, out=dx)
        xp.negative(dx, out=dx)
        xp.multiply(dx, dy, out=dx)


class Softmax(Pair):
    """y_i = e^x_i / sum over j of e^x_j, along one axis;  dx_i = y_i (dy_i - sum over j of dy_j y_j).

    Subtracting the largest x from all of them changes no y, and no exponential overflows.
    """

    saves = "y"
    forward_work = 0
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, axis: int) -> None:
        xp.subtract(x, x.max(axis=axis, keepdims=True), out=y)
        xp.exp(y, out=y)
        xp.divide(y, y.sum(axis=axis, keepdims=True), out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, y: Array, *, dx: Array, axis: int) -> None:
        xp.multiply(dy, y, out=dx)
        xp.subtract(dy, dx.sum(axis=axis, keepdims=True), out=dx)
        xp.multiply(dx, y, out=dx)


class LogSoftmax(Pair):
    """y_i = x_i - log(sum over j of e^x_j), along one axis;  dx_i = dy_i - e^y_i sum over j of dy_j.

    Never the logarithm of 0, as log(softmax(x)) would be where a probability vanishes.
    """

    saves = "y"
    forward_work = 1
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, work: tuple[Array, ...], axis: int) -> None:
        (exponentials,) = work
        xp.subtract(x, x.max(axis=axis, keepdims=True), out=y)
        xp.exp(y, out=exponentials)
        xp.subtract(y, xp.log(exponentials.sum(axis=axis, keepdims=True)), out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, y: Array, *, dx: Array, axis: int) -> None:
        xp.exp(y, out=dx)
        xp.multiply(dx, dy.sum(axis=axis, keepdims=True), out=dx)
        xp.subtract(dy, dx, out=dx)


class Maxout(Pair):
    """y = max over the pieces of x;  dx = dy at the largest piece, shared evenly where several tie.

    x, dx (batch, pieces, features)   y, dy (batch, features). With affine pieces x_k = a w_k + b_k this is the
    lecture's max(w1^T a + b1, w2^T a + b2). Source: Goodfellow and others, "Maxout networks", 2013.
    """

    saves = "xy"
    forward_work = 0
    backward_work = 0

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array) -> None:
        x.max(axis=1, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, y: Array, *, dx: Array) -> None:
        xp.equal(x, y[:, None], out=dx)
        share = dx.sum(axis=1)  # how many pieces tie, then dy for each of them
        xp.maximum(share, 1.0, out=share)  # NaN equals nothing: 0 pieces
        xp.divide(dy, share, out=share)
        xp.multiply(dx, share[:, None], out=dx)
