"""How are new samples read? Features from .npy, .npz and .csv files, one sample a row, checked against the run."""

import contextlib
import csv
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.dataset import check_finite
from engine.errors import DataError
from engine.runs import one_line, reason

Numbers = np.ndarray[Any, Any]

SUFFIXES = (".npy", ".npz", ".csv")
_SEPARATORS = {";": "semicolons", "\t": "tabs"}
_MOST_NAMES = 8  # in a message


def read(path: Path, shape: tuple[int, ...], features: tuple[str, ...]) -> Numbers:
    """The samples of a file, (samples, *shape).

    Args:
        path: ending in .npy, .npz (its array "x", or its only one) or .csv (with a header or without).
        shape: of one sample, as the run was trained on.
        features: their names, empty where there are none; a header must have them all, and says which columns they are.

    Raises:
        DataError: the file is missing or damaged, holds no numbers, or not those of such samples.
    """
    try:
        if path.suffix == ".csv":
            x = _csv(path, features)
        elif path.suffix in SUFFIXES:
            x = _numpy(path)
        else:
            raise DataError(
                f"input {str(path)!r}: allowed are files that end in {', '.join(SUFFIXES)}, and names of data sets."
            )
    except OSError as error:
        raise DataError(f"input {str(path)!r} cannot be read: {reason(error)}.") from None
    if x.dtype.kind not in "fiub":
        raise DataError(f"{path}: it holds {x.dtype}; allowed are numbers.")
    if x.ndim < 2 or not len(x) or (x.shape[1:] != shape and x[0].size != np.prod(shape)):
        wanted = ", ".join(map(str, shape))
        raise DataError(f"{path}: it has shape {x.shape}; the run needs (samples, {wanted}), at least one sample.")
    x = x.reshape(len(x), *shape)
    check_finite(str(path), "x", x)
    return x


def _numpy(path: Path) -> Numbers:
    with open(path, "rb") as file:
        start = file.read(6)
    if not start.startswith(b"PK" if path.suffix == ".npz" else b"\x93NUMPY"):
        raise DataError(f"{path}: it is no {path.suffix} file; it does not begin like one.")
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            names = list(loaded)
            if "x" not in names and len(names) != 1:
                held = ", ".join(names) or "nothing"
                raise DataError(f"{path}: it holds {held}; it needs an array x, or one array alone.")
            only: Numbers = loaded["x" if "x" in names else names[0]]
            return only
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError, MemoryError) as error:
        problem = one_line(error).removesuffix(" when allow_pickle=False")
        raise DataError(f"{path}: it is damaged, or holds objects: {problem}.") from None


def _csv(path: Path, features: tuple[str, ...]) -> Numbers:
    names, skipped = _header(path, features)
    columns = [names.index(feature) for feature in features] if names else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that there is nothing below the header: told by the shape
            return np.loadtxt(
                path,
                np.float64,
                comments=None,
                delimiter=",",
                skiprows=skipped,
                usecols=columns or None,
                ndmin=2,
                encoding="utf-8-sig",
                quotechar='"',
            )
    except UnicodeDecodeError:
        raise DataError(f"{path}: it is not text in UTF-8.") from None
    except ValueError as error:
        problem = _bad_cell(path, skipped, columns) or one_line(re.sub(r"; use `usecols`.*", "", str(error)))
        raise DataError(f"{path}: {problem}.") from None


def _header(path: Path, features: tuple[str, ...]) -> tuple[list[str], int]:
    """The names of the columns, and how many lines are above the numbers; no names and 0 without a header.

    A line is a header where no cell of it is a number. With names of features, it must have them all.
    """
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file)
        try:
            first = next((row for row in reader if row), None)
        except csv.Error as error:
            raise DataError(f"{path}: its first line is damaged: {one_line(error)}.") from None
        if first is None:
            raise DataError(f"{path}: it is empty; it needs one line for each sample.")
        names = [cell.strip() for cell in first]
        if features and set(features) <= set(names):
            twice = next((feature for feature in features if names.count(feature) > 1), None)
            if twice is not None:
                raise DataError(f"{path}: its header has the column {twice!r} twice; each is needed once.")
            return names, reader.line_num
        for mark, called in _SEPARATORS.items():
            if any(mark in name for name in names):
                raise DataError(f"{path}: its cells are separated by {called}; allowed are commas.")
        if any(_is_number(name) for name in names) or not any(names):
            return [], 0
        if features:
            missing = [feature for feature in features if feature not in names]
            raise DataError(
                f"{path}: its header has no {_listed('column', missing)}; the run needs {_listed('column', features)}, "
                "in any order. Name them so, or leave the header out."
            )
        return [], reader.line_num


def _listed(what: str, names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{what}{'s' * (len(names) > 1)} {shown}{more}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000, other readers do not


def _bad_cell(path: Path, skipped: int, columns: list[int] | None) -> str | None:
    """The first cell that is no number, with its line in the file and its column."""
    with open(path, encoding="utf-8-sig", newline="") as file, contextlib.suppress(csv.Error):
        reader = csv.reader(file)
        for row in reader:
            if reader.line_num <= skipped:
                continue
            for column, cell in enumerate(row):
                if (columns is None or column in columns) and not _is_number(cell):
                    what = f"{cell[:40]!r} is no number" if cell.strip() else "the cell is empty"
                    place = f"row {reader.line_num}, column {column + 1} (counted from 1)"
                    return f"{place}: {what}; every cell must be a number"
    return None
