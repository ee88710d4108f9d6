"""What does a training step compute? Forward, loss, backward, penalty, check, clipping, update: a loop's body."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.kernels.shape import Copy
from engine.data.batches import Gatherer
from engine.divergence import FiniteCheck, Undo
from engine.functions import stack
from engine.inference import judged
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.trainer import Trainer

Batch = tuple[Tensor, ...]  # samples, targets, and perhaps weights
Item = Batch | tuple[None]  # a batch, or the rows that it is gathered from (see `Batches.rows`)


class StepFunctions:
    """A step over one batch is `whole`; over several it is `gradients` of each and `finish`. These may be recorded.

    They take their tensors one by one, and refer to a trainer's parts, not to the trainer.

    Args:
        trainer: whose parts they use, as they are now.
        gatherer: what makes batches of rows.
    """

    def __init__(self, trainer: "Trainer", gatherer: Gatherer) -> None:
        self.model, self.loss, self.penalty = trainer.model, trainer.loss, trainer.penalty
        self.optimizer, self.ema, self.metrics = trainer.optimizer, trainer.ema, trainer._metrics
        self.clip_norm, self.clip_value = trainer.clip_norm, trainer.clip_value
        self.loss_scale = trainer.loss_scale
        self.dtype, self.gatherer = trainer.dtype, gatherer
        self.finite, self.undo = FiniteCheck(trainer.backend), Undo(trainer.model)

    def batch(self, item: Item, first: int = 0) -> Batch:
        """The tensors of a batch; without those before number ``first``."""
        return self.gatherer.batch(item[0], first) if len(item) == 1 else item[first:]

    def begin(self) -> None:
        """What comes before the first gradient of a step."""
        self.undo.remember()
        self.optimizer.zero_grad()

    def whole(self, *item: Any) -> Tensor:
        """The step over one batch; its loss before the step."""
        self.begin()
        (loss,) = self.finish(self.gradients(None, *item))
        return loss

    def gradients(self, share: Tensor | None, *item: Any, told: bool = True) -> Tensor:
        """Forward and backward of a batch, whose loss is returned; its gradients count by its share ()."""
        x, y, *weights = self.batch(item)
        prediction, loss = judged(self.model, self.loss, self.dtype, x, y, *weights)
        if told:
            for metric in self.metrics.values():
                metric.update(prediction, y)
        if self.loss_scale is not None:
            loss.backward(self.loss_scale.incoming(loss, share))
        elif share is None:
            loss.backward()
        else:
            backend = loss.backend
            incoming = backend.empty(loss.shape, loss.dtype)
            backend.kernel(Copy.forward)(backend.xp, share.array, y=incoming)
            loss.backward(Tensor.wrap(incoming, backend))
        return loss.detach()

    def finish(self, *losses: Tensor) -> list[Tensor]:
        """What follows when all gradients are there: penalty, check, clipping, the optimizer's step, the averages.

        Returns the losses with the penalty.
        """
        if self.loss_scale is not None:
            self.loss_scale.divide(self.optimizer)
        penalized = self._penalized(losses)
        self._require_finite(penalized)
        if self.clip_value is not None:
            self.optimizer.clip_value(self.clip_value)
        if self.clip_norm is not None:
            self.optimizer.clip_norm(self.clip_norm)
        self.optimizer.step()
        if self.loss_scale is not None:
            self.loss_scale.stepped()
        if self.ema is not None:
            self.ema.update()
        return penalized

    def by_closure(self, items: Sequence[Item], shares: Sequence[float]) -> list[Tensor]:
        """The step of an optimizer that asks for gradients several times; returns the losses before it."""
        first: list[Tensor] = []
        last: list[Tensor] = []
        places = [None] if len(items) == 1 else [self.placed(share) for share in shares]

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            pairs = zip(places, items, strict=True)
            losses = self._penalized([self.gradients(place, *item, told=not first) for place, item in pairs])
            last[:] = losses
            if not first:
                self._require_finite(losses)
                first.extend(losses)
            if len(losses) == 1:
                return losses[0]
            return stack([loss * share for loss, share in zip(losses, shares, strict=True)]).sum()

        self.undo.remember()
        self.optimizer.step(closure)
        self._require_finite(last)
        return first

    def placed(self, number: float) -> Tensor:
        """A number () on the device, in double precision."""
        backend = self.finite.backend
        return Tensor.wrap(backend.asarray(np.array(number)), backend)

    def _penalized(self, losses: Iterable[Tensor]) -> list[Tensor]:
        """The losses with the penalty, whose gradient is added to the others."""
        if self.penalty is None:
            return list(losses)
        value = self.penalty(self.model)
        if value.requires_grad:
            value.backward()
        penalty = value.detach()
        return [loss + penalty for loss in losses]

    def _require_finite(self, losses: list[Tensor]) -> None:
        squares = self.optimizer.squared_norms()
        self.finite.require(
            [loss.array for loss in losses],
            [square for _, square in squares],
            [buffer.gradients for buffer, _ in squares],
            [buffer.backend for buffer, _ in squares],
        )
