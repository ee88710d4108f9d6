"""Which reductions does the graph know? Sum, mean, extremes and variance along axes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.backend import Backend
from backends.kernels import reduction as kernels
from backends.kernels.pair import Array
from engine.errors import ArgumentError, ShapeError
from engine.operations.core import KernelOperation, Shape

Axis = int | Sequence[int] | None


def normal_axes(name: str, axis: Axis, shape: Shape) -> tuple[int, ...]:
    """The axes as a tuple of numbers from 0; all of them for None."""
    rank = len(shape)
    if axis is None:
        return tuple(range(rank))
    given = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    for one in given:
        if not isinstance(one, (int, np.integer)) or not -rank <= one < rank:
            raise ShapeError(f"{name}: axis {one!r} was given for shape {shape}; allowed are {-rank} to {rank - 1}.")
    axes = tuple(int(one) % rank for one in given)
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"{name}: axis {axis!r} names an axis twice; name each once.")
    return axes


class _Reduction(KernelOperation):
    """y = f(x) along some axes."""

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        self.axis, self.keepdims = axis, keepdims

    def _plan(self, x: Array) -> tuple[tuple[int, ...], Shape, int]:
        """The axes, x's shape with 1 in their places, and how many elements become one."""
        axes = normal_axes(self.label, self.axis, x.shape)
        kept = tuple(1 if axis in axes else length for axis, length in enumerate(x.shape))
        count = math.prod(x.shape[axis] for axis in axes)
        if count == 0 and not isinstance(self, Sum):
            raise ShapeError(
                f"{self.label}: shape {x.shape} has no elements along axis {self.axis}; it needs one at least."
            )
        return axes, kept, count

    def _result(self, y: Array, axes: tuple[int, ...]) -> Array:
        if self.keepdims:
            return y
        return y.reshape(tuple(length for axis, length in enumerate(y.shape) if axis not in axes))


class Sum(_Reduction):
    """y = sum of x; of bools and whole numbers in int64, so that counts are counts."""

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        axes, kept, _ = self._plan(x)
        y = backend.empty(kept, x.dtype if x.dtype.kind == "f" else np.int64)
        backend.kernel(kernels.Sum.forward)(backend.xp, x, y=y, axis=axes, keepdims=True)
        return self._result(y, axes), (x.shape, kept)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        shape, kept = saved
        dx = backend.empty(shape, dy.dtype)
        backend.kernel(kernels.Sum.backward)(backend.xp, dy.reshape(kept), dx=dx)
        return (dx,)


class Mean(_Reduction):
    """y = the mean of x."""

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        axes, kept, count = self._plan(x)
        y = backend.empty(kept, x.dtype)
        backend.kernel(kernels.Mean.forward)(backend.xp, x, y=y, axis=axes, keepdims=True, count=count)
        return self._result(y, axes), (x.shape, kept, count)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        shape, kept, count = saved
        dx = backend.empty(shape, dy.dtype)
        backend.kernel(kernels.Mean.backward)(backend.xp, dy.reshape(kept), dx=dx, count=count)
        return (dx,)


class Max(_Reduction):
    """y = the largest x."""

    pair: Any = kernels.Max

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        axes, kept, _ = self._plan(x)
        y = backend.empty(kept, x.dtype)
        backend.kernel(self.pair.forward)(backend.xp, x, y=y, axis=axes, keepdims=True)
        return self._result(y, axes), (x, y)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        x, y = saved
        axes = normal_axes(self.label, self.axis, x.shape)
        dx, ties = backend.empty(x.shape, dy.dtype), backend.empty(y.shape, dy.dtype)
        backend.kernel(self.pair.backward)(backend.xp, dy.reshape(y.shape), x, y, dx=dx, ties=ties, axis=axes)
        return (dx,)


class Min(Max):
    """y = the smallest x."""

    pair = kernels.Min


class Variance(_Reduction):
    """y = the population variance of x."""

    label = "var"

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        axes, kept, count = self._plan(x)
        y, mean, work = (backend.empty(shape, x.dtype) for shape in (kept, kept, x.shape))
        backend.kernel(kernels.Variance.forward)(
            backend.xp, x, y=y, mean=mean, work=work, axis=axes, keepdims=True, count=count
        )
        return self._result(y, axes), (x, mean, count)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        x, mean, count = saved
        dx = backend.empty(x.shape, dy.dtype)
        backend.kernel(kernels.Variance.backward)(backend.xp, dy.reshape(mean.shape), x, mean, dx=dx, count=count)
        return (dx,)
