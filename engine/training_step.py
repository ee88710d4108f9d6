"""How is one step of a training taken, or many? Recorded where that may be; each whole, or not at all."""

import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.kernels.pair import Array
from engine.callbacks import StepBelow
from engine.data import Batches
from engine.data.batches import Gatherer
from engine.divergence import DivergedError, first_not_finite
from engine.errors import NotFiniteError
from engine.recordable import Repeated, is_own, may_be_recorded, settings_of
from engine.step_functions import Item, StepFunctions
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.trainer import Trainer


CALL_SECONDS = 0.05
"""About how long a call of many steps takes: whoever interrupts waits no longer."""

MOST_TOGETHER = 256
"""The steps of such a call, at the most."""


class Many:
    """Batches whose steps may be taken in one call.

    Attributes:
        rows: the numbers of their rows, (batches, batch size).
        done: how many were taken.
    """

    def __init__(self, rows: Array) -> None:
        self.rows, self.done = rows, 0


class TrainingStep:
    """A trainer's steps, from one `begin` to the next.

    Its `StepFunctions` run as they stand, or recorded: the same code, and the same bits. Recordings stay from fit to
    fit, and hold no data.

    Attributes:
        losses: of the last step, one a batch.
        skipped: whether the last step was, because its gradients left float16's range: it has changed the loss scale
            alone.
    """

    def __init__(self) -> None:
        self._settings: Any = None
        self._gatherer = Gatherer()
        self._at_once = 1  # batches of the next call
        self.skipped = False

    def begin(self, trainer: "Trainer", batches: Batches, stop: StepBelow | None) -> None:
        """A fit begins, or an epoch of it: over these batches, with this rule to stop by."""
        self._gatherer.batches, self.stop = batches, stop
        trainer.optimizer.buffers()  # laid out now: a recording works on the parameters where they are
        self.look(trainer)

    def look(self, trainer: "Trainer") -> None:
        """Where the trainer's parts are not what they were (a callback may change them), all begins anew."""
        batches = self._gatherer.given()
        settings = [settings_of(trainer), batches.form(), self.stop]
        if settings == self._settings:
            return
        self._settings = settings
        functions = self.functions = StepFunctions(trainer, self._gatherer)
        self._keeps_weights = self.stop is not None or trainer.optimizer.needs_closure
        plain = is_own(trainer.loss) and getattr(trainer.loss, "class_weight", None) is None
        self._counts_samples = (plain and len(batches.arrays) == 2) or not trainer._averages
        self._whole: Callable[..., Tensor] = functions.whole
        self._gradients: Callable[..., Tensor] = functions.gradients
        self._finish: Callable[..., list[Tensor]] = functions.finish
        self._gathers = False
        if not self._keeps_weights and may_be_recorded(trainer):
            self._whole, self._gradients, self._finish = (
                Repeated(one, runs_before=0) for one in (functions.whole, functions.gradients, functions.finish)
            )
            self._gathers = batches.gatherable

    def end(self) -> None:
        """The fit is over: let go of the data."""
        batches, self._gatherer.batches = self._gatherer.batches, None
        for one in vars(self).values():
            if isinstance(one, Repeated):
                one.release()
        if batches is not None and batches.batch_size == batches.samples:
            self._settings = None  # such a recording works on the data itself
            del self._whole, self._gradients, self._finish

    def together(self) -> "Iterator[Many] | None":
        """A pass over the batches, many at a time, where the steps of many can be one call; else None."""
        batches = self._gatherer.given()
        one_call = self._gathers and self._counts_samples and batches.batch_size < batches.samples
        return self._together(batches) if one_call else None

    def _together(self, batches: Batches) -> "Iterator[Many]":
        order, first = batches.order_of_pass()
        size, full = batches.batch_size, batches.samples // batches.batch_size
        while first < len(batches):
            count = max(1, min(self._at_once, full - first))
            began = time.perf_counter()
            many = Many(order[first * size : (first + count) * size].reshape(count, -1))
            yield many
            first += many.done
            if many.done < count:
                self._at_once = 1
            elif count == self._at_once and time.perf_counter() - began < CALL_SECONDS / 2:
                self._at_once = min(2 * count, MOST_TOGETHER)

    def groups(self, size: int) -> Generator[list[Item], None, None]:
        """A pass over the batches, ``size`` of them at a time; the last group has what is left."""
        batches = self._gatherer.given()
        items: Generator[Any, None, None] = ((rows,) for rows in batches.rows()) if self._gathers else iter(batches)
        with contextlib.closing(items):  # a pass that ends early lets go of what is on its way
            while group := list(itertools.islice(items, size)):
                yield group
                group.clear()  # its memory may be the next one's

    def run(self, trainer: "Trainer", group: list[Item]) -> list[tuple[float, float]]:
        """One optimizer step over one batch or several: (loss, how much it counts) of each.

        Raises:
            NotFiniteError: a loss or a gradient was; then, as after any error, the step has changed nothing.
        """
        self.skipped = False
        counts = [self._count(trainer, item) for item in group]
        before = [buffer.weights.copy() for buffer in trainer.optimizer.buffers()] if self._keeps_weights else []
        try:
            with np.errstate(all="ignore"):  # what is not finite is looked for, and told in words
                losses = self._take(trainer, group, counts)
        except Exception as error:
            lost = self._skipped(trainer, error)
            told = None
            if lost is None and isinstance(error, DivergedError):
                told = self._in_words(trainer, error, group)
            self.functions.undo.put_back()
            for buffer, weights in zip(trainer.optimizer.buffers() if before else [], before, strict=True):
                buffer.backend.xp.copyto(buffer.weights, weights)
            if told is not None:
                raise told from None
            if lost is None:
                raise
            losses = [self.functions.placed(one).to(dtype=self.functions.dtype) for one in lost]
        if self.stop is not None and not self.skipped and _moved(trainer, before) < self.stop.eps:
            trainer.stop(f"a step moved the weights by less than {self.stop.eps:g}")
        self.losses = losses
        return [(loss.item(), count) for loss, count in zip(losses, counts, strict=True)]

    def run_many(self, trainer: "Trainer", many: "Many") -> tuple[list[float], BaseException | None]:
        """Steps over these batches in one call: the loss of each, and the error that ended them.

        The first one alone, where the recording does not fit, or there is none yet.
        """
        self.skipped = False
        steps, wanted = trainer.optimizer.steps, len(many.rows)
        losses = np.empty(wanted, self.functions.dtype)
        told: BaseException | None = None
        try:
            with np.errstate(all="ignore"):
                rows = Tensor.wrap(many.rows, trainer.backend)
                many.done = self._whole.run_over(losses, rows) if isinstance(self._whole, Repeated) else 0
        except KeyboardInterrupt as error:  # between two steps
            many.done, told = trainer.optimizer.steps - steps, error
        except Exception as error:
            many.done = trainer.optimizer.steps - steps
            lost = self._skipped(trainer, error)
            failed: list[Item] = [(Tensor.wrap(many.rows[many.done], trainer.backend),)]
            if lost is not None:
                losses[many.done] = lost[0]
                many.done += 1
            else:
                told = self._in_words(trainer, error, failed, many.done) if isinstance(error, DivergedError) else error
            self.functions.undo.put_back()
        if many.done == 0 and told is None:
            many.done = 1
            ((loss, _),) = self.run(trainer, [(Tensor.wrap(many.rows[0], trainer.backend),)])
            return [loss], None
        return losses[: many.done].tolist(), told

    # -- its parts -------------------------------------------------------------------------------------

    def _take(self, trainer: "Trainer", group: list[Item], counts: list[float]) -> list[Tensor]:
        """The step itself; the losses of the batches before it."""
        functions = self.functions
        if len(group) == 1 and not trainer.optimizer.needs_closure:
            return [self._whole(*group[0])]
        # Over several batches each one's mean counts by its samples: together, the mean over all samples.
        shares = [trainer._share(count) / trainer._share(sum(counts)) for count in counts]
        if trainer.optimizer.needs_closure:
            return functions.by_closure(group, shares)
        functions.begin()
        losses = [self._gradients(functions.placed(share), *item) for item, share in zip(group, shares, strict=True)]
        return self._finish(*losses)

    def _skipped(self, trainer: "Trainer", error: Exception) -> Sequence[float] | None:
        """The losses of a step after which training goes on with a smaller loss scale; None where it does not.

        It does where a gradient is not finite, which the scale may have done; a loss does not depend on it.
        """
        scale = trainer.loss_scale
        self.skipped = scale is not None and isinstance(error, DivergedError) and error.loss is None and scale.halve()
        return error.losses if self.skipped and isinstance(error, DivergedError) else None

    def _count(self, trainer: "Trainer", item: Item) -> float:
        """How much a batch counts in a mean over all samples: its samples, or the sum of their weights."""
        if self._counts_samples:
            return float(self._gatherer.given().samples if item[0] is None else len(item[0].array))
        return trainer._count(*self.functions.batch(item, first=1))

    def _in_words(self, trainer: "Trainer", error: DivergedError, group: list[Item], steps: int = 0) -> NotFiniteError:
        """The error that a user reads; the model is as the step left it, so many steps after the last one told."""
        x = self.functions.batch(group[error.loss or 0])[0]
        layer = first_not_finite(trainer.model, x if x.dtype.kind == "f" else x.to(dtype=trainer.dtype))
        what = "a gradient" if error.loss is None else "the loss"
        where = (
            f"the first output that is not finite is that of {layer}"
            if layer
            else "the outputs of all layers are finite"
        )
        other = "" if trainer.loss_scale is None else ', or precision "bfloat16", which has float32\'s range'
        return NotFiniteError(
            f"epoch {trainer.epoch + 1}, step {trainer.step + steps + 1}: {what} is not finite; {where}. The weights "
            f"were left as they were. Try a smaller learning rate, or clip_norm=1.0{other}."
        )


def _moved(trainer: "Trainer", before: list[Any]) -> float:
    """How far the weights are from where they were, ||w_t - w_(t-1)||."""
    total = 0.0
    for buffer, old in zip(trainer.optimizer.buffers(), before, strict=True):
        difference = buffer.weights - old
        total += float(buffer.backend.to_host((difference * difference).sum()))
    return float(np.sqrt(total))
