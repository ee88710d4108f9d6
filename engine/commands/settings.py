"""Are a run's settings what they should be? Each is checked before it is used, and told by file, table and name."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from engine.commands.parameters import PARAMETERS, SCHEDULES
from engine.errors import DataError, DeviceError, EngineError, unknown_name
from engine.precision import PRECISIONS
from engine.runs import CONFIG, Run, Table, one_line


class Kind(NamedTuple):
    """What a setting may be, and whether a value is that."""

    words: str
    holds: Callable[[Any], bool]


def _each(kind: Kind, words: str) -> Kind:
    return Kind(words, lambda value: isinstance(value, list) and all(kind.holds(one) for one in value))


_TEXT = Kind("a text", lambda value: isinstance(value, str))
_TEXTS = _each(_TEXT, "a list of texts")
_FLAG = Kind("true or false", lambda value: isinstance(value, bool))
_WHOLE = Kind("a whole number from 0", lambda value: type(value) is int and value >= 0)
_WIDTH = Kind("a whole number from 1", lambda value: type(value) is int and value >= 1)
_NUMBER = Kind(
    "a number from 0", lambda value: type(value) in (int, float) and value >= 0 and math.isfinite(float(value))
)
_WIDTHS = _each(_WIDTH, "a list of whole numbers from 1")
_SHAPE = Kind("a list of whole numbers from 1, one at least", lambda value: _WIDTHS.holds(value) and value != [])
_FINITE = Kind("a finite number", lambda value: type(value) in (int, float) and math.isfinite(float(value)))
_SHARE = Kind("a number from 0 and below 1", lambda value: _NUMBER.holds(value) and value < 1)
_REDUCTION = Kind("mean or sum", lambda value: value in ("mean", "sum"))
_SCHEDULE = Kind(f"one of {', '.join(SCHEDULES)}", lambda value: value in SCHEDULES)
_BATCH_SIZE = Kind('a whole number from 1, or "all"', lambda value: value == "all" or _WIDTH.holds(value))
_SIZE = Kind("two whole numbers from 1", lambda value: _WIDTHS.holds(value) and len(value) == 2)
_PRECISION = Kind(f"one of {', '.join(PRECISIONS)}", lambda value: value in PRECISIONS)

_KINDS = {
    "data": {
        **dict.fromkeys(("name", "file", "data_dir", "test", "test_target", "separator"), _TEXT),
        **dict.fromkeys(("wanted_task", "impute", "scaling"), _TEXT),
        **dict.fromkeys(("target", "targets", "ignore", "text"), _TEXTS),
        "header": _FLAG,
        "image_size": _SIZE,
        "seed": _WHOLE,
        "test_fraction": _NUMBER,
        "validation": _SHARE,
        "samples": _WIDTH,
        "noise": _NUMBER,
        "task": _TEXT,
        "classes": _TEXTS,
    },
    "model": {
        "hidden": _WIDTHS,
        "activation": _TEXT,
        "negative_slope": _FINITE,
        "elu_alpha": _NUMBER,
        "pieces": _WIDTH,
        "initializer": _TEXT,
        **{f"init_{name}": _FINITE for name in ("value", "std", "mean", "low", "high", "gain")},
        "batch_norm": _FLAG,
        "dropout": _NUMBER,
        "stochastic_depth": _SHARE,
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
        "factor": _NUMBER,
        "reduction": _REDUCTION,
    },
    "optimizer": {"name": _TEXT, "learning_rate": _NUMBER},
    "schedule": {"name": _SCHEDULE, "warmup": _NUMBER, "every": _NUMBER, "factor": _NUMBER, "patience": _WHOLE},
    "training": {
        "epochs": _WIDTH,
        "batch_size": _BATCH_SIZE,
        "drop_last": _FLAG,
        "accumulate": _WIDTH,
        "l1": _NUMBER,
        "l2": _NUMBER,
        "clip_norm": _NUMBER,
        "clip_value": _NUMBER,
        "ema": _SHARE,
        "early_stopping": _WIDTH,
        "stop_below": _NUMBER,
        "augment": _TEXT,
        "seed": _WHOLE,
        "device": _TEXT,
    },
}

_TABLES = {"activation": "model", "initializer": "model"}  # of the parameters of a family, where it has another name
_KNOWN = {
    name: {*kinds, *(one.setting for one in PARAMETERS if _TABLES.get(one.family, one.family) == name)}
    for name, kinds in _KINDS.items()
}


def table(run: Run, name: str) -> Table:
    """A table of a run's settings, each of them known, and of the kind that it must be.

    Raises:
        DataError: the table is missing, or a setting in it is something else.
    """
    found = run.table(name)
    for setting in found:
        if setting not in _KNOWN[name]:
            problem = unknown_name("setting", setting, sorted(_KNOWN[name]))
            raise DataError(f"{run.path / CONFIG}, [{name}]: {one_line(problem)}.")
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
    with told(f"{run.path / CONFIG}, [{name}]"):
        yield found


@contextlib.contextmanager
def told(place: str) -> Iterator[None]:
    """A block that builds something from settings of this place, which what goes wrong in it is told with."""
    try:
        yield
    except (DataError, DeviceError):
        raise
    except EngineError as error:
        raise DataError(f"{place}: {one_line(error)}.") from error
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise DataError(f"{place}: it is damaged: {one_line(error)}.") from error
