"""How do normalisations join the graph? Batch norm (training and evaluation) and layer norm, over (rows, features)."""

from collections.abc import Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels import normalization as kernels
from backends.kernels.pair import Array
from engine.operations.core import KernelOperation


def _affine_outputs(
    backend: Backend, x: Array, gain: Array | None, dy: Array, needed: Sequence[bool]
) -> dict[str, Array | None]:
    """Arrays for the gradients that are wanted."""
    return {
        "dx": backend.empty(x.shape, dy.dtype) if needed[0] else None,
        "dgain": backend.empty(gain.shape, dy.dtype) if gain is not None and needed[1] else None,
        "dbias": backend.empty((x.shape[1],), dy.dtype) if needed[2] else None,
    }


def _work(backend: Backend, like: Array, count: int) -> tuple[Array, ...]:
    return tuple(backend.empty(like.shape, like.dtype) for _ in range(count))


class BatchNorm(KernelOperation):
    """Training: normalised by the batch's own mean and variance; forward updates the running estimates."""

    def __init__(self, running: tuple[Array, Array] | None, momentum: float, eps: float) -> None:
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
        if self.running is not None:
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

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        normalized, gain, inverse_deviation = saved
        outputs = _affine_outputs(backend, normalized, gain, dy, needed)
        work = _work(backend, dy, kernels.BatchNorm.backward_work)
        backend.kernel(kernels.BatchNorm.backward)(
            backend.xp, dy, normalized, gain, inverse_deviation, work=work, **outputs
        )
        return tuple(outputs.values())


class BatchNormEvaluation(KernelOperation):
    """Evaluation: normalised by the running mean and variance, which get no gradient."""

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

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        normalized, gain, inverse_deviation = saved
        outputs = _affine_outputs(backend, normalized, gain, dy, needed)
        work = _work(backend, dy, kernels.BatchNormEvaluation.backward_work)
        backend.kernel(kernels.BatchNormEvaluation.backward)(
            backend.xp, dy, normalized, gain, inverse_deviation, work=work, **outputs
        )
        return tuple(outputs.values())


class LayerNorm(KernelOperation):
    """Each row normalised by its own mean and variance."""

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, backend: Backend, x: Array, gain: Array | None, bias: Array | None) -> tuple[Array, Any]:
        y, normalized = _work(backend, x, 2)
        inverse_deviation = backend.empty((x.shape[0], 1), x.dtype)
        backend.kernel(kernels.LayerNorm.forward)(
            backend.xp, x, gain, bias, y=y, normalized=normalized, inverse_deviation=inverse_deviation, eps=self.eps
        )
        return y, (normalized, gain, inverse_deviation)

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        normalized, gain, inverse_deviation = saved
        outputs = _affine_outputs(backend, normalized, gain, dy, needed)
        work = _work(backend, dy, kernels.LayerNorm.backward_work)
        backend.kernel(kernels.LayerNorm.backward)(
            backend.xp, dy, normalized, gain, inverse_deviation, work=work, **outputs
        )
        return tuple(outputs.values())
