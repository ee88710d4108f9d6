"""What is one training, of which net, on which data? What every contestant of `epochs` and `memory` is handed.

This file is run by the Python of each peer's environment: it needs NumPy only.
"""

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.peers.operation import microseconds
from bench.peers.step import Cell, MissingError, make_arrays

STATUS = Path("/proc/self/status")
WARM_BATCHES = 4  # trained on before anything is timed
WHOLE_BATCH = 1024  # when a whole set is predicted
COMPARED = 64  # samples whose logits are compared


class Run(NamedTuple):
    """One training. After each hidden layer come ReLU and, where its rate is above 0, dropout."""

    name: str
    data: str
    sizes: tuple[int, ...]
    batch: int
    dropout: float
    optimizer: str
    learning_rate: float
    epochs: int

    @property
    def first_weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """w (inputs, outputs) and b (outputs,) of each layer: the same at every call."""
        return make_arrays(Cell(self.name, tuple(self.sizes), 1, self.optimizer)).pairs


class Data(NamedTuple):
    """Training and test part: x (samples, features) float32, labels (samples,) int64."""

    x: np.ndarray
    labels: np.ndarray
    test_x: np.ndarray
    test_labels: np.ndarray


def save(folder: Path, data: Data) -> None:
    """Each array as a .npy, so that everyone reads the same."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in data._asdict().items():
        np.save(folder / f"{name}.npy", array)


def load(folder: str) -> Data:
    """What `save` wrote."""
    return Data(*(np.load(Path(folder, f"{name}.npy"), allow_pickle=False) for name in Data._fields))


def peak_megabytes() -> float:
    """The most memory that this process has had resident, its libraries' files included."""
    # A process that was forked begins with its parent's ru_maxrss, not with its parent's VmHWM.
    if STATUS.exists() and "VmHWM:" in (text := STATUS.read_text()):
        line = next(line for line in text.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    if os.name != "posix":
        raise MissingError("this system does not tell how much memory a process has had")
    import resource  # only where there is one

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


class Epochs:
    """A library that trains a net and predicts with it. A subclass gives the methods that the tasks below call.

    Its module also has ``prepare(device, threads)``, as those of `bench.peers.step.Step` have.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.run: Run
        self.data: Data

    # -- what a library fills in -----------------------------------------------------------------------

    def take(self, data: Data) -> None:
        """Make what is trained on of the arrays; not timed."""
        raise NotImplementedError

    def fit(self, samples: int | None, epochs: int) -> float:
        """Train a new net from the first weights, on the first samples or all; the mean loss of the last epoch."""
        raise NotImplementedError

    def logits(self, x: np.ndarray) -> np.ndarray:
        """What the net last trained gives for a whole set: predicted in batches of WHOLE_BATCH."""
        raise NotImplementedError

    def predictors(self, x: np.ndarray) -> dict[str, Callable[[], Any]]:
        """The ways to predict one batch, by name."""
        raise NotImplementedError

    # -- tasks -----------------------------------------------------------------------------------------

    def start(self, folder: str, run: Sequence[Any]) -> dict[str, Any]:
        """Read the data and train on a little of it, so that everything is loaded."""
        self.run, self.data = Run(*run), load(folder)
        reason = self.refusal()
        if reason is not None:
            raise MissingError(reason)
        self.take(self.data)
        self.fit(WARM_BATCHES * self.run.batch, 1)
        return {}

    def train(self) -> dict[str, Any]:
        """A training from the first weights: its seconds, its last mean loss, and the test part's accuracy after it."""
        gc.collect()
        start = time.perf_counter()
        loss = self.fit(None, self.run.epochs)
        seconds = time.perf_counter() - start
        found = self.logits(self.data.test_x).argmax(axis=1)
        return {"seconds": seconds, "loss": loss, "accuracy": float((found == self.data.test_labels).mean())}

    def predict(self, batches: Sequence[int], seconds: float) -> dict[str, Any]:
        """Microseconds of one prediction by way and batch; ``whole`` of the test part, array to array."""
        told: dict[str, dict[str, float]] = {}
        for batch in batches:
            x = np.resize(self.data.test_x, (batch, self.run.sizes[0]))
            for way, call in self.predictors(x).items():
                told.setdefault(way, {})[str(batch)] = microseconds(call, seconds)
        return {"microseconds": told, "whole": microseconds(lambda: self.logits(self.data.test_x), seconds)}

    def first_logits(self) -> dict[str, Any]:
        """Of some samples, with the first weights: what everyone must agree on. None where they cannot be given."""
        if not self.takes_weights:
            return {"logits": None}
        self.fit(0, 0)
        return {"logits": self.logits(self.data.test_x[:COMPARED]).tolist()}

    def memory(self) -> dict[str, Any]:
        """The process's largest resident memory so far."""
        return {"megabytes": peak_megabytes()}

    # -- what a library may say ------------------------------------------------------------------------

    takes_weights = True

    def refusal(self) -> str | None:
        """Why it cannot do this run; None where it can."""
        return None
