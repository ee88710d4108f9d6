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
