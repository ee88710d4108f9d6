"""Which data sets are there by name, and how is each made? One entry a set."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from engine.data import synthetic
from engine.data.dataset import Dataset, Task, split
from engine.data.preparation import Preparation, Scale, Standardize
from engine.errors import ArgumentError, DataError, unknown_name

Parts = tuple[Dataset, Dataset]


class Entry(NamedTuple):
    """A data set that can be asked for by name.

    Attributes:
        name: what users type.
        description: one line for lists and help.
        task: what its targets are.
        source: "made" (by a formula), "bundled" (in scikit-learn's package), "files" (on disk).
        make: ``make(seed=, test_fraction=, data_dir=, **options)`` returns (training part, test part), prepared.
        options: the names of make's further arguments.
    """

    name: str
    description: str
    task: Task
    source: Literal["made", "bundled", "files"]
    make: Callable[..., Parts]
    options: tuple[str, ...] = ()


def load(
    name: str,
    *,
    seed: int = 0,
    test_fraction: float = 0.2,
    data_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Parts:
    """A data set by name: (training part, test part), x float32 and prepared by what the training part shows alone.

    Labels are int64 (samples,), regression targets float32 (samples, 1). The bundled sets are standardised, digits
    scaled to 0..1. Targets of "diabetes" are standardised as well, so that a network trains on them from its first
    step: losses and errors are in standard deviations, R2 is the same in either unit, and
        ``test.target_preparation.undo(predictions)`` gives the original one.

    Args:
        name: one of ``names()``.
        seed: the same seed gives the same points and the same split.
        test_fraction: how much is held out, stratified by class where there are classes.
        data_dir: where the sets that are read from files lie.
        options: of the made sets: samples, noise, and what their functions in ``engine.data.synthetic`` name.

    Raises:
        UnknownNameError: no such set, or no such option of it.
        DataError: scikit-learn is needed and is not installed.

    >>> train, test = load("moons", samples=100, noise=0.05)
    >>> len(train), len(test), train.x.dtype, train.class_names
    (80, 20, dtype('float32'), ('upper', 'lower'))
    """
    if name not in ENTRIES:
        raise unknown_name("data set", str(name), ENTRIES)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ArgumentError(f"load: seed {seed!r} was given; a seed is a whole number, 0 or above.")
    if not 0 < test_fraction < 1:
        raise ArgumentError(
            f"load: test_fraction {test_fraction} was given; allowed are numbers between 0 and 1, both excluded."
        )
    entry = ENTRIES[name]
    for option in options:
        if option not in entry.options:
            known = entry.options or ("(none)",)
            raise unknown_name(f"option of data set {name!r}", option, known)
    return entry.make(seed=seed, test_fraction=test_fraction, data_dir=data_dir, **options)


def names() -> tuple[str, ...]:
    """The names that ``load`` knows.

    >>> "digits" in names()
    True
    """
    return tuple(ENTRIES)


def _made(function: Callable[..., Dataset], seed: int, test_fraction: float, data_dir: Any, **options: Any) -> Parts:
    return split(function(seed=seed, **options), test_fraction, seed=seed)


def _bundled(
    loader: str, name: str, task: Task, factor: float | None, seed: int, test_fraction: float, data_dir: Any
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
    train, test = split(Dataset(bunch.data, y, name, features, classes, task), test_fraction, seed=seed)
    scaling = Standardize.fit(train.x) if factor is None else Scale(factor)
    unit = None if labelled else Standardize.fit(train.y)
    return _prepared(train, scaling, unit), _prepared(test, scaling, unit)


def _prepared(part: Dataset, scaling: Preparation, unit: Standardize | None) -> Dataset:
    y = part.y if unit is None else unit(part.y)
    return Dataset(scaling(part.x), y, part.name, part.feature_names, part.class_names, part.task, (scaling,), unit)


def _made_entry(function: Callable[..., Dataset], task: Task, description: str, *options: str) -> Entry:
    return Entry(function.__name__, description, task, "made", partial(_made, function), ("samples", "noise", *options))


def _bundled_entry(name: str, task: Task, description: str, loader: str, factor: float | None = None) -> Entry:
    return Entry(name, description, task, "bundled", partial(_bundled, loader, name, task, factor))


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
        _made_entry(synthetic.xor, "binary", "four clouds on the corners of a square, opposite ones alike"),
        _made_entry(synthetic.circle, "binary", "inside and outside a circle", "centre", "radius"),
        _made_entry(synthetic.spirals, "binary", "two arms wound around each other", "arms", "turns"),
        _made_entry(synthetic.moons, "binary", "two half circles that reach into each other"),
        _made_entry(synthetic.triangle, "binary", "inside and outside a triangle", "corners"),
        _made_entry(synthetic.blobs, "multiclass", "three round clouds", "classes"),
        _made_entry(synthetic.sines, "regression", "a noisy sine wave", "periods"),
    )
}
