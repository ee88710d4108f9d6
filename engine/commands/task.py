"""How do a task and a loss meet? The form of the targets, how many outputs there are, what outputs say."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from engine import metrics
from engine.data import Dataset
from engine.data.dataset import Task
from engine.errors import ArgumentError
from engine.losses.loss import Loss

Numbers = np.ndarray[Any, Any]

# Of three embeddings, not of outputs and targets: it trains no classifier.
LOSSES = tuple(name for name in Loss.names() if name != "triplet-margin")
_LABELS = ("cross-entropy", "hinge")
_YES_OR_NO = ("binary-cross-entropy", "logistic")
_AUTO = {"multiclass": "cross-entropy", "binary": "binary-cross-entropy", "regression": "mean-squared-error"}
_REGRESSION = tuple(name for name in LOSSES if name not in (*_LABELS, *_YES_OR_NO))


def default_loss(task: Task) -> str:
    """The loss that suits a task.

    >>> default_loss("regression")
    'mean-squared-error'
    """
    if task not in _AUTO:
        raise ArgumentError(f"task {task}: it has no loss of its own yet; allowed are {', '.join(_AUTO)}.")
    return _AUTO[task]


def check(loss: str, data: Dataset) -> None:
    """Refuse a loss that cannot be computed from these targets.

    Raises:
        ArgumentError: the targets are numbers and the loss wants classes.
    """
    if data.task == "regression" and loss not in _REGRESSION:
        raise ArgumentError(
            f"loss {loss}: it needs classes, and the targets of {data.name} are numbers. "
            f"Use one of {', '.join(_REGRESSION)}."
        )


def outputs(loss: str, data: Dataset) -> int:
    """How many numbers the model gives for a sample."""
    if data.task == "regression":
        return 1 if data.y.ndim == 1 else int(data.y.shape[1])
    return 1 if _single(loss, data.task) else data.classes


def _single(loss: str, task: str) -> bool:
    return task == "binary" and loss not in _LABELS


def targets(loss: str, data: Dataset, dtype: str) -> Numbers:
    """The targets in the form that the loss wants.

    Labels (samples,) for cross-entropy and hinge; otherwise numbers (samples, outputs): the regression's own, or 1 for
    a sample's class and 0 for the others (-1 for logistic), in one column where there are two classes.
    """
    if data.task == "regression":
        return data.y.reshape(len(data), -1).astype(dtype, copy=False)
    if loss in _LABELS:
        return data.y
    one = data.y[:, None] == (np.ones(1) if _single(loss, data.task) else np.arange(data.classes))
    return np.where(one, 1.0, -1.0 if loss == "logistic" else 0.0).astype(dtype)


def measures(loss: str, task: str) -> list[metrics.Metric]:
    """What is reported beside the loss."""
    if task == "regression":
        return [metrics.get("mae"), metrics.get("r2")]
    return [metrics.get("accuracy", threshold=_threshold(loss), multilabel=False)]


def _threshold(loss: str) -> float:
    return 0.0 if loss in _YES_OR_NO else 0.5  # of logits; of numbers fitted to 0 and 1


class Said(NamedTuple):
    """What raw outputs say: classes (samples,), and a number for each class (samples, classes), called ``kind``."""

    classes: Numbers
    numbers: Numbers
    kind: str


def said(loss: str, output: Numbers) -> Said:
    """Classes and their probabilities, or scores where the loss is not made of probabilities.

    Args:
        loss: its name.
        output: raw outputs (samples, outputs); one output speaks for class 1 of two.

    >>> classes, numbers, kind = said("binary-cross-entropy", np.array([[0.0], [1.0]]))
    >>> classes.tolist(), numbers.round(2).tolist(), kind
    ([0, 1], [[0.5, 0.5], [0.27, 0.73]], 'probability')
    """
    output = output.astype(np.float64)
    turn: Callable[[Numbers], Numbers] = _sigmoid if loss in _YES_OR_NO else np.asarray
    if loss == "cross-entropy":
        turn = _softmax
    numbers = turn(output)
    kind = "score" if turn is np.asarray else "probability"
    if output.shape[1] > 1:
        return Said(output.argmax(axis=1), numbers, kind)
    classes = (output[:, 0] > _threshold(loss)).astype(np.int64)
    return Said(classes, np.concatenate([1.0 - numbers, numbers], axis=1), kind)


def _softmax(z: Numbers) -> Numbers:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    result: Numbers = e / e.sum(axis=1, keepdims=True)
    return result


def _sigmoid(z: Numbers) -> Numbers:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)
