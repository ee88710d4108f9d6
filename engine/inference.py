"""How are outputs and losses computed without training? By forwards that are recorded where a size comes often."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.layers import Layer
from engine.recordable import OFTEN, Repeated, may_be_recorded, settings_of
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.trainer import Trainer


def output(model: Layer, dtype: Any, x: Tensor) -> Tensor:
    """The model's output for a batch, of whatever numbers it is."""
    result: Tensor = model(x if x.dtype.kind == "f" else x.to(dtype=dtype))
    return result


def judged(model: Layer, loss: Any, dtype: Any, x: Tensor, y: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    """The model's output for a batch, and its loss."""
    prediction = output(model, dtype, x)
    return prediction, loss(prediction, y, sample_weight=weights[0]) if weights else loss(prediction, y)


class Inference:
    """A trainer's forwards in evaluation, between one `begin` and the next.

    Attributes:
        output: of samples x, the model's output.
        judged: of a batch, the model's output and the loss.
    """

    output: Callable[..., Tensor]
    judged: Callable[..., tuple[Tensor, Tensor]]

    def __init__(self) -> None:
        self._settings: Any = None

    def begin(self, trainer: "Trainer") -> None:
        """The trainer computes next: where its parts are not those that were recorded, all begins anew."""
        settings = settings_of(trainer)
        if settings == self._settings:
            return
        self._settings = settings
        model, loss, dtype = trainer.model, trainer.loss, trainer.dtype  # not the trainer, which refers to this
        self.output = lambda x: output(model, dtype, x)
        self.judged = lambda *batch: judged(model, loss, dtype, *batch)
        if may_be_recorded(trainer):
            self.output, self.judged = Repeated(self.output, OFTEN), Repeated(self.judged, OFTEN)
