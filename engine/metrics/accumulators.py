"""How is a metric gathered batch by batch? Sums that stay on the device until the result is asked for."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from backends.backend import Backend
from backends.kernels.pair import Array, Namespace
from engine.errors import ArgumentError, ShapeError, unknown_name
from engine.metrics.forms import Host, arrays, check_labels, decide, difference, to_host
from engine.value import Value

Average = Literal["macro", "micro"]


class Metric:
    """A number over a whole data set, from batches of any size: ``update`` for each, then ``result``.

    The result is that of one batch with all samples, because sums are gathered, not results. ``update`` reads nothing
    from the device.

    Outputs are raw (logits). With labels (batch,), outputs (batch, classes) stand for the class with the largest one,
    outputs (batch,) and (batch, 1) for class 1 above ``threshold`` and class 0 below; targets 0 / 1, -1 / +1 and
    probabilities all count as class 1 above 1/2. Targets of the outputs' shape (batch, classes) are several labels a
    sample, each decided by the threshold, or with ``multilabel=False`` probabilities of one class, the largest of which
    counts.
    """

    name: str

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every batch."""
        self._sums: tuple[Any, ...] | None = None

    def update(self, output: Any, target: Any) -> None:
        """Count one batch in: Tensors or arrays, both on the same device."""
        sums = self._of_batch(*arrays(self.name, output, target))
        self._sums = sums if self._sums is None else tuple(a + b for a, b in zip(self._sums, sums, strict=True))

    def result(self) -> float:
        """The metric over all samples since the last ``reset``."""
        if self._sums is None:
            raise ArgumentError(
                f"{self.name}: no batch was given since the last reset; call update(output, target) first."
            )
        return float(self._of_all(*(to_host(value).astype(np.float64) for value in self._sums)))

    def state(self) -> dict[str, Any]:
        """What was gathered since the last ``reset``, for a checkpoint: NumPy arrays and plain values by name."""
        return {f"sum {place}": _kept(value) for place, value in enumerate(self._sums or ())}

    def load_state(self, state: Mapping[str, Any], backend: Backend) -> None:
        """Go on from what ``state`` gave, with batches of this backend."""
        self.reset()
        count = sum(name.startswith("sum ") for name in state)
        self._sums = tuple(_placed(state[f"sum {place}"], backend) for place in range(count)) or None

    def _of_batch(self, xp: Namespace, output: Array, target: Array) -> tuple[Any, ...]:
        """What is added up over the batches."""
        raise NotImplementedError

    def _of_all(self, *sums: Any) -> Any:
        """The result from the sums, on the host."""
        raise NotImplementedError


class Accuracy(Metric):
    """Right answers / answers; with several labels a sample, each label is an answer. See `accuracy`."""

    name = "accuracy"

    def __init__(self, threshold: float = 0.0, multilabel: bool = True) -> None:
        self.threshold, self.multilabel = threshold, multilabel
        super().__init__()

    def _of_batch(self, xp: Namespace, output: Array, target: Array) -> tuple[Any, ...]:
        predicted, actual, _ = decide(self.name, xp, output, target, self.threshold, self.multilabel)
        return (predicted == actual).sum(), predicted.size

    def _of_all(self, right: Any, answers: Any) -> Any:
        return right / answers


class TopKAccuracy(Metric):
    """How often the true class is among the k with the largest outputs. See `top_k_accuracy`."""

    def __init__(self, k: int = 5) -> None:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ArgumentError(f"top-k accuracy: k {k!r} was given; allowed are whole numbers from 1.")
        self.k, self.name = int(k), f"top-{k}"
        super().__init__()

    def _of_batch(self, xp: Namespace, output: Array, target: Array) -> tuple[Any, ...]:
        if output.ndim != 2 or target.ndim != 1 or output.shape[1] < self.k:
            raise ShapeError(
                f"{self.name}: outputs have shape {output.shape}, labels {target.shape}; allowed are "
                f"(batch, classes) with at least {self.k} classes, and (batch,)."
            )
        check_labels(self.name, target, output.shape[1])
        label = target[:, None].astype(xp.int64, copy=False)
        own = xp.take_along_axis(output, label, axis=1)
        # Among equals the lower class number goes first, as in argmax; a NaN is behind nothing, so that it never counts
        # as right.
        behind = (output < own) | ((output == own) & (xp.arange(output.shape[1]) >= label))
        return (behind.sum(axis=1) > output.shape[1] - self.k).sum(), len(target)

    def _of_all(self, right: Any, answers: Any) -> Any:
        return right / answers


class Counted(Metric):
    """What precision, recall and F1 share: right, predicted and actual counts of every class."""

    def __init__(self, average: Average = "macro", threshold: float = 0.0, multilabel: bool = True) -> None:
        if average not in ("macro", "micro"):
            raise unknown_name("average", str(average), ("macro", "micro"))
        self.average, self.threshold, self.multilabel = average, threshold, multilabel
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self._absent_count = False

    def state(self) -> dict[str, Any]:
        return {**super().state(), "absent count": self._absent_count}

    def load_state(self, state: Mapping[str, Any], backend: Backend) -> None:
        super().load_state(state, backend)
        self._absent_count = state["absent count"]

    def _of_batch(self, xp: Namespace, output: Array, target: Array) -> tuple[Any, ...]:
        predicted, actual, classes = decide(self.name, xp, output, target, self.threshold, self.multilabel)
        self._absent_count = predicted.ndim == 2
        if predicted.ndim == 1:
            predicted, actual = (one[:, None] == xp.arange(classes) for one in (predicted, actual))
        return (predicted & actual).sum(axis=0), predicted.sum(axis=0), actual.sum(axis=0)

    def _of_all(self, right: Any, predicted: Any, actual: Any) -> Any:
        if self.average == "micro":
            return self._ratio(right.sum(), predicted.sum(), actual.sum())
        of_class = self._ratio(right, predicted, actual)
        return of_class.mean() if self._absent_count else of_class[(predicted + actual) > 0].mean()

    def _ratio(self, right: Any, predicted: Any, actual: Any) -> Any:
        raise NotImplementedError

    def per_class(self) -> Host:
        """The metric of every class by itself (classes,)."""
        if self._sums is None:
            self.result()  # says what is missing
        return np.asarray(self._ratio(*(to_host(value).astype(np.float64) for value in self._sums or ())))


class Precision(Counted):
    """right / predicted: how many of those put into a class belong there. See `precision`."""

    name = "precision"

    def _ratio(self, right: Any, predicted: Any, actual: Any) -> Any:
        return right / np.maximum(predicted, 1)


class Recall(Counted):
    """right / actual: how many of a class were found. See `recall`."""

    name = "recall"

    def _ratio(self, right: Any, predicted: Any, actual: Any) -> Any:
        return right / np.maximum(actual, 1)


class F1(Counted):
    """2 right / (predicted + actual): the harmonic mean of precision and recall. See `f1`."""

    name = "f1"

    def _ratio(self, right: Any, predicted: Any, actual: Any) -> Any:
        return 2 * right / np.maximum(predicted + actual, 1)


class MeanAbsoluteError(Metric):
    """Mean of |output - target| over all elements. See `mean_absolute_error`."""

    name = "mae"

    def _of_batch(self, xp: Namespace, output: Array, target: Array) -> tuple[Any, ...]:
        return xp.abs(difference(self.name, xp, output, target)).sum(), output.size

    def _of_all(self, total: Any, elements: Any) -> Any:
        return total / elements


class MeanSquaredError(Metric):
    """Mean of (output - target)^2 over all elements. See `mean_squared_error`."""

    name = "mse"

    def _of_batch(self, xp: Namespace, output: Array, target: Array) -> tuple[Any, ...]:
        return xp.square(difference(self.name, xp, output, target)).sum(), output.size

    def _of_all(self, total: Any, elements: Any) -> Any:
        return total / elements


class R2(Metric):
    """1 - sum (target - output)^2 / sum (target - mean target)^2, the mean over the outputs. See `r2`."""

    name = "r2"

    def reset(self) -> None:
        super().reset()
        self._near: Array = None  # a value near the targets: squares of differences from it do not cancel

    def state(self) -> dict[str, Any]:
        return {**super().state(), "near": _kept(self._near)}

    def load_state(self, state: Mapping[str, Any], backend: Backend) -> None:
        super().load_state(state, backend)
        self._near = _placed(state["near"], backend)

    def _of_batch(self, xp: Namespace, output: Array, target: Array) -> tuple[Any, ...]:
        residual = xp.square(difference(self.name, xp, output, target)).sum(axis=0)
        if self._near is None:
            self._near = target[0].astype(xp.float64)
        offset = xp.subtract(target, self._near, dtype=xp.float64)
        return residual, offset.sum(axis=0), xp.square(offset).sum(axis=0), len(target)

    def _of_all(self, residual: Any, total: Any, squares: Any, samples: Any) -> Any:
        spread = np.maximum(squares - total * total / samples, 0.0)
        flat = spread <= 1e-15 * squares  # constant targets: nothing to explain
        explained = 1.0 - residual / np.where(flat, 1.0, spread)
        return np.where(flat, np.where(residual == 0, 1.0, 0.0), explained).mean()


class FunctionMetric(Metric):
    """A user's ``function(output, target)``: the mean of its numbers, each batch weighted by its samples."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function, self.name = function, getattr(function, "__name__", type(function).__name__)
        super().__init__()

    def update(self, output: Any, target: Any) -> None:
        value = self.function(output, target)
        value = value.array if isinstance(value, Value) else value
        if getattr(value, "size", 1) != 1 or isinstance(value, (str, list, tuple)) or value is None:
            raise ShapeError(f"metric {self.name}: it returned {type(value).__name__}; one number a batch is needed.")
        samples = len(output)
        weighted = (value.reshape(()) if getattr(value, "ndim", 0) else value) * samples
        before = (0.0, 0) if self._sums is None else self._sums
        self._sums = (before[0] + weighted, before[1] + samples)

    def _of_all(self, total: Any, samples: Any) -> Any:
        return total / samples


def _kept(value: Any) -> Any:
    """On the host, where it is an array's; a plain number as it is."""
    return value if value is None or type(value) in (int, float) else np.array(to_host(value))


def _placed(value: Any, backend: Backend) -> Any:
    return backend.asarray(np.array(value)) if isinstance(value, np.ndarray) else value
