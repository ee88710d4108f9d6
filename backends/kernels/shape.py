"""How are elements picked and put together? Indexing, concatenation; reshape and transpose are views, without a kernel."""

from collections.abc import Sequence
from typing import Any

from backends.kernels.pair import Array, Namespace, Pair


class Index(Pair):
    """y = x[index];  dx = dy at the places that were picked (added up where one was picked twice), 0 elsewhere."""

    @staticmethod
    def backward(xp: Namespace, dy: Array, *, dx: Array, index: Any, repeats: bool) -> None:
        dx.fill(0)
        if repeats:
            xp.add.at(dx, index, dy)
        else:
            dx[index] = dy


class Concatenate(Pair):
    """y = the arrays one after the other along an axis;  each array's gradient is its part of dy, a view."""

    @staticmethod
    def forward(xp: Namespace, arrays: Sequence[Array], *, y: Array, axis: int) -> None:
        xp.concatenate(arrays, axis=axis, out=y)


class Stack(Pair):
    """y = the arrays side by side along a new axis;  each array's gradient is its part of dy, a view."""

    @staticmethod
    def forward(xp: Namespace, arrays: Sequence[Array], *, y: Array, axis: int) -> None:
        xp.stack(arrays, axis=axis, out=y)


class Gather(Pair):
    """y = the rows of x with these numbers: how a batch is drawn from a data set.   rows (batch,), y (batch, ...)."""

    @staticmethod
    def forward(xp: Namespace, x: Array, rows: Array, *, y: Array) -> None:
        xp.take(x, rows, axis=0, out=y)
