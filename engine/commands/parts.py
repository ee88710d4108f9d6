"""Which samples does a command work on? Parts of data, prepared, in the form that the model and the loss want."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.commands import downloads, settings, task
from engine.data import Dataset, sources
from engine.data.catalog import ENTRIES
from engine.data.intake import Intake
from engine.data.loading import is_name
from engine.data.reader import Layout, Part
from engine.data.sources import Source
from engine.errors import ArgumentError, DataError
from engine.runs import Run

Table = Mapping[str, Any]

PARTS = ("test", "train", "validation")


class Raw(NamedTuple):
    """What a training is made of, before anything is fitted."""

    source: Source
    train: Part
    validation: Part | None
    test: Part


def layout(table: Table) -> Layout:
    """What is what in a file, by the table [data]."""
    size = table.get("image_size")
    return Layout(
        tuple(table.get("target") or ()),
        tuple(table.get("ignore") or ()),
        tuple(table.get("text") or ()),
        table.get("separator"),
        table.get("header"),
        None if size is None else (size[0], size[1]),
        table.get("wanted_task"),
    )


def raw(table: Table) -> Raw:
    """All parts by the table [data]: from a set by name, or from files."""
    if table.get("file") is None:
        with downloads.shown() as progress:
            source = sources.by_name(
                table["name"],
                seed=table["seed"],
                test_fraction=table["test_fraction"],
                data_dir=table.get("data_dir"),
                progress=progress,
                **{name: table[name] for name in ("samples", "noise") if table.get(name) is not None},
            )
    else:
        source = sources.from_files(
            table["file"], layout(table), test=table.get("test"), test_target=table.get("test_target")
        )
    train, test = source.parts(table["test_fraction"], table["seed"])
    if not table.get("validation"):
        return Raw(source, train, None, test)
    rest, watched = train.split(table["validation"], table["seed"])
    return Raw(source, rest, watched, test)


def drawn(table: Table, source: Source) -> bool:
    """Whether the test part is drawn from the data, which brings none along."""
    return source.test is None if table.get("file") is not None else ENTRIES[table["name"]].source != "files"


def prepared(found: Raw, intake: Intake) -> tuple[Dataset, Dataset | None, Dataset]:
    """(training, validation, test) part as the model sees them."""
    watched = None if found.validation is None else intake.dataset(found.validation)
    return intake.dataset(found.train), watched, intake.dataset(found.test)


def name_of(path: str) -> str:
    """What a run is called that was trained on a file or folder: its name without the endings.

    >>> name_of("tables/house prices.csv.gz")
    'house-prices'
    """
    stem = Path(path).resolve().name.split(".")[0]
    return re.sub(r"[^\w-]+", "-", stem).strip("-") or "data"


def of_run(
    run: Run, given: str | None, part: str | None, *, target: str | None = None, data_dir: str | None = None
) -> Dataset:
    """Samples to test a run on, prepared as its training part was.

    Args:
        run: whose model is tested.
        given: a set by name; a file, of which all samples are taken; None for the run's own data.
        part: of a set or of the run's own data: "test" (None), "train" or "validation".
        target: the file of the targets of a file that has none.
        data_dir: where the files of a set by name lie; None for where the training found them.

    Raises:
        DataError: the data is of another task, shape or number of classes.
    """
    intake = run.intake()
    if given is not None and not is_name(given):
        if part is not None:
            raise ArgumentError(f"--part: {given!r} is a file, and all of it is taken. Leave it out.")
        return intake.labelled(given, target)
    if target is not None:
        raise ArgumentError(f"--target: it is of a file that --data names; {given or run.path} has its targets.")
    with settings.used(run, "data") as table:
        wanted = dict(table)
        if given is not None and (given != table["name"] or table.get("file") is not None):
            wanted = {"name": given, "seed": table["seed"], "test_fraction": 0.2, "data_dir": table.get("data_dir")}
        elif table.get("file") is not None and not Path(table["file"]).exists():
            raise DataError(
                f"data {table['file']!r}, which {run.path} was trained on, is not here. Name a file with --data, or "
                "run this in the folder where the training was started."
            )
        wanted["data_dir"] = wanted.get("data_dir") if data_dir is None else data_dir
        found = raw(wanted)
    chosen = {"test": found.test, "train": found.train, "validation": found.validation}[part or "test"]
    if chosen is None:
        raise ArgumentError(f"--part: {given or run.path} has no validation part. Allowed are test and train.")
    return intake.dataset(chosen)


def arrays(loss_name: str, part: Dataset, dtype: str) -> tuple[Any, Any]:
    """(x, y) as the model and the loss want them."""
    return part.astype(dtype).x, task.targets(loss_name, part, dtype)


def check_options(table: Table) -> None:
    """Refuse settings of [data] that the kind of data does not have.

    Raises:
        ArgumentError: a file's setting for a set by name, or the other way round.
    """
    if table.get("file") is None:
        of_files = (
            "target",
            "test",
            "test_target",
            "ignore",
            "text",
            "separator",
            "header",
            "wanted_task",
            "image_size",
            "impute",
        )
        foreign = next((name for name in of_files if table.get(name) is not None), None)
        if foreign is not None:
            option = {"wanted_task": "task"}.get(foreign, foreign.replace("_", "-"))
            raise ArgumentError(f"--{option}: it is for files; {table['name']} is a set by name. Leave it out.")
        options = ENTRIES[table["name"]].options
    else:
        options = ()
    for setting in ("samples", "noise"):
        if table.get(setting) is not None and setting not in options:
            having = [entry.name for entry in ENTRIES.values() if setting in entry.options]
            raise ArgumentError(f"--{setting}: data {table['name']} has none; allowed with {', '.join(having)}.")
