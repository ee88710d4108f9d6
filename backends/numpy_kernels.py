"""Which kernels does NumPy compute more quickly than their definitions say? These serve where there is no compiled C.

Each function gives its definition's numbers, to rounding, and leaves to it whatever it is not made for. Sums are
products with a vector of ones, and a row's largest number is looked up by its place, since NumPy's reductions along
short axes take several times as long; ndarray.dot begins sooner than matmul; an optimizer works block by block, so that
its passes over memory find the numbers in the cache.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from backends.kernels.activation import ReLU
from backends.kernels.averaging import Average
from backends.kernels.linear import Linear
from backends.kernels.loss import CrossEntropy
from backends.kernels.optimizer import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    NAdam,
    RMSprop,
    Scalar,
    average,
    average_square,
    decayed,
    descend,
)
from backends.kernels.pair import Array, Namespace
from backends.kernels.shape import Gather

TABLE: dict[Any, Any] = {}
"""Definition -> replacement."""

BLOCK = 1 << 15
"""How many elements of each array an optimizer takes at a time."""

WIDE = 64
"""From so many columns on, a row of zeros is quicker than the number 0: maximum has fast loops for arrays only."""


def _replaces(definition: Any) -> Callable[[Any], Any]:
    """Put a function with the definition's arguments into the table."""

    def entered(function: Any) -> Any:
        function.__wrapped__, function.__kwdefaults__ = definition, definition.__kwdefaults__
        TABLE[definition] = function
        return function

    return entered


@functools.lru_cache(maxsize=64)
def _ones(count: int, dtype: Any) -> Array:
    return np.ones(count, dtype)


@functools.lru_cache(maxsize=64)
def _zeros(count: int, dtype: Any) -> Array:
    return np.zeros(count, dtype)


@functools.lru_cache(maxsize=64)
def _starts(rows: int, columns: int) -> Array:
    """Where each row of a matrix begins."""
    return np.arange(rows, dtype=np.intp) * columns


def _matrices(*arrays: Array) -> bool:
    """Whether all of these are matrices of one type of numbers that BLAS multiplies."""
    dtype = arrays[0].dtype
    return dtype.char in "fd" and all(one.ndim == 2 and one.dtype == dtype for one in arrays)


@_replaces(Gather.forward)
def _gather(xp: Namespace, x: Array, rows: Array, *, y: Array) -> None:
    x.take(rows, 0, y, "clip")  # without "clip" NumPy gathers into an array of its own first


@_replaces(Linear.forward)
def _linear_forward(xp: Namespace, x: Array, w: Array, b: Array, *, y: Array) -> None:
    if not _matrices(x, w, y) or not y.flags.c_contiguous:
        Linear.forward(xp, x, w, b, y=y)
        return
    xp.dot(x, w, out=y)
    if b is not None:
        xp.add(y, b, out=y)


@_replaces(Linear.backward)
def _linear_backward(
    xp: Namespace, dy: Array, x: Array, w: Array, *, dx: Array = None, dw: Array = None, db: Array = None
) -> None:
    given = [one for one in (dx, dw) if one is not None]
    if not _matrices(dy, x, w, *given) or not all(one.flags.c_contiguous for one in (dy, *given)):
        Linear.backward(xp, dy, x, w, dx=dx, dw=dw, db=db)
        return
    if dx is not None:
        xp.dot(dy, w.T, out=dx)
    if dw is not None:
        xp.dot(x.T, dy, out=dw)
    if db is not None:
        xp.dot(_ones(len(dy), dy.dtype), dy, out=db)


@_replaces(ReLU.forward)
def _relu_forward(xp: Namespace, x: Array, *, y: Array) -> None:
    wide = x.ndim > 1 and x.shape[-1] >= WIDE
    xp.maximum(x, _zeros(x.shape[-1], x.dtype) if wide else 0.0, out=y)


@_replaces(ReLU.backward)
def _relu_backward(xp: Namespace, dy: Array, y: Array, *, dx: Array) -> None:
    if y.size > BLOCK:
        ReLU.backward(xp, dy, y, dx=dx)
        return
    dx[...] = xp.greater(y, 0.0)  # compared in y's type: converted afterwards, it is quicker for few
    xp.multiply(dx, dy, out=dx)


@_replaces(CrossEntropy.forward)
def _cross_entropy_forward(
    xp: Namespace, logits: Array, labels: Array, rows: Array, *, losses: Array, probabilities: Array
) -> None:
    if not _whole(logits, probabilities, labels):
        CrossEntropy.forward(xp, logits, labels, rows, losses=losses, probabilities=probabilities)
        return
    largest = logits.reshape(-1).take(_places(xp, logits.argmax(1), logits.shape), None, None, "clip")
    xp.subtract(logits, largest[:, None], out=probabilities)
    right = probabilities.reshape(-1).take(_places(xp, labels, logits.shape), None, None, "clip")
    xp.exp(probabilities, out=probabilities)
    total = xp.dot(probabilities, _ones(logits.shape[1], logits.dtype))
    xp.divide(probabilities, total[:, None], out=probabilities)
    xp.subtract(xp.log(total), right, out=losses)


@_replaces(CrossEntropy.backward)
def _cross_entropy_backward(
    xp: Namespace, dlosses: Array, probabilities: Array, labels: Array, rows: Array, *, dlogits: Array
) -> None:
    if not _whole(probabilities, dlogits, labels):
        CrossEntropy.backward(xp, dlosses, probabilities, labels, rows, dlogits=dlogits)
        return
    xp.multiply(probabilities, dlosses[..., None], out=dlogits)
    place, flat = _places(xp, labels, dlogits.shape), dlogits.reshape(-1)
    flat[place] = xp.subtract(flat.take(place, None, None, "clip"), dlosses)


def _places(xp: Namespace, columns: Array, shape: tuple[int, int]) -> Array:
    """Where the element of each row in its column lies."""
    return columns if shape[0] == 1 else xp.add(_starts(*shape), columns)


def _whole(one: Array, other: Array, labels: Array) -> bool:
    """Whether both matrices lie row after row, and the labels are numbers with a sign, as places in memory are."""
    whole = one.flags.c_contiguous and other.flags.c_contiguous
    return whole and _matrices(one, other) and labels.dtype.kind == "i"


@_replaces(Average.forward)
def _average_forward(xp: Namespace, losses: Array, *, value: Array, count: int) -> None:
    if losses.ndim != 1 or losses.dtype.char not in "fd" or value.dtype != losses.dtype:
        Average.forward(xp, losses, value=value, count=count)
        return
    xp.dot(losses, _ones(losses.size, losses.dtype), out=value)
    if count != 1:
        xp.divide(value, count, out=value)


# -- optimizers ------------------------------------------------------------------------------------------------


def _in_blocks(definition: Any) -> Any:
    """A recurrence, block by block."""

    def update(xp: Namespace, w: Array, *arrays: Array, work: tuple[Array, ...], **options: Any) -> None:
        if w.size <= BLOCK:
            definition(xp, w, *arrays, work=work, **options)
            return
        for start in range(0, w.size, BLOCK):
            part = slice(start, min(start + BLOCK, w.size))
            own = [None if one is None else one[part] for one in (w, *arrays)]
            definition(xp, *own, work=tuple(one[: part.stop - start] for one in work), **options)

    return update


def _adam_in_blocks(definition: Any, decoupled: bool) -> Any:
    """Adam's or AdamW's recurrence, block by block; the numbers of the step are worked out once."""

    def update(
        xp: Namespace,
        w: Array,
        g: Array,
        gradient_average: Array,
        square_average: Array,
        *,
        work: tuple[Array, ...],
        learning_rate: Scalar,
        first_correction: Scalar,
        second_correction: Scalar,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
    ) -> None:
        settings = {"beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
        scalars = {
            "learning_rate": learning_rate,
            "first_correction": first_correction,
            "second_correction": second_correction,
        }
        if any(isinstance(one, (float, int)) for one in scalars.values()):
            definition(xp, w, g, gradient_average, square_average, work=work, **scalars, **settings)
            return
        root = xp.sqrt(second_correction)
        offset = xp.multiply(root, eps)
        rate = xp.divide(xp.multiply(root, learning_rate), first_correction)
        shrinks = decoupled and weight_decay != 0
        shrunk = xp.add(xp.multiply(learning_rate, -weight_decay), 1) if shrinks else None
        for start in range(0, w.size, BLOCK):
            part = slice(start, min(start + BLOCK, w.size))
            weights, m, v = w[part], gradient_average[part], square_average[part]
            one, other = (array[: part.stop - start] for array in work)
            if shrunk is not None:
                xp.multiply(weights, shrunk, out=weights)
            gradient = g[part] if decoupled else decayed(xp, g[part], weights, weight_decay, out=other)
            average(xp, m, gradient, beta1, work=one)
            average_square(xp, v, gradient, beta2, work=one)
            xp.sqrt(v, out=one)
            xp.add(one, offset, out=one)
            xp.divide(m, one, out=one)
            descend(xp, weights, one, rate, work=one)

    return update


_RECURRENCES: tuple[Any, ...] = (SGD, Adagrad, RMSprop, NAdam, Lion)
for _one in _RECURRENCES:
    _replaces(_one.update)(_in_blocks(_one.update))
_replaces(Adam.update)(_adam_in_blocks(Adam.update, decoupled=False))
_replaces(AdamW.update)(_adam_in_blocks(AdamW.update, decoupled=True))
