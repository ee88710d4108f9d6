"""How do random masks join the graph? Dropout and stochastic depth: the mask is drawn in forward and saved."""

from collections.abc import Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels import dropout as kernels
from backends.kernels.pair import Array
from engine.operations.core import KernelOperation

Key = tuple[int, int]


class Dropout(KernelOperation):
    """y = x mask / (1 - rate); each forward reads the layer's counter and moves it on."""

    def __init__(self, rate: float, key: Key, counter: Array) -> None:
        self.rate, self.key, self.counter = rate, key, counter

    def forward(self, backend: Backend, x: Array) -> tuple[Array, Any]:
        y, mask = backend.empty(x.shape, x.dtype), backend.empty(x.shape, "bool")
        backend.kernel(kernels.Dropout.forward)(
            backend.xp, x, self.counter, y=y, mask=mask, rate=self.rate, key=self.key
        )
        backend.kernel(kernels.advance)(backend.xp, self.counter)
        return y, (mask,)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        dx = backend.empty(dy.shape, dy.dtype)
        backend.kernel(kernels.Dropout.backward)(backend.xp, dy, saved[0], dx=dx, rate=self.rate)
        return (dx,)


class StochasticDepth(KernelOperation):
    """y = x + branch mask / (1 - rate), one draw a sample."""

    label = "stochastic depth"

    def __init__(self, rate: float, key: Key, counter: Array) -> None:
        self.rate, self.key, self.counter = rate, key, counter

    def forward(self, backend: Backend, x: Array, branch: Array) -> tuple[Array, Any]:
        y = backend.empty(x.shape, x.dtype)
        mask = backend.empty((x.shape[0],) + (1,) * (x.ndim - 1), "bool")
        backend.kernel(kernels.StochasticDepth.forward)(
            backend.xp, x, branch, self.counter, y=y, mask=mask, rate=self.rate, key=self.key
        )
        backend.kernel(kernels.advance)(backend.xp, self.counter)
        return y, (mask,)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        dbranch = backend.empty(dy.shape, dy.dtype) if needed[1] else None
        backend.kernel(kernels.StochasticDepth.backward)(backend.xp, dy, saved[0], dbranch=dbranch, rate=self.rate)
        return (dy if needed[0] else None, dbranch)
