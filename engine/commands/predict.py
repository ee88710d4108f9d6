"""How does `engine predict` go? What a run's model makes of new samples, one line of CSV for each."""

import argparse
import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.commands import build, inputs, options, parsing, report, settings, task
from engine.commands.evaluate import load_part, make_trainer
from engine.data import names
from engine.errors import ArgumentError
from engine.files import write_whole
from engine.runs import Run


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "predict",
        help="what the model of a run folder says of new samples",
        description="Write one line of CSV for each sample: class, its name and a probability for each class (a\n"
        "score, where the loss is not made of probabilities), or the value, in the unit of the data.",
        epilog="The numbers of a file are prepared (scaled, standardised) as the training data was.\n\n"
        "examples:\n  engine predict runs/digits-1 digits --output predictions.csv\n"
        "  engine predict runs/iris-1 flowers.csv\n",
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", metavar="RUN", help="the run folder")
    parser.add_argument("input", metavar="INPUT", help="a .csv, .npy or .npz file, or the name of a data set")
    parser.add_argument(
        "--part",
        metavar="PART",
        type=parsing.one_of("part", ("test", "train")),
        help="of a data set: test, train (default: test)",
    )
    parser.add_argument("--output", metavar="FILE", help="where the CSV goes (default: standard output)")
    options.add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict; 0 when the lines are written."""
    folder = Run.open(arguments.folder)
    output = None if arguments.output is None else Path(arguments.output)
    if output is not None:
        _check_output(output, arguments.input)
    x = _samples(folder, arguments.input, arguments.part)
    model = build.trained_model(folder)
    backend, _ = report.choose_device(arguments.device)
    precision = settings.table(folder, "model")["precision"]
    raw = make_trainer(folder, model, backend.device).predict(x.astype(precision, copy=False))
    text = _lines(folder, raw)
    if output is None:
        report.write(text)
    else:
        write_whole(output, text.encode())
    return 0


def _samples(folder: Run, given: str, part: str | None) -> Any:
    if given in names():
        return load_part(folder, given, part or "test").x
    if part is not None:
        raise ArgumentError(f"--part: {given!r} is a file; parts are of data sets. Leave it out.")
    stored = folder.preparation()
    x = inputs.read(Path(given), tuple(settings.table(folder, "model")["inputs"]), stored.names)
    for one in stored.features:
        x = one(x, np.float32)
    return x


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
    classes = settings.table(folder, "data").get("classes")
    if classes is None:
        target = folder.preparation().target
        values = raw if target is None else target.undo(raw, np.float64)
        writer.writerow(["value"] if values.shape[1] == 1 else [f"value {number}" for number in range(values.shape[1])])
        writer.writerows(values.tolist())
        return text.getvalue()
    found = task.said(settings.table(folder, "loss")["name"], raw)
    writer.writerow(["class", "name", *(f"{found.kind} {name}" for name in classes)])
    rows = zip(found.classes.tolist(), found.numbers.tolist(), strict=True)
    writer.writerows([label, classes[label], *(f"{number:.8g}" for number in numbers)] for label, numbers in rows)
    return text.getvalue()
