"""Are a run's settings what they should be? Each is checked before it is used, and told by file, table and name."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from engine.errors import DataError, DeviceError, EngineError
from engine.runs import CONFIG, Run, Table, one_line


class Kind(NamedTuple):
    """What a setting may be, and whether a value is that."""

    words: str
    holds: Callable[[Any], bool]


def _each(kind: Kind, words: str) -> Kind:
    return Kind(words, lambda value: isinstance(value, list) and all(kind.holds(one) for one in value))


_TEXT = Kind("a text", lambda value: isinstance(value, str))
_FLAG = Kind("true or false", lambda value: isinstance(value, bool))
_WHOLE = Kind("a whole number from 0", lambda value: type(value) is int and value >= 0)
_WIDTH = Kind("a whole number from 1", lambda value: type(value) is int and value >= 1)
_NUMBER = Kind(
    "a number from 0", lambda value: type(value) in (int, float) and value >= 0 and math.isfinite(float(value))
)
_WIDTHS = _each(_WIDTH, "a list of whole numbers from 1")
_SHAPE = Kind("a list of whole numbers from 1, one at least", lambda value: _WIDTHS.holds(value) and value != [])
_PRECISION = Kind("float32 or float64", lambda value: value in ("float32", "float64"))

_KINDS = {
    "data": {
        "name": _TEXT,
        "seed": _WHOLE,
        "test_fraction": _NUMBER,
        "samples": _WIDTH,
        "noise": _NUMBER,
        "task": _TEXT,
        "classes": _each(_TEXT, "a list of texts"),
    },
    "model": {
        "hidden": _WIDTHS,
        "activation": _TEXT,
        "initializer": _TEXT,
        "batch_norm": _FLAG,
        "dropout": _NUMBER,
        "precision": _PRECISION,
        "inputs": _SHAPE,
        "outputs": _WIDTH,
        "seed": _WHOLE,
    },
    "loss": {
        "name": _TEXT,
        "label_smoothing": _NUMBER,
        "class_weight": _each(_NUMBER, "a list of numbers from 0"),
        "margin": _NUMBER,
        "delta": _NUMBER,
    },
}


def table(run: Run, name: str) -> Table:
    """A table of a run's settings, each of them of the kind that it must be.

    Raises:
        DataError: the table is missing, or a setting in it is something else.
    """
    found = run.table(name)
    for setting, kind in _KINDS[name].items():
        if setting in found and not kind.holds(found[setting]):
            raise DataError(f"{run.path / CONFIG}, [{name}]: {setting} is {found[setting]!r}; it must be {kind.words}.")
    return found


@contextlib.contextmanager
def used(run: Run, name: str) -> Iterator[Table]:
    """A block that builds something from a table: what goes wrong in it is told with the file's and the table's name.

    Raises:
        DataError: a setting is not one that can be used.
    """
    found = table(run, name)
    try:
        yield found
    except (DataError, DeviceError):
        raise
    except EngineError as error:
        raise DataError(f"{run.path / CONFIG}, [{name}]: {one_line(error)}.") from error
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise DataError(f"{run.path / CONFIG}, [{name}]: it is damaged: {one_line(error)}.") from error
