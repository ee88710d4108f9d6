"""How is data trained on that is larger than memory? Rows of an array that are prepared when they are taken."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.convert import normal_dtype
from engine.data.preparation import Preparation, apply, row_blocks
from engine.errors import ArgumentError, DtypeError
from engine.settings import shown

Numbers = np.ndarray[Any, Any]


class Rows:
    """Rows of an array, in any order, each prepared at the moment it is taken: nothing else is kept in memory.

    Made for a memory-mapped file. It has an array's shape, dtype, len and rows: ``rows[10:20]``, ``rows[[4, 2]]`` and
    ``rows[mask]`` are plain arrays of just these rows, gathered and prepared in one vectorised step. ``part``,
    ``astype`` and ``prepared`` read nothing. ``np.asarray(rows)`` reads everything.

    Args:
        source: the array, or ``numpy.load(file, mmap_mode="r")``; it is not to be changed any more.
        index: which of its rows there are, by number from 0; None for all of them.
        columns: which columns of a two-dimensional source there are, by number from 0; None for all of them.
        preparation: what is applied to the rows, in order.
        dtype: of what is taken: floats where there is a preparation (float32 if None), else the source's if None.

    Attributes:
        checked: whether all numbers are known to be finite, as whole numbers are; `engine.data.dataset.check_finite`
            notes it, so that a data set is read for it once.

    >>> from engine.data.preparation import Scale
    >>> rows = Rows(np.array([[0, 255], [51, 102], [255, 0]], np.uint8)).prepared([Scale(1 / 255)])
    >>> rows.shape, rows.dtype, rows.part([2, 0])[:].tolist()
    ((3, 2), dtype('float32'), [[1.0, 0.0], [0.0, 1.0]])
    """

    def __init__(
        self,
        source: Numbers,
        index: Any = None,
        *,
        columns: Sequence[int] | None = None,
        preparation: Sequence[Preparation] = (),
        dtype: Any = None,
    ) -> None:
        self.source: Numbers = np.asarray(source)  # of a memory map: the same memory, without its slow indexing
        if not self.source.ndim or self.source.dtype.kind not in "fiub":
            raise ArgumentError(
                f"Rows: an array of {self.source.dtype} of shape {self.source.shape} was given; it has numbers or "
                "bools, one sample a row."
            )
        self.index: Numbers | None = None
        self.columns = None if columns is None else _columns(self.source, columns)
        self.preparation = tuple(preparation)
        stored = self.source.dtype.newbyteorder("=")
        usual = np.float32 if self.preparation else stored
        self.dtype = _precision(self.preparation, usual if dtype is None else dtype)
        self.checked = stored.kind != "f"
        if index is not None:
            self.index = self._numbers(index)

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, ...)."""
        sample = self.source[:0] if self.columns is None else self.source[:0, self.columns]
        return (len(self.source) if self.index is None else len(self.index), *sample.shape[1:])

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self.source.ndim

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """What all rows would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Numbers:
        """These rows, prepared: by a slice, whole numbers, or True and False for each; one number gives one sample."""
        if isinstance(rows, (int, np.integer)) and not isinstance(rows, bool):
            sample: Numbers = self[np.array([rows])][0]
            return sample
        if isinstance(rows, slice):
            taken = self.source[rows] if self.index is None else np.take(self.source, self.index[rows], axis=0)
        else:
            taken = np.take(self.source, self._numbers(rows), axis=0)
        if self.columns is not None:
            taken = taken[:, self.columns]
        if self.preparation:
            return apply(self.preparation, taken, self.dtype)
        return taken.astype(self.dtype, copy=False)

    def loaded(self) -> Numbers:
        """All rows as an array: gathered and prepared block by block, so that nothing else of its size is needed."""
        everything = np.empty(self.shape, self.dtype)
        for start, block in row_blocks(self):
            everything[start : start + len(block)] = block
        return everything

    def part(self, rows: Any) -> "Rows":
        """These rows alone, given as to ``[]``; nothing is read."""
        if isinstance(rows, slice):
            if self.index is None:
                return self._like(source=self.source[rows])
            return self._like(index=self.index[rows])
        return self._like(index=self._numbers(rows))

    def astype(self, dtype: Any, copy: bool = True) -> "Rows":
        """The same rows in this dtype; nothing is read. With ``copy=False``, these where they have it, as arrays do."""
        wanted = _precision(self.preparation, dtype)
        return self if wanted == self.dtype and not copy else self._like(dtype=wanted)

    def prepared(self, preparation: Sequence[Preparation], dtype: Any = np.float32) -> "Rows":
        """The same rows with these applied after earlier preparations, in this dtype; nothing is read."""
        steps = (*self.preparation, *preparation)
        return self._like(preparation=steps, dtype=_precision(steps, dtype))

    def _like(self, **changed: Any) -> "Rows":
        same = copy.copy(self)
        vars(same).update(changed)
        return same

    def _numbers(self, rows: Any) -> Numbers:
        """The numbers of these rows in the source, small where they can be: half the memory for millions of rows."""
        given, length = np.asarray(rows), len(self)
        if given.dtype == bool and given.shape == (length,):
            given = np.flatnonzero(given)
        if given.dtype.kind not in "iu" or given.ndim != 1:
            raise IndexError(f"rows {shown(rows)}: allowed are a slice, whole numbers, and {length} of True and False")
        if given.size and (given.min() < -length or given.max() >= length):
            raise IndexError(f"rows {shown(rows)}: there are rows from 0 to {length - 1}")
        given = np.where(given < 0, given + length, given) if given.dtype.kind == "i" else given
        numbers = given if self.index is None else self.index[given]
        return numbers.astype(np.int32 if len(self.source) < 1 << 31 else np.int64, copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Numbers:
        everything = self[:]
        return np.array(everything, dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Rows({self.dtype}{self.shape} of {self.source.dtype}{self.source.shape})"


def _precision(preparation: Sequence[Preparation], dtype: Any) -> "np.dtype[Any]":
    wanted = normal_dtype(dtype)
    if preparation and wanted.kind != "f":
        raise DtypeError(f"Rows: dtype {wanted} was given for prepared rows; allowed are floats.")
    return wanted


def _columns(source: Numbers, wanted: Sequence[int]) -> "slice | Numbers":
    """Columns by number; neighbours as a slice, which copies nothing."""
    numbers = np.asarray(wanted)
    fits = source.ndim == 2 and numbers.ndim == 1 and numbers.size > 0 and numbers.dtype.kind in "iu"
    if not fits or numbers.min() < 0 or numbers.max() >= source.shape[1]:
        raise ArgumentError(
            f"Rows: columns {shown(wanted)} were given for an array of shape {source.shape}; they are numbers of "
            "columns, counted from 0, of an array with two axes."
        )
    neighbours = bool((np.diff(numbers.astype(np.int64)) == 1).all())
    return slice(int(numbers[0]), int(numbers[-1]) + 1) if neighbours else numbers
