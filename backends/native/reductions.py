"""Which sums and means does compiled C compute? Over all elements, a matrix's rows, or the last axis."""

from typing import Any

from backends.kernels.pair import Array
from backends.kernels.reduction import Axes, Mean, Sum, SumTo
from backends.native.table import kernels, replaces


def _sum(x: Array, y: Array, axis: Axes, count: int) -> Any:
    """The sum over these axes, divided by the count; False where C does not know these axes."""
    rank = x.ndim
    axes = range(rank) if axis is None else sorted(one % rank for one in ((axis,) if isinstance(axis, int) else axis))
    if len(axes) == rank:
        return kernels.average(x, y, count)
    if len(axes) > 1 or not len(axes):
        return False
    summed = kernels.row_sums(x, y) if axes[0] == rank - 1 else rank == 2 and kernels.column_sum(x, y)
    return summed and (count == 1 or kernels.divide(y, count, y))


@replaces(Sum.forward)
def _sum_forward(x: Array, *, y: Array, axis: Axes, keepdims: bool) -> Any:
    return _sum(x, y, axis, 1)


@replaces(Sum.backward)
def _sum_gradient(dy: Array, *, dx: Array) -> Any:
    return dy.size == 1 and kernels.fill(dx, dy)


@replaces(Mean.forward)
def _mean(x: Array, *, y: Array, axis: Axes, keepdims: bool, count: int) -> Any:
    return _sum(x, y, axis, count)


@replaces(Mean.backward)
def _mean_gradient(dy: Array, *, dx: Array, count: int) -> Any:
    return dy.size == 1 and kernels.divide(dy, count, dx)


@replaces(SumTo.forward)
def _sum_to(dy: Array, *, dx: Array, axis: Axes) -> Any:
    return _sum(dy, dx, axis, 1)
