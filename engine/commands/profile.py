"""How does `engine profile` go? One training step of a run's model, or of one that options describe, and its times."""

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backends import Backend
from engine.commands import build, described, options, parsing, parts, recipes, report, settings, task
from engine.commands.train import loss_and_optimizer
from engine.data import Batches, Dataset
from engine.data.augmentation import read as read_augmentation
from engine.data.dataset import Task
from engine.errors import ArgumentError
from engine.precision import weights_of
from engine.runs import CONFIG, Config, Run
from engine.trainer import Trainer
from engine.training_step import TrainingStep

if TYPE_CHECKING:
    from engine.profiling import Profile

_TABLES = ("data", "model", "loss", "optimizer", "schedule", "training")
_TINY = 1e-6  # a learning rate: from random samples nothing can be learnt, and no step shall go astray
_BATCHES = 4  # of random samples: more than one, so that each step gathers another

_ABOUT = """
One training step of a run's model, or of the model that train would build from the same options: its time by operation
and by layer, the share of matrix products, and what is allocated. The steps are those of train, on the samples of
--data or on random ones; nothing is written but the picture.
"""


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "profile",
        usage="%(prog)s [RUN] [option ...]",
        help="where the time of a training step goes",
        description=_ABOUT,
        epilog="examples:\n  engine profile runs/digits-1\n"
        "  engine profile --data digits --hidden 256,128 --batch-size 128 --plot profile.png\n"
        "  engine profile --inputs 784 --outputs 10 --hidden 512,512 --batch-size 256 --optimizer sgd\n",
    )
    size = described.add(parser)
    size.add_argument(
        "--batch-size",
        metavar="N|all",
        type=parsing.OrWord("all", parsing.whole(1)),
        help="samples a step; all is gradient descent (default: the run's, else by data set)",
    )
    options.add_loss(parser)
    options.add_step(parser.add_argument_group("training"))
    options.add_optimizer(parser)
    group = parser.add_argument_group("measurement")
    options.add_device(group)
    group.add_argument(
        "--repeats", metavar="N", type=parsing.whole(1), default=20, help="steps that are measured; medians are shown"
    )
    group.add_argument("--plot", metavar="FILE", type=parsing.path, help="a picture as well: .png, .svg or .pdf")
    group.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=run, options=parser._actions)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print and draw what was found."""
    from engine.profiling import picture  # here, as below, so that other commands need not wait for it

    if arguments.plot is not None:
        picture.check(arguments.plot)
    backend, device = report.choose_device(arguments.device)
    if arguments.folder is None:
        config, samples = _described(arguments)
        trainer = _trainer(config, samples, backend)
    else:
        of_both = ("batch_size", "device", "repeats", "plot", "json")
        described.leave_to_run(arguments, arguments.options, of_both)
        folder = Run.open(arguments.folder)
        config, samples = _of_run(folder, arguments.batch_size)
        with settings.told(str(folder.path / CONFIG)):
            trainer = _trainer(config, samples, backend)
    size, found = _measured(trainer, config, samples, arguments.repeats)
    facts = {
        "data": samples.name,
        "model": report.describe_model(config["model"]),
        "parameters": report.parameter_count(trainer.model),
        "loss": config["loss"]["name"],
        "optimizer": config["optimizer"]["name"],
        "batch_size": size,
        "device": backend.device,
    }
    if arguments.json:
        report.write(json.dumps(facts | found.to_dict()) + "\n")
    else:
        report.write(
            f"data    {samples.name}\n"
            f"model   {facts['model']} ({facts['parameters']:,} parameters)\n"
            f"train   {facts['loss']}, {facts['optimizer']}, batch size {size}\n"
            f"device  {device}\n\n{found}\n"
        )
    if arguments.plot is not None:
        found.plot(arguments.plot, title=f"{facts['model']}, batch size {size}")
    return 0


def _measured(trainer: Trainer, config: Config, samples: Dataset, repeats: int) -> tuple[int, "Profile"]:
    """The size of a batch, and the profile of the trainer's step."""
    from engine.profiling import profile

    wanted = config["training"]
    batches = Batches(
        parts.arrays(config["loss"]["name"], samples, weights_of(config["model"]["precision"])),
        wanted["batch_size"],
        seed=wanted["seed"],
        drop_last=True,  # steps of one size
        device=trainer.backend,
        dtype=trainer.dtype,
        augment=read_augmentation(wanted["augment"]) if wanted.get("augment") else (),
    )
    step = TrainingStep()
    step.begin(trainer, batches, None)
    groups = itertools.chain.from_iterable(step.groups(wanted["accumulate"]) for _ in itertools.count())
    found = profile(lambda: step.run(trainer, next(groups)), repeats=repeats)
    return batches.batch_size, replace(found, step="training step")


def _trainer(config: Config, samples: Dataset, backend: Backend) -> Trainer:
    metrics = task.measures(config["loss"]["name"], samples.task)
    return build.trainer(config, 1, device=backend.device, metrics=metrics)


# -- the settings, and samples to go with them ---------------------------------------------------------


def _described(arguments: argparse.Namespace) -> tuple[Config, Dataset]:
    """By the options, as train would have them."""
    train = described.training_part(arguments)
    for name in ("inputs", "outputs"):
        if train is not None and getattr(arguments, name) is not None:
            raise ArgumentError(f"--{name}: it follows from the samples of {arguments.data}. Leave one of them out.")
    table = described.model(arguments, train, arguments.loss)
    recipe = recipes.recipe(arguments.data or "", 0 if train is None else len(train))
    size = arguments.batch_size or recipe.batch_size
    loss = arguments.loss
    if loss == "auto":
        by_outputs: Task = "multiclass" if table["outputs"] > 1 else "regression"
        loss = task.default_loss(by_outputs if train is None else train.task)
    rate = recipes.learning_rate(recipe, arguments.optimizer)
    if train is None:
        kind = task.of_loss(loss, table["outputs"])
        if kind == "multiclass" and table["outputs"] == 1:
            raise ArgumentError(f"--outputs: 1 was given; loss {loss} needs an output for each class, 2 or more.")
        if size == "all":
            raise ArgumentError("--batch-size: 'all' was given without --data. Give a number.")
        train, rate = _random(table, kind, size * _BATCHES), _TINY
    task.check(loss, train)
    config = {
        "model": table,
        **loss_and_optimizer(arguments, loss, train, rate),
        "schedule": {"name": "constant", "warmup": 0.0},
        "training": {
            "epochs": 1,
            "batch_size": size,
            "accumulate": 1,
            **{name: getattr(arguments, name) for name in ("l1", "l2", "clip_norm", "clip_value", "ema")},
            "seed": 0,
        },
    }
    return config, train


def _of_run(folder: Run, batch_size: Any) -> tuple[Config, Dataset]:
    """By a run's settings, with another batch size where one is given."""
    config: Config = {name: settings.table(folder, name) for name in _TABLES}
    config["optimizer"]["learning_rate"] = _TINY
    wanted = config["training"]
    size = wanted["batch_size"] = wanted["batch_size"] if batch_size is None else batch_size
    samples = folder.table("parts")["train"] if size == "all" else size * wanted["accumulate"] * _BATCHES
    kind, names = config["data"]["task"], config["data"].get("classes")
    return config, _random(config["model"], kind, samples, names)


def _random(table: Mapping[str, Any], kind: Task, samples: int, names: Sequence[str] | None = None) -> Dataset:
    """Samples as a model takes them: how long a step takes does not depend on what they say."""
    generator = np.random.Generator(np.random.PCG64(0))
    outputs = table["outputs"]
    x = generator.standard_normal((samples, *table["inputs"]), np.float32)
    if kind == "regression":
        return Dataset(x, generator.standard_normal((samples, outputs), np.float32), "random samples", task=kind)
    if names is None:
        names = [str(number) for number in range(max(outputs, 2))]
    shape = (samples, outputs) if kind == "multilabel" else (samples,)
    y = generator.integers(0, 2 if kind == "multilabel" else len(names), shape)
    return Dataset(x, y, "random samples", class_names=tuple(names), task=kind)
