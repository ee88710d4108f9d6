"""How does compiled C compute linear maps? Products by the BLAS that was chosen, the bias by loops."""

from typing import Any

from backends.kernels.linear import Linear, RoundedLinear
from backends.kernels.pair import Array
from backends.kernels.rounding import DROPPED, Round
from backends.native.table import kernels, replaces


@replaces(Linear.forward)
def _linear(x: Array, w: Array, b: Array | None, *, y: Array) -> Any:
    return kernels.product(x, w, y, 0, 0) and (b is None or kernels.add_bias(y, b))


@replaces(Linear.backward)
def _linear_gradient(dy: Array, x: Array, w: Array, *, dx: Array, dw: Array, db: Array) -> Any:
    return (
        (dx is None or kernels.product(dy, w, dx, 0, 1))
        and (dw is None or kernels.product(x, dy, dw, 1, 0))
        and (db is None or kernels.column_sum(dy, db))
    )


@replaces(Round.forward)
def _round(x: Array, *, y: Array, work: Array, precision: str) -> Any:
    return kernels.round_to(x, y, DROPPED[precision], int(precision == "float16"))


@replaces(RoundedLinear.forward)
def _rounded_linear(x: Array, w: Array, b: Array | None, *, y: Array, precision: str) -> Any:
    return kernels.product(x, w, y, 0, 0) and (b is None or kernels.add_bias(y, b))


@replaces(RoundedLinear.backward)
def _rounded_linear_gradient(dy: Array, x: Array, w: Array, *, dx: Array, dw: Array, precision: str) -> Any:
    return (dx is None or kernels.product(dy, w, dx, 0, 1)) and (dw is None or kernels.product(x, dy, dw, 1, 0))
