"""Is a setting what it should be? Numbers, flags and objects that a user gave; one clear line where one is not."""

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from engine.convert import normal_dtype
from engine.errors import ArgumentError, DtypeError

Kind = TypeVar("Kind")


def shown(value: Any) -> str:
    """What was given, as a message quotes it: in one short line.

    >>> shown([1,   2]), shown(dict)
    ('[1, 2]', 'dict (the class: add parentheses)')
    """
    if isinstance(value, type):
        return f"{value.__name__} (the class: add parentheses)"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def number(
    owner: str, name: str, value: Any, allowed: str, fits: Callable[[float], bool] | None = None, *, fix: str = ""
) -> float:
    """A finite number that fits; no bool, no string.

    >>> number("Dropout", "rate", 0.5, "below 1", lambda rate: rate < 1)
    0.5
    """
    given = math.nan
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            given = float(value)
        except OverflowError:  # an int that no float can hold
            given = math.inf
    if not math.isfinite(given) or (fits is not None and not fits(given)):
        raise ArgumentError(f"{owner}: {name} {shown(value)} was given; it is {allowed}.{fix and f' {fix}'}")
    return given


def flag(owner: str, name: str, value: Any, *, fix: str = "") -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{owner}: {name} {shown(value)} was given; it is True or False.{fix and f' {fix}'}")
    return bool(value)


def whole(owner: str, name: str, value: Any, least: int | None = None) -> int:
    """A whole number, from ``least`` where there is one."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or (least is not None and value < least):
        limit = "" if least is None else f", {least} or above"
        raise ArgumentError(f"{owner}: {name} {shown(value)} was given; it is a whole number{limit}.")
    return int(value)


def instance(owner: str, name: str, value: Any, kind: type[Kind], allowed: str) -> Kind:
    """An object of a kind, not the class itself."""
    if not isinstance(value, kind):
        raise ArgumentError(f"{owner}: {name} {shown(value)} was given; it is {allowed}.")
    return value


def path_of(owner: str, name: str, value: Any) -> str:
    """The path of a file or folder, as a text."""
    if not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(f"{owner}: {name} {shown(value)} was given; it is a path, a str or a pathlib.Path.")
    return str(os.fspath(value))


def model_dtype(owner: str, dtype: Any) -> "np.dtype[Any]":
    """The precision of a model: single or double."""
    wanted = normal_dtype(dtype)
    if wanted.name not in ("float32", "float64"):
        half = ' Half precision is one of products: model.to(precision="float16").' if wanted.kind == "f" else ""
        raise DtypeError(f"{owner}: a model cannot be of {wanted}; allowed are float32 and float64.{half}")
    return wanted
