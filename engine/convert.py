"""How does what a user typed become an array? Dtypes by name, nested lists, indices; one clear line where it cannot."""

from typing import Any

import numpy as np

from engine.errors import DtypeError, ShapeError


def normal_dtype(dtype: Any) -> "np.dtype[Any]":
    """A dtype of numbers or bools from its name or any form that NumPy knows."""
    try:
        result: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        result = np.dtype(object)
    if dtype is None or result.kind not in "fiub":
        raise DtypeError(
            f'dtype {dtype!r} is not one of numbers; allowed are "float32", "float64", "int64", "bool" and their kin.'
        )
    return result


def is_dtype_name(device: Any) -> bool:
    """Whether what was given as a device is a dtype: ``x.to("float64")`` for ``x.to(dtype="float64")``."""
    return isinstance(device, (type, np.dtype)) or str(device).startswith(("float", "int", "bool", "uint"))


def host_array(data: Any, python_floats: Any = np.float32) -> "np.ndarray[Any, Any]":
    """Numbers, nested lists or an array as a NumPy array, with the dtype that the contract promises.

    Arrays keep theirs (in the machine's byte order); Python floats become ``python_floats``, ints int64, bools bool.
    """
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"tensor: the nested lists are ragged ({error}); every row needs the same length.") from None
    if array.dtype.kind not in "fiub":
        raise DtypeError(f"tensor: {type(data).__name__} of {array.dtype} was given; give numbers or bools.")
    if array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)) and not _holds_arrays(data):
        return array.astype(python_floats)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _holds_arrays(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic))
