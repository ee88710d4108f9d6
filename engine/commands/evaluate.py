"""How does `engine evaluate` go? The model of a run folder is built again and tested."""

import argparse
from pathlib import Path
from typing import Any

from engine.commands import build, confusion, options, parsing, parts, report, settings, task
from engine.layers import Layer
from engine.optimizers import SGD
from engine.precision import weights_of
from engine.runs import Run
from engine.trainer import Trainer


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "evaluate",
        help="test the model of a run folder",
        description="Build the model of a run folder again and test it on the part of its data that was held out, or "
        "on other samples with targets, prepared as the training data was.",
        epilog="examples:\n  engine evaluate runs/digits-1 --confusion digits.png\n"
        "  engine evaluate runs/moons-1 --data circle\n"
        "  engine evaluate runs/prices-1 --data prices-of-may.csv\n",
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", metavar="RUN", type=parsing.path, help="the run folder")
    parser.add_argument(
        "--data",
        metavar="NAME|FILE",
        type=parsing.data,
        help="a set by name, or a file, of which all samples are taken (default: the run's own)",
    )
    parser.add_argument(
        "--target", metavar="FILE", type=parsing.path, help="of the targets of FILE, where they are in one of their own"
    )
    parser.add_argument(
        "--part",
        metavar="PART",
        type=parsing.OneOf("part", parts.PARTS),
        help=f"{', '.join(parts.PARTS)} (default: test)",
    )
    options.add_data_dir(parser, "as the run was begun")
    parser.add_argument(
        "--confusion",
        metavar="FILE",
        type=parsing.path,
        help="write which class is taken for which: .csv, or a picture (.png, .svg, .pdf)",
    )
    options.add_device(parser)
    options.add_display(parser)


def run(arguments: argparse.Namespace) -> int:
    """Test a run; 0 when the result is there."""
    folder = Run.open(arguments.folder)
    drawn = None if arguments.confusion is None else Path(arguments.confusion)
    if drawn is not None:
        of = settings.table(folder, "data")
        confusion.check_output(drawn, of["task"], len(of.get("classes") or ()))
    model = build.trained_model(folder)
    test = parts.of_run(folder, arguments.data, arguments.part, target=arguments.target, data_dir=arguments.data_dir)
    part = {"train": "training", "validation": "validation"}.get(arguments.part, "test")
    backend, device = report.choose_device(arguments.device)
    trainer = make_trainer(folder, model, backend.device)
    table = settings.table(folder, "model")
    with settings.used(folder, "loss") as loss:
        confused = confusion.Confusion.of(loss["name"], test)
        result = trainer.evaluate(parts.arrays(loss["name"], test, weights_of(table["precision"])), watch=confused)
    output = report.Output(arguments.quiet or arguments.json)
    output.print(f"run     {folder.path}")
    output.print(f"data    {test.name}: {len(test)} {part} samples, {test.task}")
    output.print(f"model   {report.describe_model(table)} ({report.parameter_count(model):,} parameters)")
    output.print(f"device  {device}")
    output.print(report.result_table({part: result}, {"samples": f"{len(test):,}"}))
    facts = {"data": test.name, "run": str(folder.path), "device": backend.device, "samples": len(test), part: result}
    if confused is not None:
        confused.show(output)
        facts["confusion"] = confused.to_dict()
        if drawn is not None:
            confused.write(drawn)
    report.finish(result, facts, part=part, as_json=arguments.json)
    return 0


def make_trainer(folder: Run, model: Layer, device: str) -> Trainer:
    """A Trainer for evaluation and prediction alone: its optimizer takes no step."""
    with settings.used(folder, "loss") as table:
        loss = build.loss(table)
    measures = task.measures(table["name"], settings.table(folder, "data")["task"])
    return Trainer(model, loss=loss, optimizer=SGD(model.parameters()), device=device, metrics=measures)
