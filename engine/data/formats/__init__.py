"""Which format is a file of data in? Found by what it holds first, by its name second; then read."""

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.data.formats import cifar, idx, images, libsvm, numpy_files
from engine.data.formats.compression import is_compressed, read_all, read_array
from engine.errors import ArgumentError, DataError
from engine.settings import flag, instance, path_of, shown

if TYPE_CHECKING:
    from engine.data.table import Table

__all__ = ["Arrays", "read"]

Names = str | int | Sequence[str | int]

_HEAD = 4096  # bytes of a file that tell its format
_READ = "read are tables of text (csv, tsv), .npy, .npz, idx, CIFAR's .bin, LIBSVM's text and folders of images"

# What is not read, by its first bytes, and what to do about it.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "Save its arrays with np.savez(path, x=x, y=y)"),
    (b"PAR1", "a Parquet file", "Save it as csv"),
    (b"ARROW1", "an Arrow file", "Save it as csv"),
    (b"SQLite format 3\0", "an SQLite database", "Save the table as csv"),
    (b"MATLAB 5.0", "a MATLAB file", "Save its arrays with np.savez(path, x=x, y=y)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Office file", "Save the sheet as csv"),
    (b"BZh", "a bzip2 file", "Expand it first: bzip2 -d"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "Expand it first: zstd -d"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it and name a file or folder of it"),
    (b"Rar!", "a RAR archive", "Unpack it and name a file or folder of it"),
    (b"\x89PNG\r\n", "one image", "Name a folder that has a folder of images for each class"),
    (b"\xff\xd8\xff", "one image", "Name a folder that has a folder of images for each class"),
    (b"GIF8", "one image", "Name a folder that has a folder of images for each class"),
    (b"%PDF-", "a PDF file", "Name the data itself"),
    (b"<!doctype", "a web page", "Download the file itself"),
    (b"<html", "a web page", "Download the file itself"),
)
_TABLES = (".csv", ".tsv", ".txt", ".data", ".dat", ".tab")
_LIBSVM = (".libsvm", ".svm", ".svmlight")
_TEXT = bytes([*b"\t\n\v\f\r\x1a", *range(32, 127), *range(128, 256)])


class Arrays(NamedTuple):
    """What a file of arrays holds; a table is a Table instead.

    ``x`` (samples, ...), ``y`` (samples, ...) where the file has targets, ``class_names`` where it names the classes
    (y are then their numbers), ``test`` the x and y of a test part where the file has one; ``first_index`` what its
    columns are counted from, 0 or 1, where zeros are left out in the file, so that it does not say which columns there
    are.
    """

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any] | None = None
    class_names: tuple[str, ...] | None = None
    test: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None
    first_index: int | None = None


class OtherKindError(DataError):
    """An option was given that is for files of another kind."""


def read(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    header: bool | None = None,
    text: Names = (),
    image_size: tuple[int, int] | None = None,
) -> "Arrays | Table":
    """The data in a file, plain, gzip or xz, or in a folder of images.

    Args:
        path: the file or the folder.
        separator, header, text: of a table: what stands between cells, whether its first line names the columns, which
            columns, by name or by number from 0, are text whatever they hold. None finds out.
        image_size: of a folder of images: (height, width) to resize them to.

    Raises:
        ArgumentError: an argument is of another kind.
        DataError: it cannot be read, is in no format that is known, is damaged, or an option does not fit the format.
            One line that names the file.
    """
    name = path_of("read", "path", path)
    columns = columns_of(name, "text", text)
    if separator is not None:
        instance(name, "separator", separator, str, "one character")
    if header is not None:
        flag(name, "header", header)
    table: dict[str, object] = {"separator": separator, "header": header, "text": columns or None}
    if os.path.isdir(path):
        _refuse(name, "a folder of images", "a table", table)
        return Arrays(*images.read(path, image_size))
    head = read_all(path, _HEAD)
    if not head:
        raise DataError(f"{name}: empty; at least one sample is needed. Check how it was written.")
    _refuse(name, "a file", "a folder of images", {"image_size": image_size})
    found = _arrays(name, head)
    if found is not None:
        _refuse(name, "a file of arrays", "a table", table)
        return found
    from engine.data.formats import delimited

    return delimited.read(path, separator=separator, header=header, text=columns)


def columns_of(owner: str, name: str, given: Names) -> tuple[str, ...]:
    """Columns as a user gives them, one or several, by name or number: as texts, which a table understands alike.

    >>> columns_of("load", "target", -1), columns_of("load", "target", ["width", 2])
    (('-1',), ('width', '2'))
    """
    each = given if isinstance(given, Sequence) and not isinstance(given, (str, bytes)) else (given,)
    for one in each:
        if isinstance(one, bool) or not isinstance(one, (str, int, np.integer)):
            raise ArgumentError(
                f"{owner}: {name} {shown(given)} was given; it is the name or number of a column, or several."
            )
    return tuple(str(one) for one in each)


def _refuse(name: str, given: str, wanted: str, options: dict[str, object]) -> None:
    for option, value in options.items():
        if value is not None:
            problem = f"{name}: {given}, to which {option} does not apply; it is for {wanted}. Leave it out."
            raise OtherKindError(problem)


def _arrays(name: str, head: bytes) -> Arrays | None:
    """The arrays in a file that begins so; None where it is a table of text."""
    inner = re.sub(r"\.(gz|xz)$", "", name.lower())
    if head.startswith(numpy_files.MAGIC):
        return Arrays(numpy_files.read(name))
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        if inner.endswith(".npz") or b".npy" in head:
            return _archive(name)
        raise _unknown(name, "a zip archive (or an Office file)", "Unpack it, or save the data as csv or .npz")
    if idx.recognised(head):
        return Arrays(idx.read(name))
    if _is_tar(head) or inner.endswith((".tar", ".tgz", ".txz")):
        raise _unknown(name, "a tar archive", "Unpack it and name a file or folder of it")
    for start, kind, fix in _OTHERS:
        if head[: len(start)].lower() == start.lower():
            raise _unknown(name, kind, fix)
    if head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        raise _unknown(name, "a pickle, which can run any code", "Save its arrays with np.savez(path, x=x, y=y)")
    # What is no NumPy file and is called one is damaged, not a table.
    if inner.endswith(".npy"):
        return Arrays(numpy_files.read(name))
    if inner.endswith(".npz"):
        return _archive(name)
    if libsvm.recognised(head) or inner.endswith(_LIBSVM):
        x, y, first = libsvm.read(name)
        return Arrays(x, y, first_index=first)
    if inner.endswith(_TABLES) or head.startswith((b"\xff\xfe", b"\xfe\xff")) or not head.translate(None, _TEXT):
        return None  # the two bytes begin UTF-16, of which the reader of tables says what to do
    # No text, and no first bytes that tell: the name does, and CIFAR's files by their size.
    if re.search(r"[-.]idx\d?", os.path.basename(inner)):
        return Arrays(idx.read(name))
    if inner.endswith(".bin") or cifar.fits(_size(name)):
        return Arrays(*cifar.read(name))
    raise _unknown(name, f"a binary file that begins with {head[:8].hex(' ')}", "Save its arrays with np.savez")


def _archive(name: str) -> Arrays:
    """The parts of an .npz file; labels that are text become class numbers, in the order of the sorted names."""
    x, y, test = numpy_files.read_archive(name)
    if y is not None and test is not None and (y.dtype.kind == "U") != (test[1].dtype.kind == "U"):
        raise DataError(f"{name}: of y and the test part's y one is text; both are of one kind. Save them alike.")
    if y is None or y.dtype.kind != "U":
        return Arrays(x, y, None, test)
    labels = y.ravel() if test is None else np.concatenate([y.ravel(), test[1].ravel()])
    try:
        names, numbers = np.unique(labels, return_inverse=True)
        class_names = tuple(str(one) for one in names.tolist())
    except (ValueError, SystemError):  # a number that is no character
        raise DataError(f"{name}: y holds damaged text. Copy or download it again.") from None
    numbers = numbers.astype(np.int64)
    if test is not None:
        test = (test[0], numbers[y.size :].reshape(test[1].shape))
    return Arrays(x, numbers[: y.size].reshape(y.shape), class_names, test)


def _unknown(name: str, kind: str, fix: str) -> DataError:
    return DataError(f"{name}: it seems to be {kind}; {_READ}. {fix}.")


def _is_tar(head: bytes) -> bool:
    """Whether the first block is a tar archive's: its checksum is right, with the checksum itself taken as spaces."""
    stated = head[148:156].strip(b" \0")
    if len(head) < 512 or not re.fullmatch(b"[0-7]+", stated):
        return False
    return int(stated, 8) == sum(head[:148]) + 8 * ord(" ") + sum(head[156:512])


def _size(name: str) -> int:
    return len(read_array(name)) if is_compressed(name) else os.path.getsize(name)
