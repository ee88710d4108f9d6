"""Which losses of single numbers and of points does compiled C compute? One pass over prediction and target each."""

from typing import Any

from backends.kernels.loss import BinaryCrossEntropy, BinaryCrossEntropyLogits, Logistic
from backends.kernels.pair import Array
from backends.kernels.regression_loss import Huber, MeanAbsoluteError, MeanSquaredError, SquaredError, TripletMargin
from backends.native.table import kernels, replaces

Work = tuple[Array, ...]


@replaces(MeanSquaredError.forward)
def _mean_squared(prediction: Array, target: Array, *, losses: Array) -> Any:
    return kernels.squared_losses(prediction, target, losses, 0.0)


@replaces(MeanSquaredError.backward)
def _mean_squared_gradient(
    dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, dtarget: Array
) -> Any:
    return kernels.squared_gradient(dlosses, prediction, target, dprediction, dtarget, 0.0)


@replaces(MeanAbsoluteError.forward)
def _mean_absolute(prediction: Array, target: Array, *, losses: Array) -> Any:
    return kernels.absolute_losses(prediction, target, losses, 0.0)


@replaces(MeanAbsoluteError.backward)
def _mean_absolute_gradient(
    dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, dtarget: Array
) -> Any:
    return kernels.absolute_gradient(dlosses, prediction, target, dprediction, dtarget, 0.0)


@replaces(Huber.forward)
def _huber(prediction: Array, target: Array, *, losses: Array, work: Work, delta: float) -> Any:
    return kernels.huber_losses(prediction, target, losses, delta)


@replaces(Huber.backward)
def _huber_gradient(
    dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, dtarget: Array, delta: float
) -> Any:
    return kernels.huber_gradient(dlosses, prediction, target, dprediction, dtarget, delta)


@replaces(BinaryCrossEntropy.forward)
def _binary(prediction: Array, target: Array, *, losses: Array, work: Work) -> Any:
    return kernels.binary_losses(prediction, target, losses, 0.0)


@replaces(BinaryCrossEntropy.backward)
def _binary_gradient(dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, work: Work) -> Any:
    return kernels.binary_gradient(dlosses, prediction, target, dprediction, None, 0.0)


@replaces(BinaryCrossEntropyLogits.forward)
def _binary_logits(prediction: Array, target: Array, *, losses: Array, work: Work) -> Any:
    return kernels.binary_logits_losses(prediction, target, losses, 0.0)


@replaces(BinaryCrossEntropyLogits.backward)
def _binary_logits_gradient(dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, work: Work) -> Any:
    return kernels.binary_logits_gradient(dlosses, prediction, target, dprediction, None, 0.0)


@replaces(Logistic.forward)
def _logistic(prediction: Array, target: Array, *, losses: Array, work: Work) -> Any:
    return kernels.logistic_losses(prediction, target, losses, 0.0)


@replaces(Logistic.backward)
def _logistic_gradient(dlosses: Array, losses: Array, target: Array, *, dprediction: Array) -> Any:
    return kernels.logistic_gradient(dlosses, losses, target, dprediction, None, 0.0)


@replaces(SquaredError.forward)
def _squared_error(prediction: Array, target: Array, *, losses: Array, work: Work, factor: float) -> Any:
    return kernels.squared_error(prediction, target, losses, factor)


@replaces(SquaredError.backward)
def _squared_error_gradient(
    dlosses: Array, prediction: Array, target: Array, *, dprediction: Array, dtarget: Array, factor: float
) -> Any:
    return kernels.squared_error_gradient(dlosses, prediction, target, dprediction, dtarget, factor)


@replaces(TripletMargin.forward)
def _triplet(anchor: Array, positive: Array, negative: Array, *, losses: Array, work: Work, margin: float) -> Any:
    return kernels.triplet(anchor, positive, negative, losses, margin)


@replaces(TripletMargin.backward)
def _triplet_gradient(
    dlosses: Array,
    losses: Array,
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    danchor: Array,
    dpositive: Array,
    dnegative: Array,
) -> Any:
    return kernels.triplet_gradient(dlosses, losses, anchor, positive, negative, danchor, dpositive, dnegative)
