"""Linear map: y = x w + b, one sample a row.

    x (batch, inputs)   w (inputs, outputs)   b (outputs,)   y, dy (batch, outputs)

    dx = dy w^T         dw = x^T dy           db = sum of dy over the batch

Lecture 001, "Neural network notation"; "Matrix derivatives".
"""

from backends.kernels.pair import Array, Namespace, Pair


class Linear(Pair):
    """y = x w + b;  dx = dy w^T, dw = x^T dy, db = sum of dy over the batch."""

    @staticmethod
    def forward(xp: Namespace, x: Array, w: Array, b: Array, *, y: Array) -> None:
        xp.matmul(x, w, out=y)
        if b is not None:
            xp.add(y, b, out=y)

    @staticmethod
    def backward(
        xp: Namespace, dy: Array, x: Array, w: Array, *, dx: Array = None, dw: Array = None, db: Array = None
    ) -> None:
        if dx is not None:
            xp.matmul(dy, w.T, out=dx)
        if dw is not None:
            xp.matmul(x.T, dy, out=dw)
        if db is not None:
            dy.sum(axis=0, out=db)


class RoundedLinear(Pair):
    """y = x w + b;  dx = dy w^T, dw = x^T dy, of numbers rounded to ``precision`` (rounding.py), summed up in float32.

    A pair of its own, so that a device may multiply such numbers by hardware that is made for them. The gradient of b
    is that of `Linear`: it is no product, and its dy is not rounded.
    """

    @staticmethod
    def forward(xp: Namespace, x: Array, w: Array, b: Array, *, y: Array, precision: str) -> None:
        Linear.forward(xp, x, w, b, y=y)

    @staticmethod
    def backward(
        xp: Namespace, dy: Array, x: Array, w: Array, *, dx: Array = None, dw: Array = None, precision: str
    ) -> None:
        Linear.backward(xp, dy, x, w, dx=dx, dw=dw)


class MatrixProduct(Pair):
    """y = a b for stacks of matrices (..., n, k) (..., k, m);  da = dy b^T, db = a^T dy, each matrix by itself."""

    @staticmethod
    def forward(xp: Namespace, a: Array, b: Array, *, y: Array) -> None:
        xp.matmul(a, b, out=y)

    @staticmethod
    def backward(xp: Namespace, dy: Array, a: Array, b: Array, *, da: Array = None, db: Array = None) -> None:
        if da is not None:
            xp.matmul(dy, b.swapaxes(-1, -2), out=da)
        if db is not None:
            xp.matmul(a.swapaxes(-1, -2), dy, out=db)
