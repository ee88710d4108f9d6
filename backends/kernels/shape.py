"""How are elements picked and put together? Copies, indexing, concatenation; reshaping is a mere view."""

from collections.abc import Sequence
from typing import Any

from backends.kernels.pair import Array, Namespace, Pair


class Copy(Pair):
    """y = x, broadcast to y's shape and converted to its dtype."""

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array) -> None:
        y[...] = x  # several times as fast as copyto where arrays are small


class Fill(Pair):
    """y = one number everywhere."""

    @staticmethod
    def forward(xp: Namespace, *, y: Array, value: float) -> None:
        y.fill(value)


class Assign(Pair):
    """x[index] = value, in place; value is an array that broadcasts to the place, or a number."""

    @staticmethod
    def forward(xp: Namespace, value: Array, *, x: Array, index: Any) -> None:
        x[index] = value


class Index(Pair):
    """y = x[index];  dx = dy at the places that were picked (added up where one was picked twice), 0 elsewhere."""

    @staticmethod
    def forward(xp: Namespace, x: Array, *, y: Array, index: Any) -> None:
        y[...] = x[index]

    @staticmethod
    def backward(xp: Namespace, dy: Array, *, dx: Array, index: Any, repeats: bool) -> None:
        dx.fill(0)
        if repeats:
            xp.add.at(dx, index, dy)
        else:
            dx[index] = dy


class Gather(Pair):
    """y = the rows of x with these numbers, each 0 or above and below len(x): a batch of a data set."""

    @staticmethod
    def forward(xp: Namespace, x: Array, rows: Array, *, y: Array) -> None:
        x.take(rows, axis=0, out=y)


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
