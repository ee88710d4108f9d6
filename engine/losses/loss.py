"""What is a loss? A check of the target's form, and one number with its gradient; by name for the command line."""

from typing import Any, ClassVar

import numpy as np

from backends.kernels.pair import Array
from backends.kernels.shape import Copy
from engine.convert import host_array
from engine.errors import DataError, DeviceError, DtypeError, ShapeError, unknown_name
from engine.naming import Named
from engine.operations.loss import LossOperation
from engine.settings import number
from engine.tensor import Tensor, as_tensor
from engine.value import apply

__all__ = ["Loss"]

REDUCTIONS = ("mean", "sum", "none")


class Loss(Named, family="loss"):
    """A loss: ``loss(prediction, target)``, a Tensor. Subclass it and define ``unit_losses`` to add your own.

    Args:
        reduction: "mean" averages over the units (with weights: over the summed weights), "sum" adds them, "none" gives
            each by itself.

    A subclass composes its losses from tensors, one number a sample or an element; gradients come by themselves::

        >>> import engine as en
        >>> class LogCosh(en.Loss):
        ...     def unit_losses(self, prediction, target):
        ...         difference = prediction - target
        ...         return (difference.exp() + (-difference).exp()).log() - 0.6931471805599453
        >>> LogCosh()(en.tensor([[0.0], [0.0]]), [[0.0], [0.0]]).item()
        0.0
    """

    per_sample: ClassVar[bool] = False

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in REDUCTIONS:
            raise unknown_name(f"{type(self).__name__}: reduction", reduction, REDUCTIONS)
        self.reduction = reduction
        self._operation = self._make_operation()

    def _make_operation(self) -> LossOperation | None:
        return None

    def config(self) -> dict[str, Any]:
        """The settings that make this loss again."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config().items())})"

    def __call__(self, prediction: Tensor, target: Any, *, sample_weight: Any = None) -> Tensor:
        """The loss of a batch.

        Args:
            prediction: what the model gave, (batch, ...).
            target: a Tensor or an array in the loss's form; never broadcast. Arrays are copied.
            sample_weight: how much each sample counts, (batch,), 0 or above.
        """
        self.check_prediction(prediction)
        aim = self.check_target(prediction, target)
        weight = None if sample_weight is None else self._sample_weight(prediction, sample_weight)
        if self._operation is not None:
            return apply(self._operation, prediction, aim, weight, None)
        losses = self.unit_losses(prediction, aim)
        if weight is not None:
            losses = losses * weight
        if self.reduction == "none":
            return losses
        total = losses.sum()
        if self.reduction == "mean":
            total = total / (losses.size if weight is None else weight.sum())
        return total

    def unit_losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of each unit, of the prediction's shape or (batch,): what a subclass of your own defines."""
        raise NotImplementedError(f"{type(self).__name__}: define unit_losses(self, prediction, target).")

    def counted(self, target: Any, sample_weight: Any = None) -> float:
        """How much a batch counts among others: its samples, or the weights that its mean divides by."""
        return float(len(target)) if sample_weight is None else float(as_tensor(sample_weight).numpy().sum())

    # -- what is allowed -------------------------------------------------------------------------------

    def _error(self, text: str) -> ShapeError:
        return ShapeError(f"{type(self).__name__}: {text}")

    def check_prediction(self, prediction: Tensor) -> None:
        """Refuse a prediction that is no Tensor of floats, or has no samples."""
        if not isinstance(prediction, Tensor):
            raise DtypeError(
                f"{type(self).__name__}: the prediction is {type(prediction).__name__}; give the model's Tensor."
            )
        if prediction.array.dtype.kind != "f":
            raise DtypeError(
                f'{type(self).__name__}: the prediction is of {prediction.dtype}; convert it: .to(dtype="float32").'
            )
        if prediction.array.size == 0 or prediction.array.ndim == 0:
            raise self._error(
                f"the prediction has shape {prediction.shape}; it needs one sample at least, (batch, ...)."
            )

    def check_target(self, prediction: Tensor, target: Any) -> Tensor:
        """The target as a Tensor beside the prediction: here one number for each of the prediction's."""
        aim = self._beside(prediction, target, "target")
        if aim.array.dtype.kind != "f":
            aim = _converted(aim, prediction.dtype, aim.shape)
        if aim.array.shape != prediction.array.shape:
            raise self._error(
                f"target has shape {aim.shape}, prediction {prediction.shape}; they must be equal. "
                f"Use {_reshape_hint(aim.shape, prediction.shape)}."
            )
        return aim

    def _beside(self, prediction: Tensor, values: Any, what: str) -> Tensor:
        """Values as a Tensor on the prediction's device; arrays of floats take the prediction's dtype."""
        if isinstance(values, Tensor):
            if values.backend is not prediction.backend:
                raise DeviceError(
                    f"{type(self).__name__}: {what} is on {values.device}, prediction on {prediction.device}; "
                    f'move it with .to("{prediction.device}").'
                )
            if values.array.dtype.kind == "f" and values.array.dtype != prediction.array.dtype:
                raise DtypeError(
                    f"{type(self).__name__}: {what} is of {values.dtype}, prediction of {prediction.dtype}; "
                    f'convert one: .to(dtype="{prediction.dtype}").'
                )
            return values
        backend, wanted = prediction.backend, prediction.array.dtype
        array = values if backend.owns(values) else self._host_array(values, what, wanted)
        if array.dtype.kind not in "fiub":
            raise DtypeError(f"{type(self).__name__}: {what} is of {array.dtype}; give numbers.")
        # A copy: backward reads the target again, and the caller may fill the array with the next batch before that.
        return Tensor.wrap(backend.copy(array, wanted if array.dtype.kind == "f" else None), backend)

    def _host_array(self, values: Any, what: str, dtype: Any) -> Array:
        if hasattr(values, "__cuda_array_interface__"):
            raise DeviceError(
                f"{type(self).__name__}: {what} is on a GPU, the prediction is not; move one to the other."
            )
        try:
            return values if isinstance(values, np.ndarray) and values.dtype.isnative else host_array(values, dtype)
        except ShapeError:
            raise self._error(f"{what} is ragged; every sample needs as many numbers.") from None
        except DtypeError:
            kind = np.asarray(values).dtype
            given = type(values).__name__ if kind.kind == "O" else kind
            raise DtypeError(f"{type(self).__name__}: {what} is of {given}; give numbers.") from None

    def _sample_weight(self, prediction: Tensor, weight: Any) -> Tensor:
        weights = self._beside(prediction, weight, "sample_weight")
        batch = prediction.shape[:1]
        if weights.shape != batch:
            raise self._error(f"sample_weight has shape {weights.shape}; it must be {batch}, one for each sample.")
        if weights.backend.name == "numpy":
            self._check_weights(weights.array)
        if self.per_sample:
            return _converted(weights, prediction.dtype, batch)
        columns = Tensor.wrap(weights.array.reshape(batch + (1,) * (prediction.ndim - 1)), weights.backend)
        return _converted(columns, prediction.dtype, prediction.shape)

    def _check_weights(self, weights: Array) -> None:
        """Refuse weights that are negative or not finite, and those that a mean cannot divide by."""
        check_weights(type(self).__name__, weights)
        if self.reduction == "mean" and not weights.any():
            raise DataError(f"{type(self).__name__}: the sample weights are all 0, and a mean divides by their sum.")

    def _check_labels(self, prediction: Tensor, labels: Tensor) -> None:
        """Refuse labels that are not class numbers, one a sample; values are looked at where they are on the host."""
        batch, classes = prediction.array.shape
        if labels.array.shape != (batch,):
            raise self._error(
                f"target has shape {labels.shape}, prediction {prediction.shape}; labels are (batch,). "
                f"Use {_reshape_hint(labels.shape, (batch,))}."
            )
        if labels.array.dtype.kind not in "iu":
            raise DtypeError(
                f"{type(self).__name__}: labels are of {labels.dtype}; give whole numbers, 0 to {classes - 1}."
            )
        if labels.backend.name == "numpy":
            self._check_classes(labels.array, classes)

    def _check_classes(self, labels: Array, classes: int) -> None:
        """Refuse labels that are no class."""
        if labels.size <= 64:  # Python's own numbers are several times as fast for so few
            few = labels.tolist()
            if min(few) >= 0 and max(few) < classes:
                return
        # As unsigned numbers the negative ones are huge: one pass finds both ends. (A byte's -1 is 255: widened first.)
        wide = labels if labels.dtype.itemsize == 8 else labels.astype("int64")
        unsigned = wide.view("uint64")
        if unsigned.max() >= classes:
            wrong = int(np.argmax(unsigned >= classes))
            raise DataError(
                f"{type(self).__name__}: label {labels[wrong]} of sample {wrong} is out of range; with {classes} "
                f"classes labels are 0 to {classes - 1}."
            )

    def _check_values(self, target: Tensor, low: float, high: float, between: bool) -> None:
        """Refuse targets outside low ... high, or other than the two, where their values are on the host."""
        if target.backend.name != "numpy":
            return
        self._check_range(target.array, low, high, between)

    def _check_range(self, values: Array, low: float, high: float, between: bool) -> None:
        wrong = ~((values >= low) & (values <= high)) if between else (values != low) & (values != high)  # NaN is wrong
        if wrong.any():
            allowed = f"{low:g} to {high:g}" if between else f"{low:g} and {high:g}"
            raise DataError(f"{type(self).__name__}: a target is {values[wrong].flat[0]:g}; allowed are {allowed}.")


class Elementwise(Loss, abstract=True):
    """A loss of each element of the prediction, averaged over all of them."""

    pair: ClassVar[Any]
    gradients: ClassVar[tuple[str, ...]] = ("dprediction", "dtarget")

    def _constants(self) -> dict[str, float]:
        return {name: value for name, value in self.config().items() if name != "reduction"}

    def _make_operation(self) -> LossOperation:
        return LossOperation(
            self.pair, ("prediction", "target"), self.gradients, self.per_sample, self.reduction, **self._constants()
        )


def _converted(values: Tensor, dtype: Any, shape: tuple[int, ...]) -> Tensor:
    """The values in another dtype, repeated to fill a shape; without history."""
    backend = values.backend
    array = backend.empty(shape, dtype)
    backend.kernel(Copy.forward)(backend.xp, values.array, y=array)
    return Tensor.wrap(array, backend)


def _reshape_hint(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if np.prod(given) == np.prod(wanted):
        return f"target.reshape({', '.join(str(length) for length in wanted)})"
    return f"a target of shape {wanted}"


def check_weights(owner: str, weights: Array) -> None:
    """Refuse sample weights on the host that are negative or not finite."""
    if not (weights.min() >= 0 and weights.max() < np.inf):  # NaN is neither
        wrong = int(np.argmax(~((weights >= 0) & (weights < np.inf))))
        value = weights.reshape(-1)[wrong]
        raise DataError(
            f"{owner}: the weight of sample {wrong} is {value:g}; sample weights are finite numbers, 0 or above."
        )


def positive(owner: str, name: str, value: Any) -> float:
    return number(owner, name, value, "a number above 0", lambda given: given > 0, fix=reduction_hint(value))


def reduction_hint(value: Any) -> str:
    """The fix for a reduction in the place of another setting, as in losses that have no setting before it."""
    return f'Write reduction="{value}".' if isinstance(value, str) and value in REDUCTIONS else ""
