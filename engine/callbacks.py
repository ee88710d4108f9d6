"""Who watches a training? Callbacks: told of each epoch and batch, they may stop it; and the rules to stop by."""

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ArgumentError
from engine.settings import flag, number, whole
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "StepBelow"]


class Callback:
    """Told what happens in a training; subclass it and define what you care about. ``trainer.stop(reason)`` ends it.

    A callback with a state of its own (counts, best values) gives it in ``state``, and takes it back in ``load_state``,
    so that a training that is taken up again goes on exactly.
    """

    def fit_begin(self, trainer: "Trainer") -> None:
        """Training starts; ``trainer.batches_per_epoch`` is known."""

    def epoch_begin(self, trainer: "Trainer", epoch: int) -> None:
        """Epoch number ``epoch`` starts, counted from 1."""

    def batch_end(self, trainer: "Trainer", batch: int, loss: Tensor) -> None:
        """Batch number ``batch`` of the epoch, counted from 1, is done; reading the loss may wait for the device."""

    def epoch_end(self, trainer: "Trainer", epoch: int, values: dict[str, float]) -> None:
        """Epoch ``epoch`` is done; values are the row of the history."""

    def fit_end(self, trainer: "Trainer") -> None:
        """Training is over, well or by an error."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain values and NumPy arrays by name."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""


class EarlyStopping(Callback):
    """Stop when the watched value has not become better for ``patience`` epochs, and go back to the best weights.

    A fit that goes on after one that was stopped so waits for ``patience`` epochs anew.

    Args:
        patience: how many epochs without improvement are too many.
        monitor: a column of the history; by default "validation_loss", or "loss" where there is no validation.
        minimum_change: how much better counts as better.
        mode: "min" or "max"; by default "min" for losses and errors, "max" for everything else.
        restore_best: whether the weights of the best epoch come back at the end.

    Source: Prechelt, "Early stopping - but when?" (1998).
    """

    def __init__(
        self,
        patience: int = 5,
        monitor: str | None = None,
        minimum_change: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ) -> None:
        if mode not in (None, "min", "max"):
            raise ArgumentError(f'EarlyStopping: mode {mode!r} was given; allowed are "min" and "max".')
        self.patience = whole("EarlyStopping", "patience", patience, 1)
        self.minimum_change = number("EarlyStopping", "minimum_change", minimum_change, "a finite number")
        self.monitor, self.mode = monitor, mode
        self.restore_best = flag("EarlyStopping", "restore_best", restore_best)
        self.best: float | None = None
        self.best_epoch = 0
        self._waits_since = 0
        self._stopped = False
        self._best_weights: dict[str, Tensor] | None = None
        self._best_average: dict[str, Any] = {}

    def fit_begin(self, trainer: "Trainer") -> None:
        if self._stopped:
            self._waits_since, self._stopped = trainer.epoch, False

    def epoch_end(self, trainer: "Trainer", epoch: int, values: dict[str, float]) -> None:
        monitor = self.monitor or ("validation_loss" if "validation_loss" in values else "loss")
        if monitor not in values:
            raise ArgumentError(f"EarlyStopping: there is no {monitor!r}; this training has {', '.join(values)}.")
        smaller = self.mode == "min" or (self.mode is None and monitor.endswith(("loss", "mae", "mse")))
        value = values[monitor]
        if self._better(value, smaller):
            self.best, self.best_epoch = value, epoch
            if self.restore_best:
                self._best_weights = trainer.model.state_dict()
                self._best_average = {} if trainer.ema is None else trainer.ema.state()
        elif epoch - max(self.best_epoch, self._waits_since) >= self.patience:
            self._stopped = True
            trainer.stop(f"{monitor} has not become better for {self.patience} epochs")

    def _better(self, value: float, smaller: bool) -> bool:
        if self.best is None:
            return not np.isnan(value)
        return value < self.best - self.minimum_change if smaller else value > self.best + self.minimum_change

    def fit_end(self, trainer: "Trainer") -> None:
        if self._best_weights is not None:
            trainer.model.load_state_dict(self._best_weights)
            if trainer.ema is not None:
                trainer.ema.load_state(self._best_average)

    def state(self) -> dict[str, Any]:
        weights = {f"weights/{name}": one.numpy() for name, one in (self._best_weights or {}).items()}
        average = {f"average/{name}": array for name, array in self._best_average.items()}
        waiting = {"waits_since": self._waits_since, "stopped": self._stopped}
        return {"best": self.best, "best_epoch": self.best_epoch, **waiting, **weights, **average}

    def load_state(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._waits_since, self._stopped = state["waits_since"], state["stopped"]

        def group(name: str) -> dict[str, Any]:
            return {key.removeprefix(name): one for key, one in state.items() if key.startswith(name)}

        self._best_weights = {name: Tensor(values) for name, values in group("weights/").items()} or None
        self._best_average = group("average/")


class StepBelow:
    """The lecture's rule: stop when a step moves the weights by less than eps, ||w_t - w_(t-1)|| < eps.

    Source: lecture 000, "Gradient descent".

    >>> StepBelow(1e-2)
    StepBelow(0.01)
    """

    def __init__(self, eps: float) -> None:
        if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not eps > 0:
            raise ArgumentError(f"StepBelow: {eps!r} was given; eps is a number above 0.")
        self.eps = float(eps)

    def __repr__(self) -> str:
        return f"StepBelow({self.eps})"
