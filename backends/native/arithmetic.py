"""Which arithmetic does compiled C do? On arrays of the result's shape, numbers, and one row for all rows.

Exponentials and logarithms stay NumPy's: it is as fast, and warns of what overflows.
"""

from typing import Any

from backends.kernels.arithmetic import Add, Divide, Exp, Log, Multiply, Negative, PowerConstant, Sqrt, Subtract
from backends.kernels.pair import Array
from backends.kernels.reduction import Accumulate
from backends.native.table import kernels, replaces


@replaces(Add.forward)
def _add(a: Array, b: Array, *, y: Array) -> Any:
    return kernels.add(a, b, y) or kernels.add(b, a, y)  # the row may come first


@replaces(Accumulate.forward)
def _accumulate(a: Array, b: Array, *, total: Array) -> Any:
    return kernels.add(a, b, total)


@replaces(Subtract.forward)
def _subtract(a: Array, b: Array, *, y: Array) -> Any:
    return kernels.subtract(a, b, y)


@replaces(Multiply.forward)
def _multiply(a: Array, b: Array, *, y: Array) -> Any:
    return kernels.multiply(a, b, y) or kernels.multiply(b, a, y)


@replaces(Multiply.backward)
def _multiply_gradient(dy: Array, a: Array, b: Array, *, da: Array, db: Array) -> Any:
    return (da is None or kernels.multiply(dy, b, da)) and (db is None or kernels.multiply(dy, a, db))


@replaces(Divide.forward)
def _divide(a: Array, b: Array, *, y: Array) -> Any:
    return kernels.divide(a, b, y)


@replaces(Divide.backward)
def _divide_gradient(dy: Array, b: Array, y: Array, *, da: Array, db: Array) -> Any:
    return (da is None or kernels.divide(dy, b, da)) and (
        db is None or (kernels.multiply(dy, y, db) and kernels.divide(db, b, db) and kernels.negative(db, db))
    )


@replaces(Negative.forward)
def _negative(x: Array, *, y: Array) -> Any:
    return kernels.negative(x, y)


@replaces(Negative.backward)
def _negative_gradient(dy: Array, *, dx: Array) -> Any:
    return kernels.negative(dy, dx)


@replaces(PowerConstant.forward)
def _power(x: Array, *, y: Array, exponent: float) -> Any:
    return exponent == 2 and kernels.multiply(x, x, y)


@replaces(PowerConstant.backward)
def _power_gradient(dy: Array, x: Array, *, dx: Array, exponent: float) -> Any:
    return exponent == 2 and kernels.multiply(x, 2.0, dx) and kernels.multiply(dx, dy, dx)


@replaces(Exp.backward)
def _exp_gradient(dy: Array, y: Array, *, dx: Array) -> Any:
    return kernels.multiply(dy, y, dx)


@replaces(Log.backward)
def _log_gradient(dy: Array, x: Array, *, dx: Array) -> Any:
    return kernels.divide(dy, x, dx)


@replaces(Sqrt.forward)
def _sqrt(x: Array, *, y: Array) -> Any:
    return kernels.square_roots(x, y)


@replaces(Sqrt.backward)
def _sqrt_gradient(dy: Array, y: Array, *, dx: Array) -> Any:
    return kernels.divide(dy, y, dx) and kernels.multiply(dx, 0.5, dx)
