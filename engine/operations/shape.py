"""Which operations move elements without computing? Reshape, transpose, indexing, concatenation, a change of dtype."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.backend import Backend
from backends.kernels import shape as kernels
from backends.kernels.pair import Array
from engine.errors import ShapeError
from engine.operations.core import KernelOperation, Shape
from engine.operations.reduction import normal_axes


class Reshape(KernelOperation):
    """y = the elements of x, in order, in another shape; one length may be -1."""

    is_view = True

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        known = math.prod(length for length in self.shape if length != -1)
        free = self.shape.count(-1)
        if min(self.shape, default=0) < -1:
            raise ShapeError(
                f"reshape: {self.shape} was given; lengths are 0 or above, and -1 for the one that follows."
            )
        fits = x.size == known if not free else free == 1 and known > 0 and x.size % known == 0
        if not fits:
            raise ShapeError(f"reshape: {x.shape} has {x.size} elements, which do not fill {self.shape}.")
        return backend.reshape(x, self.shape), x.shape

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        return (backend.reshape(dy, saved),)


class Transpose(KernelOperation):
    """y = x with its axes in another order; reversed where none is given."""

    is_view = True

    def __init__(self, axes: tuple[int, ...] | None) -> None:
        self.axes = axes

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        axes = tuple(reversed(range(x.ndim))) if self.axes is None else normal_axes("transpose", self.axes, x.shape)
        if len(axes) != x.ndim:
            raise ShapeError(
                f"transpose: axes {self.axes} were given for shape {x.shape}; name each of its {x.ndim} axes."
            )
        return x.transpose(axes), axes

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        return (dy.transpose(tuple(int(axis) for axis in np.argsort(saved))),)


def picked(backend: Backend, x: Array, index: Any) -> Array:
    """x[index]: a view where the index is made of slices and numbers, else a copy."""
    try:
        return backend.asarray(x[index])
    except IndexError as error:
        raise ShapeError(f"index {index!r} does not fit shape {x.shape}: {error}.") from None


class Index(KernelOperation):
    """y = x[index] for slices, numbers, integer arrays and masks."""

    label = "[...]"
    is_view = True

    def __init__(self, index: Any) -> None:
        self.index = index
        parts = index if isinstance(index, tuple) else (index,)
        # Only integer arrays can pick an element twice; slices and numbers need no adding up.
        self.repeats = any(getattr(part, "ndim", 0) > 0 or isinstance(part, list) for part in parts)

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        return picked(backend, x, self.index), x.shape

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        dx = backend.empty(saved, dy.dtype)
        backend.kernel(kernels.Index.backward)(backend.xp, dy, dx=dx, index=self.index, repeats=self.repeats)
        return (dx,)


class Concatenate(KernelOperation):
    """y = the inputs one after the other along an axis."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, backend: Backend, *arrays: Array) -> tuple[Array, Any]:
        (axis,) = normal_axes("concatenate", self.axis, arrays[0].shape)
        for array in arrays[1:]:
            if array.shape[:axis] + array.shape[axis + 1 :] != arrays[0].shape[:axis] + arrays[0].shape[axis + 1 :]:
                shapes = ", ".join(str(one.shape) for one in arrays)
                raise ShapeError(
                    f"concatenate: shapes {shapes} differ outside axis {axis}; they may differ along it only."
                )
        lengths = [array.shape[axis] for array in arrays]
        y = backend.empty(
            (*arrays[0].shape[:axis], sum(lengths), *arrays[0].shape[axis + 1 :]),
            np.result_type(*(array.dtype for array in arrays)),
        )
        backend.kernel(kernels.Concatenate.forward)(backend.xp, arrays, y=y, axis=axis)
        return y, (axis, lengths)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        axis, lengths = saved
        ends = np.cumsum(lengths)
        before = (slice(None),) * axis
        return [dy[(*before, slice(int(end) - length, int(end)))] for end, length in zip(ends, lengths, strict=True)]


class Stack(KernelOperation):
    """y = the inputs side by side along a new axis."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, backend: Backend, *arrays: Array) -> tuple[Array, Any]:
        shape = arrays[0].shape
        if any(array.shape != shape for array in arrays):
            raise ShapeError(f"stack: shapes {', '.join(str(one.shape) for one in arrays)} differ; they must be equal.")
        (axis,) = normal_axes("stack", self.axis, (*shape, 1))
        y = backend.empty(
            (*shape[:axis], len(arrays), *shape[axis:]), np.result_type(*(array.dtype for array in arrays))
        )
        backend.kernel(kernels.Stack.forward)(backend.xp, arrays, y=y, axis=axis)
        return y, (axis, len(arrays))

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        axis, count = saved
        before = (slice(None),) * axis
        return [dy[(*before, position, ...)] for position in range(count)]


class Cast(KernelOperation):
    """y = x in another dtype; the gradient goes back in x's."""

    label = "cast"

    def __init__(self, dtype: "np.dtype[Any]") -> None:
        self.dtype = dtype

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        y = backend.empty(x.shape, self.dtype)
        backend.kernel(kernels.Copy.forward)(backend.xp, x, y=y)
        return y, x.dtype

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        dx = backend.empty(dy.shape, saved)
        backend.kernel(kernels.Copy.forward)(backend.xp, dy, y=dx)
        return (dx,)
