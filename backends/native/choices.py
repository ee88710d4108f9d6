"""Which of the activations that weigh elements against each other does compiled C compute? Softmax and maxout.

Softmax and its logarithm along the last axis, where a row is contiguous; along other axes the definition computes.
"""

from typing import Any

from backends.kernels.activation import LogSoftmax, Maxout, Softmax
from backends.kernels.pair import Array
from backends.native.table import kernels, replaces


def _last(axis: int, x: Array) -> bool:
    return axis in (-1, x.ndim - 1)


@replaces(Softmax.forward)
def _softmax(x: Array, *, y: Array, axis: int) -> Any:
    return _last(axis, x) and kernels.softmax(x, y)


@replaces(Softmax.backward)
def _softmax_gradient(dy: Array, y: Array, *, dx: Array, axis: int) -> Any:
    return _last(axis, y) and kernels.softmax_gradient(dy, y, dx)


@replaces(LogSoftmax.forward)
def _log_softmax(x: Array, *, y: Array, work: Any, axis: int) -> Any:
    return _last(axis, x) and kernels.log_softmax(x, y)


@replaces(LogSoftmax.backward)
def _log_softmax_gradient(dy: Array, y: Array, *, dx: Array, axis: int) -> Any:
    return _last(axis, y) and kernels.log_softmax_gradient(dy, y, dx)


@replaces(Maxout.forward)
def _maxout(x: Array, *, y: Array) -> Any:
    return kernels.maxout(x, y)


@replaces(Maxout.backward)
def _maxout_gradient(dy: Array, x: Array, y: Array, *, dx: Array) -> Any:
    return kernels.maxout_gradient(dy, x, y, dx)
