"""How do a table's input columns become numbers? As they are, with gaps filled, or one for each category."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np

from engine.data.table import IMPUTED, Table, cell_error, codes, left_out, listed
from engine.errors import DataError, unknown_name

Numbers = np.ndarray[Any, Any]

Impute = Literal["mean", "median", "most-frequent"]
IMPUTE: tuple[Impute, ...] = get_args(Impute)

_MOST_CATEGORIES = 1000  # of one column
_BLOCK = 4096  # rows that are put together at a time, so that they stay in the processor's cache


class Input(NamedTuple):
    """One column of the inputs: its categories where it is one of texts, and what fills a missing cell, if anything."""

    name: str
    categories: tuple[str, ...] | None
    fill: float | str | None


class Columns:
    """A table's input columns as numbers: what was learnt from the rows that it was fitted on.

    A column of numbers is one feature, as it is. A column of texts is one feature for each category, in sorted order,
    called "column=category": 1 where the cell is that category, else 0. A category that was not there when it was
    fitted is 0 in all of them, with a warning.

    Attributes:
        inputs: the names of the columns.
        feature_names: in order.
        numeric: which features are columns of numbers, as an array of bools.

    >>> kinds, ages = ["cat", "dog", "cat"], [3.0, 5.0, 4.0]
    >>> pets = Table("pets.csv", ["kind", "age"], {"kind": kinds, "age": ages}, range(2, 5), True)
    >>> columns = Columns.fit(pets, ["age", "kind"])
    >>> columns.feature_names, columns.numeric
    (('age', 'kind=cat', 'kind=dog'), array([ True, False, False]))
    >>> columns(pets)
    array([[3., 1., 0.],
           [5., 0., 1.],
           [4., 1., 0.]])
    """

    def __init__(self, parts: Sequence[Input]) -> None:
        self._parts = tuple(parts)
        self.inputs = tuple(part.name for part in self._parts)
        self.feature_names = tuple(
            name if categories is None else f"{name}={category}"
            for name, categories, _ in self._parts
            for category in ([""] if categories is None else categories)
        )
        widths = [1 if part.categories is None else len(part.categories) for part in self._parts]
        self._ends = np.cumsum([0, *widths]).tolist()
        self.numeric = np.repeat([part.categories is None for part in self._parts], widths)

    @classmethod
    def fit(cls, table: Table, inputs: Sequence[str | int], impute: Impute | None = None) -> Self:
        """What is needed of these columns of a table.

        Args:
            table: the rows to learn from.
            inputs: columns, by name or number.
            impute: what a missing number becomes: the column's "mean", its "median" or its "most-frequent" value. A
                missing text becomes the most frequent one. None refuses missing cells, here and later.

        Raises:
            DataError: a cell is missing, or a column of texts has so many categories that it is no feature.
        """
        if impute is not None and impute not in IMPUTE:
            raise unknown_name("imputation", impute, IMPUTE)
        names = [table.column(column) for column in inputs]
        if not names or not len(table):
            raise DataError(
                f"{table.name}: {len(names)} input columns, {len(table)} rows; at least one each is needed."
            )
        if impute is None:
            _refuse_missing(table, names)
        return cls([_fitted(table, name, impute) for name in names])

    def __call__(self, table: Table) -> Numbers:
        """The features (rows, features) of a table, float64.

        Args:
            table: it has the columns that these were fitted on.

        Raises:
            DataError: a column is not there, is one of texts where it was one of numbers, or a cell is missing and
                nothing was fitted to fill it.
        """
        table.has(self.inputs)
        unfilled = [part.name for part in self._parts if part.fill is None]
        _refuse_missing(table, unfilled, fitting=False)
        out = np.empty((len(table), len(self.feature_names)))
        strange: dict[str, Counter[str]] = {}
        numbers: list[tuple[int, Numbers]] = []
        for part, start, end in zip(self._parts, self._ends, self._ends[1:], strict=False):
            if part.categories is None:
                numbers.append((start, _filled_numbers(table, part)))
                continue
            places, unknown = codes(_filled_texts(table, part), part.categories)
            if unknown:
                strange[part.name] = unknown
            out[:, start:end] = places[:, None] == np.arange(len(part.categories))
        for first in range(0, len(table), _BLOCK):
            rows = slice(first, first + _BLOCK)
            for feature, values in numbers:
                out[rows, feature] = values[rows]
        if strange:
            warnings.warn(_strange(table, strange), stacklevel=2)
        return out

    def __repr__(self) -> str:
        return f"Columns({len(self.inputs)} columns, {len(self.feature_names)} features)"

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold; `from_dict` builds it again."""
        parts = []
        for name, categories, fill in self._parts:
            values = {"name": name, "categories": None if categories is None else list(categories), "fill": fill}
            parts.append({key: value for key, value in values.items() if value is not None})
        return {"inputs": parts}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The columns that `to_dict` wrote down."""
        parts = []
        for part in stored["inputs"]:
            categories = part.get("categories")
            parts.append(Input(part["name"], None if categories is None else tuple(categories), part.get("fill")))
        return cls(parts)


def _fitted(table: Table, name: str, impute: Impute | None) -> Input:
    values = table.columns[name]
    present = values[~table.missing(name)]
    if not len(present):
        raise DataError(f"{table.name}: {table.called(name)} has no value; nothing can be learnt. {_left_out(name)}.")
    if not table.is_text(name):
        return Input(name, None, None if impute is None else _typical(present, impute))
    counts = Counter(present)
    if len(counts) > _MOST_CATEGORIES or len(counts) == len(table):
        raise DataError(
            f"{table.name}: {table.called(name)} has {len(counts)} different texts in {len(table)} rows; allowed are "
            f"{_MOST_CATEGORIES:,} categories, fewer than rows. {_left_out(name)}."
        )
    most = max(counts.values())
    fill = None if impute is None else min(text for text, count in counts.items() if count == most)
    return Input(name, tuple(sorted(counts)), fill)


def _left_out(name: str) -> str:
    fix = left_out(name)
    return fix[0].upper() + fix[1:]


def _typical(values: Numbers, impute: Impute) -> float:
    if impute == "most-frequent":
        different, counts = np.unique(values, return_counts=True)
        return float(different[counts.argmax()])  # of several, the smallest
    function: Callable[[Numbers], Any] = np.mean if impute == "mean" else np.median
    return float(function(values))


def _refuse_missing(table: Table, names: Sequence[str], *, fitting: bool = True) -> None:
    """Refuse the first missing cell, line by line, in columns that nothing fills."""
    first: tuple[int, str] | None = None
    for name in names:
        missing = table.missing(name)
        row = int(missing.argmax()) if missing.any() else len(table)
        if row < (len(table) if first is None else first[0]):
            first = row, name
    if first is not None:
        row, name = first
        fixes = (f"fill it with {IMPUTED}", left_out(name)) if fitting else ("fill it", f"train with {IMPUTED}")
        raise cell_error(table.place(row, name), "the cell is empty", "every input needs a value", *fixes)


def _filled_numbers(table: Table, part: Input) -> Numbers:
    values = table.columns[part.name]
    if table.is_text(part.name):
        present = ~table.missing(part.name)
        if present.any():
            row = int(present.argmax())
            place = table.place(row, part.name)
            raise cell_error(place, f"the cell is {values[row]!r}", "the training had numbers here", "correct it")
        values = np.full(len(values), np.nan)
    return values if part.fill is None else np.where(np.isnan(values), part.fill, values)


def _filled_texts(table: Table, part: Input) -> list[str]:
    return [str(part.fill) if text is None else text for text in table.texts(part.name)]


def _strange(table: Table, strange: Mapping[str, "Counter[str]"]) -> str:
    said = []
    for name, unknown in strange.items():
        rows = unknown.total()
        said.append(f"{table.called(name)} has {listed(sorted(unknown))} in {rows} row{'s' * (rows != 1)}")
    return f"{table.name}: {'; '.join(said)}; the training had no such category. All its features are 0 there."
