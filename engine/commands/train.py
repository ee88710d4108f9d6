"""How does `engine train` begin? Its options, and the settings that they and the data make."""

import argparse
import datetime
import functools
from typing import Any

import numpy as np

import engine
from engine import runs
from engine.commands import build, options, parameters, parsing, parts, recipes, task
from engine.commands.session import Parts, Session, new_folder
from engine.data import Dataset, augmentation
from engine.data.loading import is_name
from engine.errors import ArgumentError
from engine.precision import weights_of
from engine.runs import Config

_EXAMPLES = """
examples:
  engine train                                 digits, with defaults that suit them
  engine train --data moons --hidden 16,16 --activation tanh
  engine train --optimizer sgd --momentum 0.9 --schedule cosine --warmup 2
  engine train --data iris --hidden none --batch-size all --optimizer sgd --stop-below 1e-3
  engine train --data diabetes --loss huber --early-stopping 5 --output runs/diabetes
  engine train --data prices.csv --target price --impute median
"""


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "train",
        usage="%(prog)s [option ...]",
        help="train a network and write a run folder",
        description="Train a network and write a run folder: settings, weights, history, log.",
        epilog=options.recipe_lines() + "\n" + _EXAMPLES,
    )
    parser.set_defaults(run=run)
    options.add_data(parser)
    options.add_model(parser)
    options.add_loss(parser)
    options.add_training(parser)
    group = parser.add_argument_group("run")
    options.add_device(group)
    group.add_argument(
        "--seed",
        metavar="N",
        type=parsing.whole(0),
        default=0,
        help="of the first weights, the order of the samples, dropout",
    )
    group.add_argument(
        "--output", metavar="DIR", type=parsing.path, help="the run folder (default: runs/NAME-1, -2, ...)"
    )
    group.add_argument("--overwrite", action="store_true", help="replace the run that is in it")
    options.add_display(group)


def run(arguments: argparse.Namespace) -> int:
    """Train as the options say; 0 when the result is there."""
    if arguments.output is None and arguments.overwrite:
        raise ArgumentError("--overwrite: it needs --output, the folder of the run that is to be replaced.")
    if arguments.output is not None:
        runs.check_output(arguments.output, overwrite=arguments.overwrite)
    table = _data_table(arguments)
    parts.check_options(table)
    raw = parts.raw(table)
    if arguments.test_fraction is not None and not parts.drawn(table, raw.source):
        raise ArgumentError(f"--test-fraction: {table['name']} has a test part of its own. Leave it out.")
    scaling = None if arguments.scaling == "auto" else arguments.scaling
    intake = raw.source.fit(raw.train, scaling=scaling, impute=arguments.impute, dtype=weights_of(arguments.precision))
    train, watched, test = parts.prepared(raw, intake)
    reader = intake.reader
    config = _config(arguments, table, train, None if reader is None or not reader.columns else reader.target.names)
    task.check(config["loss"]["name"], train)
    if arguments.augment is not None:
        augmentation.checked(augmentation.read(arguments.augment), train.x.shape[1:], np.dtype(np.float32))
    data = Parts(train, watched, test)
    config["parts"] = data.known_by()
    place = functools.partial(new_folder, arguments.output, config, intake, overwrite=arguments.overwrite)
    return Session(config, data, place, device=arguments.device, quiet=arguments.quiet, as_json=arguments.json).go()


def _data_table(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that find, read and split the data."""
    watching = arguments.early_stopping is not None or arguments.schedule == "plateau"
    by_name = is_name(arguments.data)
    return {
        "name": arguments.data if by_name else parts.name_of(arguments.data),
        "file": None if by_name else arguments.data,
        "data_dir": arguments.data_dir,
        "samples": arguments.samples,
        "noise": arguments.noise,
        "target": arguments.target,
        "test": arguments.test,
        "test_target": arguments.test_target,
        "ignore": arguments.ignore,
        "text": arguments.text,
        "separator": arguments.separator,
        "header": arguments.header,
        "image_size": arguments.image_size,
        "wanted_task": arguments.task,
        "impute": arguments.impute,
        "scaling": arguments.scaling,
        "seed": arguments.data_seed,
        "test_fraction": 0.2 if arguments.test_fraction is None else arguments.test_fraction,
        "validation": (0.1 if watching else 0.0) if arguments.validation is None else arguments.validation,
    }


def _config(
    arguments: argparse.Namespace, table: dict[str, Any], train: Dataset, targets: tuple[str, ...] | None
) -> Config:
    """Everything that rebuilds the run, as tables of settings."""
    recipe = recipes.recipe(arguments.data, len(train))
    loss = task.default_loss(train.task) if arguments.loss == "auto" else arguments.loss
    return {
        "run": {
            "format": runs.FORMAT,
            "engine": engine.__version__,
            "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        },
        "data": {**table, "task": train.task, "classes": train.class_names, "targets": targets},
        "model": {
            **model_table(arguments, recipe.hidden),
            "inputs": list(train.x.shape[1:]),
            "outputs": task.outputs(loss, train),
            "seed": arguments.seed,
        },
        **loss_and_optimizer(arguments, loss, train, recipes.learning_rate(recipe, arguments.optimizer)),
        "schedule": {
            "name": arguments.schedule,
            "warmup": arguments.warmup,
            **parameters.chosen("schedule", arguments.schedule, arguments),
        },
        "training": {
            "epochs": arguments.epochs or recipe.epochs,
            "batch_size": arguments.batch_size or recipe.batch_size,
            "drop_last": arguments.drop_last,
            "accumulate": arguments.accumulate,
            "l1": arguments.l1,
            "l2": arguments.l2,
            "clip_norm": arguments.clip_norm,
            "clip_value": arguments.clip_value,
            "ema": arguments.ema,
            "early_stopping": arguments.early_stopping,
            "stop_below": arguments.stop_below,
            "augment": arguments.augment,
            "seed": arguments.seed,
            "device": arguments.device,
        },
    }


def loss_and_optimizer(
    arguments: argparse.Namespace, loss: str, train: Dataset, rate: float | None
) -> dict[str, dict[str, Any]]:
    """The tables of both, as the options say; ``rate`` is the learning rate where they say none."""
    weights = build.class_weight(arguments.class_weight, train)  # first: it says more of what is wrong
    return {
        "loss": {
            "name": loss,
            **parameters.chosen("loss", loss, arguments),
            "class_weight": weights,
        },
        "optimizer": {
            "name": arguments.optimizer,
            "learning_rate": rate if arguments.learning_rate is None else arguments.learning_rate,
            **parameters.chosen("optimizer", arguments.optimizer, arguments),
        },
    }


def model_table(arguments: argparse.Namespace, hidden: tuple[int, ...]) -> dict[str, Any]:
    """What the model options say of the layers between input and output.

    Raises:
        ArgumentError: an option that nothing can come of.
    """
    widths = list(hidden) if arguments.hidden is None else arguments.hidden
    for name in ("batch_norm", "dropout"):
        if getattr(arguments, name) and not widths:
            raise ArgumentError(
                f"--{name.replace('_', '-')}: it follows hidden layers, and there are none. Leave it out."
            )
    return {
        "hidden": widths,
        "activation": arguments.activation,
        **parameters.chosen("activation", arguments.activation, arguments),
        "initializer": arguments.initializer,
        **parameters.chosen("initializer", arguments.initializer, arguments),
        "batch_norm": arguments.batch_norm,
        "dropout": arguments.dropout,
        "stochastic_depth": arguments.stochastic_depth,
        "precision": arguments.precision,
    }
