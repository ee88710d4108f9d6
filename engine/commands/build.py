"""How do settings become a model, a loss, an optimizer? From a run's tables, in every command alike."""

import inspect
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine import initializers, penalties, schedules
from engine.callbacks import Callback
from engine.commands import parameters, settings
from engine.data import Dataset
from engine.errors import ArgumentError
from engine.layers import (
    Activation,
    BatchNorm,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Maxout,
    Sequential,
    StochasticDepth,
)
from engine.losses.loss import Loss
from engine.metrics import Metric
from engine.optimizers import Optimizer
from engine.precision import weights_of
from engine.runs import Run
from engine.trainer import Trainer

Table = Mapping[str, Any]

# Glorot's variance is theirs; He's makes up for the half that ReLU and its kin drop.
_GLOROT = ("sigmoid", "tanh", "softplus", "softmax")


def initializer(activation: str) -> str:
    """The initializer that suits an activation."""
    return "glorot_uniform" if activation.lower() in _GLOROT else "he_normal"


def model(table: Table) -> Sequential:
    """A block for each hidden layer, then a last Linear. By the table [model].

    With stochastic depth, blocks as wide as the one before may be skipped, the l-th of L with probability rate l / L.

    Raises:
        ArgumentError: stochastic depth without such a block, or parameters that something does not have.
    """
    generator = np.random.Generator(np.random.PCG64(table["seed"]))
    first = _first_weights(table, initializer(table["activation"]))
    layers: list[Layer] = [Flatten()] if len(table["inputs"]) > 1 else []
    width = math.prod(table["inputs"])
    rate, skipped = table.get("stochastic_depth", 0.0), 0
    skippable = sum(one == other for one, other in itertools.pairwise(table["hidden"]))
    if rate and not skippable:
        raise ArgumentError(
            f"--stochastic-depth: no hidden layer is as wide as the one before it; hidden widths are "
            f"{', '.join(map(str, table['hidden'])) or 'none'}. Give equal neighbours, such as --hidden 128,128."
        )
    for number, wanted in enumerate(table["hidden"]):
        block = _block(table, width, wanted, first, generator)
        if rate and number and wanted == width:
            skipped += 1
            drop = rate * skipped / skippable
            layers.append(StochasticDepth(Sequential(*block), drop=drop, generator=generator))
        else:
            layers += block
        width = wanted
    # Small, so that the first outputs are near 0: training begins at the loss of who knows nothing. A model without
    # hidden layers has one minimum, to which 0 is as good a way as any: noise would only stay in it.
    first = _first_weights(table, "fan_in_uniform" if table["hidden"] else "zeros")
    dtype = weights_of(table["precision"])
    layers.append(Linear(width, table["outputs"], initializer=first, generator=generator, dtype=dtype))
    whole = Sequential(*layers)
    whole.to(precision=table["precision"])
    return whole


def _first_weights(table: Table, suited: str) -> Any:
    if table["initializer"] == "auto":
        return suited
    name = table["initializer"].replace("-", "_")
    return initializers.get(name, **parameters.given("initializer", name, table))


def _block(table: Table, inputs: int, outputs: int, first: Any, generator: np.random.Generator) -> list[Layer]:
    """Linear, then batch norm, activation and dropout; a Maxout stands for Linear and activation."""
    name = table["activation"].lower().replace("_", "-")
    settings = parameters.given("activation", name, table)
    chance: dict[str, Any] = {"initializer": first, "generator": generator, "dtype": weights_of(table["precision"])}
    maxout = name == parameters.MAXOUT
    block: list[Layer] = [
        Maxout(inputs, outputs, **settings, **chance) if maxout else Linear(inputs, outputs, **chance)
    ]
    if table["batch_norm"]:
        block.append(BatchNorm(outputs, dtype=weights_of(table["precision"])))
    if not maxout:
        block.append(Activation.by_name(name, **settings))
    if table["dropout"]:
        block.append(Dropout(table["dropout"], generator=generator))
    return block


def trained_model(run: Run) -> Sequential:
    """A run's model with its weights."""
    with settings.used(run, "model") as table:
        built = model(table)
    run.load_weights(built)
    return built


def loss(table: Table) -> Loss:
    """By the table [loss]."""
    wanted = {name: value for name, value in table.items() if name != "name" and value is not None}
    if table["name"] == "binary-cross-entropy":
        wanted["from_logits"] = True
    return Loss.by_name(table["name"], **wanted)


def class_weight(wanted: str | list[float] | None, train: Dataset) -> list[float] | None:
    """One number for each class; "balanced" gives samples / (classes * samples of the class)."""
    if wanted is None:
        return None
    if train.task == "regression":
        raise ArgumentError(f"--class-weight: the targets of {train.name} are numbers, not classes. Leave it out.")
    if train.task == "multilabel":
        raise ArgumentError(f"--class-weight: the samples of {train.name} have several labels each. Leave it out.")
    if isinstance(wanted, str):
        counts = np.bincount(train.y, minlength=train.classes)
        return [float(weight) for weight in len(train) / (train.classes * np.maximum(counts, 1))]
    if len(wanted) != train.classes:
        raise ArgumentError(
            f"--class-weight: {len(wanted)} numbers were given; {train.name} has {train.classes} classes."
        )
    return wanted


def optimizer(table: Table, schedule_table: Table, built: Layer, steps_per_epoch: int, epochs: int) -> Optimizer:
    """By the tables [optimizer] and [schedule]."""
    wanted = {name: value for name, value in table.items() if name != "name" and value is not None}
    wanted["learning_rate"] = schedule(schedule_table, learning_rate(table), steps_per_epoch, epochs)
    return Optimizer.by_name(table["name"], built.parameters(), **wanted)


def learning_rate(table: Table) -> float:
    """The one that is configured in the table [optimizer], else the optimizer's own."""
    given: float | None = table.get("learning_rate")
    if given is not None:
        return given
    default: float = inspect.signature(Optimizer.members[table["name"]]).parameters["learning_rate"].default
    return default


def schedule(table: Table, rate: float, steps_per_epoch: int, epochs: int) -> float | schedules.Schedule:
    """The learning rate over time, by the table [schedule]; epochs become optimizer steps.

    Raises:
        ArgumentError: a warm-up that leaves nothing, or a setting out of range.
    """
    name = table["name"]
    warmup = round(table["warmup"] * steps_per_epoch)
    total = epochs * steps_per_epoch - warmup
    if total < 1:
        raise ArgumentError(
            f"--warmup: {table['warmup']:g} epochs were given; it must be shorter than the training, {epochs}."
        )
    settings = parameters.given("schedule", name, table)
    then: float | schedules.Schedule = rate
    if name == "cosine":
        then = schedules.Cosine(rate, total, **settings)
    elif name == "one-cycle":
        if warmup:
            raise ArgumentError("--warmup: schedule one-cycle rises by itself. Leave it out.")
        then = schedules.OneCycle(rate, max(total, 2), **settings)
    elif name == "step":
        every = epochs / 3 if table.get("every") is None else table["every"]
        then = schedules.Step(rate, **{**settings, "every": max(round(every * steps_per_epoch), 1)})
    elif name == "exponential":
        then = schedules.Exponential(rate, settings.get("factor", 0.95) ** (1 / steps_per_epoch))
    elif name == "plateau":
        then = schedules.ReduceOnPlateau(rate, **{"patience": 5, **settings})
    return schedules.Warmup(warmup, then) if warmup else then


def penalty(l1: float, l2: float) -> penalties.Penalty | None:
    """l1 sum |w| + l2 sum w^2."""
    if l1 and l2:
        return penalties.ElasticNet(l1, beta=l2 / l1)
    if l1:
        return penalties.L1(l1)
    return penalties.L2(l2) if l2 else None


def trainer(
    config: Mapping[str, Table],
    steps_per_epoch: int,
    *,
    device: str,
    metrics: list[Metric],
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    """By the tables [model], [loss], [optimizer], [schedule] and [training]."""
    wanted = config["training"]
    built = model(config["model"])
    return Trainer(
        built,
        loss=loss(config["loss"]),
        optimizer=optimizer(config["optimizer"], config["schedule"], built, steps_per_epoch, wanted["epochs"]),
        device=device,
        metrics=metrics,
        penalty=penalty(wanted["l1"], wanted["l2"]),
        clip_norm=wanted.get("clip_norm"),
        clip_value=wanted.get("clip_value"),
        accumulate=wanted["accumulate"],
        seed=wanted["seed"],
        callbacks=callbacks,
        ema=wanted.get("ema"),
    )
