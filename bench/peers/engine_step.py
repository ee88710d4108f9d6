"""What is the engine's own step? The loop by hand, the same captured, and its matrix products alone."""

from typing import Any

import numpy as np

import backends
import engine as en
from bench.peers.limits import Limits, matrices
from bench.peers.step import BETAS, EPSILON, MOMENTUM, Arrays, Cell, Events, MissingError, Step, steps_of_call


def prepare(device: str, threads: int) -> dict[str, str]:
    try:
        described = backends.get(device).describe()
    except Exception as error:  # DeviceError is one line
        raise MissingError(str(error)) from None
    return {
        "version": f"{en.__version__}, NumPy {np.__version__}",
        "precision": "float32" if device == "cpu" else "float32, no TF32",
        **{name: str(value) for name, value in described.items() if name in ("processor", "BLAS", "CUDA")},
    }


def marks(backend: Any) -> Events | None:
    """The GPU's clock, through the arrays' library; None on the CPU."""
    cuda = getattr(backend.xp, "cuda", None)
    if cuda is None:
        return None
    backend.synchronize()  # which makes this GPU the thread's, as an event is of the one that is
    return Events(cuda.Event(), cuda.Event(), cuda.get_elapsed_time)


def set_precision(model: Any, precision: str) -> None:
    """Have the operands of a model's products rounded to a type, where the engine has such products."""
    try:
        model.to(precision=precision)
    except (TypeError, en.EngineError):
        raise MissingError(f"the engine's products have no precision {precision}") from None


class Eager(Step):
    """The loop as a user writes it."""

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        layers: list[Any] = []
        for w, b in arrays.pairs:
            layers += [en.Linear(*w.shape), en.ReLU()]
            layers[-2].load_state_dict({"weight": w, "bias": b})
        self.model = en.Sequential(*layers[:-1]).to(device)
        if cell.precision != "float32":
            set_precision(self.model, cell.precision)
        self.optimizer: Any
        if cell.optimizer == "sgd":
            self.optimizer = en.SGD(self.model.parameters(), learning_rate=cell.learning_rate, momentum=MOMENTUM)
        else:
            self.optimizer = en.Adam(
                self.model.parameters(), learning_rate=cell.learning_rate, betas=BETAS, eps=EPSILON
            )
        self.loss_function = en.CrossEntropy()
        self.x, self.labels = (en.tensor(one, device=device) for one in (arrays.x, arrays.labels))
        self.backend = backends.get(device)
        self.first = self.model.state_dict(), self.optimizer.state_dict()

    def reset(self) -> None:
        self.model.load_state_dict(self.first[0])
        self.optimizer.load_state_dict(self.first[1])

    def events(self) -> Events | None:
        return marks(self.backend)

    def one(self, x: Any, labels: Any) -> Any:
        self.optimizer.zero_grad()
        loss = self.loss_function(self.model(x), labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def step(self) -> Any:
        return self.one(self.x, self.labels)

    def synchronize(self, last: Any) -> None:
        self.backend.synchronize()

    def value(self, last: Any) -> float:
        return float(last.item())


class Captured(Eager):
    """The same, recorded and replayed; on a GPU its kernels are called one by one."""

    graphs = False

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        super().__init__(cell, arrays, device)
        if device != "cpu":
            self.backend.graphs = self.graphs  # in this process alone
        self.captured = en.capture(self.one)

    def step(self) -> Any:
        return self.captured(self.x, self.labels)

    def note(self) -> str | None:
        return None if self.captured.reason is None else f"it ran eagerly: {self.captured.reason}"


class Graphs(Captured):
    """The same, its calls launched as CUDA graphs where the device can keep them: what users get."""

    graphs = True

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        super().__init__(cell, arrays, device)
        if device == "cpu":
            raise MissingError("there are no CUDA graphs on a CPU")


class Many(Captured):
    """The same, many steps in one call, on a GPU by graphs: over batches that lie one after the other."""

    graphs = True

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        super().__init__(cell, arrays, device)
        count = steps_of_call(arrays)
        self.batches = [en.stack([one] * count) for one in (self.x, self.labels)]

    def run(self, steps: int) -> Any:
        count = len(self.batches[0])
        while steps > 0:
            part = self.batches if steps >= count else [one[:steps] for one in self.batches]
            last = self.captured.over(*part)
            steps -= count
        return last[-1]


class Products(Step):
    """The matrix products of the step and nothing else, into arrays that are there: what no step can be faster than.

    Nothing flows to the batch, so the first layer has two products, every other one three.
    """

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        if cell.precision != "float32":
            raise MissingError(f"these are products in float32, not {cell.precision}")
        self.backend = backends.get(device)
        xp = self.backend.xp
        inputs = xp.asarray(arrays.x)
        forward: list[tuple[Any, Any, Any]] = []
        backward: list[tuple[Any, Any, Any]] = []
        dx = None
        for weight in arrays.weights:
            w = xp.asarray(weight)
            y, dy = (xp.ones((cell.batch, w.shape[1]), np.float32) for _ in range(2))
            forward.append((inputs, w, y))
            backward.append((inputs.T, dy, xp.empty_like(w)))
            if dx is not None:
                backward.append((dy, w.T, dx))
            # The products' values do not matter to their speed, as long as they stay ordinary numbers.
            inputs, dx = xp.ones_like(y), dy
        self.calls = forward + backward[::-1]
        self.matmul = xp.matmul

    def reset(self) -> None:
        """Nothing is trained."""

    def step(self) -> None:
        matmul = self.matmul
        for left, right, out in self.calls:
            matmul(left, right, out=out)

    def events(self) -> Events | None:
        return marks(self.backend)

    def synchronize(self, last: Any) -> None:
        self.backend.synchronize()

    def incomparable(self) -> str | None:
        return "products alone: there is no loss"


class Rates(Limits):
    """By the engine's array library: NumPy, or CuPy."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.backend = backends.get(device)

    def operands(self, precision: str, size: int) -> Any:
        if precision != "float32":
            raise MissingError(f"{self.backend.xp.__name__} is asked for products in float32 alone")
        a, b = (self.backend.asarray(one) for one in matrices(size))
        c = self.backend.empty(a.shape, a.dtype)
        return lambda: self.backend.xp.matmul(a, b, out=c)

    def copying(self, count: int) -> Any:
        source, target = (self.backend.zeros((count,), np.float32) for _ in range(2))
        return lambda: self.backend.xp.copyto(target, source)

    def events(self) -> Events | None:
        return marks(self.backend)

    def wait(self) -> None:
        self.backend.synchronize()
