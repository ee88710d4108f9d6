"""How does `engine summary` go? The layers of a run's model, or of one that options describe."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from engine.commands import build, described, parsing, report, settings
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
    group = described.add(parser)
    group.add_argument(
        "--batch-size", metavar="N", type=parsing.whole(1), default=1, help="samples of the counted step"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=run, options=parser._actions)


def run(arguments: argparse.Namespace) -> int:
    """Print the summary."""
    table: Mapping[str, Any]
    if arguments.folder is None:
        table = described.model(arguments, described.training_part(arguments))
        model = build.model(table)
    else:
        described.leave_to_run(arguments, arguments.options, of_both=("json", "batch_size"))
        with settings.used(Run.open(arguments.folder), "model") as table:
            model = build.model(table)
    found = summary(model, tuple(table["inputs"]), batch_size=arguments.batch_size)
    report.write(f"{json.dumps(found.to_dict()) if arguments.json else found}\n")
    return 0
