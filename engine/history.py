"""What happened in training, epoch by epoch? The History that `fit` returns and a run folder keeps as CSV."""

import csv
import errno
import io
import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import ArgumentError, DataError, unknown_name
from engine.files import not_written, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 10  # rows of a printed history; the middle of a longer one is left out


class History:
    """Columns of numbers, one value an epoch.

    A Trainer writes these, as far as they apply: "loss" (the mean over the epoch's training samples), each metric by
    its name ("accuracy"), both for the validation data ("validation_loss", "validation_accuracy"), "learning_rate" (at
    the epoch's end) and "seconds" (that the epoch took). An epoch without a value in a column has NaN there. Epochs
    count from 1. Two histories are equal when all names and values are; NaN equals NaN.

    >>> history = History()
    >>> history.append({"loss": 0.7, "accuracy": 0.5})
    >>> history.append({"loss": 0.4, "accuracy": 0.875})
    >>> history["loss"], len(history), history.last["accuracy"], history.best("loss")
    ([0.7, 0.4], 2, 0.875, (2, 0.4))
    >>> history
    History, 2 epochs
    epoch  loss  accuracy
        1   0.7       0.5
        2   0.4     0.875
    """

    __hash__ = None  # type: ignore[assignment]  # it changes while training goes on

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {}
        self._epochs = 0
        self._file: tuple[str, list[str], int, int] | None = None  # what append_csv wrote: path, columns, rows, bytes

    # -- what is in it ---------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """The names, in the order in which they first came."""
        return tuple(self._columns)

    def __len__(self) -> int:
        return self._epochs

    def __iter__(self) -> Iterator[str]:
        """The names of the columns, so that ``"loss" in history`` and ``for column in history`` work."""
        return iter(self._columns)

    def __getitem__(self, column: str) -> list[float]:
        """The values of a column, one an epoch (a copy).

        Raises:
            UnknownNameError: there is no such column; the message holds the nearest ones.
        """
        if column not in self._columns:
            raise unknown_name("history column", column, self._columns or ("(none: no epoch has ended yet)",))
        return list(self._columns[column])

    def rows(self) -> list[dict[str, float]]:
        """One dictionary an epoch, as `append` takes it."""
        return [{name: values[row] for name, values in self._columns.items()} for row in range(self._epochs)]

    @property
    def last(self) -> dict[str, float]:
        """The values of the last epoch; empty before the first has ended."""
        return {name: values[-1] for name, values in self._columns.items()}

    def best(self, column: str, smallest: bool = True) -> tuple[int, float]:
        """(epoch, value) where a column is smallest, or largest; the earliest of equals. NaN is never the best.

        Raises:
            UnknownNameError: there is no such column.
            DataError: it holds nothing but NaN.
        """
        values = self[column]
        epochs = [row for row, value in enumerate(values) if not math.isnan(value)]
        if not epochs:
            raise DataError(f"history column {column!r}: {len(values)} values, all NaN; the best needs one number.")
        row = (min if smallest else max)(epochs, key=values.__getitem__)
        return row + 1, values[row]

    def append(self, epoch_values: Mapping[str, float]) -> None:
        """Add an epoch. A column that it lacks gets NaN; a new column gets NaN for the epochs before.

        Raises:
            ArgumentError: there is no value, one is not a number, or a column is called "epoch".
        """
        if not epoch_values:
            raise ArgumentError("history.append: no value was given; an epoch has one at least, such as its loss.")
        new = {_column(name): _number(name, value) for name, value in epoch_values.items()}
        for name in new:
            if name not in self._columns:
                self._columns[name] = [math.nan] * self._epochs
        for name, values in self._columns.items():
            values.append(new.get(name, math.nan))
        self._epochs += 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return self.columns == other.columns and all(
            [_cell(value) for value in values] == [_cell(value) for value in other._columns[name]]
            for name, values in self._columns.items()
        )

    def __repr__(self) -> str:
        if not self._epochs:
            return "History, no epoch yet"
        table = [["epoch", *self._columns]]
        for row in range(self._epochs):
            table.append([str(row + 1), *(f"{values[row]:.4g}" for values in self._columns.values())])
        if self._epochs > _SHOWN:
            half = _SHOWN // 2
            table[1 + half : -half] = [["..."] * len(table[0])]
        widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)) for cells in table]
        return f"History, {self._epochs} epoch{'s' * (self._epochs > 1)}\n" + "\n".join(lines)

    # -- kept ------------------------------------------------------------------------------------------

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write ``epoch,loss,...``, one line an epoch; every float reads back as the same float.

        The file is replaced as a whole: a reader, or a run that is killed, sees the old one or the new one.

        Raises:
            FileError: the file cannot be written.
        """
        text = self._lines(0)
        write_whole(path, text)
        self._file = (os.path.abspath(path), list(self._columns), self._epochs, len(text))

    def append_csv(self, path: str | os.PathLike[str]) -> None:
        """Bring a file that this history wrote before up to date: the new epochs' lines are added at its end.

        The file is written anew, as by `to_csv`, where that is not enough: a first call, a new column, another path, or
        a file that something else has changed.

        Raises:
            FileError: the file cannot be written; it is then as it was.
        """
        where, columns, rows, size = self._file or ("", [], 0, 0)
        known = where == os.path.abspath(path) and columns == list(self._columns) and rows <= self._epochs
        if not known or not os.path.isfile(path) or os.path.getsize(path) != size:
            self.to_csv(path)
            return
        text = self._lines(rows)
        try:
            with open(path, "r+b", buffering=0) as file:
                file.seek(size)
                try:
                    if file.write(text) != len(text):  # the rest did not fit on the disk
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise not_written(path, error) from None
        self._file = (where, columns, self._epochs, size + len(text))

    @staticmethod
    def from_csv(path: str | os.PathLike[str]) -> "History":
        """Read what `to_csv` or `append_csv` wrote; a last line without its end, of a run that was killed, is left out.

        Raises:
            DataError: there is no such file, or a line in it is not one of a history.
        """
        try:
            with open(path, encoding="utf-8", newline="") as file:
                text = file.read()
        except OSError as error:
            raise DataError(f"{path}: the history could not be read: {error.strerror}. Check the path.") from None
        except UnicodeDecodeError:
            raise DataError(f"{path}: this is no text in UTF-8, so no history.") from None
        lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
        if not lines or lines[0][:1] != ["epoch"] or len(set(lines[0])) != len(lines[0]):
            first = ",".join(lines[0]) if lines else ""
            raise DataError(f"{path}: line 1 is {first!r}; a history starts with epoch,loss,... (every name once).")
        history = History()
        history._columns = {name: [] for name in lines[0][1:]}
        for number, cells in enumerate(lines[1:], start=2):
            if len(cells) != len(lines[0]) or cells[0] != str(number - 1):
                raise DataError(
                    f"{path}: line {number} is {','.join(cells)!r}; it needs the epoch {number - 1} and "
                    f"{len(lines[0]) - 1} numbers."
                )
            for name, cell in zip(history._columns, cells[1:], strict=True):
                try:
                    history._columns[name].append(float(cell))
                except ValueError:
                    raise DataError(f"{path}: {name} is {cell!r} in line {number}; it must be a number.") from None
        history._epochs = len(lines) - 1
        return history

    def _lines(self, first: int) -> bytes:
        """The CSV from a row on, with the header before row 0."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if first == 0:
            writer.writerow(["epoch", *self._columns])
        for row in range(first, self._epochs):
            writer.writerow([row + 1, *(_cell(values[row]) for values in self._columns.values())])
        return text.getvalue().encode()

    def state(self) -> dict[str, Any]:
        """Everything, in plain dictionaries and lists, for a checkpoint."""
        return {"columns": {name: list(values) for name, values in self._columns.items()}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave; what was here is forgotten.

        Raises:
            DataError: the state is none of a history; nothing is changed then.
        """
        columns = state.get("columns") if isinstance(state, Mapping) else None
        if not isinstance(columns, Mapping):
            raise DataError("history: the state has no 'columns'; give what History.state() returned.")
        new = {_column(name): [_number(name, value) for value in values] for name, values in columns.items()}
        lengths = {len(values) for values in new.values()}
        if len(lengths) > 1:
            raise DataError(f"history: the state's columns have {sorted(lengths)} values; all need one an epoch.")
        self._columns, self._epochs, self._file = new, max(lengths, default=0), None

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Figure":
        """The curves as a picture, by `engine.plot.history`; needs the extra ``plots``."""
        from engine.plot import history as picture

        return picture(self, path)


def _column(name: object) -> str:
    if not isinstance(name, str) or not name or name == "epoch":
        raise ArgumentError(f"history: column {name!r} was given; names are texts, and 'epoch' counts the rows.")
    return name


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"history: {name} is {value!r}; it must be a number.") from None


def _cell(value: float) -> str:
    return repr(value)  # the shortest text that reads back as the same float
