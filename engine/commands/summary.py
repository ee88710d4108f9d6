"""How does `engine summary` go? The layers of a run's model, or of one that options describe."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from engine import data
from engine.commands import build, options, parsing, recipes, report, settings, task
from engine.commands.train import model_table
from engine.errors import ArgumentError
from engine.model_summary import summary
from engine.runs import Run


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "summary",
        usage="%(prog)s [RUN] [option ...]",
        help="the layers of a model, their shapes, parameters and work",
        description="The layers of a run's model, or of the model that train would build from the same options.",
        epilog="examples:\n  engine summary runs/digits-1\n"
        "  engine summary --data digits --hidden 256,128 --batch-norm\n"
        "  engine summary --inputs 784 --outputs 10 --hidden 100 --batch-size 64\n",
    )
    parser.add_argument(
        "folder", metavar="RUN", nargs="?", type=parsing.path, help="a run folder (default: a model from the options)"
    )
    group = parser.add_argument_group("size")
    group.add_argument(
        "--data", metavar="NAME|FILE", type=parsing.data, help="whose samples and targets the model suits"
    )
    group.add_argument("--inputs", metavar="N", type=parsing.whole(1), help="features of a sample")
    group.add_argument("--outputs", metavar="N", type=parsing.whole(1), help="outputs of the model")
    group.add_argument(
        "--batch-size", metavar="N", type=parsing.whole(1), default=1, help="samples of the counted step"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    options.add_model(parser)
    of_both = ("help", "folder", "json", "batch_size")
    parser.set_defaults(run=run, of_a_model=[one for one in parser._actions if one.dest not in of_both])


def run(arguments: argparse.Namespace) -> int:
    """Print the summary."""
    table: Mapping[str, Any]
    if arguments.folder is None:
        table = _described(arguments)
        model = build.model(table)
    else:
        for option in arguments.of_a_model:
            if getattr(arguments, option.dest) != option.default:
                raise ArgumentError(
                    f"{option.option_strings[0]}: the model is that of {arguments.folder}. Leave one of them out."
                )
        with settings.used(Run.open(arguments.folder), "model") as table:
            model = build.model(table)
    found = summary(model, tuple(table["inputs"]), batch_size=arguments.batch_size)
    report.write(f"{json.dumps(found.to_dict()) if arguments.json else found}\n")
    return 0


def _described(arguments: argparse.Namespace) -> dict[str, Any]:
    inputs, outputs, samples = arguments.inputs, arguments.outputs, 0
    shape = [inputs]
    if arguments.data is not None:
        train, _ = data.load(arguments.data)
        samples = len(train)
        shape = list(train.x.shape[1:]) if inputs is None else shape
        outputs = task.outputs(task.default_loss(train.task), train) if outputs is None else outputs
    if shape == [None] or outputs is None:
        raise ArgumentError(
            "model: its inputs and outputs are not known. Give a run folder, --data, or --inputs and --outputs."
        )
    hidden = recipes.recipe(arguments.data or "", samples).hidden
    return {**model_table(arguments, hidden), "inputs": shape, "outputs": outputs, "seed": 0}
