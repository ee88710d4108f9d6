"""How does compiled C drop units? Masks by Philox, the words that NumPy draws."""

from typing import Any

from backends.kernels.dropout import Dropout, StochasticDepth, advance, scale
from backends.kernels.pair import Array
from backends.native.table import kernels, replaces


@replaces(Dropout.forward)
def _dropout(x: Array, counter: Array, *, y: Array, mask: Array, rate: float, key: tuple[int, int]) -> Any:
    drawn = kernels.keep_mask(mask, counter, *key, int((1 - rate) * 2**32))
    return drawn and kernels.masked(x, mask, scale(rate), y)


@replaces(Dropout.backward)
def _dropout_gradient(dy: Array, mask: Array, *, dx: Array, rate: float) -> Any:
    return kernels.masked(dy, mask, scale(rate), dx)


@replaces(StochasticDepth.forward)
def _stochastic_depth(
    x: Array, branch: Array, counter: Array, *, y: Array, mask: Array, rate: float, key: tuple[int, int]
) -> Any:
    drawn = kernels.keep_mask(mask, counter, *key, int((1 - rate) * 2**32))
    return drawn and kernels.masked_rows(x, branch, mask, scale(rate), y)


@replaces(StochasticDepth.backward)
def _stochastic_depth_gradient(dy: Array, mask: Array, *, dx: Array | None, dbranch: Array | None, rate: float) -> Any:
    return dx is None and dbranch is not None and kernels.masked_rows(None, dy, mask, scale(rate), dbranch)


@replaces(advance)
def _advance(counter: Array) -> Any:
    return kernels.count(counter)
