"""How are NumPy's own files read? An array alone stays on the disk, memory-mapped; an archive's arrays are loaded."""

import ast
import io
import math
import os
import re
import warnings
import zipfile
from typing import Any, NamedTuple

import numpy as np

from engine.data.formats.compression import is_compressed, not_readable, open_binary, read_all, read_array
from engine.errors import DataError

MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 16  # of a plain array it has about 100 characters
_HIGHEST_RANK = 64  # NumPy's
_NUMBERS = "allowed are bools, integers and floats of 16, 32 or 64 bits"

# Which arrays of an archive are what, tried in order: x, y and, where they are there, x and y of the test part.
PARTS = (
    ("x", "y", "x_test", "y_test"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("data", "target", None, None),
)


class Archive(NamedTuple):
    """The arrays of an .npz file by their part; y may hold text."""

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any] | None
    test: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None


def read(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """The array of an .npy file. It stays on the disk (a read-only np.memmap) and is loaded where it is used.

    It is loaded here where it has to be: compressed, in another byte order, or in Fortran's order (its rows would be
    scattered over the whole file).

    Raises:
        DataError: it cannot be read, is no .npy file, is cut off, or holds no plain numbers. One line.
    """
    if is_compressed(path):
        content = read_array(path)
    elif os.path.getsize(path):
        try:
            content = np.memmap(path, np.uint8, "r")
        except OSError as error:  # of a system of files that maps none
            raise not_readable(path, error) from None
    else:
        content = np.empty(0, np.uint8)  # which cannot be mapped
    return _array(os.fspath(path), content, text=False)


def read_archive(path: str | os.PathLike[str]) -> Archive:
    """The parts of an .npz file: x and y; x_train, y_train, x_test and y_test; data and target; or one array alone.

    Capitals do not count. What else is in the archive is not looked at.

    Raises:
        DataError: it cannot be read, is damaged, has none of these names, or holds no plain numbers. One line.
    """
    name = os.fspath(path)
    file = io.BytesIO(read_all(path)) if is_compressed(path) else open_binary(path)
    contents: dict[str, bytes] = {}
    with file:
        try:
            size = file.seek(0, os.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                members = {one.filename.removesuffix(".npy"): one for one in archive.infolist()}
                chosen = _chosen(name, [key for key, one in members.items() if one.filename.endswith(".npy")])
                for member in chosen:
                    if members[member].compress_size > size:  # read() would take memory for it
                        raise zipfile.BadZipFile(f"{member} is said to be larger than the file")
                    contents[member] = archive.read(members[member])
        except (DataError, MemoryError):
            raise
        except Exception as error:  # whatever a damaged archive leads zipfile to: it has no error of its own for all
            reason = " ".join(str(error)[:100].split()).strip("'\"") or type(error).__name__
            raise DataError(f"{name}: damaged .npz file ({reason}). Copy or download it again.") from None
    arrays = [
        _array(f"{name}, array {member!r}", np.frombuffer(contents[member], np.uint8), text=part % 2 == 1)
        for part, member in enumerate(chosen)  # x, y, x, y
    ]
    return Archive(arrays[0], arrays[1] if len(arrays) > 1 else None, (arrays[2], arrays[3]) if arrays[2:] else None)


def _chosen(name: str, members: list[str]) -> list[str]:
    by_name = {member.lower(): member for member in reversed(members)}
    for x, y, x_test, y_test in PARTS:
        if x in by_name and y in by_name:
            test = [by_name[one] for one in (x_test, y_test) if one in by_name]
            if len(test) == 1:
                raise DataError(f"{name}: {test[0]!r} alone; a test part is x_test and y_test. Add the other one.")
            return [by_name[x], by_name[y], *test]
    if len(members) == 1:
        return [members[0]]
    found = ", ".join([repr(member) for member in members[:8]] + ["..."] * (len(members) > 8)) or "none"
    raise DataError(
        f"{name}: its arrays: {found}; allowed are x and y (with x_test and y_test), x_train and y_train (likewise), "
        "data and target, or one array alone. Save it with such names: np.savez(path, x=x, y=y)."
    )


def _array(name: str, content: np.ndarray[Any, Any], *, text: bool) -> np.ndarray[Any, Any]:
    """The array in the bytes of an .npy file, without a copy where its rows lie as this machine has them."""
    dtype, in_columns, shape, start = _header(name, content)
    if dtype.hasobject:
        raise DataError(
            f"{name}: holds Python objects, which would have to be unpickled; {_NUMBERS}. "
            "Convert it before saving: np.asarray(values, dtype=float)."
        )
    if not ((dtype.kind in "biuf" and dtype.itemsize <= 8) or (text and dtype.kind == "U")):
        fields = ", ".join(map(repr, dtype.names or ()))
        kind = f"a structured array with fields {fields}" if fields else f"elements of {dtype}"
        raise DataError(f"{name}: holds {kind}; {_NUMBERS}. Convert it before saving.")
    if not shape or not all(shape) or not dtype.itemsize:
        raise DataError(
            f"{name}: an array of shape {shape}; its first axis is the samples, at least one is needed, with a number "
            "in it. Save such an array."
        )
    size = math.prod(shape) * dtype.itemsize  # Python's integers: no header can make this overflow
    held = len(content) - start
    if held != size:
        raise DataError(
            f"{name}: {held} bytes after the header, which says {dtype} of shape {shape}, so {size}. "
            f"{'Copy or download it again' if held < size else 'Save one array a file'}."
        )
    array = content[start:].view(dtype).reshape(shape, order="F" if in_columns else "C")
    if array.flags.c_contiguous and array.flags.aligned and dtype.isnative:
        return array
    return np.array(array, dtype.newbyteorder("="), order="C", subok=False)


def _header(name: str, content: np.ndarray[Any, Any]) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """dtype, whether in Fortran's order, shape, and where the elements start. Nothing is unpickled or evaluated."""
    head = content[:12].tobytes()
    if head[:6] != MAGIC:
        raise DataError(
            f"{name}: it begins with {head[:6].hex(' ') or 'nothing'}; an .npy file begins with {MAGIC.hex(' ')}. "
            "Save it with np.save."
        )
    version, length = head[6:7], 2 if head[6:7] == b"\x01" else 4
    start = 8 + length
    end = start + int.from_bytes(head[8:start], "little")
    damaged = DataError(f"{name}: damaged .npy header. Copy or download it again.")
    if len(head) < 10:
        raise damaged
    if version not in (b"\x01", b"\x02", b"\x03"):
        raise DataError(f"{name}: version {head[6:8].hex('.')} of the .npy format; known are 1, 2 and 3. Save it anew.")
    if end > len(content) or end - start > _LONGEST_HEADER:
        raise damaged
    text = content[start:end].tobytes().decode("utf-8" if version == b"\x03" else "latin-1", "replace")
    text = re.sub(r"(\d)L\b", r"\1", text)  # Python 2 wrote its long integers so
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd spellings; what matters is the result
            header = ast.literal_eval(text.strip())
            shape, in_columns, described = header["shape"], header["fortran_order"], header["descr"]
            dtype = np.lib.format.descr_to_dtype(described)
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError, MemoryError, RecursionError):
        raise damaged from None
    if (
        not isinstance(in_columns, bool)
        or not isinstance(shape, tuple)
        or len(shape) > _HIGHEST_RANK
        or not all(type(length) is int and length >= 0 for length in shape)
    ):
        raise damaged
    return dtype, in_columns, shape, end
