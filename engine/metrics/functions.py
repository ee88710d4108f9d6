"""How good are these outputs? Each metric in one call, on arrays or Tensors."""

from typing import Any

import numpy as np

from engine.errors import ArgumentError, DataError, ShapeError
from engine.metrics.accumulators import (
    F1,
    R2,
    Accuracy,
    Average,
    Counted,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Precision,
    Recall,
    TopKAccuracy,
)
from engine.metrics.forms import Host, arrays, decide, to_host


def accuracy(scores: Any, labels: Any, *, threshold: float = 0.0, multilabel: bool = True) -> float:
    """The share of right answers.

    Args:
        scores: raw outputs (batch, classes), (batch,) or (batch, 1); or predicted class numbers (batch,) of an integer
            dtype.
        labels: class numbers (batch,), or targets of the scores' shape; see `Metric`.
        threshold: with one output, class 1 is above it: 0 for logits, 0.5 for probabilities.
        multilabel: whether targets (batch, classes) are labels of their own, or probabilities of one class.

    >>> accuracy([[0.1, 2.0], [3.0, 0.2]], [1, 1])
    0.5
    >>> accuracy([0.3, -0.2, 0.4], [1, 0, 0])
    0.6666666666666666
    """
    return _once(Accuracy(threshold, multilabel), scores, labels)


def top_k_accuracy(scores: Any, labels: Any, k: int = 5) -> float:
    """How often the true class is among the k with the largest scores; of equal ones the lower class comes first.

    >>> top_k_accuracy([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]], [2, 0], k=2)
    0.5
    """
    metric = TopKAccuracy(k)
    metric.update(scores, labels)
    return metric.result()


def confusion_matrix(predicted: Any, labels: Any, classes: int | None = None) -> Host:
    """How often class i (row) was taken for class j (column): whole numbers (classes, classes).

    Args:
        predicted: class numbers (batch,) of an integer dtype, or raw outputs.
        labels: class numbers (batch,).
        classes: how many there are; by default as many as the outputs have, or as the largest number says.

    >>> confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2])
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    xp, output, target = arrays("confusion matrix", *_scores(predicted, labels))
    guessed, actual, found = decide("confusion matrix", xp, output, target, 0.0, False)
    size = found if classes is None else int(classes)
    if size < found:
        highest = int(to_host(xp.maximum(guessed.max(), actual.max())))
        if highest >= size:
            raise ArgumentError(
                f"confusion matrix: classes {classes} was given; class number {highest} needs {highest + 1}."
            )
    cells = to_host(actual).astype(np.int64) * size + to_host(guessed).astype(np.int64)
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def precision(
    scores: Any, labels: Any, *, average: Average | None = "macro", threshold: float = 0.0, multilabel: bool = True
) -> Any:
    """right / predicted, class by class; 0 where nothing was predicted to be in a class.

    Args:
        scores, labels, threshold, multilabel: as in `accuracy`; one output counts as the two classes 0 and 1.
        average: "macro", the mean over the classes that occur in the labels or the predictions (with several labels a
            sample: over all); "micro", the counts added up first; None, an array (classes,).

    >>> precision([0, 1, 1, 2], [0, 1, 2, 2], average=None)
    array([1. , 0.5, 1. ])
    """
    return _counted(Precision, scores, labels, average, threshold, multilabel)


def recall(
    scores: Any, labels: Any, *, average: Average | None = "macro", threshold: float = 0.0, multilabel: bool = True
) -> Any:
    """right / actual, class by class; 0 where a class has no sample. Arguments as in `precision`.

    >>> recall([0, 1, 1, 2], [0, 1, 2, 2], average=None)
    array([1. , 1. , 0.5])
    """
    return _counted(Recall, scores, labels, average, threshold, multilabel)


def f1(
    scores: Any, labels: Any, *, average: Average | None = "macro", threshold: float = 0.0, multilabel: bool = True
) -> Any:
    """2 right / (predicted + actual), class by class; 0 where both are 0. Arguments as in `precision`.

    >>> round(f1([0, 1, 1, 2], [0, 1, 2, 2]), 4)
    0.7778
    """
    return _counted(F1, scores, labels, average, threshold, multilabel)


def mean_absolute_error(outputs: Any, targets: Any) -> float:
    """Mean of |output - target| over all elements; both of one shape.

    >>> mean_absolute_error([1.0, 4.0], [2.0, 2.0])
    1.5
    """
    return _once(MeanAbsoluteError(), outputs, targets)


def mean_squared_error(outputs: Any, targets: Any) -> float:
    """Mean of (output - target)^2 over all elements; both of one shape.

    >>> mean_squared_error([1.0, 4.0], [2.0, 2.0])
    2.5
    """
    return _once(MeanSquaredError(), outputs, targets)


def r2(outputs: Any, targets: Any) -> float:
    """1 - sum (target - output)^2 / sum (target - mean target)^2: 1 is perfect, 0 as good as the mean.

    Averaged over the outputs. Where all targets are equal it is 1 for perfect outputs, else 0.

    >>> r2([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    0.5
    """
    return _once(R2(), outputs, targets)


def _once(metric: Metric, scores: Any, labels: Any) -> float:
    metric.update(*(_scores(scores, labels) if isinstance(metric, Accuracy) else (scores, labels)))
    return metric.result()


def _counted(
    kind: type[Counted], scores: Any, labels: Any, average: Average | None, threshold: float, multilabel: bool
) -> Any:
    metric = kind(average or "macro", threshold, multilabel)
    metric.update(*_scores(scores, labels))
    return metric.per_class() if average is None else metric.result()


def _scores(scores: Any, labels: Any) -> tuple[Any, Any]:
    # Predicted class numbers become one-hot scores: from there on there is one case less.
    xp, output, target = arrays("metric", scores, labels)
    if output.ndim != 1 or output.dtype.kind not in "iub" or target.dtype.kind == "f":
        return output, target
    if output.shape != target.shape or not output.size:
        raise ShapeError(
            f"metric: predictions have shape {output.shape}, labels {target.shape}; both are (batch,), not empty."
        )
    if int(to_host(xp.minimum(output, target).min())) < 0:
        raise DataError("metric: a class number below 0 was given; class numbers count from 0.")
    classes = int(to_host(xp.maximum(output, target).max())) + 1
    return output[:, None] == xp.arange(max(classes, 2)), target
