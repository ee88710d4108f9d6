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
_NUMBERS = tuple(name for name in LOSSES if name not in (*_LABELS, *_YES_OR_NO))
_AUTO = {
    "multiclass": "cross-entropy",
    "binary": "binary-cross-entropy",
    "multilabel": "binary-cross-entropy",
    "regression": "mean-squared-error",
}
LOSS_HELP = (
    f"for one class a sample: {', '.join(_LABELS)}; for yes or no to each class or label: "
    f"{', '.join(_YES_OR_NO)}; for numbers (classes and labels as 0 and 1): {', '.join(_NUMBERS)}; auto suits the data"
)


def default_loss(task: Task) -> str:
    """The loss that suits a task.

    >>> default_loss("regression")
    'mean-squared-error'
    """
    return _AUTO[task]


def of_loss(loss: str, outputs: int) -> Task:
    """The task that a loss is for, where a model has so many outputs.

    >>> of_loss("hinge", 3), of_loss("logistic", 1), of_loss("logistic", 3)
    ('multiclass', 'binary', 'multilabel')
    """
    if loss in _YES_OR_NO:
        return "binary" if outputs == 1 else "multilabel"
    return "multiclass" if loss in _LABELS else "regression"


def check(loss: str, data: Dataset) -> None:
    """Refuse a loss that cannot be computed from these targets.

    Raises:
        ArgumentError: the targets are numbers and the loss wants classes, or several labels and it wants one class.
    """
    if data.task == "regression" and loss not in _NUMBERS:
        raise ArgumentError(
            f"loss {loss}: it needs classes, and the targets of {data.name} are numbers. "
            f"Use one of {', '.join(_NUMBERS)}."
        )
    if data.task == "multilabel" and loss in _LABELS:
        raise ArgumentError(
            f"loss {loss}: it needs one class a sample, and those of {data.name} have several labels. "
            f"Use one of {', '.join((*_YES_OR_NO, *_NUMBERS))}."
        )


def outputs(loss: str, data: Dataset) -> int:
    """How many numbers the model gives for a sample."""
    if data.task in ("regression", "multilabel"):
        return 1 if data.y.ndim == 1 else int(data.y.shape[1])
    return 1 if _single(loss, data.task) else data.classes


def _single(loss: str, task: str) -> bool:
    return task == "binary" and loss not in _LABELS


def targets(loss: str, data: Dataset, dtype: str) -> Numbers:
    """The targets in the form that the loss wants.

    Labels (samples,) for cross-entropy and hinge; otherwise numbers (samples, outputs): the regression's own, or 1 for
    a sample's class and 0 for the others (-1 for logistic), in one column where there are two classes; likewise 1 for
    each label that a sample has.
    """
    if data.task == "regression":
        return data.y.reshape(len(data), -1).astype(dtype, copy=False)
    if data.task == "multilabel":
        one = data.y == 1
    elif loss in _LABELS:
        return data.y
    else:
        one = data.y[:, None] == (np.ones(1) if _single(loss, data.task) else np.arange(data.classes))
    return np.where(one, 1.0, -1.0 if loss == "logistic" else 0.0).astype(dtype)


def measures(loss: str, task: str) -> list[metrics.Metric]:
    """What is reported beside the loss."""
    if task == "regression":
        return [metrics.get("mae"), metrics.get("r2")]
    if task == "multilabel":
        return [metrics.get(name, threshold=threshold(loss), multilabel=True) for name in ("accuracy", "f1")]
    return [metrics.get("accuracy", threshold=threshold(loss), multilabel=False)]


def threshold(loss: str) -> float:
    """What an output is above where it says yes."""
    return 0.0 if loss in _YES_OR_NO else 0.5  # of logits; of numbers fitted to 0 and 1


class Said(NamedTuple):
    """What raw outputs say: classes (samples,), and a number for each class (samples, classes), called ``kind``.

    Of several labels: classes (samples, labels) are 0 or 1, and there is a number for each label.
    """

    classes: Numbers
    numbers: Numbers
    kind: str


def said(loss: str, output: Numbers, task: str | None = None) -> Said:
    """Classes and their probabilities, or scores where the loss is not made of probabilities.

    Args:
        loss: its name.
        output: raw outputs (samples, outputs); one output speaks for class 1 of two.
        task: "multilabel" where each output speaks for a label of its own.

    >>> classes, numbers, kind = said("binary-cross-entropy", np.array([[0.0], [1.0]]))
    >>> classes.tolist(), numbers.round(2).tolist(), kind
    ([0, 1], [[0.5, 0.5], [0.27, 0.73]], 'probability')
    >>> said("binary-cross-entropy", np.array([[0.0, 1.0]]), "multilabel").classes.tolist()
    [[0, 1]]
    """
    output = output.astype(np.float64)
    turn: Callable[[Numbers], Numbers] = _sigmoid if loss in _YES_OR_NO else np.asarray
    if loss == "cross-entropy":
        turn = _softmax
    numbers = turn(output)
    kind = "score" if turn is np.asarray else "probability"
    if task == "multilabel":
        return Said((output > threshold(loss)).astype(np.int64), numbers, kind)
    if output.shape[1] > 1:
        return Said(output.argmax(axis=1), numbers, kind)
    classes = (output[:, 0] > threshold(loss)).astype(np.int64)
    return Said(classes, np.concatenate([1.0 - numbers, numbers], axis=1), kind)


def _softmax(z: Numbers) -> Numbers:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    result: Numbers = e / e.sum(axis=1, keepdims=True)
    return result


def _sigmoid(z: Numbers) -> Numbers:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)
