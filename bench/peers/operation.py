"""Which operations are timed one by one, on which arrays, and how? What each library's file fills in.

This file is run by the Python of each peer's environment: it needs NumPy only.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

FAMILIES = {
    "arithmetic": (
        "add", "add a row", "subtract", "multiply", "divide", "square", "negative", "maximum", "minimum", "where",
        "clip", "abs", "exp", "log", "sqrt",
    ),
    "reductions": (
        "sum", "sum over the batch", "mean of each sample", "max of each sample", "min", "var over the batch",
    ),
    "shapes": ("reshape", "transpose", "columns", "rows by number", "concatenate", "stack"),
    "products": ("matmul", "matmul of stacks"),
    "activations": (
        "relu", "leaky relu", "elu", "sigmoid", "tanh", "gelu", "silu", "softplus", "softmax", "log softmax",
    ),
    "layers": (
        "Linear", "Maxout", "BatchNorm", "BatchNorm, evaluation", "LayerNorm", "Dropout", "StochasticDepth",
        "Residual", "Flatten",
    ),
    "losses": (
        "CrossEntropy", "CrossEntropy of probabilities", "Hinge", "BinaryCrossEntropy", "BinaryCrossEntropy of logits",
        "Logistic", "SquaredError", "MeanSquaredError", "MeanAbsoluteError", "Huber", "TripletMargin",
    ),
    "optimizers": ("SGD", "SGD with momentum", "Adagrad", "RMSprop", "Adam", "AdamW", "NAdam", "Lion"),
}  # fmt: skip
STACK = 4  # matrices in a stack
RATE = 1e-3  # of the optimizers
MOST_CALLS = 10_000  # in one block


class Arrays(NamedTuple):
    """Of (rows, columns), but for those that say otherwise; float32."""

    x: np.ndarray
    z: np.ndarray
    positive: np.ndarray  # 0.5 to 1.5
    share: np.ndarray  # 0.01 to 0.99
    zeros_and_ones: np.ndarray
    signs: np.ndarray
    distribution: np.ndarray  # each row adds up to 1
    row: np.ndarray  # (columns,)
    weight: np.ndarray  # (columns, columns)
    pieces: np.ndarray  # (columns, 2 columns)
    stack: np.ndarray  # (STACK, rows, columns)
    stack_weight: np.ndarray  # (STACK, columns, columns)
    labels: np.ndarray  # (rows,), whole numbers below columns
    numbers: np.ndarray  # (rows,), whole numbers below rows
    condition: np.ndarray  # bools


def make_arrays(rows: int, columns: int) -> Arrays:
    """The same at every call."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, np.float32)

    x, z = normal(rows, columns), normal(rows, columns)
    share = generator.uniform(0.01, 0.99, (rows, columns)).astype(np.float32)
    small = np.float32(columns**-0.5)
    return Arrays(
        x,
        z,
        positive=share + np.float32(0.5),
        share=share,
        zeros_and_ones=(z > 0).astype(np.float32),
        signs=np.where(z > 0, np.float32(1), np.float32(-1)),
        distribution=share / share.sum(axis=1, keepdims=True),
        row=normal(columns),
        weight=normal(columns, columns) * small,
        pieces=normal(columns, 2 * columns) * small,
        stack=normal(STACK, rows, columns),
        stack_weight=normal(STACK, columns, columns) * small,
        labels=generator.integers(columns, size=rows),
        numbers=generator.integers(rows, size=rows),
        condition=share > 0.5,
    )


class Case(NamedTuple):
    """One operation, ready to be called.

    ``forward`` gives its output; gradients flow to ``leaves``, of whom none means that there is no backward.
    ``compared`` tells what is compared between libraries instead of the output and the first leaf's gradient.
    """

    forward: Callable[[], Any]
    leaves: Sequence[Any] = ()
    random: bool = False
    compared: Callable[[], Any] | None = None


class Operations:
    """A library's operations. A subclass gives ``cases`` and says how a gradient is taken and forgotten."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.size: tuple[int, int] | None = None
        self.cases: dict[str, Case] = {}

    # -- what a library fills in -----------------------------------------------------------------------

    def make_cases(self, arrays: Arrays) -> dict[str, Case]:
        """A case for each name that the library has an operation for."""
        raise NotImplementedError

    def tensor(self, array: np.ndarray) -> Any:
        """The library's own."""
        raise NotImplementedError

    def forget(self, leaf: Any) -> None:
        """Drop a leaf's gradient."""
        raise NotImplementedError

    def host(self, tensor: Any) -> np.ndarray:
        """A tensor's values."""
        raise NotImplementedError

    def make_product(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[[], Any]:
        """The product of two matrices and nothing else, into an array that is there."""
        raise NotImplementedError

    # -- tasks -----------------------------------------------------------------------------------------

    def check(self, rows: int, columns: int, names: Sequence[str]) -> dict[str, Any]:
        """What each operation gives, as four sums: of output and gradient, and of their magnitudes."""
        self._make(rows, columns)
        return {"sums": {name: self._sums(self.cases[name]) for name in names if name in self.cases}}

    def time(self, rows: int, columns: int, names: Sequence[str], seconds: float) -> dict[str, Any]:
        """Microseconds of each operation: its forward alone, and forward with backward."""
        self._make(rows, columns)
        told = {}
        for name in names:
            if name not in self.cases:
                continue
            case = self.cases[name]
            forward = microseconds(case.forward, seconds)
            told[name] = {"forward": forward, "both": microseconds(self._both(case), seconds) if case.leaves else None}
        return {"microseconds": told}

    def products(self, shapes: Sequence[Sequence[int]], seconds: float) -> dict[str, Any]:
        """Of products (m, k) (k, n): GFLOP/s."""
        rates = []
        for m, k, n in shapes:
            a, b, out = np.ones((m, k), np.float32), np.ones((k, n), np.float32), np.empty((m, n), np.float32)
            rates.append(2e-3 * m * k * n / microseconds(self.make_product(a, b, out), seconds))
        return {"gigaflops": rates}

    # -- how -------------------------------------------------------------------------------------------

    def _make(self, rows: int, columns: int) -> None:
        if self.size != (rows, columns):
            self.size, self.cases = (rows, columns), {}
            self.cases = self.make_cases(make_arrays(rows, columns))

    def _both(self, case: Case) -> Callable[[], Any]:
        forward, leaves, forget = case.forward, case.leaves, self.forget
        shape = tuple(forward().shape)
        # Not all the same, or else the gradient of a softmax or a normalisation were 0.
        incoming = self.tensor(np.cos(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)) if shape else None

        def call() -> None:
            for leaf in leaves:
                forget(leaf)
            forward().backward(incoming)

        return call

    def _sums(self, case: Case) -> list[float] | None:
        if case.random:
            return None
        output = case.forward()
        if case.compared is not None:
            values = [case.compared()]
        else:
            values = [output]
            if case.leaves:
                self._both(case)()
                values.append(case.leaves[0].grad)
        hosts = [self.host(value).astype(np.float64) for value in values]
        return [float(total) for host in hosts for total in (host.sum(), np.abs(host).sum())]


def microseconds(call: Callable[[], Any], seconds: float) -> float:
    """How long a call takes, averaged over as many as fit into these seconds; the first ones are not timed."""
    call()
    calls = 1
    for _ in range(3):  # whatever else the machine does makes one call slow, never one fast
        start = time.perf_counter()
        call()
        calls = max(calls, min(round(seconds / max(time.perf_counter() - start, 1e-7)), MOST_CALLS))
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls * 1e6
