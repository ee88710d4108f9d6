"""How wrong is a classifier? The losses of labels, probabilities and scores.

To add one: subclass `Loss`, define ``unit_losses`` from the operations of tensors, and name it in ``__all__``. It is
then `en.Name`, and ``--loss name`` on the command line.
"""

from typing import Any

import numpy as np

from backends.kernels import loss as kernels
from backends.kernels.pair import Array
from engine.convert import host_array
from engine.errors import ArgumentError, DataError, EngineError
from engine.losses.loss import Elementwise, Loss, positive, reduction_hint
from engine.operations.loss import LossOperation
from engine.settings import flag, number, shown
from engine.tensor import Tensor, as_tensor
from engine.value import apply

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Hinge", "Logistic"]


class CrossEntropy(Loss):
    """-log p_label with p = softmax(logits), averaged over samples. Natural logarithm.

    Args:
        label_smoothing: s; the target becomes (1 - s) [c = label] + s / classes.
        class_weight: how much each class counts, (classes,); the mean divides by the summed weights.
        reduction: "mean" | "sum" | "none"; "none" is (batch,).

    Shapes: prediction (batch, classes), logits; target (batch,) labels of any integer dtype, or (batch, classes) class
    probabilities. Source: lectures 000 and 003, "Cross-entropy".

    >>> import engine as en
    >>> round(en.CrossEntropy()(en.tensor([[3.2, 5.1, -1.7]]), [0]).item(), 2)
    2.04
    """

    per_sample = True

    def __init__(self, label_smoothing: float = 0.0, class_weight: Any = None, reduction: str = "mean") -> None:
        self.label_smoothing = number(
            "CrossEntropy",
            "label_smoothing",
            label_smoothing,
            "0 or above and below 1",
            lambda given: 0 <= given < 1,
            fix=reduction_hint(label_smoothing),
        )
        self.class_weight = None if class_weight is None else _weights_of_classes(class_weight)
        super().__init__(reduction)
        self._weights: dict[Any, Tensor] = {}

    def _make_operation(self) -> LossOperation:
        smoothing = {"label_smoothing": self.label_smoothing}
        self._soft = LossOperation(
            kernels.CrossEntropyProbabilities,
            ("logits", "target", "class_weight"),
            ("dlogits",),
            True,
            self.reduction,
            **smoothing,
        )
        if self.label_smoothing == 0 and self.class_weight is None:
            names = ("logits", "labels", "rows")
            return LossOperation(kernels.CrossEntropy, names, ("dlogits",), True, self.reduction)
        weighted = ("logits", "labels", "rows", "class_weight")
        return LossOperation(kernels.WeightedCrossEntropy, weighted, ("dlogits",), True, self.reduction, **smoothing)

    def check_prediction(self, prediction: Tensor) -> None:
        super().check_prediction(prediction)
        if prediction.array.ndim != 2:
            raise self._error(f"the prediction has shape {prediction.shape}; logits are (batch, classes).")

    def check_target(self, prediction: Tensor, target: Any) -> Tensor:
        aim = self._beside(prediction, target, "target")
        if aim.array.dtype.kind == "f" and aim.array.ndim == 2:
            return super().check_target(prediction, aim)
        self._check_labels(prediction, aim)
        return aim

    def _class_weights(self, prediction: Tensor) -> Tensor:
        """The weights on the prediction's device; ones for smoothing alone. Made once for each device and dtype."""
        classes = prediction.shape[1]
        key = (prediction.backend, prediction.dtype, classes)
        if key not in self._weights:
            values = np.ones(classes) if self.class_weight is None else np.asarray(self.class_weight)
            if len(values) != classes:
                raise self._error(f"class_weight has {len(values)} weights; the prediction has {classes} classes.")
            weights = prediction.backend.asarray(np.array(values, prediction.dtype))
            self._weights[key] = Tensor.wrap(weights, prediction.backend)
        return self._weights[key]

    def counted(self, target: Any, sample_weight: Any = None) -> float:
        labels = as_tensor(target)
        if self.class_weight is None or labels.dtype.kind == "f":
            return super().counted(target, sample_weight)
        # Labels that are no classes are the call's to refuse.
        weights = np.take(np.asarray(self.class_weight), labels.numpy(), mode="clip")
        return float(weights.sum() if sample_weight is None else (weights * as_tensor(sample_weight).numpy()).sum())

    def __call__(self, prediction: Tensor, target: Any, *, sample_weight: Any = None) -> Tensor:
        self.check_prediction(prediction)
        aim = self.check_target(prediction, target)
        weight = None if sample_weight is None else self._sample_weight(prediction, sample_weight)
        if aim.array.dtype.kind == "f":
            weights = None if self.class_weight is None else self._class_weights(prediction)
            return apply(self._soft, prediction, aim, weights, weight, None)
        if self.label_smoothing == 0 and self.class_weight is None:
            assert self._operation is not None
            return apply(self._operation, prediction, aim, weight, None)
        weights = self._class_weights(prediction)
        assert self._operation is not None
        return apply(self._operation, prediction, aim, weights, weight, None if self.class_weight is None else weights)


def _weights_of_classes(given: Any) -> list[float]:
    """One weight for each class, of a list or an array of any device."""
    try:
        host = as_tensor(given, "cpu").numpy() if hasattr(given, "__array__") else host_array(given, np.float64)
        weights = [float(weight) for weight in host.reshape(-1)]
    except EngineError:
        weights = []
    if not any(weights) or not all(0 <= weight < np.inf for weight in weights):
        fix = (
            " Balanced ones are len(y) / (classes * numpy.bincount(y))."
            if isinstance(given, str) and given == "balanced"
            else ""
        )
        raise ArgumentError(
            f"CrossEntropy: class_weight {shown(given)} was given; give one number for each class, such as [1.0, 2.5]: "
            f"weights are 0 or above, not all 0.{fix}"
        )
    return weights


class Hinge(Loss):
    """The sum over the wrong classes c of max(0, s_c - s_label + margin), averaged over samples.

    Args:
        margin: by how much the right score should win.
        reduction: "mean" | "sum" | "none"; "none" is (batch,).

    Shapes: prediction (batch, classes), scores; target (batch,), labels. Not divided by the number of classes.
    Source: lecture 003, "Hinge loss".

    >>> import engine as en
    >>> round(en.Hinge()(en.tensor([[3.2, 5.1, -1.7]]), [0]).item(), 4)
    2.9
    """

    per_sample = True

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        self.margin = positive("Hinge", "margin", margin)
        super().__init__(reduction)

    def _make_operation(self) -> LossOperation:
        names = ("scores", "labels", "rows")
        return LossOperation(kernels.Hinge, names, ("dscores",), True, self.reduction, margin=self.margin)

    def check_prediction(self, prediction: Tensor) -> None:
        super().check_prediction(prediction)
        if prediction.array.ndim != 2:
            raise self._error(f"the prediction has shape {prediction.shape}; scores are (batch, classes).")

    def check_target(self, prediction: Tensor, target: Any) -> Tensor:
        aim = self._beside(prediction, target, "target")
        self._check_labels(prediction, aim)
        return aim


class BinaryCrossEntropy(Elementwise):
    """-(t log p + (1 - t) log(1 - p)), averaged over all elements.

    Args:
        from_logits: whether the prediction is logits z instead of probabilities p = 1 / (1 + e^-z); exact for any z.
        reduction: "mean" | "sum" | "none".

    Shapes: prediction and target alike; targets 0 to 1. From probabilities each logarithm is -100 at least, as in
    PyTorch. Source: lecture 001, "Binary cross-entropy".

    >>> import engine as en
    >>> round(en.BinaryCrossEntropy(from_logits=True)(en.tensor([[0.0]]), [[1.0]]).item(), 4)
    0.6931
    """

    def __init__(self, from_logits: bool = False, reduction: str = "mean") -> None:
        self.from_logits = flag("BinaryCrossEntropy", "from_logits", from_logits, fix=reduction_hint(from_logits))
        super().__init__(reduction)

    def _make_operation(self) -> LossOperation:
        pair = kernels.BinaryCrossEntropyLogits if self.from_logits else kernels.BinaryCrossEntropy
        return LossOperation(pair, ("prediction", "target"), ("dprediction",), False, self.reduction)

    def check_target(self, prediction: Tensor, target: Any) -> Tensor:
        aim = super().check_target(prediction, target)
        self._check_values(aim, 0, 1, between=True)
        if not self.from_logits and prediction.backend.name == "numpy":
            self._check_probabilities(prediction.array)
        return aim

    @staticmethod
    def _check_probabilities(p: Array) -> None:
        if (p < 0).any() or (p > 1).any():
            raise DataError(
                "BinaryCrossEntropy: a prediction is outside 0 to 1; it takes probabilities. "
                "Use from_logits=True for logits."
            )


class Logistic(Elementwise):
    """log(1 + e^(-t z)) with targets t of +1 or -1 and logits z, averaged over all elements.

    Source: lecture 000, "Logistic regression".

    >>> import engine as en
    >>> round(en.Logistic()(en.tensor([[0.0]]), [[-1.0]]).item(), 4)
    0.6931
    """

    pair = kernels.Logistic
    gradients = ("dprediction",)

    def check_target(self, prediction: Tensor, target: Any) -> Tensor:
        aim = super().check_target(prediction, target)
        self._check_values(aim, -1, 1, between=False)
        return aim
