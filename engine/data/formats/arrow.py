"""How is a large table of text read quickly? By pyarrow, on all cores; whatever it doubts is left to the csv module."""

import io
import os
import re
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from engine.data.formats.cells import Cells, Column, Numbers
from engine.data.formats.compression import open_binary
from engine.data.formats.layouts import TextLayout

_PIECE = 32 << 20  # bytes of text that are in memory at a time
_BLOCK = 2 << 20  # of these, what a core reads at a time
_TRIES = 4  # columns that may turn out to be no numbers after the first rows
_QUOTE_AFTER_BLANKS = re.compile(' +"')  # to the csv module, it is a quote all the same
_NO_NUMBER = re.compile(r"In CSV column #(\d+): CSV conversion error to double")


class _NotSureError(Exception):
    """The csv module must look."""


def read(
    path: str | os.PathLike[str], layout: TextLayout, cells: Cells, texts: Collection[str]
) -> dict[str, Numbers] | None:
    """The columns; None where pyarrow cannot read the file, or might read it otherwise than the csv module does."""
    import pyarrow

    strings, forced = {*texts, *layout.texts}, set(texts)
    for _ in range(_TRIES):
        columns: dict[str, _Floats | _Strings] = {
            name: _Strings(cells, name in forced) if name in strings else _Floats(cells) for name in layout.names
        }
        try:
            for table, rows in _tables(path, layout, cells, strings):
                for name, part in zip(layout.names, table.columns, strict=True):
                    columns[name].add(part.chunks, rows)
        except pyarrow.ArrowException as error:
            known = _NO_NUMBER.search(str(error))
            if known is None:
                return None
            strings.add(layout.names[int(known[1])])
            continue
        except _NotSureError:
            return None
        if any(column.wrong for column in columns.values()):
            return None
        again = {name for name, column in columns.items() if column.again}
        if not again:
            found = {name: column.values() for name, column in columns.items()}
            return found if len(found[layout.names[0]]) else None
        forced.update(again & strings)
        strings.update(again)
    return None


def _tables(
    path: str | os.PathLike[str], layout: TextLayout, cells: Cells, strings: Collection[str]
) -> Iterator[tuple[Any, int]]:
    """Tables of pyarrow, of one piece of the file after the other, and how many rows there may be in all."""
    import pyarrow
    from pyarrow import csv

    kinds = {True: pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), False: pyarrow.float64()}

    def table(source: Any, quotes: bool) -> Any:
        return csv.read_csv(
            source,
            csv.ReadOptions(column_names=layout.names, block_size=_BLOCK),
            csv.ParseOptions(delimiter=layout.separator, newlines_in_values=quotes),
            csv.ConvertOptions(
                column_types={name: kinds[name in strings] for name in layout.names},
                null_values=sorted(cells.texts),
                strings_can_be_null=False,  # the texts are looked at once more
            ),
        )

    buffer = bytearray(_PIECE)
    buffer[:1] = b"\n"  # an empty line: what looks like a byte order mark after it belongs to a cell
    view, filled = memoryview(buffer), 1
    rows = 0
    with open_binary(path) as opened:
        file: Any = opened
        file.read(layout.offset)
        while True:
            while filled < len(buffer) and (count := file.readinto(view[filled:])):
                filled += count
            if buffer.find(b'"', 0, filled) >= 0:
                break
            end = buffer.rfind(b"\n", 0, filled) + 1 if filled == len(buffer) else filled
            if not bytes(view[: min(end, 1000)]).strip(b"\r\n"):
                if end == filled:
                    return
                raise _NotSureError
            found = table(pyarrow.BufferReader(pyarrow.py_buffer(view[:end])), False)
            rows = rows or int(1.03 * len(found) * os.path.getsize(path) / end)
            yield found, rows
            left = filled - end
            buffer[1 : 1 + left] = buffer[end:filled]
            filled = 1 + left
        # A line end in quotes is none, and what is left cannot be cut into pieces without looking for such.
        found = table(pyarrow.PythonFile(_Rest(bytes(view[:filled]), file, layout), "r"), True)
    above = len(found) - 1
    if set(found.slice(above).to_pylist()[0].values()) - {None, ""}:
        raise _NotSureError
    if above:
        yield found.slice(0, above), above


class _Rest:
    """What was read, the rest of a file, and one more row, of empty cells, which an open quote swallows."""

    closed = False

    def __init__(self, begun: bytes, file: Any, layout: TextLayout) -> None:
        end = f"\n{str(layout.separator) * (len(layout.names) - 1)}\n".encode()
        self._sources = io.BytesIO(begun), file, io.BytesIO(end)
        self._held = b""

    def read(self, size: int) -> bytes:
        content = self._held
        for source in self._sources:
            content += source.read(size - len(content))
        # Between two blocks, pyarrow takes \r and \n for one line end and drops the \n, even inside quotes.
        self._held = b"\r" if len(content) > 1 and content.endswith(b"\r") else b""
        return content.removesuffix(self._held)

    def close(self) -> None:
        self.closed = True


class _Floats:
    """A column of numbers, NaN where a cell is missing.

    ``again`` says that some are not finite: NaN and infinity, which pyarrow knows by many names, and what is too large.
    """

    wrong = False

    def __init__(self, cells: Cells) -> None:
        self.again = False
        self._cells = cells
        self._values = np.empty(0)
        self._end = 0

    def add(self, chunks: Any, rows: int) -> None:
        for chunk in chunks:
            start, self._end = self._end, self._end + len(chunk)
            if self._end > len(self._values):
                grown = np.empty(max(rows, self._end, 3 * len(self._values) // 2))
                grown[:start] = self._values[:start]
                self._values = grown
            part = self._values[start : self._end]
            part[:] = chunk.to_numpy(zero_copy_only=False)
            self.again = self.again or bool(np.isfinite(part).sum() != len(chunk) - chunk.null_count)

    def values(self) -> Numbers:
        return self._cells.without_missing(self._values[: self._end])


class _Strings:
    """A column of texts, or of numbers that pyarrow did not know.

    ``again`` says that some were taken for numbers before it showed that they are texts.
    """

    def __init__(self, cells: Cells, as_text: bool) -> None:
        self._column = Column(cells, as_text)

    def add(self, chunks: Any, rows: int) -> None:
        for chunk in chunks:
            different = chunk.dictionary.to_pylist()
            if any("\0" in cell or _QUOTE_AFTER_BLANKS.match(cell) for cell in different):
                raise _NotSureError
            self._column.add([different[index] for index in chunk.indices.to_pylist()])

    @property
    def wrong(self) -> bool:
        return self._column.wrong is not None and not self._column.is_text

    @property
    def again(self) -> bool:
        return self._column.lost

    def values(self) -> Numbers:
        return self._column.values()
