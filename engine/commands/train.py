"""How does `engine train` begin? Its options, and the settings that they and the data make."""

import argparse
import datetime
from typing import Any

import engine
from engine import runs
from engine.commands import build, options, parsing, recipes, task
from engine.commands.session import Session
from engine.data import Dataset, split
from engine.data.catalog import ENTRIES
from engine.errors import ArgumentError
from engine.runs import Config

_EXAMPLES = """
examples:
  engine train                                          digits, with defaults that suit them
  engine train --data moons --hidden 16,16 --activation tanh
  engine train --optimizer sgd --learning-rate 0.1 --momentum 0.9 --schedule cosine --warmup 2
  engine train --data iris --hidden none --batch-size all --optimizer sgd --learning-rate 0.5 --stop-below 1e-3
  engine train --data diabetes --loss huber --dropout 0.2 --early-stopping 5 --output runs/diabetes
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
        "--seed", metavar="N", type=parsing.whole(0), default=0, help="of first weights, order of the samples, dropout"
    )
    group.add_argument("--output", metavar="DIR", help="the run folder (default: runs/NAME-1, -2, ...)")
    group.add_argument("--overwrite", action="store_true", help="replace the run that is in this folder")
    options.add_display(group)


def run(arguments: argparse.Namespace) -> int:
    """Train as the options say; 0 when the result is there."""
    if arguments.output is not None:
        runs.check_output(arguments.output, overwrite=arguments.overwrite)
    data = {
        "name": arguments.data,
        "seed": arguments.data_seed,
        "test_fraction": arguments.test_fraction,
        "samples": arguments.samples,
        "noise": arguments.noise,
    }
    _check_made(data)
    whole, test = build.load_data(data)
    config = _config(arguments, data, whole)
    task.check(config["loss"]["name"], whole)
    train, watched = whole, None
    if config["data"]["validation"]:
        train, watched = split(whole, config["data"]["validation"], seed=arguments.data_seed)
    session = Session(arguments, config, train, watched, test)
    return session.go()


def _check_made(table: dict[str, Any]) -> None:
    for setting in ("samples", "noise"):
        if table[setting] is not None and setting not in ENTRIES[table["name"]].options:
            having = [entry.name for entry in ENTRIES.values() if setting in entry.options]
            raise ArgumentError(f"--{setting}: data set {table['name']} has none; allowed with {', '.join(having)}.")


def _config(arguments: argparse.Namespace, data: dict[str, Any], whole: Dataset) -> Config:
    """Everything that rebuilds the run, as tables of settings."""
    recipe = recipes.recipe(arguments.data)
    watching = arguments.early_stopping is not None or arguments.schedule == "plateau"
    loss = task.default_loss(whole.task) if arguments.loss == "auto" else arguments.loss
    rate = recipes.learning_rate(arguments.data, arguments.optimizer)
    return {
        "run": {
            "format": runs.FORMAT,
            "engine": engine.__version__,
            "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        },
        "data": {
            **data,
            "validation": (0.1 if watching else 0.0) if arguments.validation is None else arguments.validation,
            "task": whole.task,
            "classes": whole.class_names,
        },
        "model": {
            **model_table(arguments, recipe.hidden),
            "inputs": list(whole.x.shape[1:]),
            "outputs": task.outputs(loss, whole),
            "seed": arguments.seed,
        },
        "loss": {
            "name": loss,
            "label_smoothing": arguments.label_smoothing,
            "class_weight": build.class_weight(arguments.class_weight, whole),
            "margin": arguments.margin,
            "delta": arguments.delta,
        },
        "optimizer": {
            "name": arguments.optimizer,
            "learning_rate": rate if arguments.learning_rate is None else arguments.learning_rate,
            "momentum": arguments.momentum,
            "nesterov": arguments.nesterov,
            "weight_decay": arguments.weight_decay,
        },
        "schedule": {
            "name": arguments.schedule,
            "warmup": arguments.warmup,
            "every": arguments.schedule_every,
            "factor": arguments.schedule_factor,
            "patience": arguments.schedule_patience,
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
            "seed": arguments.seed,
            "device": arguments.device,
        },
    }


def model_table(arguments: argparse.Namespace, hidden: tuple[int, ...]) -> dict[str, Any]:
    """What the model options say of the layers between input and output."""
    return {
        "hidden": list(hidden) if arguments.hidden is None else arguments.hidden,
        "activation": arguments.activation,
        "initializer": arguments.initializer,
        "batch_norm": arguments.batch_norm,
        "dropout": arguments.dropout,
        "precision": arguments.precision,
    }
