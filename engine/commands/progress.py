"""How does a person watch a training? A line an epoch, and on a terminal a bar with loss, speed and time left."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.callbacks import Callback
from engine.commands.report import Output, duration, name_of, number
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.trainer import Trainer

_SECONDS_BETWEEN_LOOKS = 0.25  # at the loss: on a GPU each look waits until everything asked of it is done
_NOT_SHOWN = ("learning_rate", "seconds")


class Lines(Callback):
    """One line an epoch.

    Args:
        output: where it goes.
        epochs: how many there will be at most.
        samples: how many an epoch has.
    """

    def __init__(self, output: Output, epochs: int, samples: int) -> None:
        self.output, self.epochs, self.samples = output, epochs, samples

    def epoch_begin(self, trainer: "Trainer", epoch: int) -> None:
        self._began = time.perf_counter()

    def epoch_end(self, trainer: "Trainer", epoch: int, values: dict[str, float]) -> None:
        seconds = values.get("seconds") or time.perf_counter() - self._began
        measured = "  ".join(
            f"{name_of(name)} {number(value)}" for name, value in values.items() if name not in _NOT_SHOWN
        )
        width = len(str(self.epochs))
        speed = f"{self.samples / max(seconds, 1e-9):,.0f} samples/s"
        self.output.print(f"epoch {epoch:>{width}}/{self.epochs}  {measured}  {speed}")


class Bar(Callback):
    """A bar for the batches of the epoch, below the lines, with the loss, the speed and the time left."""

    def __init__(self, output: Output, epochs: int, samples: int) -> None:
        self.output, self.epochs, self.samples = output, epochs, samples
        self._progress: Any = None

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
        if now - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        done = self._epoch - 1 + batch / trainer.batches_per_epoch
        passed = now - self._began
        left = passed / done * (self.epochs - done)
        told = f"loss {number(loss.item())}  {done * self.samples / passed:,.0f} samples/s  {duration(left)} left"
        self._progress.update(self._task, completed=batch, told=told)

    def fit_end(self, trainer: "Trainer") -> None:
        if self._progress is not None:
            self._progress.stop()


class EachEpoch(Callback):
    """Do something when training begins and after every epoch.

    Args:
        begin: called before the first step.
        end: called with (epoch, values).
    """

    def __init__(self, begin: Callable[[], None], end: Callable[["Trainer", int, dict[str, float]], None]) -> None:
        self._begin, self._end = begin, end

    def fit_begin(self, trainer: "Trainer") -> None:
        self._begin()

    def epoch_end(self, trainer: "Trainer", epoch: int, values: dict[str, float]) -> None:
        self._end(trainer, epoch, values)
