"""What does the engine add to a step? One eager step of a tiny net against the same NumPy calls, written by hand.

The net is 2-8-2 with a ReLU, the batch one sample, the loss softmax cross-entropy, the optimizer SGD with momentum; all
float32. On arrays this small the arithmetic costs next to nothing: what is measured is calls, checks and bookkeeping.

`HandWritten` is the fixed list of calls, those of the engine's kernels: every array preallocated, every view made
beforehand, nothing checked. Both sides compute the same bits. They are timed alternately in one process, round by
round; the ratio is of the medians.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import engine as en

INPUTS, HIDDEN, OUTPUTS, BATCH = 2, 8, 2, 1
LEARNING_RATE, MOMENTUM = 0.1, 0.9
LIMIT = 3.0  # the engine may take this many times as long as the calls by hand


def data() -> tuple[np.ndarray, np.ndarray]:
    """The one batch, and its labels."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((BATCH, INPUTS)).astype(np.float32)
    return x, generator.integers(OUTPUTS, size=BATCH)


def make_model() -> en.Sequential:
    """The net with its first weights: the same at every call."""
    first, second = en.Linear(INPUTS, HIDDEN, generator=1), en.Linear(HIDDEN, OUTPUTS, generator=2)
    return en.Sequential(first, en.ReLU(), second)


class Engine:
    """The step as a user of the engine writes it."""

    def __init__(self) -> None:
        self.model = make_model()
        self.optimizer = en.SGD(self.model.parameters(), learning_rate=LEARNING_RATE, momentum=MOMENTUM)
        self.loss_function = en.CrossEntropy()
        x, labels = data()
        self.x, self.labels = en.tensor(x), en.tensor(labels)

    def step(self) -> Any:
        loss = self.loss_function(self.model(self.x), self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def parameters(self) -> list[np.ndarray]:
        """Weight, bias, weight, bias."""
        return [parameter.numpy() for parameter in self.model.parameters()]


class HandWritten:
    """The same step as NumPy calls on preallocated buffers: weights and gradients are views of one flat array each."""

    def __init__(self) -> None:
        def empty(*shape: int) -> np.ndarray:
            return np.empty(shape, np.float32)

        starts = [parameter.numpy() for parameter in make_model().parameters()]
        size = sum(start.size for start in starts)
        self.weights, self.gradients = np.zeros(size, np.float32), np.zeros(size, np.float32)
        self.velocity, self.change = np.zeros(size, np.float32), empty(size)
        self.learning_rate = np.full(1, LEARNING_RATE, np.float32)
        views, position = [], 0
        for start in starts:
            part = slice(position, position + start.size)
            views.append([flat[part].reshape(start.shape) for flat in (self.weights, self.gradients)])
            np.copyto(views[-1][0], start)
            position += start.size
        (self.w1, self.dw1), (self.b1, self.db1), (self.w2, self.dw2), (self.b2, self.db2) = views
        self.x, self.labels = data()
        self.rows = np.arange(BATCH)
        self.z1, self.h, self.dh, self.dz1 = (empty(BATCH, HIDDEN) for _ in range(4))
        self.z2, self.p, self.dz2 = (empty(BATCH, OUTPUTS) for _ in range(3))
        self.largest, self.total = empty(BATCH, 1), empty(BATCH, 1)
        self.total_row = self.total[:, 0]
        self.losses, self.logarithm = empty(BATCH), empty(BATCH)
        self.loss, self.incoming, self.dloss = empty(), empty(1), empty(1)
        self.x_transposed, self.h_transposed, self.w2_transposed = self.x.T, self.h.T, self.w2.T
        self.dloss_column = self.dloss[:, None]

    def step(self) -> np.ndarray:
        # Linear, ReLU, Linear.
        np.matmul(self.x, self.w1, out=self.z1)
        np.add(self.z1, self.b1, out=self.z1)
        np.maximum(self.z1, 0.0, out=self.h)
        np.matmul(self.h, self.w2, out=self.z2)
        np.add(self.z2, self.b2, out=self.z2)
        # Cross-entropy: log(sum of e^z) - z_label, with the largest z taken off.
        self.z2.max(axis=1, keepdims=True, out=self.largest)
        np.subtract(self.z2, self.largest, out=self.p)
        right = self.p[self.rows, self.labels]
        np.exp(self.p, out=self.p)
        self.p.sum(axis=1, keepdims=True, out=self.total)
        np.divide(self.p, self.total, out=self.p)
        np.log(self.total_row, out=self.logarithm)
        np.subtract(self.logarithm, right, out=self.losses)
        self.losses.sum(out=self.loss)
        # Its gradient: (softmax - one-hot) times the incoming gradient 1.
        self.incoming.fill(1)
        np.divide(self.incoming, BATCH, out=self.dloss)
        np.multiply(self.p, self.dloss_column, out=self.dz2)
        self.dz2[self.rows, self.labels] -= self.dloss
        # Backward through Linear, ReLU, Linear; nothing flows to x.
        np.matmul(self.dz2, self.w2_transposed, out=self.dh)
        np.matmul(self.h_transposed, self.dz2, out=self.dw2)
        self.dz2.sum(axis=0, out=self.db2)
        np.greater(self.h, 0.0, out=self.dz1)
        np.multiply(self.dz1, self.dh, out=self.dz1)
        np.matmul(self.x_transposed, self.dz1, out=self.dw1)
        self.dz1.sum(axis=0, out=self.db1)
        # SGD with momentum.
        np.multiply(self.velocity, MOMENTUM, out=self.velocity)
        np.add(self.velocity, self.gradients, out=self.velocity)
        np.multiply(self.velocity, self.learning_rate, out=self.change)
        np.subtract(self.weights, self.change, out=self.weights)
        return self.loss

    def parameters(self) -> list[np.ndarray]:
        """Weight, bias, weight, bias."""
        return [self.w1, self.b1, self.w2, self.b2]


def microseconds(step: Callable[[], Any], repeats: int) -> float:
    """How long one call takes, averaged over `repeats` of them."""
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats * 1e6


def measure(rounds: int = 40, repeats: int = 250) -> dict[str, Any]:
    """Both steps, timed alternately: medians over the rounds in microseconds, and their ratio.

    Every round starts from the first weights: a net that has trained for long has velocities so close to zero that the
    processor itself is slow at them.
    """
    times: dict[str, list[float]] = {"engine": [], "hand": []}
    for _ in range(rounds):
        for name, kind in (("engine", Engine), ("hand", HandWritten)):
            step = kind().step
            microseconds(step, 30)  # what is made at the first call, and caches
            times[name].append(microseconds(step, repeats))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "net": f"{INPUTS}-{HIDDEN}-{OUTPUTS}",
        "batch": BATCH,
        "dtype": "float32",
        "rounds": rounds,
        "repeats": repeats,
        "engine_microseconds": round(medians["engine"], 2),
        "hand_microseconds": round(medians["hand"], 2),
        "ratio": round(medians["engine"] / medians["hand"], 3),
        "limit": LIMIT,
    }


def report(result: dict[str, Any]) -> str:
    """The result as a table to print."""
    return "\n".join(
        [
            f"One step of {result['net']} at batch {result['batch']}, {result['dtype']}: forward, loss, backward, SGD "
            "with momentum",
            "",
            f"{'the engine, eager':30} {result['engine_microseconds']:8.1f} us",
            f"{'the same NumPy calls by hand':30} {result['hand_microseconds']:8.1f} us",
            f"{'ratio':30} {result['ratio']:8.2f}    at most {result['limit']:.1f} is allowed",
        ]
    )
