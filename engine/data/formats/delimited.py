"""How is a table of text read? Separator, header and kinds of columns found out; numbers and texts as they stand."""

import csv
import functools
import importlib.util
import io
import os
import warnings
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import numpy as np

from engine.data.formats import layouts
from engine.data.formats.cells import DEFAULT_MISSING, Cells, Column, Numbers
from engine.data.formats.compression import open_binary
from engine.data.formats.layouts import TextLayout
from engine.data.table import Table, as_text, called, cell_error, find_column
from engine.errors import DataError

__all__ = ["DEFAULT_MISSING", "read"]

_BLOCK = 1 << 18  # cells that are Python objects at a time
_SLOW = 50 << 20  # bytes of a file that take seconds with the csv module
_END = "\0"  # a line after the last one: an open quote swallows it


def read(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    header: bool | None = None,
    missing: Sequence[str] = DEFAULT_MISSING,
    text: Collection[str | int] = (),
) -> Table:
    """The table in a file of text (UTF-8), plain, gzip or xz.

    Cells may be quoted ("a, b"; a doubled quote is a quote); blanks around cells do not count, nor do empty lines. A
    number is what [+-]digits.digits[e[+-]digits] describes. A column is one of numbers where most of its cells that are
    not missing are numbers, else one of texts.

    Args:
        path: the file.
        separator: one character between cells, " " for runs of white space; None finds out.
        header: whether the first line names the columns; None takes it for names where it has none of the numbers that
            the lines below have. Without one, columns are called "0", "1", ...
        missing: words that say that a cell is missing; the empty cell always is.
        text: columns, by name or number, that are read as texts whatever is in them.

    Raises:
        DataError: the file is missing, damaged, empty, not text, ragged, has a column name twice, or a text or an
            infinity among numbers; the message names line and column.

    Files above 1 MB are read by pyarrow where it is installed; what is read is the same.
    """
    cells = Cells(missing)
    layout = layouts.find(path, separator, header, cells)
    name = os.fspath(path)
    texts = {find_column(name, layout.names, column) for column in text}
    one_sign = layout.separator not in (None, " ") and layout.separator.isascii() and len(layout.names) > 1
    large = one_sign and not layout.small
    if large and importlib.util.find_spec("pyarrow") is not None:
        from engine.data.formats import arrow

        columns = arrow.read(path, layout, cells, texts)
        if columns is not None:
            lines = functools.partial(_lines, path, layout)
            return Table(name, layout.names, columns, lines, layout.has_header)
    elif large and os.path.getsize(path) > _SLOW:
        warnings.warn(
            f"{name}: {os.path.getsize(path) >> 20} MB are read by Python alone, which takes a while; pyarrow is many "
            'times as fast. Install the extra tables: pip install "chalkgrad[tables]".',
            stacklevel=2,
        )
    return _read(path, layout, cells, texts)


def _read(path: str | os.PathLike[str], layout: TextLayout, cells: Cells, texts: Collection[str]) -> Table:
    """The table, by the csv module: the reader that says what a table is, and what is wrong with it."""
    columns = [Column(cells, name in texts) for name in layout.names]
    lines: list[Numbers] = []
    for starts, rows in _blocks(path, layout):
        lines.append(starts)
        for column, block in zip(columns, zip(*rows, strict=True), strict=True):
            column.add(block)
    if not lines:
        raise DataError(f"{os.fspath(path)}: it has nothing below its header; at least one row is needed.")
    found = _contiguous(np.concatenate(lines))
    _check(os.fspath(path), layout, columns, found)
    lost = {name for name, column in zip(layout.names, columns, strict=True) if column.lost}
    if lost:  # numbers that were read before it showed that their column is one of texts
        return _read(path, layout, cells, {*texts, *lost})
    values = {}
    for name in layout.names:
        values[name] = columns.pop(0).values()  # what it was made from is not needed any longer
    return Table(os.fspath(path), layout.names, values, found, layout.has_header)


def _check(name: str, layout: TextLayout, columns: Sequence[Column], lines: Sequence[int] | Numbers) -> None:
    """Refuse the first cell that is no number in a column of numbers."""
    wrong = [
        (*column.wrong, index)
        for index, column in enumerate(columns)
        if column.wrong is not None and not column.is_text
    ]
    if wrong:
        row, cell, index = min(wrong, key=lambda one: (one[0], one[2]))
        column = layout.names[index]
        fixes = ["correct it", as_text(column)]
        if row == 0 and not layout.has_header:
            fixes.append("say that this line names the columns with header=True")
        place = f"{name}, line {lines[row]}, {called(column, layout.has_header)}"
        shown = cell if len(cell) <= 40 else f"{cell[:37]}..."
        raise cell_error(place, f"the cell is {shown!r}", "the column is one of finite numbers", *fixes)


def _lines(path: str | os.PathLike[str], layout: TextLayout) -> Sequence[int] | Numbers:
    """The line of each row, counted from 1: for a message about a table that pyarrow read."""
    return _contiguous(np.concatenate([starts for starts, _ in _blocks(path, layout)]))


def _contiguous(lines: Numbers) -> Sequence[int] | Numbers:
    first, last = int(lines[0]), int(lines[-1])
    return range(first, last + 1) if last - first + 1 == len(lines) else lines


def _blocks(path: str | os.PathLike[str], layout: TextLayout) -> Iterator[tuple[Numbers, list[list[str]]]]:
    """Rows below the header, many at a time, each with as many cells as the first; and the lines where they begin."""
    name, width = os.fspath(path), len(layout.names)
    size, line, ended = max(1, _BLOCK // width), layout.skipped, False
    end = next(layouts.reader([_END], layout.separator))  # two cells where there is one column: it separates those
    with open_binary(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as file, layouts.long_cells():
        reader = layouts.reader(islice(_checked(name, file), layout.skipped, None), layout.separator)
        try:
            while not ended:
                before = reader.line_num
                rows = list(islice(reader, size))
                if not rows:
                    return
                heights = np.ones(len(rows), np.int64)
                if reader.line_num - before != len(rows):
                    heights[:] = [1 + sum(map(_line_ends, row)) for row in rows]
                starts = line + 1 + np.cumsum(heights) - heights
                line = int(starts[-1] + heights[-1]) - 1
                ended = rows[-1] == end or (bool(rows[-1]) and _END in rows[-1][-1])
                if ended:
                    if rows.pop() != end:
                        raise DataError(
                            f"{name}, line {starts[-1]}: a quoted cell of this row never ends. Close the quote."
                        )
                    starts = starts[:-1]
                if set(map(len, rows)) - {width}:
                    starts, rows = _whole_rows(name, starts, rows, layout)
                if rows:
                    yield starts, rows
        except csv.Error as error:
            raise DataError(f"{name}, line {layout.skipped + reader.line_num}: {error}. Correct the line.") from None
        except UnicodeDecodeError:
            raise _not_text(path) from None


def _line_ends(cell: str) -> int:
    return cell.count("\n") + cell.count("\r") - cell.count("\r\n")


def _whole_rows(
    name: str, starts: Numbers, rows: list[list[str]], layout: TextLayout
) -> tuple[Numbers, list[list[str]]]:
    """The rows without empty lines; one that is too short or too long is refused."""
    kept = []
    for index, row in enumerate(rows):
        if len(row) == len(layout.names):
            kept.append(index)
        elif not layouts.is_blank(row):
            cells = f"{len(row)} cell{'s' * (len(row) != 1)}"
            verb = "is" if len(layout.names) == 1 else "are"
            needed = "its header" if layout.has_header else "its first line"
            raise DataError(
                f"{name}, line {starts[index]}: it has {cells}; {len(layout.names)} {verb} needed, as in {needed}. "
                "Correct the line, or name another separator (separator=)."
            )
    return starts[kept], [rows[index] for index in kept]


def _checked(name: str, file: io.TextIOWrapper) -> Iterator[str]:
    """The lines, and one more that shows whether a quote is still open."""
    for number, line in enumerate(file, 1):
        if "\0" in line:
            raise layouts.null_byte(name, number)
        yield line
    yield _END


def _not_text(path: str | os.PathLike[str]) -> DataError:
    """The error for a file that is not UTF-8, with the line: the decoder works on pieces and does not know it."""
    line = byte = 0
    with open_binary(path) as file:
        for content in file:
            line += 1
            try:
                content.decode()
            except UnicodeDecodeError as error:
                byte = content[error.start]
                break
    return layouts.not_text(os.fspath(path), line, byte)
