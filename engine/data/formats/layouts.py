"""How is a table of text laid out? Its separator, and whether its first line names the columns, from its beginning."""

import codecs
import contextlib
import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np

from engine.data.formats.cells import Cells
from engine.data.formats.compression import open_binary
from engine.data.table import listed
from engine.errors import ArgumentError, DataError

_SMALL = 1 << 20  # bytes that are looked at
_ENOUGH = 1 << 26  # for a line that is longer
_ROWS = 200  # that are looked at
_LONGEST_CELL = 2**31 - 1
_NUMBERS_WEIGH = {",": 1.0, "\t": 1.0, ";": 1.0, " ": 0.8}  # white space separates where nothing else does
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*")
_WORD = re.compile(r'"((?:[^"]|"")*)"|(\S+)')


class TextLayout(NamedTuple):
    """Where the cells of a table are.

    separator None is one column, " " runs of white space; ``skipped`` lines (``offset`` bytes) are above the first row;
    ``texts`` are the columns that seem to hold texts; ``small`` says that the whole file was looked at.
    """

    separator: str | None
    names: tuple[str, ...]
    has_header: bool
    skipped: int
    offset: int
    texts: frozenset[str]
    small: bool


class Reader(Protocol):
    """Rows of cells and how many lines they took, as the csv module gives them."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> list[str]: ...


class _Words:
    """Rows of words with white space between them; quoted ones hold blanks, but no line ends."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.line_num = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[str]:
        line = next(self._lines)
        self.line_num += 1
        if '"' not in line:
            return line.split()
        return [word or quoted.replace('""', '"') for quoted, word in _WORD.findall(line)]


def reader(lines: Iterable[str], separator: str | None) -> Reader:
    """The rows in lines of text."""
    if separator == " ":
        return _Words(lines)
    # No text has a null byte: as a separator, it leaves a line whole.
    return csv.reader(lines, delimiter="\0" if separator is None else separator, skipinitialspace=True)


def is_blank(row: Sequence[str]) -> bool:
    """Whether a row is an empty line."""
    return not row or (len(row) == 1 and not row[0].strip())


@contextlib.contextmanager
def long_cells() -> Iterator[None]:
    """Cells of any length, while a table is read: the csv module has one limit for all its readers."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def find(path: str | os.PathLike[str], separator: str | None, header: bool | None, cells: Cells) -> TextLayout:
    """The layout of a file, from its first rows; what is given is not looked for.

    Raises:
        DataError: there is nothing in it, or only a header, or it is no text, or a column name is there twice.
    """
    name = os.fspath(path)
    if separator is not None and (len(separator) != 1 or separator in '"\r\n\0'):
        raise ArgumentError(
            f'separator {separator!r} was given; it is one character, such as "," or ";", or " " for runs of blanks.'
        )
    size = _SMALL
    while True:
        with open_binary(path) as file:
            head = file.read(size)
        small = len(head) < size
        text = _decoded(name, head, small)
        used = _separator(text, small, cells) if separator is None else separator
        rows, skipped = _rows(text, small, used)
        if len(rows) > 1 or small or size >= _ENOUGH:
            break
        size *= 8
    if not rows:
        raise DataError(f"{name}: it is empty; it needs one line for each sample. Check how it was written.")
    has_header = _is_header(rows, cells) if header is None else header
    names = tuple(map(str, range(len(rows[0]))))
    if has_header:
        names = tuple(cell.strip() or names[index] for index, cell in enumerate(rows.pop(0)))
        twice = [column for column, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(
                f"{name}: its header has {listed(twice)} more than once; each column needs a name of its own. "
                "Rename them, or give header=False where this line is no header."
            )
        offset = sum(map(len, head.splitlines(keepends=True)[:skipped]))
    else:
        skipped = 0
        offset = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    columns = _columns(rows, len(names))
    texts = frozenset(column for column, part in zip(names, columns, strict=True) if _numbers(part, cells) <= 0.5)
    return TextLayout(used, names, has_header, skipped, offset, texts, small)


def not_text(name: str, line: int, byte: int) -> DataError:
    """The error for a file that is not text in UTF-8."""
    return DataError(f"{name}, line {line}: byte 0x{byte:02x} is no text in UTF-8. Save the table as text in UTF-8.")


def null_byte(name: str, line: int) -> DataError:
    """The error for a file with a null byte in it."""
    return DataError(f"{name}, line {line}: it holds a null byte, which no text has. Save the table as text in UTF-8.")


def _decoded(name: str, head: bytes, small: bool) -> str:
    try:
        text, _ = codecs.utf_8_decode(head, "strict", small)  # where there is more, the last character may be cut
    except UnicodeDecodeError as error:
        raise not_text(name, head.count(b"\n", 0, error.start) + 1, head[error.start]) from None
    if "\0" in text:
        raise null_byte(name, text.count("\n", 0, text.index("\0")) + 1)
    return text.removeprefix("\ufeff")


def _rows(text: str, small: bool, separator: str | None) -> tuple[list[list[str]], int]:
    """The first rows that are no empty lines, and the lines down to the end of the first one."""
    found: list[list[str]] = []
    first = 0
    lines = reader(io.StringIO(text, newline=""), separator)
    with long_cells():
        for row in lines:
            if not is_blank(row):
                found.append(row)
                first = first or lines.line_num
            if len(found) == _ROWS:
                return found, first
    return found if small else found[:-1], first  # the last one may be cut


def _columns(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    return [[row[index] for row in rows if index < len(row)] for index in range(width)]


def _numbers(values: Iterable[str], cells: Cells) -> float:
    """The share of numbers among the cells that are not missing; 1 where all are."""
    present = [value for value in map(cells.value, values) if value is not None]
    return sum(isinstance(value, float) for value in present) / len(present) if present else 1.0


def _separator(text: str, small: bool, cells: Cells) -> str | None:
    """The one that gives most rows the same number of cells, above 1, and most cells that are numbers."""
    best, most = None, 0.0
    for separator, weight in _NUMBERS_WEIGH.items():
        rows, _ = _rows(text, small, separator)
        if not rows:
            return None
        width, count = Counter(map(len, rows)).most_common(1)[0]
        share = count / len(rows)
        usual = share > 0.5 or (share == 0.5 and len(rows[0]) == width)  # half of the rows, with the header
        if width == 1 or not usual or (separator == " " and share < 1):
            continue
        values = [cell for row in rows for cell in row]
        if separator != ",":
            values = [cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in values]
        score = weight * share * (0.5 + _numbers(values, cells))
        if score > most:
            best, most = separator, score
    return best


def _is_header(rows: Sequence[Sequence[str]], cells: Cells) -> bool:
    """Whether the first row names the columns: it has no number, and texts where the rows below have numbers.

    Where there are no numbers below, it does where none of its texts, all different, is repeated in its column, and
    other texts are.
    """
    first = [cells.value(cell) for cell in rows[0]]
    if any(isinstance(value, float) and np.isfinite(value) for value in first):
        return False
    named = [isinstance(value, str) for value in first]
    columns = _columns(rows[1:], len(first))
    present = [any(cells.value(cell) is not None for cell in column) for column in columns]
    numeric = [there and _numbers(column, cells) > 0.5 for there, column in zip(present, columns, strict=True)]
    if any(numeric):
        return any(name and number for name, number in zip(named, numeric, strict=True))
    if len(rows) == 1 or not all(named) or len(set(first)) < len(first):
        return all(named) and len(rows) == 1
    return any(len(set(column)) < len(column) for column in columns) and not any(
        name in column for name, column in zip(rows[0], columns, strict=True)
    )
