"""How do penalties join the graph? One node for all weights, so that a net of any depth pays for one."""

from collections.abc import Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels import penalty as kernels
from backends.kernels.pair import Array
from backends.kernels.shape import Fill
from engine.operations.core import KernelOperation


class ElasticNet(KernelOperation):
    """y = the sum over all inputs of squares sum(w^2) + absolutes sum(|w|)."""

    label = "penalty"

    def __init__(self, squares: float, absolutes: float) -> None:
        self.factors = {"squares": squares, "absolutes": absolutes}

    def forward(self, backend: Backend, *weights: Array) -> tuple[Array, Any]:
        value = backend.empty((1,), weights[0].dtype)
        backend.kernel(Fill.forward)(backend.xp, y=value, value=0)
        for w in weights:
            work, total = backend.empty(w.shape, w.dtype), backend.empty((1,) * w.ndim, w.dtype)
            backend.kernel(kernels.ElasticNet.forward)(
                backend.xp, w, value=value, total=total, work=work, **self.factors
            )
        return value.reshape(()), weights

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        gradients: list[Array | None] = []
        for w, wanted in zip(saved, needed, strict=True):
            if not wanted:
                gradients.append(None)
                continue
            dw, work = backend.empty(w.shape, w.dtype), backend.empty(w.shape, w.dtype)
            backend.kernel(kernels.ElasticNet.backward)(backend.xp, dy, w, dw=dw, work=work, **self.factors)
            gradients.append(dw)
        return gradients
