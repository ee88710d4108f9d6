"""Which matrix operations does the graph know? The linear map with its bias in one node, and the matrix product."""

from collections.abc import Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels import linear as kernels
from backends.kernels.pair import Array
from engine.errors import DtypeError, ShapeError
from engine.operations.core import KernelOperation, result_dtype, sum_to


class Linear(KernelOperation):
    """y = x w + b; x may have more than two axes: all but the last are the batch."""

    def forward(self, backend: Backend, x: Array, w: Array, b: Array | None) -> tuple[Array, Any]:
        shape, (inputs, outputs) = x.shape, w.shape
        if not shape or shape[-1] != inputs:
            raise ShapeError(
                f"Linear: the input has shape {x.shape}, the weight {w.shape}; its last length must be {inputs}."
            )
        if x.dtype != w.dtype:
            raise DtypeError(
                f'Linear: the input is of {x.dtype}, the weight of {w.dtype}; convert it: .to(dtype="{w.dtype}").'
            )
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
