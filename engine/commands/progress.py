"""How does a person watch a training? A line an epoch, and on a terminal a bar with loss, speed and time left."""

import time
from typing import TYPE_CHECKING, Any

from engine.callbacks import Callback
from engine.commands.report import Output, duration, name_of, number
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.trainer import Trainer

_SECONDS_BETWEEN_LOOKS = 0.25  # at the loss: on a GPU each look waits until everything asked of it is done
_NOT_SHOWN = ("learning_rate", "seconds", "skipped")


class Lines(Callback):
    """One line an epoch.

    Args:
        output: where it goes.
        epochs: how many there will be at most.
        samples: how many an epoch has.
    """

    def __init__(self, output: Output, epochs: int, samples: int) -> None:
        self.output, self.epochs, self.samples = output, epochs, samples

    def epoch_end(self, trainer: "Trainer", epoch: int, values: dict[str, float]) -> None:
        measured = "  ".join(
            f"{name_of(name)} {number(value)}" for name, value in values.items() if name not in _NOT_SHOWN
        )
        width = len(str(self.epochs))
        speed = f"{self.samples / max(values['seconds'], 1e-9):,.0f} samples/s"
        skipped = f"  {values['skipped']:g} skipped" if values.get("skipped") else ""
        self.output.print(f"epoch {epoch:>{width}}/{self.epochs}  {measured}  {speed}{skipped}")


class Bar(Callback):
    """A bar for the batches of the epoch, below the lines, with the loss, the speed and the time left."""

    def __init__(self, output: Output, epochs: int, samples: int) -> None:
        self.output, self.epochs, self.samples = output, epochs, samples
        self._progress: Any = None
        self._before: float | None = None  # how many epochs were done when it began

    def fit_begin(self, trainer: "Trainer") -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[told]}"),
            console=self.output.console,
            transient=True,
        )
        self._began = self._looked = time.perf_counter()
        self._task = self._progress.add_task("", total=trainer.batches_per_epoch, told="")
        self._progress.start()

    def epoch_begin(self, trainer: "Trainer", epoch: int) -> None:
        self._epoch = epoch
        self._progress.reset(self._task, description=f"epoch {epoch}/{self.epochs}")

    def batch_end(self, trainer: "Trainer", batch: int, loss: Tensor) -> None:
        now = time.perf_counter()
        done = self._epoch - 1 + batch / trainer.batches_per_epoch
        if self._before is None:
            self._before = done - 1 / trainer.batches_per_epoch
        if now - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        passed, made = now - self._began, done - self._before
        left = passed / made * (self.epochs - done)
        told = f"loss {number(loss.item())}  {made * self.samples / passed:,.0f} samples/s  {duration(left)} left"
        self._progress.update(self._task, completed=batch, told=told)

    def fit_end(self, trainer: "Trainer") -> None:
        if self._progress is not None:
            self._progress.stop()
