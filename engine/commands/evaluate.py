"""How does `engine evaluate` go? The model of a run folder is built again and tested."""

import argparse
from typing import Any

from engine.commands import build, options, parsing, report, settings, task
from engine.data import Dataset, names
from engine.errors import DataError
from engine.layers import Layer
from engine.optimizers import SGD
from engine.runs import Run
from engine.trainer import Trainer


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "evaluate",
        help="test the model of a run folder",
        description="Build the model of a run folder again and test it on the part of its data that was held out.",
        epilog="examples:\n  engine evaluate runs/digits-1\n  engine evaluate runs/moons-1 --data circle\n",
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", metavar="RUN", help="the run folder")
    parser.add_argument(
        "--data", metavar="NAME", type=parsing.one_of("data set", names()), help="(default: the run's own)"
    )
    options.add_device(parser)
    options.add_display(parser)


def run(arguments: argparse.Namespace) -> int:
    """Test a run; 0 when the result is there."""
    folder = Run.open(arguments.folder)
    model = build.trained_model(folder)
    test = load_part(folder, arguments.data, "test")
    backend, device = report.choose_device(arguments.device)
    trainer = make_trainer(folder, model, backend.device)
    table = settings.table(folder, "model")
    with settings.used(folder, "loss") as loss:
        result = trainer.evaluate(build.arrays(loss["name"], test, table["precision"]))
    output = report.Output(arguments.quiet or arguments.json)
    output.print(f"run     {folder.path}")
    output.print(f"data    {test.name}: {len(test)} test samples, {test.task}")
    output.print(f"model   {report.describe_model(table)} ({report.parameter_count(model):,} parameters)")
    output.print(f"device  {device}")
    output.print(report.result_table({"test": result}, {"samples": f"{len(test):,}"}))
    facts = {"data": test.name, "run": str(folder.path), "device": backend.device, "samples": len(test), "test": result}
    report.finish(result, facts, as_json=arguments.json)
    return 0


def load_part(folder: Run, name: str | None, part: str) -> Dataset:
    """A part of a data set, prepared as the run's training part was: "train", "test" or "all".

    Raises:
        DataError: the data is of another task, shape or number of classes.
    """
    with settings.used(folder, "data") as table:
        own = name is None or name == table["name"]
        wanted = table if own else {"name": name, "seed": table["seed"], "test_fraction": 0.2}
        train, test = build.load_data(wanted)
    inputs, classes = settings.table(folder, "model")["inputs"], table.get("classes")
    if test.task != table["task"] or list(test.x.shape[1:]) != inputs or test.classes != len(classes or ()):
        given = _kind(test.task, list(test.x.shape[1:]), test.classes)
        wanted_kind = _kind(table["task"], inputs, len(classes or ()))
        raise DataError(f"data {test.name}: it has {given}; {folder.path} was trained on {wanted_kind}.")
    return build.prepared(folder, test if part == "test" else train)


def _kind(task_name: str, inputs: list[int], classes: int) -> str:
    return f"{'x'.join(map(str, inputs))} features and " + (
        f"{classes} classes" if classes else f"a {task_name} target"
    )


def make_trainer(folder: Run, model: Layer, device: str) -> Trainer:
    """A Trainer for evaluation and prediction alone: its optimizer takes no step."""
    with settings.used(folder, "loss") as table:
        loss = build.loss(table)
    measures = task.measures(table["name"], settings.table(folder, "data")["task"])
    return Trainer(model, loss=loss, optimizer=SGD(model.parameters()), device=device, metrics=measures)
