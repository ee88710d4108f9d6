"""What does a cell of a text table say? A number, a text or nothing; and which of them is its whole column?"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.data.table import objects
from engine.errors import ArgumentError

Numbers = np.ndarray[Any, Any]

DEFAULT_MISSING = ("", "NA", "NaN", "nan", "?", "N/A", "null", "None")

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:inf|infinity|nan)", re.IGNORECASE)
_PLAIN = b"0123456789+-.eE \t\n"  # of these alone, float() takes what _NUMBER takes, with blanks around it


class Cells:
    """How cells are read, all over one table: blanks around them do not count, and some words say that one is missing.

    A missing word that is a number, such as -999, stands for every way of writing it (-999.0).

    >>> cells = Cells(DEFAULT_MISSING)
    >>> [cells.value(cell) for cell in (" 1e3", "?", "1_000", "-inf")]
    [1000.0, None, '1_000', inf]
    """

    def __init__(self, missing: Sequence[str]) -> None:
        if isinstance(missing, str) or not all(isinstance(word, str) for word in missing):
            raise ArgumentError(f'missing {missing!r} was given; it is a list of texts, such as ["NA", "?"].')
        self.words = frozenset(("", *(word.strip() for word in missing)))
        numbers = {word for word in self.words if _NUMBER.fullmatch(word)}
        self.texts = self.words - numbers
        self.numbers = frozenset(map(float, numbers))

    def value(self, cell: str) -> float | str | None:
        """A number, infinity for one that is not finite (spelled out or too large), None where missing, else text."""
        text = cell.strip()
        if text in self.words:
            return None
        if _NUMBER.fullmatch(text):
            number = float(text)
            return None if number in self.numbers else number if np.isfinite(number) else np.inf
        return np.inf if _NOT_FINITE.fullmatch(text) else text

    def text(self, cell: str) -> str | None:
        """The text, None where missing."""
        text = cell.strip()
        return None if text in self.words else text

    def block(self, cells: Sequence[str]) -> Numbers | None:
        """Many cells as numbers, quickly; None unless each is a number, finite and written in full."""
        if "\n".join(cells).encode().translate(None, _PLAIN):
            return None
        try:
            values = np.array(list(map(float, cells)))
        except ValueError:
            return None
        return self.without_missing(values) if np.isfinite(values).all() else None

    def without_missing(self, values: Numbers) -> Numbers:
        """Numbers, NaN where one says that it is missing."""
        for number in self.numbers:
            values[values == number] = np.nan
        return values


class Column:
    """One column as it is read, some cells at a time. Numbers become arrays at once; the kind is known at the end.

    Args:
        cells: how they are read.
        as_text: that it is one of texts, whatever is in it.

    Attributes:
        wrong: the first cell that is no finite number, and its row.
    """

    def __init__(self, cells: Cells, as_text: bool) -> None:
        self.wrong: tuple[int, str] | None = None
        self._cells = cells
        self._as_text = as_text
        self._rows = self._present = self._texts = 0
        self._blocks: list[Numbers | list[str | None]] = []
        self._shared: dict[str | None, str | None] = {}  # one object for a text, however often it is there

    def add(self, cells: Sequence[str]) -> None:
        """The next cells of the column."""
        self._rows += len(cells)
        if not self._as_text and not self._texts:
            block = self._cells.block(cells)
            if block is not None:
                self._present += len(block) - int(np.isnan(block).sum())
                self._blocks.append(block)
                return
        different = set(cells)
        if not self._as_text:
            values = {cell: self._cells.value(cell) for cell in different}
            block_values = [values[cell] for cell in cells]
            texts = sum(isinstance(value, str) for value in block_values)
            self._present += len(cells) - block_values.count(None)
            self._texts += texts
            if self.wrong is None and (texts or np.inf in values.values()):
                row = next(row for row, value in enumerate(block_values) if isinstance(value, str) or value == np.inf)
                self.wrong = self._rows - len(cells) + row, cells[row].strip()
            if not texts:
                self._blocks.append(np.array(block_values, np.float64))  # None becomes NaN
                return
        share = self._shared.setdefault
        words = {cell: share(text, text) for cell in different for text in (self._cells.text(cell),)}
        self._blocks.append([words[cell] for cell in cells])

    @property
    def is_text(self) -> bool:
        """Whether it is a column of texts: asked for, or half of the cells that are there, and more, are no numbers."""
        return self._as_text or 2 * self._texts >= max(1, self._present)

    @property
    def lost(self) -> bool:
        """Whether it turned out to be of texts when some were already read as numbers: it must be read again."""
        return self.is_text and any(isinstance(block, np.ndarray) for block in self._blocks)

    def values(self) -> Numbers:
        """The column, float64 or texts; it has no cell that is wrong."""
        if self.is_text:
            return objects([text for block in self._blocks for text in block])
        return np.concatenate([np.asarray(block) for block in self._blocks]) if self._blocks else np.empty(0)
