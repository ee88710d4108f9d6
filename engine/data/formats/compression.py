"""How is a compressed file read? As if it were not: gzip and xz are known by their first bytes, not by their name."""

import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, Protocol

import numpy as np

from engine.errors import DataError

GZIP, XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"
_PIECE = 1 << 16  # compressed bytes at a time: what comes out of them still fits the processor's cache
_LIKELY = 32  # a file rarely grows by more when it is expanded; room for more is taken only once it is filled
_MEMORY = 1 << 30  # for the xz dictionary, which a header may ask to be 4 GB


def is_compressed(path: str | os.PathLike[str]) -> bool:
    """Whether a file is gzip or xz, by its first bytes.

    Raises:
        DataError: it is missing, no file, or not readable.
    """
    with _opened(path) as file:
        return _compressed(file)


def open_binary(path: str | os.PathLike[str]) -> BinaryIO:
    """A file opened for reading, expanded where it is gzip or xz. An expanded file cannot seek.

    Raises:
        DataError: it is missing, no file, or not readable; when reading: it is damaged or cut off. One line.
    """
    file = _opened(path)
    if _compressed(file):
        return io.BufferedReader(_Expanded(path, file), 1 << 18)
    return file


def read_all(path: str | os.PathLike[str], limit: int | None = None) -> bytes:
    """The content of a file, expanded; with a limit, the first so many bytes of it.

    Raises:
        DataError: as open_binary.
    """
    if limit is None:
        return read_array(path).tobytes()
    with open_binary(path) as file:
        try:
            return file.read(limit)
        except OSError as error:
            raise not_readable(path, error) from None


def read_array(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """The content of a file, expanded, as bytes (uint8) in memory of its own: the quickest way to have all of it.

    Raises:
        DataError: as open_binary.
    """
    with _opened(path) as file:
        try:
            if not _compressed(file):
                return np.fromfile(file, np.uint8)
            used, content = 0, np.empty(_room(file), np.uint8)
            for piece in _pieces(path, file):
                end = used + len(piece)
                if end > len(content):
                    grown = np.empty(2 * end, np.uint8)
                    grown[:used] = content[:used]
                    content = grown
                content[used:end] = np.frombuffer(piece, np.uint8)
                used = end
            return content[:used]
        except OSError as error:
            raise not_readable(path, error) from None


def not_readable(path: str | os.PathLike[str], error: OSError) -> DataError:
    """The error for a file that cannot be read, with the system's reason."""
    name = os.fspath(path)
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return DataError(f"{name}: there is no such file. Correct the path.")
    if isinstance(error, IsADirectoryError):
        return DataError(f"{name}: it is a folder; a file is needed. Name a file in it.")
    return DataError(f"{name}: cannot be read: {error.strerror or error}. Check its permissions and the disk.")


def _opened(path: str | os.PathLike[str]) -> io.BufferedReader:
    name = os.fspath(path)
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError  # which opening a folder raises on some systems only
        if not stat.S_ISREG(kind):  # a pipe could be read only once, and a device may never end
            raise DataError(f"{name}: it is a pipe or a device; a file is needed. Save the data to a file.")
        return open(path, "rb")
    except OSError as error:
        raise not_readable(path, error) from None
    except DataError:
        raise
    except ValueError as error:  # a null byte in the name
        raise DataError(f"{name!r}: no file can have this name ({error}). Correct the path.") from None


def _compressed(file: BinaryIO) -> bool:
    try:
        head = file.read(len(XZ))
        file.seek(0)
    except OSError as error:
        file.close()
        raise not_readable(file.name, error) from None
    return head.startswith((GZIP, XZ))


def _room(file: BinaryIO) -> int:
    """How many bytes to take memory for before expanding: what a gzip file says of itself, within reason."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 4))
    promised = int.from_bytes(file.read(4), "little")
    file.seek(0)
    gzipped = file.read(len(GZIP)) == GZIP
    file.seek(0)
    return min(promised, _LIKELY * size) if gzipped else 4 * size


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _members(name: str, gzipped: bool) -> tuple[Callable[[], _Decompressor], type[Exception]]:
    """What expands one compressed file, and the error that it raises on a damaged one."""
    if gzipped:
        return partial(zlib.decompressobj, 31), zlib.error  # 31: gzip, with its checksum and length compared at the end
    try:
        import lzma
    except ImportError:  # a Python built where the library's headers were missing
        raise DataError(f"{name}: xz file, which this Python was built without. Expand it first: xz -d.") from None
    return partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _MEMORY), lzma.LZMAError


def _pieces(path: str | os.PathLike[str], file: BinaryIO) -> Iterator[bytes]:
    """What the file expands to, piece by piece. It may consist of several compressed files, with zeros between them."""
    name = os.fspath(path)
    gzipped = file.read(len(GZIP)) == GZIP
    file.seek(0)
    kind, magic = ("gzip", GZIP) if gzipped else ("xz", XZ)
    start, problem = _members(name, gzipped)
    member: _Decompressor | None = None
    while data := file.read(_PIECE):
        while data:
            if member is None:
                data = data.lstrip(b"\0")
                if not data:
                    break
                if not data.startswith(magic[: len(data)]):
                    raise DataError(
                        f"{name}: damaged {kind} file (something else follows its end). Copy or download it again."
                    )
                member = start()
            try:
                yield member.decompress(data)
            except problem as error:
                reason = str(error).rpartition(": ")[2]  # after zlib's "Error -3 while decompressing data: "
                raise DataError(f"{name}: damaged {kind} file ({reason}). Copy or download it again.") from None
            data = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        raise DataError(f"{name}: {kind} file that is cut off: its end is missing. Copy or download it again.")


class _Expanded(io.RawIOBase):
    """The expanded content as a file."""

    def __init__(self, path: str | os.PathLike[str], file: BinaryIO) -> None:
        self.name = os.fspath(path)
        self._file = file
        self._pieces = _pieces(path, file)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
