"""Which losses of classes does compiled C compute? All: rows side by side where classes are few, by row where many."""

from typing import Any

from backends.kernels.loss import CrossEntropy, CrossEntropyProbabilities, Hinge, WeightedCrossEntropy
from backends.kernels.pair import Array
from backends.native.table import kernels, replaces

Work = tuple[Array, ...]


@replaces(CrossEntropy.forward)
def _cross_entropy(logits: Array, labels: Array, rows: Array, *, losses: Array, probabilities: Array) -> Any:
    return kernels.cross_entropy(logits, labels, losses, probabilities)


@replaces(CrossEntropy.backward)
def _cross_entropy_gradient(dlosses: Array, probabilities: Array, labels: Array, rows: Array, *, dlogits: Array) -> Any:
    return kernels.cross_entropy_gradient(dlosses, probabilities, labels, dlogits)


@replaces(WeightedCrossEntropy.forward)
def _weighted(
    logits: Array,
    labels: Array,
    rows: Array,
    class_weight: Array,
    *,
    losses: Array,
    probabilities: Array,
    label_smoothing: float,
) -> Any:
    return kernels.weighted_cross_entropy(logits, labels, class_weight, losses, probabilities, label_smoothing)


@replaces(WeightedCrossEntropy.backward)
def _weighted_gradient(
    dlosses: Array,
    probabilities: Array,
    labels: Array,
    rows: Array,
    class_weight: Array,
    *,
    dlogits: Array,
    label_smoothing: float,
) -> Any:
    return kernels.weighted_cross_entropy_gradient(
        dlosses, probabilities, labels, class_weight, dlogits, label_smoothing
    )


@replaces(CrossEntropyProbabilities.forward)
def _soft(
    logits: Array,
    target: Array,
    class_weight: Array | None,
    *,
    losses: Array,
    probabilities: Array,
    work: Work,
    label_smoothing: float,
) -> Any:
    return kernels.soft_cross_entropy(logits, target, class_weight, losses, probabilities, label_smoothing)


@replaces(CrossEntropyProbabilities.backward)
def _soft_gradient(
    dlosses: Array,
    probabilities: Array,
    target: Array,
    class_weight: Array | None,
    *,
    dlogits: Array,
    work: Work,
    label_smoothing: float,
) -> Any:
    return kernels.soft_cross_entropy_gradient(dlosses, probabilities, target, class_weight, dlogits, label_smoothing)


@replaces(Hinge.forward)
def _hinge(scores: Array, labels: Array, rows: Array, *, losses: Array, work: Work, margin: float) -> Any:
    return kernels.hinge(scores, labels, losses, margin)


@replaces(Hinge.backward)
def _hinge_gradient(dlosses: Array, scores: Array, labels: Array, rows: Array, *, dscores: Array, margin: float) -> Any:
    return kernels.hinge_gradient(dlosses, scores, labels, dscores, margin)
