"""How are CIFAR's binary files read? Rows of a label, or two, and 3072 bytes of an image: red, green, blue planes."""

import os
from typing import Any

import numpy as np

from engine.data.formats.compression import read_array
from engine.errors import DataError

_PIXELS = 3 * 32 * 32
# What comes before the pixels of a row: a byte a label, and how many classes it tells apart.
_LABELS = {"CIFAR-10": {"label": 10}, "CIFAR-100": {"coarse label": 20, "fine label": 100}}


def fits(size: int) -> bool:
    """Whether a file of so many bytes is a whole number of CIFAR's rows.

    >>> fits(30_730_000), fits(3074), fits(3075)
    (True, True, False)
    """
    return size > 0 and any(size % (len(labels) + _PIXELS) == 0 for labels in _LABELS.values())


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """x uint8 (samples, 3, 32, 32) and y int64 (samples,) of a file of CIFAR-10's binary version.

    A row has 3073 bytes: the label and the image. CIFAR-100 has 3074, a coarse and a fine label first: y is the fine
    one. A file whose size fits both is CIFAR-10's. Source: A. Krizhevsky, the CIFAR-10 and CIFAR-100 data sets.

    Raises:
        DataError: it cannot be read, its size is no whole number of rows, or a label is none. One line.
    """
    name = os.fspath(path)
    content = read_array(path)
    for kind, labels in _LABELS.items():
        first = len(labels)
        if content.size == 0 or content.size % (first + _PIXELS):
            continue
        rows = content.reshape(-1, first + _PIXELS)
        for column, (label, classes) in enumerate(labels.items()):
            wrong = rows[:, column] >= classes
            if wrong.any():
                row = int(wrong.argmax())
                raise DataError(
                    f"{name}: {label} {rows[row, column]} in row {row} (counted from 0); in {kind}'s binary files it "
                    f"is 0 to {classes - 1}. Check that it is one of them."
                )
        return rows[:, first:].reshape(-1, 3, 32, 32), rows[:, first - 1].astype(np.int64)
    raise DataError(
        f"{name}: {content.size} bytes; CIFAR's binary files have a multiple of 3073 (CIFAR-10) or 3074 (CIFAR-100). "
        "Copy or download it again."
    )
