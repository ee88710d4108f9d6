"""How far off is a number or a point? The losses that measure distances.

To add one: subclass `Loss`, define ``unit_losses`` from the operations of tensors, and name it in ``__all__``. It is
then `en.Name`, and ``--loss name`` on the command line.
"""

from typing import Any

from backends.kernels import regression_loss as kernels
from engine.losses.loss import Elementwise, Loss, positive
from engine.operations.loss import LossOperation
from engine.tensor import Tensor
from engine.value import apply

__all__ = ["Huber", "MeanAbsoluteError", "MeanSquaredError", "SquaredError", "TripletMargin"]


class SquaredError(Elementwise):
    """f ||y - o||^2 of each sample, averaged over samples: the lecture's squared loss.

    Args:
        factor: f, 1 or the half that makes the derivative o - y.
        reduction: "mean" | "sum" | "none"; "none" is (batch,).

    Shapes: prediction o and target y (batch, outputs). Source: lecture 000, "Least squares".

    >>> import engine as en
    >>> en.SquaredError(factor=0.5)(en.tensor([[1.0, 2.0]]), [[0.0, 0.0]]).item()
    2.5
    """

    pair = kernels.SquaredError
    per_sample = True

    def __init__(self, factor: float = 1.0, reduction: str = "mean") -> None:
        self.factor = positive("SquaredError", "factor", factor)
        super().__init__(reduction)


class MeanSquaredError(Elementwise):
    """(y - o)^2, averaged over all elements.

    >>> import engine as en
    >>> en.MeanSquaredError()(en.tensor([[1.0, 3.0]]), [[0.0, 0.0]]).item()
    5.0
    """

    pair = kernels.MeanSquaredError


class MeanAbsoluteError(Elementwise):
    """|y - o|, averaged over all elements; its derivative at 0 is 0.

    >>> import engine as en
    >>> en.MeanAbsoluteError()(en.tensor([[1.0, -3.0]]), [[0.0, 0.0]]).item()
    2.0
    """

    pair = kernels.MeanAbsoluteError


class Huber(Elementwise):
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = o - y; averaged over all elements.

    Source: Huber, "Robust estimation of a location parameter" (1964).

    >>> import engine as en
    >>> en.Huber(delta=1.0)(en.tensor([[0.5, 3.0]]), [[0.0, 0.0]], ).item()
    1.3125
    """

    pair = kernels.Huber

    def __init__(self, delta: float = 1.0, reduction: str = "mean") -> None:
        self.delta = positive("Huber", "delta", delta)
        super().__init__(reduction)


class TripletMargin(Loss):
    """max(0, ||a - p||^2 - ||a - n||^2 + margin), averaged over samples: called with (anchor, positive, negative).

    Args:
        margin: by how much the negative should be farther away, in squared distance.
        reduction: "mean" | "sum" | "none"; "none" is (batch,).

    Shapes: the three embeddings (batch, features). Source: lecture 003, "Triplet loss".

    >>> import engine as en
    >>> a, p, n = en.tensor([[0.0]]), en.tensor([[1.0]]), en.tensor([[2.0]])
    >>> en.TripletMargin(margin=4.0)(a, p, n).item()
    1.0
    """

    per_sample = True

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        self.margin = positive("TripletMargin", "margin", margin)
        super().__init__(reduction)

    def _make_operation(self) -> LossOperation:
        names = ("anchor", "positive", "negative")
        gradients = ("danchor", "dpositive", "dnegative")
        return LossOperation(kernels.TripletMargin, names, gradients, True, self.reduction, margin=self.margin)

    def __call__(  # type: ignore[override]  # three embeddings instead of a prediction and a target
        self, anchor: Tensor, positive: Any, negative: Any, *, sample_weight: Any = None
    ) -> Tensor:
        self.check_prediction(anchor)
        if anchor.ndim != 2:
            raise self._error(f"the anchor has shape {anchor.shape}; embeddings are (batch, features).")
        others = [self.check_target(anchor, other) for other in (positive, negative)]
        weight = None if sample_weight is None else self._sample_weight(anchor, sample_weight)
        assert self._operation is not None
        return apply(self._operation, anchor, *others, weight, None)
