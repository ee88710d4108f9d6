"""How does `engine resume` go? A run that was stopped is built again and trained on, in its folder."""

import argparse
import functools
import shlex
from pathlib import Path
from typing import Any

from engine import runs
from engine.commands import options, parsing, parts, settings
from engine.commands.session import Parts, Session
from engine.errors import ArgumentError, DataError
from engine.runs import Config, Run

_TABLES = ("data", "model", "loss", "optimizer", "schedule", "training")
_EPILOG = """
Weights and history become those of a training that was never stopped, to the last bit, on the same machine. With
--epochs, a learning rate that spans the training (cosine, one-cycle, step without --schedule-every) spans the new total
from here on. After early stopping, patience counts anew.

examples:
  engine resume runs/digits-1                  the rest of a training that was stopped
  engine resume runs/digits-1 --epochs 50      a training that is over, up to 50 epochs in all
"""


def add(commands: Any) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "resume",
        help="go on with a training that was stopped",
        description="Train a run from its checkpoint up to its number of epochs: weights, history and log go on.",
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", metavar="RUN", type=parsing.path, help="the run folder")
    parser.add_argument(
        "--epochs", metavar="N", type=parsing.whole(1), help="in all, from now on (default: as the run was begun)"
    )
    options.add_data_dir(parser, "as the run was begun")
    parser.add_argument(
        "--device", metavar="NAME", type=parsing.device, help="cpu, cuda, cuda:N, auto (default: as the run was begun)"
    )
    options.add_display(parser)


def run(arguments: argparse.Namespace) -> int:
    """Go on with a run; 0 when the result is there."""
    folder = Run.take_up(arguments.folder)
    try:
        config = _config(folder, arguments.epochs)
        data = _data(folder, arguments.data_dir)
        device = config["training"]["device"] if arguments.device is None else arguments.device
        with settings.told(str(folder.path / runs.CONFIG)):
            session = Session(
                config,
                data,
                functools.partial(_begun, folder, arguments.epochs),
                device=device,
                quiet=arguments.quiet,
                as_json=arguments.json,
            )
        session.take_up(folder)
        return session.go(train=_is_left(folder, session, arguments.epochs))
    finally:
        folder.release()


def _config(folder: Run, epochs: int | None) -> Config:
    """The settings, each table checked, with the new number of epochs."""
    config: Config = {"run": folder.table("run"), **{name: settings.table(folder, name) for name in _TABLES}}
    if epochs is not None:
        config["training"]["epochs"] = epochs
    return config


def _data(folder: Run, data_dir: str | None) -> Parts:
    """The data of the run, as it was split and prepared.

    Raises:
        DataError: it is not there, or is other data by now.
    """
    with settings.used(folder, "data") as table:
        if table.get("file") is not None and not Path(table["file"]).exists():
            raise DataError(
                f"data {table['file']!r}, which {folder.path} is trained on, is not here. Run this in the folder where "
                "the training was started."
            )
        wanted = dict(table) if data_dir is None else {**table, "data_dir": data_dir}
        data = Parts(*parts.prepared(parts.raw(wanted), folder.intake()))
        before, now = dict(folder.table("parts")), data.sizes()
        checksum = before.pop("checksum", None)
        if before != now:
            raise DataError(
                f"data {data.train.name}: it has {_listed(now)} samples, and had {_listed(before)} when {folder.path} "
                "was begun. Bring the old data back, or train anew."
            )
        if list(data.train.class_names or ()) != list(table.get("classes") or ()):
            raise DataError(
                f"data {data.train.name}: its classes are others than when {folder.path} was begun. Bring the old data "
                "back, or train anew."
            )
        if checksum is not None and checksum != data.checksum():
            raise DataError(
                f"data {data.train.name}: its numbers are others than when {folder.path} was begun. Bring the old data "
                "back, or train anew."
            )
    return data


def _listed(sizes: dict[str, int]) -> str:
    return ", ".join(f"{size} {name}" for name, size in sizes.items() if size)


def _begun(folder: Run, epochs: int | None) -> Run:
    """The folder, the new number of epochs noted in it."""
    if epochs is not None:
        folder.config["training"]["epochs"] = epochs
        folder.save_config()
    return folder


def _is_left(folder: Run, session: Session, epochs: int | None) -> bool:
    """Whether anything is left to train; not where the run was killed between its last step and its end.

    Raises:
        DataError, ArgumentError: the run is over, and no more epochs are asked for.
    """
    trainer, total = session.trainer, session.config["training"]["epochs"]
    if epochs is not None and epochs <= trainer.epoch:
        raise ArgumentError(
            f"--epochs: {epochs} was given, and {folder.path} has done {trainer.epoch}; give the total, above that."
        )
    stopped = trainer.stop_reason if trainer.step and not trainer.within_epoch else None
    if epochs is not None or (trainer.epoch < total and stopped is None):
        return True
    if (folder.files / runs.RESULT).exists():
        how = f"is over: {trainer.epoch} of {total} epochs" if stopped is None else _stopped(trainer.epoch, stopped)
        raise DataError(f"run {str(folder.path)!r} {how}. Add --epochs N to go on to a larger total.{_other(folder)}")
    return False


def _stopped(epoch: int, reason: str) -> str:
    return f"was stopped after epoch {epoch}: {reason}"


def _other(folder: Run) -> str:
    """That a run which was to replace this one can be gone on with, where there is one."""
    other = folder.path / runs.UNFINISHED
    if folder.waits or not (other / runs.CHECKPOINT).exists():
        return ""
    return f" Or go on with the one that was to replace it: engine resume {shlex.quote(str(other))}."
