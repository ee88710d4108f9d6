"""What can go wrong, by name? Every error that the engine raises on purpose, one line each."""

import difflib
from collections.abc import Iterable

from backends.errors import DeviceError, EngineError, OutOfMemoryError

__all__ = [
    "ArgumentError",
    "DataError",
    "DeviceError",
    "DtypeError",
    "EngineError",
    "FileError",
    "GradientError",
    "NotFiniteError",
    "OutOfMemoryError",
    "ShapeError",
    "UnknownNameError",
    "unknown_name",
]


class ShapeError(EngineError, ValueError):
    """Shapes that do not fit each other or the operation."""


class DtypeError(EngineError, TypeError):
    """Types of elements that do not fit each other or the operation."""


class GradientError(EngineError, RuntimeError):
    """A gradient that cannot be computed, or that does not agree with the numerical one."""


class ArgumentError(EngineError, ValueError):
    """A setting outside what is allowed."""


class UnknownNameError(ArgumentError):
    """A name that is not in its list; the message holds the nearest ones."""


class DataError(EngineError, ValueError):
    """Data that cannot be trained on: not finite, ragged, empty, missing."""


class FileError(EngineError, OSError):
    """A file that cannot be written: a full or read-only disk, a folder that is missing."""


class NotFiniteError(EngineError, ArithmeticError):
    """A loss or a gradient that is NaN or infinite; the weights were left as they were."""


for _error in (
    ShapeError,
    DtypeError,
    GradientError,
    ArgumentError,
    UnknownNameError,
    DataError,
    FileError,
    NotFiniteError,
):
    _error.__module__ = "engine"  # users see engine.ShapeError, the name that they can catch


def unknown_name(kind: str, given: object, allowed: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not in its list, with the nearest names first.

    >>> print(unknown_name("optimizer", "adma", ["sgd", "adam", "adamw"]))
    optimizer 'adma' is unknown; did you mean adam or adamw? Known: adam, adamw, sgd.
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(str(given).lower(), names, n=3, cutoff=0.6)
    hint = f" did you mean {' or '.join(near)}?" if near else ""
    return UnknownNameError(f"{kind} {given!r} is unknown;{hint} Known: {', '.join(names)}.")
