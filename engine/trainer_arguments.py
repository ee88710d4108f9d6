"""Is what a Trainer was given what it needs? Model, loss, optimizer, metrics and the rest; one clear line where not."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from engine import metrics
from engine.callbacks import Callback
from engine.data import Batches
from engine.errors import ArgumentError, DataError
from engine.layers import BatchNorm, Layer
from engine.losses import BinaryCrossEntropy, CrossEntropy
from engine.losses.loss import check_weights
from engine.optimizers import Optimizer
from engine.penalties import Penalty
from engine.settings import instance, number, shown

Loss = Callable[..., Any]


def check_parts(model: Any, loss: Any, optimizer: Any, penalty: Any) -> None:
    """A model, a loss, an optimizer of the model's parameters, and a penalty or none."""
    instance("Trainer", "model", model, Layer, "a Layer, such as Sequential(...)")
    if isinstance(loss, type) or not callable(loss):
        raise ArgumentError(
            f"Trainer: loss {shown(loss)} was given; it is a Loss, such as CrossEntropy(), or a function of "
            f"(prediction, target)."
        )
    if getattr(loss, "reduction", "mean") == "none":
        raise ArgumentError('Trainer: the loss has reduction "none"; training needs one number, "mean" or "sum".')
    allowed = "an Optimizer, such as Adam(model.parameters())"
    held = instance("Trainer", "optimizer", optimizer, Optimizer, allowed).groups
    numbers = {id(parameter) for group in held for parameter in group.parameters}
    if not any(id(parameter) in numbers for parameter in model.parameters()):
        raise ArgumentError(
            "Trainer: the optimizer holds none of the model's parameters; make it from model.parameters()."
        )
    if penalty is not None:
        instance("Trainer", "penalty", penalty, Penalty, "None or a Penalty, such as L2(1e-4)")


def check_clipping(optimizer: Optimizer, **limits: Any) -> None:
    """Bounds above 0, for an optimizer that clips."""
    for name, value in limits.items():
        if value is not None and optimizer.needs_closure:
            raise ArgumentError(f"Trainer: {name} was given; {type(optimizer).__name__} does not clip gradients.")
        if value is not None:
            number("Trainer", name, value, "a number above 0", lambda limit: limit > 0)


def callbacks_of(given: Any) -> list[Callback]:
    """The callbacks as a list; None is none."""
    if isinstance(given, (Callback, str)) or not isinstance(given, Iterable | None):
        raise ArgumentError(f"Trainer: callbacks {shown(given)} was given; give a list, such as [EarlyStopping()].")
    found = [] if given is None else list(given)
    for callback in found:
        if not isinstance(callback, Callback):
            raise ArgumentError(
                f"Trainer: callback {shown(callback)} was given; give objects of Callback, such as EarlyStopping()."
            )
    return found


def metrics_of(loss: Loss, given: Any) -> dict[str, metrics.Metric]:
    """The metrics by name, those by class told what the loss says of the form of outputs and targets; None is none."""
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable | None):
        example = f"[{given!r}]" if isinstance(given, str) else "['accuracy']"
        raise ArgumentError(f"Trainer: metrics {shown(given)} was given; give a list, such as {example}.")
    made = []
    for one in [] if given is None else given:
        parameters: dict[str, Any] = {}
        if isinstance(one, str) and one in ("accuracy", "precision", "recall", "f1"):
            if isinstance(loss, CrossEntropy):
                parameters["multilabel"] = False
            elif isinstance(loss, BinaryCrossEntropy) and not loss.from_logits:
                parameters["threshold"] = 0.5
        made.append(copy.deepcopy(metrics.get(one, **parameters)))
    return {metric.name: metric for metric in made}


def check_form(data: Any) -> None:
    """Samples with their targets, and perhaps weights."""
    if isinstance(data, tuple) and not 2 <= len(data) <= 3:
        raise DataError(f"Trainer: a tuple of {len(data)} was given; give (x, y), (x, y, weights) or a Dataset.")
    if not isinstance(data, tuple) and not hasattr(data, "y"):
        raise DataError(
            f"Trainer: {type(data).__name__} was given; give a Dataset or (x, y), the samples and their targets."
        )


def check_batches(model: Layer, batches: Batches) -> None:
    """Batches that this model can train on."""
    last = batches.samples % batches.batch_size or batches.batch_size
    shortest = batches.batch_size if batches.drop_last else min(last, batches.batch_size)
    if shortest == 1 and any(isinstance(layer, BatchNorm) for _, layer in model.named_layers()):
        raise ArgumentError(
            f"Trainer: BatchNorm cannot train on a batch of one sample, and {batches.samples} samples in batches "
            f"of {batches.batch_size} leave one; use drop_last=True or another batch size."
        )


def check_sample_weights(batches: Batches) -> None:
    """Weights of samples, where there are any and they are on the host: 0 or above."""
    for weights in batches.arrays[2:]:
        if isinstance(weights, np.ndarray):
            check_weights("Trainer", weights)
