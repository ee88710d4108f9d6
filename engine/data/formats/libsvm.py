"""How is LIBSVM's text read? A line a sample: its label, then "index:value" for the features that are not zero."""

import math
import os
import re
from array import array
from typing import Any

import numpy as np

from engine.data.formats.compression import open_binary
from engine.errors import DataError

_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_PAIR = re.compile(rb"\d{1,18}:" + _NUMBER.pattern)
_LARGEST = 4 << 30  # bytes of x: a dense array of a set that was meant to stay sparse soon fills any memory


def recognised(head: bytes) -> bool:
    """Whether the first line of a file that is neither empty nor a comment is of LIBSVM's form, or nearly so.

    >>> recognised(b"# mushrooms\\n+1 3:1 9:0.5\\n"), recognised(b"1 2 3\\n"), recognised(b"1 12:30 rain 5\\n")
    (True, False, False)
    """
    for line in head.splitlines():
        cells = line.partition(b"#")[0].split()
        if cells:
            pairs = sum(_PAIR.fullmatch(cell) is not None or cell.startswith(b"qid:") for cell in cells[1:])
            return _NUMBER.match(cells[0]) is not None and 2 * pairs > len(cells) - 1
    return False


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    """x float32 (samples, features), dense; y float64 (samples,), the labels as they stand; the index of column 0.

    Indices ascend in a line and count from 1; where a line has index 0, from 0. There are as many features as the
    highest index says. What follows # is a comment. Source: C.-C. Chang, C.-J. Lin, LIBSVM's README.

    Raises:
        DataError: it cannot be read, a line is none of this form, a value does not fit float32, or x would be larger
            than 4 GB. One line, with the number of the line.
    """
    name = os.fspath(path)
    labels, indices, values, counts, lines = array("d"), array("q"), array("d"), array("q"), array("q")
    with open_binary(path) as file:
        for number, line in enumerate(file, 1):
            content = line.partition(b"#")[0] if b"#" in line else line
            cells = content.split()
            if not cells:
                continue
            try:
                pairs = [cell.split(b":") for cell in cells[1:]]
                label, places = float(cells[0]), [int(index) for index, _ in pairs]
                numbers = [float(value) for _, value in pairs]
                indices.extend(places)
            except (ValueError, OverflowError):
                label, places, numbers = math.nan, [], []
            # Python reads 1_000 as 1000, which no other reader of these files does.
            if not math.isfinite(label) or b"_" in content or (places and places[0] < 0):
                raise _wrong(name, number, cells)
            labels.append(label)
            values.extend(numbers)
            counts.append(len(places))
            lines.append(number)
    if not labels or not indices:
        raise DataError(f"{name}: no line with a label and a feature; at least one is needed. Check the file.")
    x, first = _dense(name, np.asarray(indices), np.asarray(values), np.asarray(counts), np.asarray(lines))
    return x, np.array(labels), first


def _dense(
    name: str,
    indices: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any],
    counts: np.ndarray[Any, Any],
    lines: np.ndarray[Any, Any],
) -> tuple[np.ndarray[Any, Any], int]:
    """x, and the index of its first column."""
    rows = np.repeat(np.arange(len(counts)), counts)
    down = np.nonzero((np.diff(indices) <= 0) & (np.diff(rows) == 0))[0]
    if len(down):
        place = int(down[0]) + 1
        raise DataError(
            f"{name}, line {lines[rows[place]]}: index {indices[place]} follows {indices[place - 1]}; indices ascend "
            "in a line. Correct it."
        )
    first, highest = min(int(indices.min()), 1), int(indices.max())
    features = highest + 1 - first
    if len(counts) * features * 4 > _LARGEST:
        raise DataError(
            f"{name}: {len(counts)} rows and an index of {highest} make a dense array of "
            f"{len(counts) * features * 4 / 1e9:.1f} GB; up to {_LARGEST / 1e9:.1f} GB are read. "
            "Use fewer rows or features."
        )
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    if not np.isfinite(narrow).all():
        place = int(np.isfinite(narrow).argmin())
        raise DataError(
            f"{name}, line {lines[rows[place]]}: the value of index {indices[place]} is {values[place]}; it must be "
            "finite, and fit float32. Correct it."
        )
    x = np.zeros((len(counts), features), np.float32)
    x[rows, indices - first] = narrow
    return x, first


def _wrong(name: str, number: int, cells: list[bytes]) -> DataError:
    """The error for a line that is not of the form, with its first cell that is not."""
    shown = [cell[:40].decode("utf-8", "replace") for cell in cells]
    if _NUMBER.fullmatch(cells[0]) is None or not math.isfinite(float(cells[0])):
        return DataError(f"{name}, line {number}: label {shown[0]!r}; a label is one finite number. Correct it.")
    if any(cell.startswith(b"qid:") for cell in cells):
        return DataError(f"{name}, line {number}: qid (groups for ranking) is not read. Remove it.")
    wrong = next((text for text, cell in zip(shown[1:], cells[1:], strict=True) if _PAIR.fullmatch(cell) is None), "")
    return DataError(
        f"{name}, line {number}: {wrong!r}; after the label, features are index:value, as 3:0.5. Correct it."
    )
