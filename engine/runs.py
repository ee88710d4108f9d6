"""What does a run leave behind? A folder: settings (TOML), weights (safetensors), history (CSV), preparation, log.

The folder holds no absolute path: moved or copied elsewhere it still works. While a run is written, no other process
may write into its folder.
"""

import contextlib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from engine import checkpoint
from engine.data.intake import Intake
from engine.errors import ArgumentError, DataError, EngineError
from engine.files import not_written, write_whole
from engine.layers import Layer
from engine.locking import NAME as LOCK, HeldError, Lock, holder
from engine.toml import to_toml

if TYPE_CHECKING:
    from engine.trainer import Trainer

FORMAT = 1
CONFIG, WEIGHTS, HISTORY, PICTURE = "config.toml", "weights.safetensors", "history.csv", "history.png"
CHECKPOINT = "checkpoint.safetensors"  # all that going on needs
PREPARATION, RESULT, LOG = "preparation.json", "result.json", "log.txt"
CONFUSION, CONFUSION_PICTURE = "confusion.csv", "confusion.png"
FILES = (CONFIG, WEIGHTS, CHECKPOINT, HISTORY, PICTURE, PREPARATION, RESULT, CONFUSION, CONFUSION_PICTURE, LOG)
UNFINISHED = ".unfinished"  # in a run folder: the run that is to replace it, until that has something to show

Config = dict[str, dict[str, Any]]


class Run:
    """A run folder; `create` makes a new one, `take_up` goes on with one that is there, `open` reads it.

    Attributes:
        path: of the folder, as the user wrote it.
        files: where its files are: in that folder, or, while it waits to replace an earlier run, in one below.
        config: what rebuilds data, model and training: tables of settings.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path = self.files = path
        self.config = config
        self._replacing = False
        self._new = False
        self._made: list[Path] = []  # folders that `create` made, the outermost first
        self._lock: Lock | None = None

    # -- made and opened -------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Config, intake: Intake, *, overwrite: bool = False) -> "Run":
        """A new folder with the settings and the preparation of the data in it.

        Args:
            path: of the folder; parents are made where needed.
            config: tables of settings; None values are left out.
            intake: what turns data into samples, so that `evaluate` and `predict` apply it.
            overwrite: whether an earlier run in it may be replaced: when this one calls `replace_earlier`. Files that
                are no run's are never touched.

        Nobody else can write into the folder until `release` or `discard`.

        Raises:
            ArgumentError: it cannot be made there, or is not empty.
            FileError: its first files cannot be written.
        """
        check_output(path, overwrite=overwrite)
        run = cls(Path(path), {"run": {"format": FORMAT}, **config})
        try:
            run._make_folder(run.path)
            run._lock = Lock(run.path)
            run._new = True
            run.files = run.path / UNFINISHED
            run._clear(FILES)  # of a run that was killed while it waited
            run._clear_partial()
            if any((run.path / name).exists() for name in FILES):
                run._make_folder(run.files)
                run._made = [run.files]  # also where the run that was killed left it: this one's now
            else:
                with contextlib.suppress(OSError):
                    run.files.rmdir()
                run.files = run.path
                run._clear_partial()
            run.save_config()
            write_whole(run.files / PREPARATION, (json.dumps(intake.to_dict(), indent=1) + "\n").encode())
        except HeldError as held:
            raise ArgumentError(f"output {str(path)!r} {_in_use(held.who)}") from None
        except BaseException as error:
            run.discard()
            if isinstance(error, EngineError) or not isinstance(error, OSError):
                raise
            raise ArgumentError(
                f"output {str(path)!r} cannot be written: {reason(error)}. Name another folder."
            ) from None
        return run

    def _make_folder(self, wanted: Path) -> None:
        missing = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=folder is not self.path)
            self._made.append(folder)

    def _clear(self, names: Iterable[str]) -> None:
        for name in names:
            (self.files / name).unlink(missing_ok=True)

    def _clear_partial(self) -> None:
        """Take away what a process that was killed had half written."""
        for name in FILES:
            for partial in self.files.glob(f".{name}.*.partial"):
                partial.unlink(missing_ok=True)

    @property
    def waits(self) -> bool:
        """Whether an earlier run is still in the folder, as it was."""
        return self.files != self.path and not self._replacing

    def replace_earlier(self, moving: bool = False) -> None:
        """Take the place of the earlier run, where there is one: of its files none stays. Close the log before.

        Args:
            moving: whether a process that was killed had come so far that files of this one were moved already.

        Raises:
            FileError: a file cannot be moved; what was not moved yet is in the folder below.
        """
        if not self.waits:
            return
        self._replacing = True
        try:
            # First without settings, last with the new ones: half a run, if this is killed, is not taken for a whole.
            if not moving:
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
    def take_up(cls, path: str | os.PathLike[str]) -> "Run":
        """The run folder at this path, to go on with: nobody else can write into it until `release`.

        A run that was killed while it waited to replace an earlier one is taken up by its own path, DIR/.unfinished; it
        waits again.

        Raises:
            DataError: there is no run, its settings cannot be read, or another process writes into it.
        """
        given = Path(path)
        home = given.parent if given.name == UNFINISHED else given
        below = home / UNFINISHED
        if not (below / CONFIG).exists():
            cls.open(path)
        run = cls(home, {})
        try:
            run._lock = Lock(home)
        except HeldError as held:
            raise DataError(f"run {str(path)!r} {_in_use(held.who)}") from None
        except OSError as error:
            raise DataError(f"run {str(path)!r} cannot be written: {reason(error)}.") from None
        try:
            if (below / CONFIG).exists() and not (home / CONFIG).exists():  # killed while it replaced the earlier one
                run.files = below
                run.replace_earlier(moving=not (below / LOG).exists())  # the log goes first
            elif given.name == UNFINISHED:
                run.files = below
            run.config = cls.open(run.files).config
            run._clear_partial()
        except BaseException:
            run.release()
            raise
        return run

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
            self.release()
            return  # the earlier one is no longer whole: what there is of this one is not lost too
        with contextlib.suppress(OSError):
            if self._new:
                self._clear(FILES)
                self._clear_partial()
        self.release()
        with contextlib.suppress(OSError):
            for folder in reversed(self._made):
                folder.rmdir()

    def release(self) -> None:
        """Nothing more is written: others may write into the folder."""
        if self._lock is not None:
            self._lock.release()

    # -- written as training goes ----------------------------------------------------------------------

    def log(self) -> TextIO:
        """The log, opened for further lines; each is written at once."""
        return open(self.files / LOG, "a", encoding="utf-8", buffering=1)

    def save_weights(self, model: Layer, **metadata: Any) -> None:
        """Every parameter and buffer, whole or not at all."""
        tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        checkpoint.save_state(self.files / WEIGHTS, tensors, metadata)

    def save_config(self) -> None:
        """The settings as they are now."""
        write_whole(self.files / CONFIG, to_toml(self.config).encode())

    def save_checkpoint(self, trainer: "Trainer") -> None:
        """All that going on needs, whole or not at all. The results of an earlier end no longer hold."""
        self._clear((RESULT, PICTURE, CONFUSION, CONFUSION_PICTURE))
        trainer.save(self.files / CHECKPOINT)

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

    def load_checkpoint(self, trainer: "Trainer") -> None:
        """Bring a trainer that was built from the settings to where the run stopped.

        Raises:
            DataError: the file is missing, damaged, or of another training.
        """
        file = self.files / CHECKPOINT
        if not file.exists():
            raise DataError(
                f"{file} is missing: the run was stopped before its first checkpoint, or is of an older version. "
                "Train again."
            )
        try:
            trainer.load(file)
        except DataError:
            raise
        except EngineError as error:
            raise DataError(f"{file}: not a checkpoint of the training in {CONFIG}: {one_line(error)}.") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{file} is damaged: {one_line(error)}.") from None

    def intake(self) -> Intake:
        """What turned the training data into samples.

        Raises:
            DataError: the file is missing or damaged.
        """
        file = self.files / PREPARATION
        try:
            return Intake.from_dict(json.loads(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise DataError(f"{file} cannot be read: {reason(error)}.") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{file} is damaged: {one_line(error)}.") from None


class Table(dict[str, Any]):
    """Settings that say which one is missing, and where."""

    def __init__(self, settings: Mapping[str, Any], place: str) -> None:
        super().__init__(settings)
        self._place = place

    def __missing__(self, key: str) -> Any:
        raise DataError(f"{self._place} has no {key}; it is not a whole run.")


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
        who = holder(folder)
        if who is not None:
            return _in_use(who)
        if not overwrite and any(entry.name != LOCK for entry in folder.iterdir()):
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


def _in_use(who: str) -> str:
    return f"is being written by {who}, a training. Wait until it is over, or stop it."


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
