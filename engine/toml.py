"""How are settings written as TOML? Python reads it (tomllib), and does not write it."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.errors import ArgumentError


def to_toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Tables of settings as TOML; None is left out, since TOML has no word for it.

    Args:
        tables: name of the table to its settings: strings, bools, ints, floats and lists of those; a dictionary becomes
            a table below ([table.key]).

    Raises:
        ArgumentError: a value of another kind.

    >>> print(to_toml({"model": {"hidden": [64, 32], "activation": "relu", "dropout": 0.5}}), end="")
    [model]
    hidden = [64, 32]
    activation = "relu"
    dropout = 0.5
    """
    parts = []
    for name, table in tables.items():
        below = {f"{name}.{_key(key)}": value for key, value in table.items() if isinstance(value, Mapping)}
        lines = [f"[{name}]"]
        lines += [
            f"{_key(key)} = {_value(key, value)}"
            for key, value in table.items()
            if value is not None and not isinstance(value, Mapping)
        ]
        parts.append("\n".join(lines) + "\n")
        parts += [to_toml({place: inner}) for place, inner in below.items()]
    return "\n".join(parts)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _value(key: str, value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value))  # nan and inf are TOML's words too
    if isinstance(value, (str, os.PathLike)):
        return _string(os.fspath(value))
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(key, one) for one in value) + "]"
    raise ArgumentError(
        f"setting {key}: a {type(value).__name__} was given; TOML holds strings, numbers, bools and lists."
    )


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped, and lone surrogates, which neither can hold.
    quoted = json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False)
    return quoted.replace("\x7f", "\\u007f")
