"""How do I get data to train on? One call, for the sets that are known by name and for files of one's own."""

import os
from pathlib import Path
from typing import Any

from engine.data import sources
from engine.data.catalog import ENTRIES, Progress
from engine.data.columns import Impute
from engine.data.dataset import Dataset, Task
from engine.data.formats import Names, columns_of
from engine.data.preparation import Scaling
from engine.data.reader import Layout
from engine.errors import ArgumentError, unknown_name
from engine.settings import model_dtype, number, path_of, whole


def load(
    name: str | os.PathLike[str],
    *,
    seed: int = 0,
    test_fraction: float = 0.2,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    scaling: Scaling | None = None,
    dtype: Any = "float32",
    target: Names | os.PathLike[str] = (),
    test: str | os.PathLike[str] | None = None,
    test_target: str | os.PathLike[str] | None = None,
    ignore: Names = (),
    text: Names = (),
    separator: str | None = None,
    header: bool | None = None,
    impute: Impute | None = None,
    image_size: tuple[int, int] | None = None,
    task: Task | None = None,
    **options: Any,
) -> tuple[Dataset, Dataset]:
    """A data set by name or from a file: (training part, test part), prepared by what the training part shows alone.

    x and regression targets (samples, outputs) are of ``dtype``, labels int64 (samples,). Where neither the set nor
    ``test`` says what the test part is, it is drawn by seed, the same share of every class. Targets of a regression
    (but for the made sets) are standardised, so that a network trains on them from its first step: losses and errors
    are in standard deviations, R2 is the same in either unit, and ``test.target_preparation.undo(predictions)`` gives
    the original one.

    ``train.intake`` does to further files what was done here: ``train.intake.samples("new.csv")`` is what the model
    takes, ``train.intake.labelled("later.csv")`` a data set to test on.

    Args:
        name: one of ``names()``; or a file: .csv, .tsv and other text with separators, .npy (memory-mapped: it may be
            larger than memory), .npz, idx, CIFAR's binary layout, LIBSVM, each also as .gz or .xz; or a folder with one
            folder of images for each class.
        seed: the same seed gives the same split, and the same points of made sets.
        test_fraction: how much is held out, where nothing else says what the test part is.
        data_dir: a folder with one folder for each set that is read from files, with the official names
            (``mnist/train-images-idx3-ubyte.gz``). None: where the variable ENGINE_DATA says, the cache, a download.
        progress: called as progress(file name, bytes so far, bytes in all or None) while a file is downloaded.
        scaling: "none", "scale" (bytes by 1/255, other numbers by their largest) or "standardize" (mean 0 and standard
            deviation 1, of numeric columns); None takes what suits the data: bytes are scaled, tables standardised.
        dtype: "float32" or "float64".
        target: columns of a file, by name or number from 0 (-1 is the last one); or a file of the targets. By default
            the targets that the file brings along, or its last column.
        test, test_target: another file of the same kind to test on, and the file of its targets.
        ignore, text: columns to leave out; columns that hold names, though they look like numbers.
        separator, header: between the cells of a line; whether the first line names the columns. None finds it out.
        impute: what fills missing cells: "mean", "median" or "most-frequent", of the training part.
        image_size: (height, width) that images are brought to.
        task: "binary", "multiclass", "multilabel" or "regression", in place of what the targets show.
        options: of the made sets: samples, noise, and what their functions in ``engine.data.synthetic`` name.

    Raises:
        UnknownNameError: no such set, or no such option of it.
        ArgumentError: an argument is not what it can be, or of another kind of data.
        DataError: a file is missing, damaged or not what it should be; a package that is needed is not installed.

    >>> train, test = load("moons", samples=100, noise=0.05)
    >>> len(train), len(test), train.x.dtype, train.class_names
    (80, 20, dtype('float32'), ('upper', 'lower'))
    """
    precision = model_dtype("load", dtype).name
    whole("load", "seed", seed, 0)
    number("load", "test_fraction", test_fraction, "a number between 0 and 1", lambda given: 0 < given < 1)
    if data_dir is not None:
        path_of("load", "data_dir", data_dir)
    if isinstance(target, os.PathLike):
        target = os.fspath(target)
    given: dict[str, Any] = {
        "target": columns_of("load", "target", target),
        "test": None if test is None else path_of("load", "test", test),
        "test_target": None if test_target is None else path_of("load", "test_target", test_target),
        "ignore": columns_of("load", "ignore", ignore),
        "text": columns_of("load", "text", text),
        "separator": separator,
        "header": header,
        "impute": impute,
        "image_size": image_size,
        "task": task,
    }
    if is_name(name):
        foreign = next((option for option, value in given.items() if value not in (None, ())), None)
        if foreign is not None:
            raise ArgumentError(
                f"load: {foreign} was given; {name!r} is a set by name, and it is of files. Leave it out."
            )
        source = sources.by_name(
            str(name), seed=seed, test_fraction=test_fraction, data_dir=data_dir, progress=progress, **options
        )
    else:
        if options:
            raise unknown_name("argument of load for a file", next(iter(options)), given)
        layout = Layout(given["target"], given["ignore"], given["text"], separator, header, image_size, task)
        source = sources.from_files(os.fspath(name), layout, test=given["test"], test_target=given["test_target"])
    train, held_out = source.parts(test_fraction, seed)
    intake = source.fit(train, scaling=scaling, impute=impute, dtype=precision)
    return intake.dataset(train), intake.dataset(held_out)


def is_name(given: str | os.PathLike[str]) -> bool:
    """Whether this is the name of a set, and not a path.

    Raises:
        UnknownNameError: it is neither.

    >>> is_name("digits"), is_name("tables/prices.csv")
    (True, False)
    """
    path = Path(path_of("load", "name", given))
    if given in ENTRIES:
        return True
    is_word = isinstance(given, str) and not path.suffix and "/" not in given and os.sep not in given
    if is_word and not path.exists():
        raise unknown_name("data set", given, ENTRIES)
    return False
