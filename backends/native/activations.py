"""Which activations does compiled C compute?"""

from typing import Any

from backends.kernels.activation import ReLU
from backends.kernels.pair import Array
from backends.native.table import kernels, replaces


@replaces(ReLU.forward)
def _relu(x: Array, *, y: Array) -> Any:
    return kernels.relu(x, y)


@replaces(ReLU.backward)
def _relu_gradient(dy: Array, y: Array, *, dx: Array) -> Any:
    return kernels.relu_gradient(dy, y, dx)


# -- with the bias of the linear map before ---------------------------------------------------------------


def _bias_relu(x: Array, *, y: Array, b: Array) -> Any:
    return kernels.bias_relu(x, b, y)


def _relu_gradient_sum(dy: Array, y: Array, *, dx: Array, db: Array) -> Any:
    return kernels.relu_gradient_sum(dy, y, dx, db)


FUSED_FORWARD: dict[Any, Any] = {ReLU.forward: _bias_relu}
"""Definition -> y = f(x + b) in one pass; x + b is written to x, which may be y."""

FUSED_BACKWARD: dict[Any, Any] = {ReLU.backward: _relu_gradient_sum}
"""Definition -> dx = dy f'(x), and db, its sum over the rows, in one pass."""
