"""How does one training go? From the built objects through the epochs to the run folder and the last line."""

import argparse
import contextlib
import importlib.util
import logging
import math
import platform
import time
from collections.abc import Iterator

import numpy as np

from engine import runs
from engine.callbacks import Callback, EarlyStopping, StepBelow
from engine.commands import build, report, task
from engine.commands.interruption import InterruptedBetweenStepsError, Interruption
from engine.commands.progress import Bar, EachEpoch, Lines
from engine.commands.wording import in_options
from engine.data import Dataset
from engine.errors import ArgumentError, EngineError
from engine.layers import Layer
from engine.runs import Config, Run
from engine.trainer import Trainer

_SECONDS_BETWEEN_WEIGHTS = 10.0  # while training goes on, so that a run that is killed leaves most of its work


class RunFailedError(EngineError):
    """Training began and could not go on."""


class Session:
    """One training, from the built objects to the last line."""

    def __init__(
        self, arguments: argparse.Namespace, config: Config, train: Dataset, watched: Dataset | None, test: Dataset
    ) -> None:
        self.arguments, self.config, self.parts = arguments, config, (train, watched, test)
        loss, precision = config["loss"]["name"], config["model"]["precision"]
        self.train, self.test = (build.arrays(loss, part, precision) for part in (train, test))
        self.watched = None if watched is None else build.arrays(loss, watched, precision)
        self.backend, self.device = report.choose_device(arguments.device)
        self.output = report.Output(arguments.quiet or arguments.json)
        self.folder: Run | None = None
        self.interruption = Interruption()
        self._kept = (0, 0)  # the epoch and step of the weights that were written last
        self.trainer = self._make_trainer()

    def _make_trainer(self) -> Trainer:
        wanted = self.config["training"]
        if wanted["ema"] is not None and wanted["early_stopping"] is not None:
            raise ArgumentError("--ema: it cannot be combined with --early-stopping, which goes back to other weights.")
        samples = len(self.train[0])
        size = samples if wanted["batch_size"] == "all" else min(wanted["batch_size"], samples)
        batches = samples // size if wanted["drop_last"] else math.ceil(samples / size)
        steps = max(math.ceil(batches / wanted["accumulate"]), 1)
        model = build.model(self.config["model"])
        # Before any callback that could fail: the folder; after the others: the bar, which is drawn below their lines.
        callbacks: list[Callback] = [
            EachEpoch(self._begin, self._record),
            Lines(self.output, wanted["epochs"], samples),
            self.interruption,
        ]
        if wanted["early_stopping"] is not None:
            callbacks.append(EarlyStopping(wanted["early_stopping"]))
        if self.output.live:
            callbacks.append(Bar(self.output, wanted["epochs"], samples))
        return Trainer(
            model,
            loss=build.loss(self.config["loss"]),
            optimizer=build.optimizer(
                self.config["optimizer"], self.config["schedule"], model, steps, wanted["epochs"]
            ),
            device=self.backend.device,
            metrics=task.measures(self.config["loss"]["name"], self.parts[0].task),
            penalty=build.penalty(wanted["l1"], wanted["l2"]),
            clip_norm=wanted["clip_norm"],
            clip_value=wanted["clip_value"],
            accumulate=wanted["accumulate"],
            seed=wanted["seed"],
            callbacks=callbacks,
            ema=wanted["ema"],
        )

    # -- while it goes ---------------------------------------------------------------------------------

    def go(self) -> int:
        wanted = self.config["training"]
        self._header()
        started = time.perf_counter()
        try:
            with self.interruption.awaited():
                self.trainer.fit(
                    self.train,
                    wanted["epochs"],
                    wanted["batch_size"],
                    self.watched,
                    drop_last=wanted["drop_last"],
                    stop=None if wanted["stop_below"] is None else StepBelow(wanted["stop_below"]),
                )
            self._finish(time.perf_counter() - started)
        except KeyboardInterrupt as interrupt:
            between_steps = isinstance(interrupt, InterruptedBetweenStepsError)
            raise KeyboardInterrupt(self._interrupted(between_steps)) from None
        except EngineError as error:
            if not self.trainer.step:
                raise
            self.output.note(in_options(error))
            raise RunFailedError(f"{in_options(error)}{self._untouched()}") from error
        except OSError as error:
            place = error.filename or (self.folder.path if self.folder is not None else "output")
            problem = f"{place}: could not be written: {runs.reason(error)}. Free some space."
            raise RunFailedError(problem + self._untouched()) from error
        finally:
            self.output.close_log()
            if self.folder is not None and (self.folder.waits or not self.trainer.step):
                self.folder.discard()
        return 0

    def _header(self) -> None:
        train, watched, test = self.parts
        samples = (
            f"{len(train)} training"
            + (f", {len(watched)} validation" if watched else "")
            + f", {len(test)} test samples"
        )
        count = report.parameter_count(self.trainer.model)
        self.output.print(f"data    {train.name}: {samples}, {train.task}")
        self.output.print(f"model   {report.describe_model(self.config['model'])} ({count:,} parameters)")
        rate = self.trainer.optimizer.defaults["learning_rate"]
        shown = f"{rate:g}" if isinstance(rate, (int, float)) else self.config["schedule"]["name"]
        self.output.print(
            f"train   {self.config['loss']['name']}, {self.config['optimizer']['name']}, learning rate {shown}, "
            f"batch size {self.config['training']['batch_size']}, {self.config['training']['epochs']} epochs"
        )
        self.output.print(f"device  {self.device}")

    def _begin(self) -> None:
        """Make the folder: the last thing before the first step, so that bad options leave nothing behind."""
        self.folder = self._new_folder()
        self.output.log_to(self.folder.log())
        self._saved = time.monotonic()

    def _new_folder(self) -> Run:
        data = self.parts[0]
        while self.arguments.output is None:
            name = runs.next_free("runs", self.config["data"]["name"])
            try:
                return Run.create(name, self.config, data)
            except ArgumentError:
                if not name.exists():
                    raise  # otherwise another training took it just now: the next number
        return Run.create(self.arguments.output, self.config, data, overwrite=self.arguments.overwrite)

    def _record(self, trainer: Trainer, epoch: int, values: dict[str, float]) -> None:
        assert self.folder is not None
        trainer.history.append_csv(self.folder.files / runs.HISTORY)
        if time.monotonic() - self._saved > _SECONDS_BETWEEN_WEIGHTS:
            self._save_weights()
            self._saved = time.monotonic()

    def _save_weights(self) -> None:
        assert self.folder is not None
        with _evaluated(self.trainer) as model:
            self.folder.save_weights(model, epoch=self.trainer.epoch)
        self._kept = (self.trainer.epoch, self.trainer.step)

    def _interrupted(self, between_steps: bool) -> str:
        """Keep what can be kept, and say what that is."""
        epoch, step = self.trainer.epoch, self.trainer.step
        if self.folder is None or not step:
            return f"interrupted before the first step{self._untouched(';')}"
        after = f"interrupted after {_counted(epoch, 'epoch') if epoch else _counted(step, 'step')}"
        self.output.note(after)
        if between_steps:
            self._save_weights()
        if not self._kept[1]:
            return f"{after}; {self.folder.path} {'is as it was' if self.folder.waits else 'holds no weights'}"
        self._replace_earlier()
        held = "what was done until then" if self._kept[1] == step else f"the weights after epoch {self._kept[0]}"
        return f"{after}; {self.folder.path} holds {held}"

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
        self._save_weights()
        train, test = self.trainer.evaluate(self.train), self.trainer.evaluate(self.test)
        columns = {"training": train}
        if self.watched is not None:
            columns["validation"] = self.trainer.evaluate(self.watched)
        columns["test"] = test
        parameters = report.parameter_count(self.trainer.model)
        result = {
            "data": self.config["data"]["name"],
            "run": str(self.folder.path),
            "started": self.config["run"]["started"],
            "seed": self.config["training"]["seed"],
            "device": self.trainer.device,
            "epochs": self.trainer.epoch,
            "steps": self.trainer.step,
            "seconds": round(seconds, 3),
            "parameters": parameters,
            "stop_reason": self.trainer.stop_reason,
            **columns,
            "versions": {
                "engine": self.config["run"]["engine"],
                "python": platform.python_version(),
                "numpy": np.__version__,
                "system": platform.platform(),
            },
        }
        self.folder.save_result(result)
        self._replace_earlier()
        if self.trainer.stop_reason is not None:
            self.output.print(f"stopped after epoch {self.trainer.epoch}: {self.trainer.stop_reason}")
        further = {"epochs": str(self.trainer.epoch), "time": report.duration(seconds), "parameters": f"{parameters:,}"}
        self.output.print(report.result_table(columns, further))
        self._picture(self.folder)
        self.output.print(f"run folder  {self.folder.path}")
        report.finish(test, result, as_json=self.arguments.json)

    def _picture(self, folder: Run) -> None:
        if importlib.util.find_spec("matplotlib") is None:
            return
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it reports on its caches
        try:
            self.trainer.history.plot(folder.files / runs.PICTURE)
        except (ImportError, EngineError) as error:  # a broken matplotlib does not make the training fail
            self.output.print(f"{runs.PICTURE} was not drawn: {runs.one_line(error)}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


@contextlib.contextmanager
def _evaluated(trainer: Trainer) -> Iterator[Layer]:
    """The model with the weights that `evaluate` uses: the moving averages where there are any."""
    with trainer.ema.applied() if trainer.ema is not None else contextlib.nullcontext():
        yield trainer.model
