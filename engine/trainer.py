"""How is a network trained? The loop over epochs and batches: forward, loss, backward, step; and evaluation."""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

import backends
from engine import autodiff, resuming
from engine.averaging import ExponentialMovingAverage
from engine.callbacks import Callback, StepBelow
from engine.checkpoint import load_state, save_state
from engine.data import Augmentation, Batches
from engine.data.batches import BatchSize
from engine.errors import ArgumentError, DataError, EngineError
from engine.history import History
from engine.inference import Inference
from engine.layers import Layer, RandomLayer
from engine.layers.linear import precision_of
from engine.losses import Loss
from engine.metrics import Metric
from engine.optimizers import Optimizer
from engine.penalties import Penalty
from engine.recordable import is_own
from engine.room import enough
from engine.scaling import LossScale
from engine.settings import flag, shown, whole
from engine.tensor import Tensor
from engine.trainer_arguments import (
    callbacks_of,
    check_batches,
    check_clipping,
    check_form,
    check_parts,
    check_sample_weights,
    metrics_of,
)
from engine.training_step import Many, TrainingStep

Watch = Callable[[Tensor, Tensor], object]  # told of the outputs and the targets of a batch


class Trainer:
    """Trains a model: ``fit``, ``evaluate``, ``predict``, ``save``, ``load``.

    Args:
        model: a Layer; it is moved to the device.
        loss: ``loss(prediction, target)``, a Loss or a function; of reduction "mean" or "sum".
        optimizer: over the model's parameters.
        device: "auto" (a GPU where there is a usable one), "cpu", "cuda", "cuda:1".
        metrics: names (see `engine.metrics.names`), Metric objects, or functions of (output, target).
        penalty: L1, L2, ...; part of the training loss, not of `evaluate`.
        clip_norm, clip_value: bounds of the gradients, applied after the penalty.
        accumulate: how many batches one step averages over; what is left at the end of an epoch is applied there.
        seed: of the order of the samples and of the masks of dropout and its kin.
        callbacks: told of batches and epochs; see `Callback`.
        ema: the decay of a moving average of the weights, which `evaluate` and `predict` then use.
        precision: of the model, which is converted: float32; float64; or tf32, bfloat16, float16, to which the operands
            of products are rounded while everything else stays float32 (see `Layer.to`). None leaves it as it is.
        record: whether steps are recorded once and replayed, with the same bits (see `capture`); None records where
            model, loss, penalty, optimizer and metrics are the engine's own classes; True vouches for yours (what they
            do in Python besides tensors is frozen); False runs every step as it stands.

    Attributes:
        epoch, step: how many epochs and optimizer steps are done.
        skipped: how many steps were skipped: in float16 the loss is scaled, and a step whose gradients are not finite
            halves the scale instead (see `engine.scaling`).
        loss_scale: that scale, where something is float16; else None.
        history: a History of all epochs so far.
        random_layers: the layers that draw masks, which the seed rules.
        batches_per_epoch: of the fit that is running.
        placement: where its samples are, in words; None on the CPU.
        stop_reason: why the last fit ended before its last epoch; None where it did not.

    >>> import engine as en
    >>> train, test = en.data.load("xor", samples=200)
    >>> model = en.Sequential(en.Linear(2, 16, generator=0), en.Tanh(), en.Linear(16, 2, generator=1))
    >>> optimizer = en.Adam(model.parameters(), learning_rate=0.05)
    >>> trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=optimizer, device="cpu", metrics=["accuracy"])
    >>> history = trainer.fit(train, epochs=20, batch_size=20)
    >>> trainer.evaluate(test)["accuracy"] > 0.9
    True
    """

    def __init__(
        self,
        model: Layer,
        *,
        loss: Loss,
        optimizer: Optimizer,
        device: str = "auto",
        metrics: Iterable[Any] | None = (),
        penalty: Penalty | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        seed: int = 0,
        callbacks: Iterable[Callback] | None = (),
        ema: float | None = None,
        record: bool | None = None,
        precision: str | None = None,
    ) -> None:
        check_parts(model, loss, optimizer, penalty)
        check_clipping(optimizer, clip_norm=clip_norm, clip_value=clip_value)
        self.accumulate = whole("Trainer", "accumulate", accumulate, 1)
        self.seed = whole("Trainer", "seed", seed, 0)
        self.model, self.loss, self.optimizer, self.penalty = model, loss, optimizer, penalty
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self.record = None if record is None else flag("Trainer", "record", record)
        self.callbacks = callbacks_of(callbacks)
        self._metrics = metrics_of(loss, metrics)
        self.backend = backends.get(device)
        model.to(device=self.backend, precision=precision)
        scaled = "float16" in precision_of(model).split(" and ")
        if scaled and optimizer.needs_closure:
            raise ArgumentError(
                f"Trainer: precision float16 scales the loss, and {type(optimizer).__name__} compares losses; use "
                f"bfloat16, or another optimizer."
            )
        self.loss_scale = LossScale(self.backend) if scaled else None
        self.ema = None if ema is None else ExponentialMovingAverage(model.parameters(), ema)
        self.random_layers = [layer for _, layer in model.named_layers() if isinstance(layer, RandomLayer)]
        for number, layer in enumerate(self.random_layers):
            layer.reseed((self.seed, number))
        self.epoch = self.step = self.skipped = 0
        self.history = History()
        self._training_step, self._inference = TrainingStep(), Inference()
        self.batches_per_epoch = 0
        self.placement: str | None = None
        self.stop_reason: str | None = None
        self._so_far: resuming.SoFar | None = None  # of the epoch that is under way
        self._busy = False  # between two events, where the parts of a state do not belong together

    @property
    def device(self) -> str:
        """Where the model is trained."""
        return self.backend.device

    @property
    def within_epoch(self) -> bool:
        """Whether an epoch is under way; after ``load``, whether the next fit begins with the rest of one."""
        return self._so_far is not None

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The precision of the model."""
        return next((one.dtype for _, one in self.model.named_parameters()), np.dtype("float32"))

    def stop(self, reason: str) -> None:
        """End the training after this batch or epoch; for callbacks."""
        self.stop_reason = self.stop_reason or reason

    # -- training --------------------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        epochs: int = 1,
        batch_size: BatchSize = 64,
        validation: Any = None,
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        stop: StepBelow | None = None,
        augment: Iterable[Augmentation] = (),
    ) -> History:
        """Train for ``epochs`` more epochs; returns the history of all epochs so far.

        Args:
            data: a Dataset, (x, y), or (x, y, sample weights).
            epochs: how many; the first is the rest of one, where ``load`` took back a state from within an epoch.
            batch_size: samples a step; "all" is gradient descent, 1 is stochastic.
            validation: data that is evaluated after every epoch.
            shuffle: a new order for every epoch, by (seed, epoch).
            drop_last: leave out the last batch where it is short.
            stop: a rule such as `StepBelow`.
            augment: random changes of the training batches, such as (Flip(), Shift(2)); the validation sees none.

        Raises:
            NotFiniteError: a loss or a gradient was NaN or infinite; the model is as it was after the step before.
            OutOfMemoryError: the device has no room for a step; the message names a batch size to try.
        """
        epochs = whole("Trainer", "epochs", epochs, 0)
        if stop is not None and not isinstance(stop, StepBelow):
            raise ArgumentError(f"Trainer: stop {shown(stop)} was given; it is a rule, such as StepBelow(1e-3).")
        batches = self._batches(data, batch_size, shuffle=shuffle, drop_last=drop_last, augment=augment)
        check_batches(self.model, batches)
        held_out = None if validation is None else self._batches(validation, 1024, shuffle=False)
        if held_out is not None:  # what does not fit is told before the weights change
            with self._mode(training=False):
                self._judge(next(iter(held_out)), copy.deepcopy(self._metrics))
        with enough(self, batches):
            self._training_step.begin(self, batches, stop)
        self.batches_per_epoch, self.placement = len(batches), batches.placement()
        if self._so_far is not None:
            self._so_far.check(batches)
        elif epochs:
            self.stop_reason = None
        self._tell("fit_begin")
        self._busy = True
        try:
            with enough(self, batches):
                for _ in range(epochs):
                    self._epoch(batches, held_out, stop)
                    if self.stop_reason is not None:
                        break
        finally:
            self._busy, self._so_far = False, None
            self._training_step.end()
            self._tell("fit_end")
        return self.history

    def _batches(
        self,
        data: Any,
        batch_size: BatchSize,
        *,
        shuffle: bool,
        drop_last: bool = False,
        augment: Iterable[Augmentation] = (),
    ) -> Batches:
        check_form(data)
        batches = Batches(
            data,
            batch_size,
            seed=self.seed,
            shuffle=shuffle,
            drop_last=drop_last,
            device=self.backend,
            dtype=self.dtype,
            augment=augment,
        )
        check_sample_weights(batches)
        return batches

    def _epoch(self, batches: Batches, held_out: Batches | None, stop: StepBelow | None) -> None:
        number = self.epoch + 1
        if self._so_far is None:
            self._so_far = resuming.SoFar.begin(batches)
            for metric in self._metrics.values():
                metric.reset()
        so_far = self._so_far
        so_far.go_on()
        self._tell("epoch_begin", number)
        batches.passes, batches.skip = self.epoch, so_far.batches
        self._training_step.begin(self, batches, stop)
        with self._mode(training=True):
            together = None if self.accumulate > 1 or self._listening() else self._training_step.together()
            if together is not None:
                self._many(together, so_far)
            else:
                with contextlib.closing(self._training_step.groups(self.accumulate)) as groups:
                    for group in groups:
                        if so_far.batches and self.stop_reason is not None:
                            break
                        self._group(group, so_far)
        self._so_far = None
        values = {"loss": so_far.total / so_far.counted}
        values.update({name: metric.result() for name, metric in self._metrics.items()})
        if held_out is not None:
            values.update({f"validation_{name}": value for name, value in self._evaluate(held_out).items()})
        for schedule in self.optimizer.schedules():
            schedule.epoch_end(values.get("validation_loss", values["loss"]))
        if self.loss_scale is not None:
            values["skipped"] = float(so_far.skipped)
        values.update(learning_rate=self.optimizer.learning_rate, seconds=so_far.seconds())
        self.epoch = number
        self.history.append(values)
        self._tell("epoch_end", number, values)

    def _listening(self) -> list[Callback]:
        """The callbacks that want to be told of every batch."""
        return [one for one in self.callbacks if getattr(one.batch_end, "__func__", None) is not Callback.batch_end]

    def _many(self, together: Iterator[Many], so_far: resuming.SoFar) -> None:
        """Steps over single batches of which nobody wants to be told, many in one call."""
        behind = self.optimizer.steps - self.step
        try:
            for many in together:
                losses, error = self._training_step.run_many(self, many)
                self._count_steps(len(losses), so_far)
                count = float(many.rows.shape[1])
                share = self._share(count)
                for loss in losses:
                    so_far.add(so_far.batches + 1, loss * share, count)
                if error is not None:
                    raise error from None
                if self.stop_reason is not None:
                    break
        finally:  # where an interruption came between a call and its counting
            self.step = max(self.step, self.optimizer.steps - behind)

    def _group(self, group: list[Any], so_far: resuming.SoFar) -> None:
        """One optimizer step over one batch or several; then who listens is told of each batch."""
        step, first = self._training_step, so_far.batches + 1
        losses = step.run(self, group)
        self._count_steps(1, so_far)
        for number, (value, count) in enumerate(losses, first):  # all are counted before one is told of
            so_far.add(number, value * self._share(count), count)
        listening = self._listening()
        if listening:
            for number, loss in enumerate(step.losses, first):
                self._tell("batch_end", number, loss)
            if not all(is_own(one) for one in listening):  # a user's may have changed a setting
                step.look(self)

    def _count_steps(self, taken: int, so_far: resuming.SoFar) -> None:
        """So many steps were taken; the last of them may have been skipped."""
        skipped = self._training_step.skipped
        self.step += taken - skipped
        self.skipped += skipped
        so_far.skipped += skipped

    def _count(self, target: Tensor, weight: Tensor | None = None) -> float:
        """How much a batch counts in a mean over all samples: its samples, or the sum of their weights."""
        if not isinstance(self.loss, Loss) or not self._averages:
            return float(len(target))
        count = self.loss.counted(target, weight)
        if count == 0:
            raise DataError(
                "Trainer: the weights of a batch are all 0, and a mean divides by their sum; use larger batches, or "
                "leave these samples out."
            )
        return count

    @property
    def _averages(self) -> bool:
        return getattr(self.loss, "reduction", "mean") == "mean"

    def _share(self, count: float) -> float:
        """What a loss is multiplied by before losses are added: nothing for a sum, its samples for a mean."""
        return count if self._averages else 1.0

    # -- evaluation ------------------------------------------------------------------------------------

    def evaluate(self, data: Any, batch_size: BatchSize = 1024, watch: Watch | None = None) -> dict[str, float]:
        """The mean loss and every metric over the data, in eval mode, without the penalty.

        The mean is over all samples, each by its weight where there are weights, whatever the batch size and reduction.
        ``watch(output, target)`` is called with the Tensors of every batch.

        >>> import engine as en
        >>> line = en.Linear(1, 1, initializer="zeros")
        >>> optimizer = en.SGD(line.parameters())
        >>> trainer = en.Trainer(line, loss=en.MeanSquaredError(), optimizer=optimizer, device="cpu")
        >>> trainer.evaluate(([[1.0], [2.0]], [[1.0], [3.0]]))
        {'loss': 5.0}
        """
        batches = self._batches(data, batch_size, shuffle=False)
        with enough(self, batches):
            return self._evaluate(batches, watch)

    def _evaluate(self, batches: Batches, watch: Watch | None = None) -> dict[str, float]:
        held = {name: copy.deepcopy(metric) for name, metric in self._metrics.items()}
        for metric in held.values():
            metric.reset()
        total = counted = 0.0
        with self._mode(training=False), contextlib.closing(iter(batches)) as all_of_them:
            judge = functools.partial(self._judge, held=held, watch=watch)
            for value, count in map(judge, all_of_them):  # nobody keeps a batch while the next one comes
                total, counted = total + value * self._share(count), counted + count
        return {"loss": total / counted, **{name: metric.result() for name, metric in held.items()}}

    def _judge(self, batch: Any, held: dict[str, Metric], watch: Watch | None = None) -> tuple[float, float]:
        """The loss of a batch and how much it counts; the metrics, and who watches, are told of it."""
        _, y, *weights = batch
        count = self._count(y, *weights)
        prediction, loss = self._inference.judged(*batch)
        for metric in held.values():
            metric.update(prediction, y)
        if watch is not None:
            watch(prediction, y)
        return loss.item(), count

    def predict(self, x: Any, batch_size: int = 1024) -> "np.ndarray[Any, Any]":
        """The model's raw outputs (a classifier's logits) for samples x (samples, ...), a NumPy array, in eval mode."""
        if hasattr(x, "y") or isinstance(x, tuple):
            raise DataError(f"Trainer.predict: {type(x).__name__} was given; give the samples alone, such as data.x.")
        source = x.numpy() if isinstance(x, Tensor) else x
        batches = Batches(source, batch_size, shuffle=False, device=self.backend, dtype=self.dtype)
        with enough(self, batches), self._mode(training=False), contextlib.closing(iter(batches)) as all_of_them:
            outputs = list(map(self._inference.output, all_of_them))
            return np.concatenate([self.backend.to_host(one.array) for one in outputs])

    @contextlib.contextmanager
    def _mode(self, training: bool) -> Iterator[None]:
        """Train mode, or eval mode without recording and with the averaged weights; what was is put back afterwards."""
        others = [layer for _, layer in self.model.named_layers() if layer.training is not training]
        if others:
            self.model.train(training)
        try:
            if training:
                yield
            else:
                averaged = contextlib.nullcontext() if self.ema is None else self.ema.applied()
                self._inference.begin(self)
                with autodiff.no_grad(), averaged, np.errstate(all="ignore"):  # a loss tells what is not finite
                    yield
        finally:
            for layer in others:
                object.__setattr__(layer, "training", not training)

    # -- saved and loaded ------------------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Write all that going on needs to one file: weights, optimizer, schedule, random state, position, history.

        After `fit`, or in a callback: what is saved within an epoch goes on with the rest of it. The callbacks that
        keep a state must have heard of the event before, so let the one that saves be the last.
        """
        if self._busy:
            raise EngineError("Trainer.save: a step is under way; save in a callback, or after fit().")
        save_state(path, *resuming.state_of(self))

    def load(self, path: Any) -> None:
        """Go on from what `save` wrote, in a Trainer made like the one that saved.

        Raises:
            FileNotFoundError, DataError: there is no such file, or it is damaged.
            ShapeError, UnknownNameError, ArgumentError: it is of another model or optimizer.
        """
        resuming.go_on(self, *load_state(path), str(path))

    def __getstate__(self) -> dict[str, Any]:
        """What `copy.deepcopy` keeps: a copy makes recordings of its own."""
        return vars(self) | {"_training_step": TrainingStep(), "_inference": Inference()}

    def _tell(self, event: str, *details: Any) -> None:
        busy, self._busy = self._busy, False
        for callback in self.callbacks:
            method: Callable[..., None] = getattr(callback, event)
            method(self, *details)
        self._busy = busy
