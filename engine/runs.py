"""What does a run leave behind? A folder: settings (TOML), weights (safetensors), history (CSV), preparation, log.

The folder holds no absolute path: moved or copied elsewhere it still works.
"""

import contextlib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from engine import checkpoint
from engine.data import Dataset, Preparation, Standardize
from engine.data.preparation import from_dict
from engine.errors import ArgumentError, DataError, EngineError
from engine.files import not_written, write_whole
from engine.layers import Layer
from engine.toml import to_toml

FORMAT = 1
CONFIG, WEIGHTS, HISTORY, PICTURE = "config.toml", "weights.safetensors", "history.csv", "history.png"
PREPARATION, RESULT, LOG = "preparation.json", "result.json", "log.txt"
FILES = (CONFIG, WEIGHTS, HISTORY, PICTURE, PREPARATION, RESULT, LOG)
UNFINISHED = ".unfinished"  # in a run folder: the run that is to replace it, until that has something to show

Config = dict[str, dict[str, Any]]


class Run:
    """A run folder; `create` makes a new one, `open` takes one that is there.

    Attributes:
        path: of the folder, as the user wrote it.
        files: where its files are: in that folder, or, while it waits to replace an earlier run, in one below.
        config: what rebuilds data, model and training: tables of settings.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path = self.files = path
        self.config = config
        self._replacing = False
        self._made: list[Path] = []  # folders that `create` made, the outermost first

    # -- made and opened -------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Config, data: Dataset, *, overwrite: bool = False) -> "Run":
        """A new folder with the settings and the preparation of the data in it.

        Args:
            path: of the folder; parents are made where needed.
            config: tables of settings; None values are left out.
            data: whose preparation is stored, so that `evaluate` and `predict` apply it.
            overwrite: whether an earlier run in it may be replaced: when this one calls `replace_earlier`. Files that
                are no run's are never touched.

        Raises:
            ArgumentError: it cannot be made there, or is not empty.
            FileError: its first files cannot be written.
        """
        check_output(path, overwrite=overwrite)
        run = cls(Path(path), {"run": {"format": FORMAT}, **config})
        if any((run.path / name).exists() for name in FILES):
            run.files = run.path / UNFINISHED
        try:
            run._make_folders()
            for name in FILES:  # of a run that was killed while it waited
                (run.files / name).unlink(missing_ok=True)
            write_whole(run.files / CONFIG, to_toml(run.config).encode())
            write_whole(run.files / PREPARATION, (json.dumps(_stored_preparation(data), indent=1) + "\n").encode())
        except BaseException as error:
            run.discard()
            if isinstance(error, EngineError) or not isinstance(error, OSError):
                raise
            raise ArgumentError(
                f"output {str(path)!r} cannot be written: {reason(error)}. Name another folder."
            ) from None
        return run

    def _make_folders(self) -> None:
        missing = [folder for folder in (self.files, *self.files.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=folder is not self.path)
            self._made.append(folder)
        if self.waits and self.files not in self._made:
            self._made.append(self.files)  # left by a run that was killed: this one's now

    @property
    def waits(self) -> bool:
        """Whether an earlier run is still in the folder, as it was."""
        return self.files != self.path and not self._replacing

    def replace_earlier(self) -> None:
        """Take the place of the earlier run, where there is one: of its files none stays. Close the log before.

        Raises:
            FileError: a file cannot be moved; what was not moved yet is in the folder below.
        """
        if not self.waits:
            return
        self._replacing = True
        try:
            # First without settings, last with the new ones: half a run, if this is killed, is not taken for a whole.
            for name in FILES:
                (self.path / name).unlink(missing_ok=True)
            for name in reversed(FILES):
                if (self.files / name).exists():
                    os.replace(self.files / name, self.path / name)
            self.files.rmdir()
        except OSError as error:
            raise not_written(self.path, error) from None
        self.files, self._replacing = self.path, False

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Run":
        """The run folder at this path.

        Raises:
            DataError: there is none, or its settings cannot be read.
        """
        file = Path(path) / CONFIG
        try:
            config = tomllib.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            what = f"has no {CONFIG}" if Path(path).exists() else "does not exist"
            raise DataError(f"run {str(path)!r} {what}; give a folder that `engine train` wrote.") from None
        except OSError as error:
            raise DataError(f"run {str(path)!r} cannot be read: {reason(error)}.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{file} is damaged: {one_line(error)}.") from None
        known = config.get("run")
        if not isinstance(known, dict) or known.get("format") != FORMAT:
            raise DataError(f"{file} is not of format {FORMAT}, the one that this version writes and reads.")
        return cls(Path(path), config)

    def table(self, name: str) -> "Table":
        """One table of the settings.

        Raises:
            DataError: it is missing, or later, a setting that is asked for is.
        """
        table = self.config.get(name)
        if not isinstance(table, dict):
            raise DataError(f"{self.path / CONFIG} has no table [{name}]; it is not a whole run.")
        return Table(table, f"{self.path / CONFIG}, [{name}]")

    def discard(self) -> None:
        """Take back what `create` made: for a run that has nothing to show. An earlier run stays as it was."""
        if self._replacing:
            return  # the earlier one is no longer whole: what there is of this one is not lost too
        with contextlib.suppress(OSError):
            for name in FILES:
                (self.files / name).unlink(missing_ok=True)
            for folder in reversed(self._made):
                folder.rmdir()

    # -- written as training goes ----------------------------------------------------------------------

    def log(self) -> TextIO:
        """The log, opened for further lines; each is written at once."""
        return open(self.files / LOG, "a", encoding="utf-8", buffering=1)

    def save_weights(self, model: Layer, **metadata: Any) -> None:
        """Every parameter and buffer, whole or not at all."""
        tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        checkpoint.save_state(self.files / WEIGHTS, tensors, metadata)

    def save_result(self, result: Mapping[str, Any]) -> None:
        """The final numbers, as JSON."""
        write_whole(self.files / RESULT, (json.dumps(result, indent=1) + "\n").encode())

    # -- read again ------------------------------------------------------------------------------------

    def load_weights(self, model: Layer) -> None:
        """Put the stored weights into a model that was built from the settings.

        Raises:
            DataError: they are missing, damaged, or of another model.
        """
        file = self.files / WEIGHTS
        if not file.exists():
            raise DataError(f"{file} is missing: the run was stopped before its weights were written. Train again.")
        tensors, _ = checkpoint.load_state(file)
        try:
            model.load_state_dict(tensors)
        except EngineError as error:
            raise DataError(f"{file}: these are not weights of the model in {CONFIG}: {one_line(error)}.") from None

    def preparation(self) -> "Stored":
        """What was done to the training data before the model saw it.

        Raises:
            DataError: the file is missing or damaged.
        """
        file = self.path / PREPARATION
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            features = tuple(from_dict(one) for one in stored["features"])
            target = None if stored["target"] is None else Standardize.from_dict(stored["target"])
            names = tuple(str(name) for name in stored["names"])
        except OSError as error:
            raise DataError(f"{file} cannot be read: {reason(error)}.") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{file} is damaged: {one_line(error)}.") from None
        return Stored(features, target, names)


class Table(dict[str, Any]):
    """Settings that say which one is missing, and where."""

    def __init__(self, settings: Mapping[str, Any], place: str) -> None:
        super().__init__(settings)
        self._place = place

    def __missing__(self, key: str) -> Any:
        raise DataError(f"{self._place} has no {key}; it is not a whole run.")


class Stored(NamedTuple):
    """What was done to the features, in order, and to the targets; the features' names, where they have any."""

    features: tuple[Preparation, ...]
    target: Standardize | None
    names: tuple[str, ...]


def _stored_preparation(data: Dataset) -> dict[str, Any]:
    target = data.target_preparation
    return {
        "features": [one.to_dict() for one in data.preparation],
        "target": None if target is None else target.to_dict(),
        "names": data.feature_names or (),
    }


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuse a place where no run folder can be made, before any work is done.

    Raises:
        ArgumentError: a file, a folder with something in it, or a place that cannot be written.
    """
    shown = str(path)
    try:
        problem = _unusable(Path(path), overwrite)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        problem = f"cannot be used: {reason(error)}. Name another folder."
    if problem is not None:
        raise ArgumentError(f"output {shown!r} {problem}")


def _unusable(folder: Path, overwrite: bool) -> str | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(folder)  # names that no folder can have: too long, a null byte
    if folder.is_dir():
        if not overwrite and any(folder.iterdir()):
            return "exists and is not empty. Name another folder, or add --overwrite."
        where = folder
    elif folder.exists() or folder.is_symlink():
        return "is a file; a run needs a folder. Name another one."
    else:
        where = next(parent for parent in folder.absolute().parents if parent.exists())
        if not where.is_dir():
            return f"lies below {str(where)!r}, which is a file. Name another folder."
    if not os.access(where, os.W_OK | os.X_OK):
        return f"cannot be written: {str(where)!r} is read-only. Name another folder."
    return None


def next_free(parent: str | os.PathLike[str], name: str) -> Path:
    """parent/name-1, or with the next number that is not taken.

    >>> next_free("/nowhere", "digits").name
    'digits-1'
    """
    taken = {entry.name for entry in Path(parent).iterdir()} if Path(parent).is_dir() else set()
    number = 1
    while f"{name}-{number}" in taken:
        number += 1
    return Path(parent) / f"{name}-{number}"


def reason(error: Exception) -> str:
    """Why the system refused, without the number and the path."""
    return one_line(getattr(error, "strerror", None) or error)


def one_line(error: object) -> str:
    """A message on one line, without its full stop."""
    return " ".join(str(error).split()).rstrip(".")
