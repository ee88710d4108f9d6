"""Which model do options describe where there is no run? Its size, from options or from the data that it suits."""

import argparse
from typing import Any

from engine import data
from engine.commands import options, parsing, recipes, task
from engine.commands.train import model_table
from engine.data import Dataset
from engine.errors import ArgumentError


def add(parser: argparse.ArgumentParser) -> Any:
    """RUN, and the options that stand in its place; returns the group of the size."""
    parser.add_argument(
        "folder", metavar="RUN", nargs="?", type=parsing.path, help="a run folder (default: a model from the options)"
    )
    group = parser.add_argument_group("size")
    group.add_argument(
        "--data", metavar="NAME|FILE", type=parsing.data, help="whose samples and targets the model suits"
    )
    group.add_argument("--inputs", metavar="N", type=parsing.whole(1), help="features of a sample")
    group.add_argument("--outputs", metavar="N", type=parsing.whole(1), help="outputs of the model")
    options.add_model(parser)
    return group


def leave_to_run(arguments: argparse.Namespace, actions: list[argparse.Action], of_both: tuple[str, ...]) -> None:
    """Refuse what describes a model where a run has one; the options ``of_both`` are for either."""
    for option in actions:
        if option.dest in ("help", "folder", *of_both) or getattr(arguments, option.dest) == option.default:
            continue
        raise ArgumentError(
            f"{option.option_strings[0]}: the model is that of {arguments.folder}. Leave one of them out."
        )


def training_part(arguments: argparse.Namespace) -> Dataset | None:
    """The samples of --data; None where it is not given."""
    return None if arguments.data is None else data.load(arguments.data)[0]


def model(arguments: argparse.Namespace, train: Dataset | None, loss: str = "auto") -> dict[str, Any]:
    """The table [model] of what the options describe.

    Raises:
        ArgumentError: neither data nor numbers say how large it is.
    """
    inputs, outputs = arguments.inputs, arguments.outputs
    shape = [inputs]
    if train is not None:
        shape = list(train.x.shape[1:]) if inputs is None else shape
        outputs = (
            task.outputs(task.default_loss(train.task) if loss == "auto" else loss, train)
            if outputs is None
            else outputs
        )
    if shape == [None] or outputs is None:
        raise ArgumentError(
            "model: its inputs and outputs are not known. Give a run folder, --data, or --inputs and --outputs."
        )
    hidden = recipes.recipe(arguments.data or "", 0 if train is None else len(train)).hidden
    return {**model_table(arguments, hidden), "inputs": shape, "outputs": outputs, "seed": 0}
