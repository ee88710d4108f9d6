"""What is a table, once it is read? Named columns of numbers or texts that know the line each row came from."""

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import DataError, UnknownNameError

Numbers = np.ndarray[Any, Any]
Rows = slice | Sequence[int] | Numbers

_MOST_NAMES = 8  # in a message


class Table:
    """Rows and named columns, as they stand in a file.

    Args:
        name: what messages call it: the file.
        names: of the columns, in order; "0", "1", ... where the file has no header.
        columns: by name, one array (rows,) each: float64, NaN where a number is missing, or objects that are texts,
            None where a text is missing.
        lines: the line in the file of each row, counted from 1; or a function that finds them, called when a message
            first needs one.
        has_header: whether the names come from the file.
        in_lines: whether rows are lines of text; those of an array are counted from 0, by ``lines`` too.

    >>> table = Table("pets.csv", ["kind", "age"], {"kind": ["cat", "dog"], "age": [3.0, np.nan]}, range(2, 4), True)
    >>> len(table), table.columns["age"], table.is_text("kind")
    (2, array([ 3., nan]), True)
    >>> table.place(1, "age")
    "pets.csv, line 3, column 'age'"
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        columns: Mapping[str, Any],
        lines: Sequence[int] | Numbers | Callable[[], Sequence[int] | Numbers],
        has_header: bool,
        in_lines: bool = True,
    ) -> None:
        self.name = name
        self.names = tuple(names)
        self.columns: dict[str, Numbers] = {one: _column(columns[one]) for one in self.names}
        self.has_header, self.in_lines = has_header, in_lines
        self._lines = lines
        self.features: dict[object, Numbers] = {}  # of all rows, by what made them: they last as long as the table

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {len(self)} rows, {len(self.names)} columns)"

    @property
    def lines(self) -> Sequence[int] | Numbers:
        """The line in the file of each row, counted from 1."""
        if callable(self._lines):
            self._lines = self._lines()
        return self._lines

    def line(self, row: int) -> int:
        """The line in the file, counted from 1, at which a row begins."""
        return int(self.lines[row])

    def is_text(self, column: str) -> bool:
        """Whether a column holds texts."""
        return bool(self.columns[column].dtype == object)

    def missing(self, column: str) -> Numbers:
        """Which cells of a column are missing, as an array of bools."""
        values = self.columns[column]
        if self.is_text(column):
            return np.fromiter((value is None for value in values), bool, len(values))
        return np.isnan(values)

    def texts(self, column: str) -> list[str | None]:
        """A column as texts; numbers as `written` writes them, for one of texts that all look like numbers."""
        values = self.columns[column]
        if self.is_text(column):
            return list(values)
        return [None if np.isnan(value) else written(value) for value in values.tolist()]

    def take(self, rows: Rows) -> "Table":
        """These rows, as a table that still knows their lines in the file.

        >>> table = Table("a.csv", ["x"], {"x": [5.0, 6.0, 7.0]}, range(2, 5), True).take([2, 0])
        >>> table.columns["x"], table.line(0)
        (array([7., 5.]), 4)
        """
        index = rows if isinstance(rows, slice) else np.asarray(rows)
        columns = {name: column[index] for name, column in self.columns.items()}
        return self._like(self.names, columns, lambda: np.asarray(self.lines)[index])

    def chosen(self, names: Sequence[str]) -> "Table":
        """These columns alone, in this order."""
        return self._like(names, self.columns, lambda: self.lines)

    def renamed(self, names: Sequence[str]) -> "Table":
        """The same columns under other names."""
        return self._like(names, dict(zip(names, self.columns.values(), strict=True)), lambda: self.lines)

    def _like(self, names: Sequence[str], columns: Mapping[str, Any], lines: Callable[[], Any]) -> "Table":
        return Table(self.name, names, columns, lines, self.has_header, self.in_lines)

    def has(self, names: Sequence[str]) -> None:
        """Refuse the table where a column that a training had is not there."""
        absent = [name for name in names if name not in self.columns]
        if absent:
            raise DataError(
                f"{self.name}: it has no column {listed(absent)}; the training had {listed(names)}. Name columns so."
            )

    def column(self, wanted: str | int) -> str:
        """The name of the column that is meant: by its name, or by its number from 0, negative ones from the end.

        Raises:
            UnknownNameError: there is none; the message holds the nearest names.

        >>> table = Table("a.csv", ["x", "y", "2020"], {"x": [5.0], "y": [6.0], "2020": [7.0]}, range(2, 3), True)
        >>> table.column("y"), table.column(-1), table.column("0"), table.column("2020")
        ('y', '2020', 'x', '2020')
        """
        return find_column(self.name, self.names, wanted)

    def place(self, row: int, column: str) -> str:
        """Where a cell is, as messages name it."""
        where = f"line {self.line(row)}" if self.in_lines else f"row {self.line(row)} (counted from 0)"
        return f"{self.name}, {where}, {self.called(column)}"

    def called(self, column: str) -> str:
        """What messages call a column."""
        return called(column, self.has_header)


def called(column: str, has_header: bool) -> str:
    """What messages call a column: its name, or its number where the file has no names."""
    return f"column {column!r}" if has_header or not column.isdecimal() else f"column {column} (counted from 0)"


def find_column(table: str, names: Sequence[str], wanted: str | int) -> str:
    """The name that is meant by a name or a number; see Table.column."""
    if isinstance(wanted, str) and wanted in names:
        return wanted
    try:
        number = int(wanted)
    except ValueError:
        number = len(names)
    if -len(names) <= number < len(names):
        return names[number]
    near = difflib.get_close_matches(str(wanted), names, n=3, cutoff=0.6)
    hint = f" did you mean {' or '.join(map(repr, near))}?" if near else ""
    numbered = f" Columns are also numbered, from 0 to {len(names) - 1}."
    raise UnknownNameError(f"{table}: it has no column {str(wanted)!r};{hint} It has {listed(names)}.{numbered}")


def listed(names: Sequence[str]) -> str:
    """Names in a message; the first few where they are many.

    >>> listed(["a", "b"])
    "'a', 'b'"
    """
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(map(repr, names[:_MOST_NAMES])) + more


def cell_error(place: str, problem: str, allowed: str, *fixes: str) -> DataError:
    """The error for one cell: where it is, what is there, what is allowed, and what can be done."""
    *others, last = fixes
    joined = f"{', '.join(others)}, or {last}" if others else last
    return DataError(f"{place}: {problem}; {allowed}. {joined[0].upper()}{joined[1:]}.")


def as_text(column: str) -> str:
    """The fix that reads a column as text."""
    return f'read the column as text with text=["{column}"]'


def left_out(column: str) -> str:
    """The fix that does without a column."""
    return f'leave the column out with ignore=["{column}"]'


IMPUTED = 'impute="mean", "median" or "most-frequent"'


def _column(values: Any) -> Numbers:
    if isinstance(values, np.ndarray):
        return values
    if any(isinstance(value, str) for value in values):
        return objects(values)
    return np.asarray(values, np.float64)


def written(number: float) -> str:
    """A number as a name: whole ones without a point.

    >>> written(2.0), written(-0.5)
    ('2', '-0.5')
    """
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e16 else repr(float(number))


def codes(texts: Sequence[str], known: Sequence[str]) -> "tuple[Numbers, Counter[str]]":
    """The place of each text among those known, -1 where it is none of them; and how often each of the others is there.

    >>> codes(["b", "x", "a"], ["a", "b"])
    (array([ 1, -1,  0]), Counter({'x': 1}))
    """
    places = {text: place for place, text in enumerate(known)}
    found = np.fromiter((places.get(text, -1) for text in texts), np.int64, len(texts))
    return found, Counter(texts[row] for row in np.flatnonzero(found < 0).tolist())


def objects(values: Sequence[str | None]) -> Numbers:
    """Texts as an array of objects."""
    array = np.empty(len(values), object)
    array[:] = values
    return array
