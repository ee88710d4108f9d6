"""What is the same step in PyTorch? Eager with its fused optimizers, compiled as a whole, and as a CUDA graph."""

import contextlib
import os
import shutil
from typing import Any

from bench.peers.limits import Limits, matrices
from bench.peers.step import BETAS, EPSILON, MOMENTUM, Arrays, Cell, Events, MissingError, Step


def prepare(device: str, threads: int) -> dict[str, str]:
    # No further processes beside the one that is timed; beside a GPU they are in nobody's way.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1" if device == "cpu" else str(threads))
    try:
        import torch
    except ImportError:
        raise MissingError("PyTorch is not installed") from None
    if device != "cpu" and not torch.cuda.is_available():
        raise MissingError("PyTorch has no CUDA device here")
    torch.set_num_threads(threads)
    if ":" in device:
        torch.cuda.set_device(device)  # events and graphs are of the current one
    torch.backends.cuda.matmul.allow_tf32 = False
    return {
        "version": f"PyTorch {torch.__version__}",
        "precision": "float32" if device == "cpu" else "float32, no TF32",
        "BLAS": "MKL" if torch.backends.mkl.is_available() else "without MKL",
        "threads": str(torch.get_num_threads()),
    }


def products(torch: Any, cell: Cell, device: str) -> Any:
    """A block in which matrix products have the cell's precision; weights, sums and updates stay float32."""
    if (cell.precision not in ("float32", "bfloat16") and device == "cpu") or cell.precision == "float16":
        raise MissingError(f"PyTorch's step in {cell.precision} is not measured on {device}")
    torch.backends.cuda.matmul.allow_tf32 = cell.precision == "tf32"
    if cell.precision != "bfloat16":
        return contextlib.nullcontext()
    return torch.autocast(device.partition(":")[0], torch.bfloat16, cache_enabled=False)


def marks(torch: Any, device: str) -> Events | None:
    """The GPU's clock; None on the CPU."""
    if device == "cpu":
        return None
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    return Events(begin, end, lambda begin, end: float(begin.elapsed_time(end)))


class Eager(Step):
    """The loop of every tutorial, with ``fused=True``, the fastest of the optimizers' implementations."""

    capturable = False  # what Adam is told

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        import torch

        self.torch, self.device = torch, device
        self.products = products(torch, cell, device)
        layers: list[Any] = []
        for w, _ in arrays.pairs:
            layers += [torch.nn.Linear(*w.shape), torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1]).to(device)
        self.first = [torch.from_numpy(one).to(device) for w, b in arrays.pairs for one in (w.T.copy(), b)]
        self.loss_function = torch.nn.CrossEntropyLoss()
        parameters = list(self.model.parameters())
        if cell.optimizer == "sgd":
            self.optimizer: Any = torch.optim.SGD(parameters, lr=cell.learning_rate, momentum=MOMENTUM, fused=True)
        else:
            self.optimizer = torch.optim.Adam(
                parameters, lr=cell.learning_rate, betas=BETAS, eps=EPSILON, fused=True, capturable=self.capturable
            )
        self.x, self.labels = (torch.from_numpy(one).to(device) for one in (arrays.x, arrays.labels))

    def reset(self) -> None:
        with self.torch.no_grad():
            for parameter, first in zip(self.model.parameters(), self.first, strict=True):
                parameter.copy_(first)
        self.optimizer.state.clear()

    def step(self) -> Any:
        self.optimizer.zero_grad()
        with self.products:
            loss = self.loss_function(self.model(self.x), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def events(self) -> Events | None:
        return marks(self.torch, self.device)

    def synchronize(self, last: Any) -> None:
        if self.device != "cpu":
            self.torch.cuda.synchronize()

    def value(self, last: Any) -> float:
        return float(last.detach())


class Graphed(Eager):
    """The same loop captured by hand into one torch.cuda.CUDAGraph, with the optimizer in it: one launch a step."""

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        self.capturable = device != "cpu"
        super().__init__(cell, arrays, device)
        if device == "cpu":
            return
        torch = self.torch
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # states and workspaces are made before the capture
            for _ in range(3):
                super().step()
        torch.cuda.current_stream().wait_stream(aside)
        self.optimizer.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = super().step()

    def reset(self) -> None:
        with self.torch.no_grad():
            for parameter, first in zip(self.model.parameters(), self.first, strict=True):
                parameter.copy_(first)
            for state in self.optimizer.state.values():  # in their places, which the graph knows
                for value in state.values():
                    if value is not None:
                        value.zero_()

    def step(self) -> Any:
        if self.device == "cpu":
            return super().step()
        self.graph.replay()
        return self.loss

    def note(self) -> str | None:
        return "there are no CUDA graphs on a CPU: the same calls one by one" if self.device == "cpu" else None


class Compiled(Step):
    """Forward, gradients and update as one function, compiled into one graph: faster than compiling the loop above.

    On a GPU with CUDA graphs.
    """

    mode = "reduce-overhead"

    def __init__(self, cell: Cell, arrays: Arrays, device: str) -> None:
        import torch

        if device == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
            raise MissingError("torch.compile needs a C++ compiler, and none was found")
        self.torch, self.device = torch, device
        context = products(torch, cell, device)
        self.first = [torch.from_numpy(one).to(device) for w, b in arrays.pairs for one in (w.T.copy(), b)]
        self.state = [
            [torch.zeros_like(one) for one in self.first] for _ in range(3 if cell.optimizer == "adam" else 2)
        ]
        self.count = torch.zeros((), device=device)
        for one in [*(one for kind in self.state for one in kind), self.count]:
            torch._dynamo.mark_static_address(one)
        self.x, self.labels = (torch.from_numpy(one).to(device) for one in (arrays.x, arrays.labels))
        update = _sgd(cell.learning_rate) if cell.optimizer == "sgd" else _adam(cell.learning_rate)
        linear, cross_entropy = torch.nn.functional.linear, torch.nn.functional.cross_entropy

        def loss(parameters: list[Any], x: Any, labels: Any) -> Any:
            with context:
                for number in range(0, len(parameters), 2):
                    x = linear(x if number == 0 else x.relu(), parameters[number], parameters[number + 1])
                return cross_entropy(x, labels)

        def step(state: list[list[Any]], count: Any, x: Any, labels: Any) -> Any:
            gradients, value = torch.func.grad_and_value(loss)(state[0], x, labels)
            with torch.no_grad():
                update(count, gradients, *state)
            return value

        torch._dynamo.reset()  # it compiles one function 8 times at most, and this is one for each cell
        mode = None if device == "cpu" else self.mode
        self.compiled = torch.compile(step, fullgraph=True, dynamic=False, mode=mode)

    def reset(self) -> None:
        for one, first in zip(self.state[0], self.first, strict=True):
            one.copy_(first)
        for kind in self.state[1:]:
            for one in kind:
                one.zero_()
        self.count.zero_()

    def step(self) -> Any:
        return self.compiled(self.state, self.count, self.x, self.labels)

    def events(self) -> Events | None:
        return marks(self.torch, self.device)

    def synchronize(self, last: Any) -> None:
        if self.device != "cpu":
            self.torch.cuda.synchronize()


class MaxAutotuned(Compiled):
    """The same, every product's kernel chosen by timing; with CUDA graphs, too."""

    mode = "max-autotune"


def _sgd(rate: float) -> Any:
    def update(count: Any, gradients: list[Any], parameters: list[Any], velocities: list[Any]) -> None:
        for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
            velocity.mul_(MOMENTUM).add_(gradient)
            parameter.sub_(velocity * rate)

    return update


def _adam(rate: float) -> Any:
    first, second = BETAS

    def update(count: Any, gradients: list[Any], parameters: list[Any], means: list[Any], squares: list[Any]) -> None:
        count.add_(1)
        size, root = rate / (1 - first**count), (1 - second**count).sqrt()
        for parameter, mean, square, gradient in zip(parameters, means, squares, gradients, strict=True):
            mean.mul_(first).add_(gradient, alpha=1 - first)
            square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            parameter.sub_(size * mean / (square.sqrt() / root + EPSILON))

    return update


class Rates(Limits):
    """How fast PyTorch multiplies and copies."""

    def __init__(self, device: str) -> None:
        import torch

        super().__init__(device)
        self.torch = torch

    def operands(self, precision: str, size: int) -> Any:
        products(self.torch, Cell("", (), 0, "", precision), self.device)
        kind = self.torch.bfloat16 if precision == "bfloat16" else self.torch.float32
        a, b = (self.torch.from_numpy(one).to(self.device, kind) for one in matrices(size))
        c = self.torch.empty_like(a)
        return lambda: self.torch.matmul(a, b, out=c)

    def copying(self, count: int) -> Any:
        source, target = (self.torch.zeros(count, device=self.device) for _ in range(2))
        return lambda: target.copy_(source)

    def events(self) -> Events | None:
        return marks(self.torch, self.device)

    def wait(self) -> None:
        if self.device != "cpu":
            self.torch.cuda.synchronize()
