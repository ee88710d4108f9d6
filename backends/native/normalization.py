"""Which normalisations does compiled C compute? Batch norm, in training and in evaluation, and layer norm.

`work` is accepted and not used.
"""

from typing import Any

from backends.kernels.normalization import BatchNorm, BatchNormEvaluation, LayerNorm, update_running
from backends.kernels.pair import Array
from backends.native.table import kernels, replaces


@replaces(BatchNorm.forward)
def _batch_norm(
    x: Array,
    gain: Array | None,
    bias: Array | None,
    *,
    y: Array,
    normalized: Array,
    mean: Array,
    variance: Array,
    inverse_deviation: Array,
    eps: float,
) -> Any:
    return kernels.batch_norm(x, gain, bias, y, normalized, mean, variance, inverse_deviation, eps)


@replaces(BatchNorm.backward)
def _batch_norm_gradient(
    dy: Array,
    normalized: Array,
    gain: Array | None,
    inverse_deviation: Array,
    *,
    dx: Array | None,
    dgain: Array | None,
    dbias: Array | None,
    work: Any,
) -> Any:
    if dx is None:
        return kernels.affine_gradient(dy, normalized, dgain, dbias)
    return kernels.batch_norm_gradient(dy, normalized, dgain, dbias, dx, gain, inverse_deviation)


@replaces(update_running)
def _update_running(
    mean: Array,
    variance: Array,
    *,
    running_mean: Array,
    running_variance: Array,
    momentum: float,
    batch: int,
    work: Any,
) -> Any:
    return batch > 1 and kernels.update_running(mean, variance, running_mean, running_variance, momentum, batch)


@replaces(BatchNormEvaluation.forward)
def _batch_norm_evaluation(
    x: Array,
    gain: Array | None,
    bias: Array | None,
    running_mean: Array,
    running_variance: Array,
    *,
    y: Array,
    normalized: Array | None,
    inverse_deviation: Array,
    eps: float,
) -> Any:
    return kernels.batch_norm_evaluation(
        x, gain, bias, y, normalized, running_mean, running_variance, inverse_deviation, eps
    )


@replaces(BatchNormEvaluation.backward)
def _batch_norm_evaluation_gradient(
    dy: Array,
    normalized: Array | None,
    gain: Array | None,
    inverse_deviation: Array,
    *,
    dx: Array | None,
    dgain: Array | None,
    dbias: Array | None,
    work: Any,
) -> Any:
    return kernels.affine_gradient(dy, normalized, dgain, dbias) and (
        dx is None or kernels.batch_norm_evaluation_gradient(dy, gain, inverse_deviation, dx)
    )


@replaces(LayerNorm.forward)
def _layer_norm(
    x: Array,
    gain: Array | None,
    bias: Array | None,
    *,
    y: Array,
    normalized: Array,
    inverse_deviation: Array,
    eps: float,
) -> Any:
    return kernels.layer_norm(x, gain, bias, y, normalized, inverse_deviation, eps)


@replaces(LayerNorm.backward)
def _layer_norm_gradient(
    dy: Array,
    normalized: Array,
    gain: Array | None,
    inverse_deviation: Array,
    *,
    dx: Array | None,
    dgain: Array | None,
    dbias: Array | None,
    work: Any,
) -> Any:
    return kernels.affine_gradient(dy, normalized, dgain, dbias) and (
        dx is None or kernels.layer_norm_gradient(dy, normalized, gain, inverse_deviation, dx)
    )
