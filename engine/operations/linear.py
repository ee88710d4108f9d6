"""Which matrix operations does the graph know? The linear map with its bias in one node, and the matrix product."""

from collections.abc import Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels import linear as kernels
from backends.kernels.pair import Array
from backends.kernels.rounding import DROPPED, Round, work_type
from engine.errors import DtypeError, ShapeError
from engine.operations.core import KernelOperation, result_dtype, sum_to


class Linear(KernelOperation):
    """y = x w + b; x may have more than two axes: all but the last are the batch."""

    def forward(self, backend: Backend, x: Array, w: Array, b: Array | None) -> tuple[Array, Any]:
        shape, (inputs, outputs) = x.shape, w.shape
        if not shape or shape[-1] != inputs:
            raise _two_lengths(x, w)
        if x.dtype != w.dtype:
            raise _two_dtypes(x, w)
        rows = x if len(shape) == 2 else backend.reshape(x, (-1, inputs))
        y = backend.empty((len(rows), outputs), w.dtype)
        backend.kernel(kernels.Linear.forward)(backend.xp, rows, w, b, y=y)
        return (y if rows is x else y.reshape(*shape[:-1], outputs)), (x, w)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        x, w = saved
        rows, drows = (
            (x, dy)
            if x.ndim == 2
            else (
                backend.reshape(x, (-1, w.shape[0])),
                backend.reshape(dy, (-1, w.shape[1])),
            )
        )
        shape, dtype = w.shape, dy.dtype
        dx = backend.empty(rows.shape, dtype) if needed[0] else None
        dw = backend.empty(shape, dtype) if needed[1] else None
        db = backend.empty(shape[1:], dtype) if needed[2] else None
        backend.kernel(kernels.Linear.backward)(backend.xp, drows, rows, w, dx=dx, dw=dw, db=db)
        return (dx if dx is None or x.ndim == 2 else dx.reshape(x.shape)), dw, db


class RoundedLinear(KernelOperation):
    """y = r(x) r(w) + b, where r rounds float32 to a type with fewer bits;  dx = r(dy) r(w)^T, dw = r(x)^T r(dy).

    The rounding's slope counts as 1. b, its gradient and all sums are float32.
    """

    def __init__(self, precision: str) -> None:
        self.precision = precision

    @property
    def label(self) -> str:
        return f"linear ({self.precision})"

    def forward(self, backend: Backend, x: Array, w: Array, b: Array | None) -> tuple[Array, Any]:
        inputs, outputs = w.shape
        if not x.shape or x.shape[-1] != inputs:
            raise _two_lengths(x, w)
        if x.dtype != w.dtype:
            raise _two_dtypes(x, w)
        if w.dtype != "float32":
            raise DtypeError(
                f"Linear: {self.precision} rounds float32, and the weight is of {w.dtype}; convert the "
                f'model: .to(precision="{self.precision}").'
            )
        rows = self._rounded(backend, x if x.ndim == 2 else backend.reshape(x, (-1, inputs)))
        weight = self._rounded(backend, w)
        y = backend.empty((len(rows), outputs), w.dtype)
        backend.kernel(kernels.RoundedLinear.forward)(backend.xp, rows, weight, b, y=y, precision=self.precision)
        return (y if x.ndim == 2 else y.reshape(*x.shape[:-1], outputs)), (rows, weight, x.shape)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        x, w, shape = saved
        dy = dy if len(shape) == 2 else backend.reshape(dy, (-1, w.shape[1]))
        db = sum_to(backend, dy, w.shape[1:]) if needed[2] else None
        if not needed[0] and not needed[1]:
            return None, None, db
        dx = backend.empty(x.shape, dy.dtype) if needed[0] else None
        dw = backend.empty(w.shape, dy.dtype) if needed[1] else None
        gradient = self._rounded(backend, dy)
        backend.kernel(kernels.RoundedLinear.backward)(
            backend.xp, gradient, x, w, dx=dx, dw=dw, precision=self.precision
        )
        return (None if dx is None else dx.reshape(shape)), dw, db

    def _rounded(self, backend: Backend, x: Array) -> Array:
        kept = backend.rounded_type(self.precision)
        y = backend.empty(x.shape, kept)
        # A device that keeps such numbers in fewer bits rounds them in a way of its own.
        work = backend.empty(x.shape, work_type(self.precision)) if kept == x.dtype else None
        backend.kernel(Round.forward)(backend.xp, x, y=y, work=work, precision=self.precision)
        return y


class MatrixProduct(KernelOperation):
    """y = a @ b by NumPy's rules: a vector is a row on the left and a column on the right; stacks broadcast."""

    label = "@"

    def forward(self, backend: Backend, a: Array, b: Array) -> tuple[Array, Any]:
        left = a.reshape(1, -1) if a.ndim == 1 else a
        right = b.reshape(-1, 1) if b.ndim == 1 else b
        stacks = left.shape[:-2], right.shape[:-2]
        if a.ndim == 0 or b.ndim == 0 or left.shape[-1] != right.shape[-2]:
            raise ShapeError(
                f"@: shapes {a.shape} and {b.shape} do not fit; the first's last length must be the second's rows."
            )
        stack = stacks[0] if stacks[0] == stacks[1] else _stack_shape(a, b, *stacks)
        y = backend.empty((*stack, left.shape[-2], right.shape[-1]), result_dtype(a, b))
        backend.kernel(kernels.MatrixProduct.forward)(backend.xp, left, right, y=y)
        lengths = stack + (() if a.ndim == 1 else (a.shape[-2],)) + (() if b.ndim == 1 else (b.shape[-1],))
        return y.reshape(lengths), (a, b, y.shape)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        a, b, shape = saved
        dy = dy.reshape(shape)
        left = a.reshape(1, -1) if a.ndim == 1 else a
        right = b.reshape(-1, 1) if b.ndim == 1 else b
        da = backend.empty((*shape[:-2], *left.shape[-2:]), dy.dtype) if needed[0] else None
        db = backend.empty((*shape[:-2], *right.shape[-2:]), dy.dtype) if needed[1] else None
        backend.kernel(kernels.MatrixProduct.backward)(backend.xp, dy, left, right, da=da, db=db)
        return (
            None if da is None else sum_to(backend, da, left.shape).reshape(a.shape),
            None if db is None else sum_to(backend, db, right.shape).reshape(b.shape),
        )


def _two_lengths(x: Array, w: Array) -> ShapeError:
    return ShapeError(
        f"Linear: the input has shape {x.shape}, the weight {w.shape}; its last length must be {w.shape[0]}."
    )


def _two_dtypes(x: Array, w: Array) -> DtypeError:
    return DtypeError(
        f'Linear: the input is of {x.dtype}, the weight of {w.dtype}; convert it: .to(dtype="{w.dtype}").'
    )


def _stack_shape(a: Array, b: Array, first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    length = max(len(first), len(second))
    pairs = zip((1,) * (length - len(first)) + first, (1,) * (length - len(second)) + second, strict=True)
    result = []
    for one, other in pairs:
        if one != other and 1 not in (one, other):
            raise ShapeError(
                f"@: the stacks of {a.shape} and {b.shape} do not fit; each pair of lengths must be equal or 1."
            )
        result.append(other if one == 1 else one)
    return tuple(result)


LINEAR, MATRIX_PRODUCT = Linear(), MatrixProduct()
LINEARS: dict[str | None, KernelOperation] = {None: LINEAR, **{name: RoundedLinear(name) for name in DROPPED}}
"""The linear map by the type that its operands are rounded to; None where they are not."""
