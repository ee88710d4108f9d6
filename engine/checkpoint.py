"""How is a state kept on disk? Arrays by name and plain values in one safetensors file, written whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import DataError
from engine.files import write_whole

FORMAT = 1  # of the metadata; raised where an older reader would misread it


def save_state(path: str | Path, tensors: Mapping[str, "np.ndarray[Any, Any]"], metadata: Mapping[str, Any]) -> None:
    """Write arrays and plain values (numbers, strings, lists, dicts) to one file.

    Raises:
        FileError: the folder is missing or read-only, or the disk is full; an older file of that name is as it was.
    """
    import safetensors.numpy

    # One text: several would be written in an order that changes, and equal states would not be equal files.
    text = {"state": json.dumps({"format": FORMAT, **metadata})}
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    write_whole(path, safetensors.numpy.save(arrays, metadata=text))


def load_state(path: str | Path) -> tuple[dict[str, "np.ndarray[Any, Any]"], dict[str, Any]]:
    """Read what `save_state` wrote: (arrays by name, plain values).

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not such a file, or damaged.
    """
    import safetensors

    name = Path(path)
    if not name.is_file():
        raise FileNotFoundError(f"{name}: there is no such file.")
    try:
        with safetensors.safe_open(name, framework="numpy") as file:
            text = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # not a dict
        metadata = json.loads(text.get("state", "{}"))
        written = metadata.pop("format", FORMAT)
    except (safetensors.SafetensorError, ValueError, AttributeError) as error:
        raise DataError(f"{name}: not a checkpoint, or damaged ({str(error).splitlines()[0]}).") from None
    if written != FORMAT:
        raise DataError(f"{name}: its format is {written}, this version reads {FORMAT}. Update the engine.")
    return tensors, metadata
