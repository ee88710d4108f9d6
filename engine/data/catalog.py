"""Which data sets are there by name, and how is each made? One entry a set."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from engine.data import download, official, synthetic
from engine.data.dataset import Dataset, Task, split
from engine.data.preparation import Scaling
from engine.errors import DataError, unknown_name

Parts = tuple[Dataset, Dataset]
Progress = download.Progress


class Entry(NamedTuple):
    """A data set that can be asked for by name.

    Attributes:
        name: what users type.
        description: one line for lists and help.
        task: what its targets are.
        source: "made" (by a formula), "bundled" (in scikit-learn's package), "files" (on disk).
        make: ``make(seed=, test_fraction=, data_dir=, progress=, **options)`` returns (training part, test part), raw.
        options: the names of make's further arguments.
        scaling: how features are prepared by default: "none", "scale" by the factor, "standardize".
        factor: for "scale".
        target_scaling: whether targets are standardised by default.
    """

    name: str
    description: str
    task: Task
    source: Literal["made", "bundled", "files"]
    make: Callable[..., Parts]
    options: tuple[str, ...] = ()
    scaling: Scaling = "none"
    factor: float | None = None
    target_scaling: bool = False


def raw(
    name: str,
    *,
    seed: int = 0,
    test_fraction: float = 0.2,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Parts:
    """(training part, test part) of a set by name, before anything is done to its numbers: pixels are as stored.

    "mnist", "fashion-mnist" and "cifar-10" come in their official parts: seed and test_fraction change nothing. Their
    files are looked for in data_dir (or where the variable ENGINE_DATA leads), then in the user's cache, and are
    downloaded into the cache otherwise; every compressed file is compared with its published SHA-256.

    Args:
        name: one of ``names()``.
        seed: the same seed gives the same points and the same split.
        test_fraction: how much is held out, stratified by class where there are classes.
        data_dir: a folder with one folder a set, such as ``mnist/``, that holds the official files.
        progress: called as progress(file name, bytes so far, bytes in all or None) while a file is downloaded.
        options: of the made sets: samples, noise, and what their functions in ``engine.data.synthetic`` name.

    Raises:
        UnknownNameError: no such set, or no such option of it.
        DataError: scikit-learn is needed and is not installed; a file is wrong, or is missing and cannot be downloaded.
        FileError: the cache cannot be written.

    >>> train, test = raw("moons", samples=100)
    >>> len(train), len(test), train.preparation
    (80, 20, ())
    """
    if name not in ENTRIES:
        raise unknown_name("data set", str(name), ENTRIES)
    entry = ENTRIES[name]
    for option in options:
        if option not in entry.options:
            known = entry.options or ("(none)",)
            raise unknown_name(f"option of data set {name!r}", option, known)
    return entry.make(seed=seed, test_fraction=test_fraction, data_dir=data_dir, progress=progress, **options)


def names() -> tuple[str, ...]:
    """The names of the sets that are known.

    >>> "digits" in names()
    True
    """
    return tuple(ENTRIES)


def _made(
    function: Callable[..., Dataset], seed: int, test_fraction: float, data_dir: Any, progress: Any, **options: Any
) -> Parts:
    return split(function(seed=seed, **options), test_fraction, seed=seed)


def _bundled(
    loader: str, name: str, task: Task, seed: int, test_fraction: float, data_dir: Any, progress: Any
) -> Parts:
    try:
        from sklearn import datasets  # heavy, and an extra: only when one of its sets is asked for
    except ImportError:
        raise DataError(
            f"data set {name!r} comes with scikit-learn, which is not installed. "
            'Install the extra sklearn: pip install "chalkgrad[sklearn]".'
        ) from None
    bunch = getattr(datasets, loader)()
    features = tuple(str(feature) for feature in bunch.feature_names)
    labelled = task != "regression"
    classes = tuple(str(label) for label in bunch.target_names) if labelled else None
    y = bunch.target.astype(np.int64) if labelled else bunch.target.reshape(-1, 1)
    return split(Dataset(bunch.data, y, name, features, classes, task), test_fraction, seed=seed)


def _published(name: str, seed: int, test_fraction: float, data_dir: Any, progress: Any) -> Parts:
    return official.load(name, data_dir=data_dir, progress=progress)  # in the published parts: nothing is drawn


def _made_entry(function: Callable[..., Dataset], task: Task, description: str, *options: str) -> Entry:
    return Entry(function.__name__, description, task, "made", partial(_made, function), ("samples", "noise", *options))


def _bundled_entry(name: str, task: Task, description: str, loader: str, factor: float | None = None) -> Entry:
    make = partial(_bundled, loader, name, task)
    scaling: Scaling = "standardize" if factor is None else "scale"
    return Entry(name, description, task, "bundled", make, (), scaling, factor, target_scaling=task == "regression")


def _published_entry(name: str, description: str) -> Entry:
    return Entry(name, description, "multiclass", "files", partial(_published, name), (), "scale", 1 / 255)


ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        _bundled_entry("digits", "multiclass", "1797 scans of handwritten digits, 8 x 8 pixels", "load_digits", 1 / 16),
        _bundled_entry("iris", "multiclass", "150 flowers of three kinds, 4 measurements", "load_iris"),
        _bundled_entry("wine", "multiclass", "178 wines of three growers, 13 measurements", "load_wine"),
        _bundled_entry(
            "breast-cancer", "binary", "569 tumours, malignant or benign, 30 measurements", "load_breast_cancer"
        ),
        _bundled_entry(
            "diabetes", "regression", "442 patients, 10 measurements: progress of diabetes in a year", "load_diabetes"
        ),
        _published_entry("mnist", "70,000 handwritten digits, 28 x 28 pixels"),
        _published_entry("fashion-mnist", "70,000 pictures of clothes, 28 x 28 pixels"),
        _published_entry("cifar-10", "60,000 photographs of animals and vehicles, 3 x 32 x 32 pixels"),
        _made_entry(synthetic.xor, "binary", "four clouds on the corners of a square, opposite ones alike"),
        _made_entry(synthetic.circle, "binary", "inside and outside a circle", "centre", "radius"),
        _made_entry(synthetic.spirals, "binary", "two arms wound around each other", "arms", "turns"),
        _made_entry(synthetic.moons, "binary", "two half circles that reach into each other"),
        _made_entry(synthetic.triangle, "binary", "inside and outside a triangle", "corners"),
        _made_entry(synthetic.blobs, "multiclass", "three round clouds", "classes"),
        _made_entry(synthetic.sines, "regression", "a noisy sine wave", "periods"),
    )
}
