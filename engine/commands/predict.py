"""How does `engine predict` go? What a run's model makes of new samples, one line of CSV for each."""

import argparse
import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.commands import build, options, parsing, parts, report, settings, task
from engine.commands.evaluate import make_trainer
from engine.data.intake import Intake
from engine.data.loading import is_name
from engine.errors import ArgumentError
from engine.files import write_whole
from engine.precision import weights_of
from engine.runs import Run


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "predict",
        help="what the model of a run folder says of new samples",
        description="Write one line of CSV for each sample: class, its name and a probability for each class (a "
        "score, where the loss is not made of probabilities), or the value, in the unit of the data.",
        epilog="A file is read and prepared as the training data was: columns by name, words, empty cells, scaling.\n\n"
        "examples:\n  engine predict runs/digits-1 digits --output predictions.csv\n"
        "  engine predict runs/iris-1 flowers.csv\n",
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", metavar="RUN", type=parsing.path, help="the run folder")
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=parsing.data,
        help="a file, as train takes them, with targets or without; or the name of a data set",
    )
    parser.add_argument(
        "--part",
        metavar="PART",
        type=parsing.OneOf("part", parts.PARTS),
        help=f"of a data set by name: {', '.join(parts.PARTS)} (default: test)",
    )
    parser.add_argument(
        "--output", metavar="FILE", type=parsing.path, help="where the CSV goes (default: standard output)"
    )
    options.add_data_dir(parser, "as the run was begun")
    options.add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict; 0 when the lines are written."""
    folder = Run.open(arguments.folder)
    output = None if arguments.output is None else Path(arguments.output)
    if output is not None:
        _check_output(output, arguments.input)
    x = _samples(folder, arguments)
    model = build.trained_model(folder)
    backend, _ = report.choose_device(arguments.device)
    precision = settings.table(folder, "model")["precision"]
    raw = make_trainer(folder, model, backend.device).predict(x.astype(weights_of(precision)))
    text = _lines(folder, raw)
    if output is None:
        report.write(text)
    else:
        write_whole(output, text.encode())
    return 0


def _samples(folder: Run, arguments: argparse.Namespace) -> Any:
    if is_name(arguments.input):
        return parts.of_run(folder, arguments.input, arguments.part, data_dir=arguments.data_dir).x
    if arguments.part is not None:
        raise ArgumentError(f"--part: {arguments.input!r} is a file, and all of it is taken. Leave it out.")
    return folder.intake().samples(arguments.input)


def _check_output(output: Path, given: str) -> None:
    if output.is_dir():
        raise ArgumentError(f"output {str(output)!r} is a folder; the predictions go to a file. Name one.")
    if not output.absolute().parent.is_dir():
        raise ArgumentError(f"output {str(output)!r}: its folder does not exist. Make it, or name another place.")
    if os.path.exists(given) and output.exists() and os.path.samefile(given, output):
        raise ArgumentError(f"output {str(output)!r} is the input. Name another file.")


def _lines(folder: Run, raw: Any) -> str:
    """The CSV: a header, then one line a sample."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    raw = raw.reshape(len(raw), -1)
    intake = folder.intake()
    classes = intake.class_names
    if classes is None:
        values = raw if intake.unit is None else intake.unit.undo(raw, np.float64)
        writer.writerow(_value_names(intake, values.shape[1]))
        writer.writerows(values.tolist())
        return text.getvalue()
    found = task.said(settings.table(folder, "loss")["name"], raw, intake.task)
    if intake.task == "multilabel":
        writer.writerow([*classes, *(f"{found.kind} {name}" for name in classes)])
        rows = zip(found.classes.tolist(), found.numbers.tolist(), strict=True)
        writer.writerows([*labels, *(f"{number:.8g}" for number in numbers)] for labels, numbers in rows)
        return text.getvalue()
    writer.writerow(["class", "name", *(f"{found.kind} {name}" for name in classes)])
    rows = zip(found.classes.tolist(), found.numbers.tolist(), strict=True)
    writer.writerows([label, classes[label], *(f"{number:.8g}" for number in numbers)] for label, numbers in rows)
    return text.getvalue()


def _value_names(intake: Intake, outputs: int) -> list[str]:
    if outputs == 1:
        return ["value"]
    named = intake.reader is not None and len(intake.reader.target.names) == outputs
    names = intake.reader.target.names if named and intake.reader is not None else range(outputs)
    return [f"value {name}" for name in names]
