"""How is a state kept on disk? Arrays by name and plain values in one safetensors file, written whole or not at all."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import DataError

FORMAT = "1"  # of the metadata; raised where an older reader would misread it


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its name when the block ends well, and vanishes when it does not.

    An OSError names ``path``, not the temporary file.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        temporary = Path(name)
        os.close(handle)
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp made it private
        os.replace(temporary, target)
    except OSError as error:
        error.filename, error.filename2 = str(target), None
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save_state(path: str | Path, tensors: Mapping[str, "np.ndarray[Any, Any]"], metadata: Mapping[str, Any]) -> None:
    """Write arrays and plain values (numbers, strings, lists, dicts) to one file.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full; an older file of that name is still whole then.
    """
    import safetensors.numpy

    text = {"format": FORMAT, "state": json.dumps(metadata)}
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(safetensors.numpy.save(arrays, metadata=text))
            file.flush()
            os.fsync(file.fileno())


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
    except (safetensors.SafetensorError, ValueError) as error:
        raise DataError(f"{name}: not a checkpoint, or damaged ({str(error).splitlines()[0]}).") from None
    if text.get("format", FORMAT) != FORMAT:
        raise DataError(f"{name}: its format is {text['format']}, this version reads {FORMAT}. Update the engine.")
    return tensors, metadata
