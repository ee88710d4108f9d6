"""How is an idx file read (MNIST's format)? A header of type and sizes, then the elements, big-endian."""

import math
import os
from typing import Any

import numpy as np

from engine.data.formats.compression import read_array
from engine.errors import DataError

TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(np.int16),
    0x0C: np.dtype(np.int32),
    0x0D: np.dtype(np.float32),
    0x0E: np.dtype(np.float64),
}
_HIGHEST_RANK = 64  # NumPy's


def recognised(head: bytes) -> bool:
    """Whether these first bytes of a file are those of an idx file.

    >>> recognised(bytes([0, 0, 8, 3, 0, 0, 234, 96])), recognised(b"x,y")
    (True, False)
    """
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in TYPES and 1 <= head[3] <= _HIGHEST_RANK


def read(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """The array in an idx file, plain, gzip or xz, in the machine's byte order.

    The file: two zeros, the type of the elements, the number of axes, the length of each axis (4 bytes, big-endian),
    the elements with the last axis running fastest. Source: the MNIST page of LeCun, Cortes and Burges.

    Raises:
        DataError: it cannot be read, is no idx file, or its length is not what its header says. One line.
    """
    name = os.fspath(path)
    content = read_array(path)
    head = content[: 4 + 4 * _HIGHEST_RANK].tobytes()
    if not recognised(head):
        raise DataError(
            f"{name}: it begins with {head[:4].hex(' ') or 'nothing'}; an idx file begins with 00 00, a type from 08 "
            f"to 0e and a number of axes from 01 to {_HIGHEST_RANK:02x}. Check that it is an idx file, and whole."
        )
    dtype, rank = TYPES[head[2]], head[3]
    start = 4 + 4 * rank
    if len(head) < start:
        raise DataError(
            f"{name}: {len(head)} bytes; the header of an idx file with {rank} axes alone has {start}. "
            "Copy or download it again."
        )
    shape = tuple(int(length) for length in np.frombuffer(head, ">u4", rank, 4))
    if not all(shape):
        raise DataError(f"{name}: an idx file of shape {shape}; at least one element is needed.")
    wanted = start + math.prod(shape) * dtype.itemsize  # Python's integers: no header can make this overflow
    if len(content) != wanted:
        raise DataError(
            f"{name}: {len(content)} bytes; its header says {dtype} of shape {shape}, which makes {wanted}. "
            f"{'Copy or download it again' if len(content) < wanted else 'Check how it was written'}."
        )
    # Elements of several bytes are copied: after the header they need not lie at a multiple of their size.
    return content[start:].view(dtype.newbyteorder(">")).astype(dtype, copy=dtype.itemsize > 1).reshape(shape)
