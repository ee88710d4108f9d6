"""What is one step, of which net, on which data? What every contestant is handed, and what it must be able to do.

This file and the worker are run by the Python of each peer's environment: they need NumPy only.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LEARNING_RATES = {"sgd": 0.01, "adam": 1e-4}
MOMENTUM = 0.9  # of SGD
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam
MANY_BYTES = 1 << 24  # of the batches of one call of many steps


class MissingError(Exception):
    """A contestant cannot take part; the text says why."""


class Cell(NamedTuple):
    """One net with its batch and optimizer: one row of the table.

    The precision is that of matrix products, summed in float32; weights, states and everything else are float32.
    """

    net: str
    sizes: tuple[int, ...]
    batch: int
    optimizer: str
    precision: str = "float32"

    @property
    def name(self) -> str:
        name = f"{self.net}@{self.batch}/{self.optimizer}"
        return name if self.precision == "float32" else f"{name}/{self.precision}"

    @property
    def learning_rate(self) -> float:
        return LEARNING_RATES[self.optimizer]


class Arrays(NamedTuple):
    """The batch, and the first weights: w (inputs, outputs) and b (outputs,) of each layer."""

    x: np.ndarray
    labels: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]

    @property
    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return list(zip(self.weights, self.biases, strict=True))


def make_arrays(cell: Cell) -> Arrays:
    """The same at every call: normal samples, labels by chance (all classes among the first), He's weights, no bias."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((cell.batch, cell.sizes[0]), np.float32)
    labels = generator.permutation(np.arange(cell.batch) % cell.sizes[-1])
    weights = [
        generator.standard_normal((inputs, outputs), np.float32) * np.float32((2 / inputs) ** 0.5)
        for inputs, outputs in zip(cell.sizes, cell.sizes[1:], strict=False)
    ]
    return Arrays(x, labels, weights, [np.zeros(outputs, np.float32) for outputs in cell.sizes[1:]])


def save(path: Path, arrays: Arrays) -> None:
    layers = {f"{name}{number}": one for number, pair in enumerate(arrays.pairs) for name, one in zip("wb", pair)}  # noqa: B905
    np.savez(path, x=arrays.x, labels=arrays.labels, **layers)


def load(path: str) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        layers = range((len(file.files) - 2) // 2)
        return Arrays(
            file["x"],
            file["labels"],
            [file[f"w{number}"] for number in layers],
            [file[f"b{number}"] for number in layers],
        )


def steps_of_call(arrays: Arrays) -> int:
    """How many steps a contestant takes in one call of many, on batches that lie one after the other."""
    return max(2, min(100, MANY_BYTES // arrays.x.nbytes))


class Events(NamedTuple):
    """Two marks in a GPU's work, and the milliseconds between them once they were reached."""

    begin: Any
    end: Any
    milliseconds: Callable[[Any, Any], float]


class Step:
    """A contestant at one cell. A subclass makes what it needs in ``__init__``; nothing but ``run`` is timed.

    Its module also has ``prepare(device, threads)``, called once: it imports the library, sets its threads, and returns
    what the result should say of it (version, precision), or raises `MissingError`.
    """

    multiple = 1  # of which a number of steps must be

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        raise NotImplementedError

    def reset(self) -> None:
        """Back to the first weights and an optimizer that has not stepped, without a new compilation."""
        raise NotImplementedError

    def step(self) -> Any:
        """One training step. What it returns tells the loss before the step, once somebody asks for its value."""
        raise NotImplementedError

    def run(self, steps: int) -> Any:
        """So many steps; what the last one returned."""
        step = self.step
        for _ in range(steps):
            last = step()
        return last

    def synchronize(self, last: Any) -> None:
        """Wait until everything up to the last step has been computed."""

    def losses(self, count: int) -> list[float]:
        """The losses of so many steps."""
        return [self.value(self.step()) for _ in range(count)]

    def events(self) -> Events | None:
        """New marks for the GPU's own clock; None where the library has none."""
        return None

    def seconds(self, steps: int) -> float:
        """How long so many steps take: by the GPU's clock, else by the wall's until all is computed.

        By the wall's, too, where that is much longer: then work was done that the marks do not see.
        """
        events = self.events()
        start = time.perf_counter()
        if events is not None:
            events.begin.record()
        last = self.run(steps)
        if events is not None:
            events.end.record()
        self.synchronize(last)
        wall = time.perf_counter() - start
        if events is None:
            return wall
        between = events.milliseconds(events.begin, events.end) / 1e3
        return between if wall <= 1.05 * between + 1e-4 else wall

    def value(self, last: Any) -> float:
        """The loss that a step returned."""
        return float(last)

    def incomparable(self) -> str | None:
        """Why its losses are not those of the others; None where they are."""
        return None

    def note(self) -> str | None:
        """What a reader of the result should know of this cell."""
        return None
