"""When is a training written down? Every so often, at its end and when it is interrupted: weights and a checkpoint."""

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.callbacks import Callback
from engine.commands.interruption import InterruptedBetweenStepsError, Interruption
from engine.layers import Layer
from engine.runs import Run

if TYPE_CHECKING:
    from engine.trainer import Trainer

_SECONDS_BETWEEN = 10.0  # at least, from the end of one writing to the next
_SHARE_OF_TIME = 0.05  # that writing may take at most: of a large model it comes more seldom


class Keeper(Callback):
    """Writes weights and checkpoint into the run folder, whole and one soon after the other.

    It must be the last of the callbacks: a checkpoint holds what each of them keeps, after the same event.

    Args:
        interruption: is looked at after every step.
        epochs: after how many the training ends.

    Attributes:
        step: the one that was written last; None before the first.
        place: what that is called: "epoch 3", or "step 120".
    """

    def __init__(self, interruption: Interruption, epochs: int) -> None:
        self.interruption, self.epochs = interruption, epochs
        self.step: int | None = None
        self.place = ""

    def begin(self, folder: Run, step: int) -> None:
        """From now on into this folder; until this step nothing is new."""
        self._folder, self._first = folder, step
        self._interval, self._since = _SECONDS_BETWEEN, time.monotonic()

    def epoch_begin(self, trainer: "Trainer", epoch: int) -> None:
        self._stop_if_asked(trainer)

    def batch_end(self, trainer: "Trainer", batch: int, loss: Any) -> None:
        self._stop_if_asked(trainer)
        if time.monotonic() - self._since > self._interval:
            self.keep(trainer, f"step {trainer.step}")

    def epoch_end(self, trainer: "Trainer", epoch: int, values: dict[str, float]) -> None:
        self._stop_if_asked(trainer)
        over = epoch >= self.epochs or trainer.stop_reason is not None
        if over or time.monotonic() - self._since > self._interval:
            self.keep(trainer, f"epoch {epoch}")

    def _stop_if_asked(self, trainer: "Trainer") -> None:
        if self.interruption.asked:
            self.keep(trainer, f"step {trainer.step}")
            raise InterruptedBetweenStepsError

    def keep(self, trainer: "Trainer", place: str) -> None:
        """Write both now, if a step was made."""
        if trainer.step == self._first:
            return
        started = time.monotonic()
        self.save_weights(trainer, place)
        self._folder.save_checkpoint(trainer)
        self._since = time.monotonic()
        self._interval = max(_SECONDS_BETWEEN, (self._since - started) / _SHARE_OF_TIME)

    def save_weights(self, trainer: "Trainer", place: str) -> None:
        """Write the weights that `evaluate` uses."""
        with _evaluated(trainer) as model:
            self._folder.save_weights(model, epoch=trainer.epoch, step=trainer.step)
        self.step, self.place = trainer.step, place


@contextlib.contextmanager
def _evaluated(trainer: "Trainer") -> Iterator[Layer]:
    """The model with the weights that `evaluate` uses: the moving averages where there are any."""
    with trainer.ema.applied() if trainer.ema is not None else contextlib.nullcontext():
        yield trainer.model
