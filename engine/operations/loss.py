"""How do losses join the graph? One node computes the losses of all units, their average, and the gradient of both."""

import functools
import math
from collections.abc import Sequence
from typing import Any

from backends.backend import Backend
from backends.kernels import averaging
from backends.kernels.arithmetic import Multiply
from backends.kernels.pair import Array
from backends.kernels.shape import Fill
from engine.operations.core import KernelOperation


@functools.lru_cache(maxsize=64)
def _rows(backend: Backend, count: int) -> Array:
    """0, 1, ... count - 1 on the device, to index one class a sample; kept, because every step wants the same."""
    return backend.xp.arange(count)


class LossOperation(KernelOperation):
    """value = the sum or the mean of pair(prediction, target), or each unit's loss by itself.

    Args:
        pair: a kernel pair of backends/kernels/loss.py or regression_loss.py.
        inputs: the pair's names for its inputs, in order; "rows" is made here, the others are the operation's inputs.
        gradients: the pair's names for the gradients of the first inputs.
        per_sample: whether a unit is a sample (losses (batch,)) or an element (losses of the prediction's shape).
        reduction: "mean", "sum" or "none".
        constants: the pair's own (margin, delta, ...).

    The last two inputs are sample weights, of the losses' shape, and the class weights that the mean divides by, each
    or both None.
    """

    def __init__(
        self,
        pair: Any,
        inputs: tuple[str, ...],
        gradients: tuple[str, ...],
        per_sample: bool,
        reduction: str,
        **constants: Any,
    ) -> None:
        self.pair = pair
        self.inputs = inputs
        self.with_rows = "rows" in inputs
        self.saved = [(name, inputs.index(name) if name in inputs else None) for name in pair.saves]
        self.gradients = gradients
        self.per_sample = per_sample
        self.reduction = reduction
        self.constants = constants
        self.keeps_probabilities = "probabilities" in pair.saves
        # Constants that shape the forward pass only (Logistic and TripletMargin save what they led to).
        self.backward_constants = {} if "losses" in pair.saves else constants

    @property
    def label(self) -> str:
        return str(self.pair.__name__).lower()

    def forward(self, backend: Backend, *arrays: Any) -> tuple[Array, Any]:
        *given, sample_weight, class_weight = arrays
        first = given[0]
        shape, dtype = first.shape, first.dtype
        if self.with_rows:
            given.insert(2, _rows(backend, shape[0]))
        losses = backend.empty(shape[:1] if self.per_sample else shape, dtype)
        outputs: dict[str, Any] = {"losses": losses}
        if self.keeps_probabilities:
            outputs["probabilities"] = backend.empty(shape, dtype)
        if self.pair.forward_work:
            outputs["work"] = tuple(backend.empty(shape, dtype) for _ in range(self.pair.forward_work))
        backend.kernel(self.pair.forward)(backend.xp, *given, **outputs, **self.constants)
        weights = total = None  # all 1, and their number
        if sample_weight is not None or class_weight is not None:
            labels = given[self.inputs.index("labels")] if class_weight is not None else None
            weights, total = self._weights(backend, losses, labels, sample_weight, class_weight)
        value = self._reduce(backend, losses, weights, total)
        saved = [outputs[name] if place is None else given[place] for name, place in self.saved]
        return value, (*saved, shape, losses.shape, weights, total)

    def _weights(
        self, backend: Backend, losses: Array, labels: Array | None, sample_weight: Any, class_weight: Any
    ) -> tuple[Array, Array]:
        """What each unit counts, and what a mean divides by."""
        counted = sample_weight
        if class_weight is not None:
            counted = backend.empty(losses.shape, losses.dtype)
            backend.kernel(averaging.label_weights)(backend.xp, class_weight, labels, weights=counted)
            if sample_weight is not None:
                backend.kernel(Multiply.forward)(backend.xp, counted, sample_weight, y=counted)
        total = backend.empty((), losses.dtype)
        if self.reduction == "mean":
            backend.kernel(averaging.Average.forward)(backend.xp, counted, value=total, count=1)
        else:
            backend.kernel(Fill.forward)(backend.xp, y=total, value=1)
        if sample_weight is None:
            sample_weight = backend.empty(losses.shape, losses.dtype)
            backend.kernel(Fill.forward)(backend.xp, y=sample_weight, value=1)
        return sample_weight, total.reshape(1)

    def _reduce(self, backend: Backend, losses: Array, weights: Array | None, total: Array | None) -> Array:
        if self.reduction == "none":
            if weights is None:
                return losses
            weighted = backend.empty(losses.shape, losses.dtype)
            backend.kernel(Multiply.forward)(backend.xp, losses, weights, y=weighted)
            return weighted
        value = backend.empty((), losses.dtype)
        if weights is None:
            count = losses.size if self.reduction == "mean" else 1
            backend.kernel(averaging.Average.forward)(backend.xp, losses, value=value, count=count)
        else:
            work = backend.empty(losses.shape, losses.dtype)
            backend.kernel(averaging.WeightedAverage.forward)(
                backend.xp, losses, weights, total, value=value, work=work
            )
        return value

    def backward(self, backend: Backend, saved: Any, dy: Array, needed: Sequence[bool]) -> Sequence[Array | None]:
        *pair_saved, shape, units, weights, total = saved
        dlosses = self._dlosses(backend, dy, units, weights, total)
        outputs: dict[str, Any] = {}
        results: list[Array | None] = [None] * len(needed)
        for position, name in enumerate(self.gradients):
            if needed[position] or (position == 0 and len(self.gradients) < 3):  # only the triplet's first may be None
                results[position] = outputs[name] = backend.empty(shape, dy.dtype)
        if self.pair.backward_work:
            outputs["work"] = tuple(backend.empty(shape, dy.dtype) for _ in range(self.pair.backward_work))
        backend.kernel(self.pair.backward)(backend.xp, dlosses, *pair_saved, **outputs, **self.backward_constants)
        return results

    def _dlosses(
        self, backend: Backend, dy: Array, shape: tuple[int, ...], weights: Array | None, total: Array | None
    ) -> Array:
        """The gradient of each unit's loss; where all are equal, of length 1."""
        if self.reduction == "none" and weights is None:
            return dy
        if weights is None:
            count = math.prod(shape) if self.reduction == "mean" else 1
            dloss = backend.empty((1,), dy.dtype)
            backend.kernel(averaging.Average.backward)(backend.xp, dy.reshape(1), dloss=dloss, count=count)
            return dloss
        dlosses = backend.empty(shape, dy.dtype)
        dvalue = dy if self.reduction == "none" else dy.reshape((1,) * max(1, len(shape)))
        backend.kernel(averaging.WeightedAverage.backward)(backend.xp, dvalue, weights, total, dlosses=dlosses)
        return dlosses
