"""How do settings become a model, a loss, an optimizer? From a run's tables, in every command alike."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine import data, optimizers, penalties, schedules
from engine.commands import settings, task
from engine.data import Dataset
from engine.errors import ArgumentError
from engine.layers import Activation, BatchNorm, Dropout, Flatten, Layer, Linear, Sequential
from engine.losses.loss import Loss
from engine.optimizers import Optimizer
from engine.runs import Run

Table = Mapping[str, Any]

# Glorot's variance is theirs; He's makes up for the half that ReLU and its kin drop.
_GLOROT = ("sigmoid", "tanh", "softplus", "softmax")


def load_data(table: Table) -> tuple[Dataset, Dataset]:
    """(training part, test part) by the table [data]."""
    return data.load(
        table["name"],
        seed=table["seed"],
        test_fraction=table["test_fraction"],
        **{name: table[name] for name in ("samples", "noise") if table.get(name) is not None},
    )


def initializer(activation: str) -> str:
    """The initializer that suits an activation."""
    return "glorot_uniform" if activation.lower() in _GLOROT else "he_normal"


def model(table: Table) -> Sequential:
    """Linear, then batch norm, activation and dropout, for each hidden layer; a last Linear. By the table [model]."""
    generator = np.random.Generator(np.random.PCG64(table["seed"]))
    auto = table["initializer"] == "auto"
    hidden_start = initializer(table["activation"]) if auto else table["initializer"]
    layers: list[Layer] = [Flatten()] if len(table["inputs"]) > 1 else []
    width = math.prod(table["inputs"])
    for wanted in table["hidden"]:
        layers.append(Linear(width, wanted, initializer=hidden_start, generator=generator, dtype=table["precision"]))
        if table["batch_norm"]:
            layers.append(BatchNorm(wanted, dtype=table["precision"]))
        layers.append(Activation.by_name(table["activation"]))
        if table["dropout"]:
            layers.append(Dropout(table["dropout"], generator=generator))
        width = wanted
    last_start = "glorot_uniform" if auto else table["initializer"]
    layers.append(
        Linear(width, table["outputs"], initializer=last_start, generator=generator, dtype=table["precision"])
    )
    return Sequential(*layers)


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
    if "learning_rate" not in wanted:
        parameters = inspect.signature(optimizers.Optimizer.members[table["name"]].__init__).parameters
        wanted["learning_rate"] = parameters["learning_rate"].default
    wanted["learning_rate"] = schedule(schedule_table, wanted["learning_rate"], steps_per_epoch, epochs)
    return optimizers.Optimizer.by_name(table["name"], built.parameters(), **wanted)


_SCHEDULE_SETTINGS = {
    "constant": (),
    "cosine": (),
    "one-cycle": (),
    "step": ("every", "factor"),
    "exponential": ("factor",),
    "plateau": ("factor", "patience"),
}


def schedule(table: Table, rate: float, steps_per_epoch: int, epochs: int) -> float | schedules.Schedule:
    """The learning rate over time, by the table [schedule]; epochs become optimizer steps.

    Raises:
        ArgumentError: a setting that this schedule does not have, or a warm-up that leaves nothing.
    """
    name = table["name"]
    for setting in ("every", "factor", "patience"):
        if table.get(setting) is not None and setting not in _SCHEDULE_SETTINGS[name]:
            having = [one for one, known in _SCHEDULE_SETTINGS.items() if setting in known]
            raise ArgumentError(f"--schedule-{setting}: schedule {name} has none; allowed with {', '.join(having)}.")
    warmup = round(table["warmup"] * steps_per_epoch)
    total = epochs * steps_per_epoch - warmup
    if total < 1:
        raise ArgumentError(
            f"--warmup: {table['warmup']:g} epochs were given; it must be shorter than the training, {epochs}."
        )
    then: float | schedules.Schedule = rate
    if name == "cosine":
        then = schedules.Cosine(rate, total)
    elif name == "one-cycle":
        if warmup:
            raise ArgumentError("--warmup: schedule one-cycle rises by itself. Leave it out.")
        then = schedules.OneCycle(rate, max(total, 2))
    elif name == "step":
        every = epochs / 3 if table.get("every") is None else table["every"]
        then = schedules.Step(rate, max(round(every * steps_per_epoch), 1), _or(table.get("factor"), 0.1))
    elif name == "exponential":
        then = schedules.Exponential(rate, _or(table.get("factor"), 0.95) ** (1 / steps_per_epoch))
    elif name == "plateau":
        then = schedules.ReduceOnPlateau(rate, _or(table.get("factor"), 0.1), int(_or(table.get("patience"), 5)))
    return schedules.Warmup(warmup, then) if warmup else then


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def penalty(l1: float, l2: float) -> penalties.Penalty | None:
    """l1 sum |w| + l2 sum w^2."""
    if l1 and l2:
        return penalties.ElasticNet(l1, beta=l2 / l1)
    if l1:
        return penalties.L1(l1)
    return penalties.L2(l2) if l2 else None


def prepared(run: Run, part: Dataset) -> Dataset:
    """A part that was loaded by name, prepared as the run's training part was."""
    features, target, _ = run.preparation()
    if part.preparation == features and part.target_preparation == target:
        return part
    x, y = part.x, part.y
    for one in reversed(part.preparation):
        x = one.undo(x, np.float64)
    for one in features:
        x = one(x, part.x.dtype)
    if part.target_preparation is not None:
        y = part.target_preparation.undo(y, np.float64)
    if target is not None:
        y = target(y, part.x.dtype)
    names = part.feature_names if x.ndim == 2 else None
    return Dataset(x, y, part.name, names, part.class_names, part.task, features, target)


def arrays(loss_name: str, part: Dataset, dtype: str) -> tuple[Any, Any]:
    """(x, y) as the model and the loss want them."""
    return part.x.astype(dtype, copy=False), task.targets(loss_name, part, dtype)
