"""How are many numbers made one? Sums, means, extremes and variances along axes, and the inverse of broadcasting.

x (any shape)   y, dy: x's shape without the reduced axes   dy in the backward kernels keeps them with length 1
"""

from backends.kernels.pair import Array, Namespace, Pair

Axes = int | tuple[int, ...] | None


class Sum(Pair):
    """y = sum of x;  dx = dy at every element that was added."""

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, axis: Axes, keepdims: bool) -> None:
        xp.sum(x, axis=axis, keepdims=keepdims, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, *, dx: Array) -> None:
        xp.copyto(dx, dy)


class Mean(Pair):
    """y = (1/n) sum of x;  dx = dy / n."""

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, axis: Axes, keepdims: bool, count: int) -> None:
        xp.sum(x, axis=axis, keepdims=keepdims, out=y)
        xp.divide(y, count, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, *, dx: Array, count: int) -> None:
        xp.divide(dy, count, out=dx)


class Max(Pair):
    """y = the largest x;  dx = dy at the largest element, shared evenly where several tie.   y here keeps its axes."""

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, axis: Axes, keepdims: bool) -> None:
        xp.max(x, axis=axis, keepdims=keepdims, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, y: Array, *, dx: Array, ties: Array, axis: Axes) -> None:
        xp.equal(x, y, out=dx)
        xp.sum(dx, axis=axis, keepdims=True, out=ties)
        xp.maximum(ties, 1, out=ties)  # NaN equals nothing: 0 elements
        xp.divide(dx, ties, out=dx)
        xp.multiply(dx, dy, out=dx)


class Min(Pair):
    """y = the smallest x;  dx = dy at the smallest element, shared evenly where several tie.   y keeps its axes."""

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, axis: Axes, keepdims: bool) -> None:
        xp.min(x, axis=axis, keepdims=keepdims, out=y)

    backward = staticmethod(Max.backward)


class Variance(Pair):
    """y = (1/n) sum of (x - m)^2 with m the mean: the population variance;  dx = dy (2/n) (x - m)."""

    @staticmethod
    def forward(
        xp: Namespace, x: Array, *, y: Array, mean: Array, work: Array, axis: Axes, keepdims: bool, count: int
    ) -> None:
        xp.sum(x, axis=axis, keepdims=True, out=mean)
        xp.divide(mean, count, out=mean)
        xp.subtract(x, mean, out=work)
        xp.multiply(work, work, out=work)
        xp.sum(work, axis=axis, keepdims=keepdims, out=y)
        xp.divide(y, count, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, x: Array, mean: Array, *, dx: Array, count: int) -> None:
        xp.subtract(x, mean, out=dx)
        xp.multiply(dx, 2.0 / count, out=dx)
        xp.multiply(dx, dy, out=dx)


class SumTo(Pair):
    """The inverse of broadcasting: dx = sum of dy over the axes along which x was repeated (they keep length 1)."""

    @staticmethod
    def forward(xp: Namespace, dy: Array, *, dx: Array, axis: Axes) -> None:
        xp.sum(dy, axis=axis, keepdims=True, out=dx)


class Accumulate(Pair):
    """total = a + b: where two routes meet in a node, their gradients add.   Source: lecture 002, "Gradients add"."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, total: Array) -> None:
        xp.add(a, b, out=total)
