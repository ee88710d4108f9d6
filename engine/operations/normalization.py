"""How do normalisations join the graph? Batch norm (training and evaluation) and layer norm, over (rows, features)."""

from collections.abc import Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels import normalization as kernels
from backends.kernels.pair import Array
from engine.operations.core import KernelOperation


def _work(backend: Backend, like: Array, count: int) -> tuple[Array, ...]:
    return tuple(backend.empty(like.shape, like.dtype) for _ in range(count))


class _Normalization(KernelOperation):
    """Rows (batch, features) normalised, then scaled by a gain and moved by a bias; either may be None."""

    pair: Any

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        normalized, gain, inverse_deviation = saved
        outputs = {
            "dx": backend.empty(normalized.shape, dy.dtype) if needed[0] else None,
            "dgain": backend.empty(gain.shape, dy.dtype) if gain is not None and needed[1] else None,
            "dbias": backend.empty((normalized.shape[1],), dy.dtype) if needed[2] else None,
        }
        work = _work(backend, dy, self.pair.backward_work)
        backend.kernel(self.pair.backward)(backend.xp, dy, normalized, gain, inverse_deviation, work=work, **outputs)
        return tuple(outputs.values())


class BatchNorm(_Normalization):
    """Training: normalised by the batch's own mean and variance; forward updates the running estimates."""

    pair = kernels.BatchNorm

    def __init__(self, running: tuple[Array, Array], momentum: float, eps: float) -> None:
        self.running, self.momentum, self.eps = running, momentum, eps

    def forward(self, backend: Backend, x: Array, gain: Array | None, bias: Array | None) -> tuple[Array, Any]:
        y, normalized = _work(backend, x, 2)
        mean, variance, inverse_deviation, work = (backend.empty((x.shape[1],), x.dtype) for _ in range(4))
        backend.kernel(kernels.BatchNorm.forward)(
            backend.xp,
            x,
            gain,
            bias,
            y=y,
            normalized=normalized,
            mean=mean,
            variance=variance,
            inverse_deviation=inverse_deviation,
            eps=self.eps,
        )
        running_mean, running_variance = self.running
        backend.kernel(kernels.update_running)(
            backend.xp,
            mean,
            variance,
            running_mean=running_mean,
            running_variance=running_variance,
            momentum=self.momentum,
            batch=x.shape[0],
            work=work,
        )
        return y, (normalized, gain, inverse_deviation)


class BatchNormEvaluation(_Normalization):
    """Evaluation: normalised by the running mean and variance, which get no gradient."""

    pair = kernels.BatchNormEvaluation
    label = "batchnorm"

    def __init__(self, running_mean: Array, running_variance: Array, eps: float) -> None:
        self.running_mean, self.running_variance, self.eps = running_mean, running_variance, eps

    def forward(self, backend: Backend, x: Array, gain: Array | None, bias: Array | None) -> tuple[Array, Any]:
        y, normalized = _work(backend, x, 2)
        inverse_deviation = backend.empty((x.shape[1],), x.dtype)
        backend.kernel(kernels.BatchNormEvaluation.forward)(
            backend.xp,
            x,
            gain,
            bias,
            self.running_mean,
            self.running_variance,
            y=y,
            normalized=normalized,
            inverse_deviation=inverse_deviation,
            eps=self.eps,
        )
        return y, (normalized, gain, inverse_deviation)


class LayerNorm(_Normalization):
    """Each row normalised by its own mean and variance."""

    pair = kernels.LayerNorm

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, backend: Backend, x: Array, gain: Array | None, bias: Array | None) -> tuple[Array, Any]:
        y, normalized = _work(backend, x, 2)
        inverse_deviation = backend.empty((x.shape[0], 1), x.dtype)
        backend.kernel(kernels.LayerNorm.forward)(
            backend.xp, x, gain, bias, y=y, normalized=normalized, inverse_deviation=inverse_deviation, eps=self.eps
        )
        return y, (normalized, gain, inverse_deviation)
