"""How does one training go? From the built objects through the epochs to the run folder and the last line."""

import importlib.util
import logging
import math
import os
import platform
import shlex
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import engine
from engine import runs
from engine.callbacks import Callback, EarlyStopping, StepBelow
from engine.commands import build, parts, report, task
from engine.commands.confusion import Confusion
from engine.commands.interruption import InterruptedBetweenStepsError, Interruption
from engine.commands.keeping import Keeper
from engine.commands.progress import Bar, Lines
from engine.commands.wording import in_options
from engine.data import Dataset
from engine.data.augmentation import read as read_augmentation
from engine.data.intake import Intake
from engine.errors import ArgumentError, EngineError
from engine.precision import weights_of
from engine.runs import Config, Run
from engine.schedules import Schedule
from engine.trainer import Trainer

_CHECKED_SAMPLES = 4096  # a few megabytes of a file of any size


class RunFailedError(EngineError):
    """Training began and could not go on."""


class Parts(NamedTuple):
    """The data of a training, as the model sees it."""

    train: Dataset
    validation: Dataset | None
    test: Dataset

    def sizes(self) -> dict[str, int]:
        """How many samples each part has."""
        return {name: 0 if part is None else len(part) for name, part in self._asdict().items()}

    def checksum(self) -> int:
        """What other data would not have: CRC-32 of the training's targets and of samples spread over all of it."""
        rows = np.linspace(0, len(self.train) - 1, min(len(self.train), _CHECKED_SAMPLES)).astype(np.int64)
        return zlib.crc32(self.train.y.tobytes(), zlib.crc32(self.train.x[rows].tobytes()))

    def known_by(self) -> dict[str, int]:
        """What a run keeps, to know the same data by."""
        return {**self.sizes(), "checksum": self.checksum()}


class Session(Callback):
    """One training, from the built objects to the last line; told of its events, it keeps folder and history.

    Args:
        config: tables of settings, as a run keeps them.
        data: the parts.
        place: gives the run folder; called just before the first step, so that bad settings leave nothing behind.
        device: where it is computed.
        quiet: whether only the last line is shown.
        as_json: whether the result is shown as JSON, and nothing else.
    """

    def __init__(
        self,
        config: Config,
        data: Parts,
        place: Callable[[], Run],
        *,
        device: str = "auto",
        quiet: bool = False,
        as_json: bool = False,
    ) -> None:
        self.config, self.parts, self._place, self.as_json = config, data, place, as_json
        train, watched, test = data
        loss, dtype = config["loss"]["name"], weights_of(config["model"]["precision"])
        self.train, self.test = (parts.arrays(loss, part, dtype) for part in (train, test))
        self.watched = None if watched is None else parts.arrays(loss, watched, dtype)
        self.backend, self.device = report.choose_device(device)
        self.output = report.Output(quiet or as_json)
        self.folder: Run | None = None
        self.interruption = Interruption()
        self.keeper = Keeper(self.interruption, config["training"]["epochs"])
        wanted = config["training"]
        self._augment = read_augmentation(wanted["augment"]) if wanted.get("augment") else ()
        self._stop = None if wanted.get("stop_below") is None else StepBelow(wanted["stop_below"])
        self.trainer = self._make_trainer()
        self._first = 0  # the step that it begins after

    def _make_trainer(self) -> Trainer:
        wanted = self.config["training"]
        samples = len(self.train[0])
        size = samples if wanted["batch_size"] == "all" else min(wanted["batch_size"], samples)
        batches = samples // size if wanted["drop_last"] else math.ceil(samples / size)
        steps = max(math.ceil(batches / wanted["accumulate"]), 1)
        # Before any callback that could fail: the folder; after the others: the bar, which is drawn below their lines,
        # and the keeper.
        callbacks: list[Callback] = [self, Lines(self.output, wanted["epochs"], samples)]
        if wanted.get("early_stopping") is not None:
            callbacks.append(EarlyStopping(wanted["early_stopping"]))
        if self.output.live:
            callbacks.append(Bar(self.output, wanted["epochs"], samples))
        callbacks.append(self.keeper)
        return build.trainer(
            self.config,
            steps,
            device=self.backend.device,
            metrics=task.measures(self.config["loss"]["name"], self.parts[0].task),
            callbacks=callbacks,
        )

    def take_up(self, run: Run) -> None:
        """Begin where this run stopped; a learning rate that spans the training spans the one that is configured now.

        Raises:
            DataError: the run has no checkpoint, or a damaged one.
        """
        rates = [group.settings["learning_rate"] for group in self.trainer.optimizer.groups]
        run.load_checkpoint(self.trainer)
        for group, rate in zip(self.trainer.optimizer.groups, rates, strict=True):
            if isinstance(rate, Schedule):  # alike, it has taken its state; else it has none
                group.settings["learning_rate"] = rate
        self._first = self.trainer.step

    # -- while it goes ---------------------------------------------------------------------------------

    def go(self, *, train: bool = True) -> int:
        """Train what is left, and end; without ``train`` only end, for a run that was killed just before."""
        wanted = self.config["training"]
        self._header()
        started = time.perf_counter()
        try:
            with self.interruption.awaited():
                self.trainer.fit(
                    self.train,
                    wanted["epochs"] - self.trainer.epoch if train else 0,
                    wanted["batch_size"],
                    self.watched,
                    drop_last=wanted["drop_last"],
                    augment=self._augment,
                    stop=self._stop,
                )
            passed = time.perf_counter() - started
            self._finish(sum(self.trainer.history["seconds"]) if self._first else passed)
        except KeyboardInterrupt as interrupt:
            between_steps = isinstance(interrupt, InterruptedBetweenStepsError)
            raise KeyboardInterrupt(self._interrupted(between_steps)) from None
        except EngineError as error:
            if self.trainer.step == self._first:
                raise
            self.output.note(in_options(error))
            raise RunFailedError(f"{in_options(error)}{self._untouched()}") from error
        except OSError as error:
            place = error.filename or (self.folder.path if self.folder is not None else "output")
            problem = f"{place}: could not be written: {runs.reason(error)}. Free some space."
            raise RunFailedError(problem + self._untouched()) from error
        finally:
            self.output.close_log()
            if self.folder is not None and (self.folder.waits or self.trainer.step == self._first):
                self.folder.discard()
            elif self.folder is not None:
                self.folder.release()
        return 0

    def _header(self) -> None:
        train, watched, test = self.parts
        samples = (
            f"{len(train)} training"
            + (f", {len(watched)} validation" if watched else "")
            + f", {len(test)} test samples"
        )
        count = report.parameter_count(self.trainer.model)
        names = self.config["data"].get("targets")
        task_name = train.task if names is None else f"{train.task}: {', '.join(names)}"
        self.output.print(f"data    {train.name}: {samples}, {task_name}")
        if train.target_preparation is not None:
            unit = ", ".join(f"{scale:,.6g}" for scale in np.ravel(train.target_preparation.scale))
            self.output.print(f"unit    losses and errors are in standard deviations of the target: {unit}")
        self.output.print(f"model   {report.describe_model(self.config['model'])} ({count:,} parameters)")
        schedule = self.config["schedule"]
        rate = f"{build.learning_rate(self.config['optimizer']):g}"
        shown = rate if schedule["name"] == "constant" else f"{rate} ({schedule['name']})"
        self.output.print(
            f"train   {self.config['loss']['name']}, {self.config['optimizer']['name']}, learning rate {shown}, "
            f"batch size {self.config['training']['batch_size']}, {self.config['training']['epochs']} epochs"
        )
        self.output.print(f"device  {self.device}")
        if self._first:
            self.output.print(f"resumed after epoch {self.trainer.epoch}, step {self._first}")

    def fit_begin(self, trainer: Trainer) -> None:
        """Take the folder: the last thing before the first step."""
        self.folder = self._place()
        if self._first:
            trainer.history.to_csv(self.folder.files / runs.HISTORY)  # epochs after the checkpoint are done again
        self.output.log_to(self.folder.log())
        if trainer.placement is not None:
            self.output.print(f"memory  {trainer.placement}")
        self.keeper.begin(self.folder, self._first)

    def epoch_end(self, trainer: Trainer, epoch: int, values: dict[str, float]) -> None:
        assert self.folder is not None
        trainer.history.append_csv(self.folder.files / runs.HISTORY)

    def _save_final_weights(self) -> None:
        """Write them unless they are those that the keeper wrote last; early stopping goes back to others."""
        if self.keeper.step != self.trainer.step or self.config["training"].get("early_stopping") is not None:
            self.keeper.save_weights(self.trainer, f"epoch {self.trainer.epoch}")

    def _interrupted(self, between_steps: bool) -> str:
        """Keep what can be kept, and say what that is."""
        epoch, step = self.trainer.epoch, self.trainer.step
        if self.folder is None or step == self._first:
            which = "a further" if self._first else "the first"
            return f"interrupted before {which} step{self._untouched(';')}"
        after = f"interrupted after {_counted(epoch, 'epoch') if epoch else _counted(step, 'step')}"
        self.output.note(after)
        if between_steps:
            self._save_final_weights()
        if self.keeper.step is None:
            new = not self._first and not self.folder.waits
            return f"{after}; {self.folder.path} {'holds no weights' if new else 'is as it was'}"
        self._replace_earlier()
        if (self.folder.files / runs.RESULT).exists():  # a checkpoint took an earlier end's away
            return f"interrupted when all was done but the pictures; {self.folder.path} holds the result"
        held = "what was done until then" if self.keeper.step == step else f"the weights after {self.keeper.place}"
        return f"{after}; {self.folder.path} holds {held}; engine resume {shlex.quote(str(self.folder.path))} goes on"

    def _replace_earlier(self) -> None:
        """The run has something to show: now it may take the place of the one that is there."""
        assert self.folder is not None
        if self.folder.waits:
            self.output.close_log()  # it moves with the other files
            self.folder.replace_earlier()
            self.output.log_to(self.folder.log())

    def _untouched(self, mark: str = "") -> str:
        """That the run which was to be replaced is still there, where there is one."""
        return f"{mark} {self.folder.path} is as it was" if self.folder is not None and self.folder.waits else ""

    # -- when it is over -------------------------------------------------------------------------------

    def _finish(self, seconds: float) -> None:
        assert self.folder is not None
        self._save_final_weights()
        confused = Confusion.of(self.config["loss"]["name"], self.parts[2])
        train, test = self.trainer.evaluate(self.train), self.trainer.evaluate(self.test, watch=confused)
        columns = {"training": train}
        if self.watched is not None:
            columns["validation"] = self.trainer.evaluate(self.watched)
        columns["test"] = test
        parameters = report.parameter_count(self.trainer.model)
        result = {
            "data": self.config["data"]["name"],
            "run": str(self.folder.path),
            "started": self.config["run"].get("started"),
            "seed": self.config["training"]["seed"],
            "device": self.trainer.device,
            "epochs": self.trainer.epoch,
            "steps": self.trainer.step,
            "skipped": self.trainer.skipped,
            "precision": self.config["model"]["precision"],
            "seconds": round(seconds, 3),
            "parameters": parameters,
            "stop_reason": self.trainer.stop_reason,
            **columns,
            **({} if confused is None else {"confusion": confused.to_dict()}),
            "versions": {
                "engine": engine.__version__,
                "python": platform.python_version(),
                "numpy": np.__version__,
                "system": platform.platform(),
            },
        }
        if confused is not None and confused.matrix is not None:
            confused.write(self.folder.files / runs.CONFUSION)
        self.folder.save_result(result)  # last: a run with a result has all its numbers
        self._replace_earlier()
        if self.trainer.stop_reason is not None:
            self.output.print(f"stopped after epoch {self.trainer.epoch}: {self.trainer.stop_reason}")
        further = {"epochs": str(self.trainer.epoch), "time": report.duration(seconds), "parameters": f"{parameters:,}"}
        if self.trainer.skipped:
            further["steps skipped"] = f"{self.trainer.skipped} of {self.trainer.step + self.trainer.skipped}"
        self.output.print(report.result_table(columns, further))
        if confused is not None:
            confused.show(self.output)
        self._pictures(self.folder, confused)
        self.output.print(f"run folder  {self.folder.path}")
        report.finish(test, result, as_json=self.as_json)

    def _pictures(self, folder: Run, confused: Confusion | None) -> None:
        if importlib.util.find_spec("matplotlib") is None:
            return
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it reports on its caches
        drawn: dict[str, Callable[[Path], object]] = {runs.PICTURE: self.trainer.history.plot}
        if confused is not None and confused.matrix is not None:
            drawn[runs.CONFUSION_PICTURE] = confused.write
        for name, draw in drawn.items():
            try:
                draw(folder.files / name)
            except (ImportError, EngineError) as error:  # a broken matplotlib does not make the training fail
                self.output.print(f"{name} was not drawn: {runs.one_line(error)}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def new_folder(
    output: str | os.PathLike[str] | None, config: Config, intake: Intake, *, overwrite: bool = False
) -> Run:
    """A run folder where the user wants it, or the next free one in runs/."""
    while output is None:
        name = runs.next_free("runs", config["data"]["name"])
        try:
            return Run.create(name, config, intake)
        except ArgumentError:
            if not name.exists():
                raise  # otherwise another training took it just now: the next number
    return Run.create(output, config, intake, overwrite=overwrite)
