"""Do two devices compute the same? Every layer, loss and optimizer, trained on the CPU and beside it on another device.

A `Case` is a small net, a loss and an optimizer with one of them under test. `free` trains it on both devices from the
same weights and compares the ends; `step_by_step` starts every step of the other device from the CPU's state, so that
rounding does not add up, and compares after each. Both keep the first layer whose outputs differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import engine as en
from engine.layers.regularization import RandomLayer

BATCH, INPUTS, WIDTH, CLASSES, BATCHES = 16, 6, 8, 3, 4
FREE_STEPS, FREE_TOLERANCE = 100, 1e-9  # float64
GUIDED_STEPS, GUIDED_TOLERANCE = 20, 1e-5  # float32

Batch = tuple[np.ndarray, ...]


@dataclass
class Case:
    """What is trained: `model(generator)`, a loss, an optimizer, and where the targets of a batch come from."""

    name: str
    kind: str
    model: Callable[[np.random.Generator], en.Layer]
    loss: Callable[[], Any]
    optimizer: Callable[[list[en.Parameter]], en.Optimizer]
    targets: Callable[[np.random.Generator], Batch]
    different_batches: int = BATCHES

    def batches(self, dtype: str) -> list[Batch]:
        """The same few batches for every device: inputs, then what the loss takes; floats of the dtype."""
        generator = np.random.default_rng(3)
        drawn = [
            (generator.standard_normal((BATCH, INPUTS)), *self.targets(generator))
            for _ in range(self.different_batches)
        ]
        return [tuple(one.astype(dtype) if one.dtype.kind == "f" else one for one in batch) for batch in drawn]


@dataclass
class Result:
    """How far apart the two devices were, and where they began to differ.

    Attributes:
        difference: the largest |a - b| / max(1, |a|, |b|) of all that was compared.
        where: what differed most: "loss", "weight 0.weight", "state 0.velocity", ...
        step: the step after which it did.
        layer: the first layer in a pass whose output differed by more than the tolerance; if none did, the first whose
            output was not the same bits; None where all outputs were the same.
        layer_difference: by how much it differed, measured likewise.
    """

    case: str
    kind: str
    dtype: str
    steps: int
    tolerance: float
    difference: float = 0.0
    where: str = ""
    step: int = 0
    layer: str | None = None
    layer_difference: float = 0.0
    failed: bool = field(default=False)

    def add(self, where: str, step: int, ours: Any, theirs: Any) -> None:
        """Compare two arrays and keep what differs most."""
        distance = relative(ours, theirs)
        if not distance <= self.tolerance:
            self.failed = True
        if not distance <= self.difference:
            self.difference, self.where, self.step = distance, where, step

    def add_layer(self, layer: str, ours: Any, theirs: Any) -> None:
        """Compare a layer's outputs; the first that is too far apart counts, then the first that is apart at all."""
        distance = relative(ours, theirs)
        beyond = not distance <= self.tolerance
        if distance != 0 and (self.layer is None or (beyond and self.layer_difference <= self.tolerance)):
            self.layer, self.layer_difference = layer, distance

    def __str__(self) -> str:
        text = f"{self.case} ({self.dtype}, {self.steps} steps): largest difference {self.difference:.2e}"
        if self.where:
            text += f" in {self.where} after step {self.step}"
        text += f", {self.tolerance:.0e} is allowed; "
        if self.layer is None:
            return text + "the outputs of all layers are the same bits"
        return text + f"the first layer whose output differs is {self.layer}, by {self.layer_difference:.2e}"


def relative(ours: Any, theirs: Any) -> float:
    """The largest |a - b| / max(1, |a|, |b|); infinity where one is NaN or they are of different shapes."""
    a, b = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0.0 if np.array_equal(a, b, equal_nan=True) else float("inf")
    return float((np.abs(a - b) / np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))).max(initial=0.0))


# -- what is trained -----------------------------------------------------------------------------------


def labels(generator: np.random.Generator) -> Batch:
    return (generator.integers(CLASSES, size=BATCH),)


def numbers(generator: np.random.Generator) -> Batch:
    return (generator.standard_normal((BATCH, CLASSES)),)


def probabilities(generator: np.random.Generator) -> Batch:
    return (generator.dirichlet(np.ones(CLASSES), BATCH),)


def bits(generator: np.random.Generator) -> Batch:
    return (generator.integers(2, size=(BATCH, CLASSES)).astype(float),)


def signs(generator: np.random.Generator) -> Batch:
    return (generator.integers(2, size=(BATCH, CLASSES)) * 2.0 - 1.0,)


def two_more_inputs(generator: np.random.Generator) -> Batch:
    return generator.standard_normal((BATCH, INPUTS)), generator.standard_normal((BATCH, INPUTS))


def net(*middle: en.Layer, generator: np.random.Generator, after: tuple[en.Layer, ...] = ()) -> en.Sequential:
    """inputs - width - the middle - classes, each linear map with weights from the generator."""
    first = en.Linear(INPUTS, WIDTH, initializer="glorot_uniform", generator=generator)
    last = en.Linear(WIDTH, CLASSES, initializer="glorot_uniform", generator=generator)
    return en.Sequential(first, *middle, last, *after)


def tanh_net(generator: np.random.Generator) -> en.Sequential:
    return net(en.Tanh(), generator=generator)


def one_linear_map(generator: np.random.Generator) -> en.Sequential:
    return en.Sequential(en.Linear(INPUTS, CLASSES, generator=generator))


def sgd(parameters: list[en.Parameter]) -> en.Optimizer:
    return en.SGD(parameters, learning_rate=0.05, momentum=0.9)


def linear(generator: np.random.Generator) -> en.Linear:
    return en.Linear(WIDTH, WIDTH, initializer="glorot_uniform", generator=generator)


LAYERS: dict[str, Callable[[np.random.Generator], en.Layer]] = {
    "Linear": linear,
    "Maxout": lambda g: en.Maxout(WIDTH, WIDTH, pieces=3, generator=g),
    "Sigmoid": lambda g: en.Sigmoid(),
    "Tanh": lambda g: en.Tanh(),
    "ReLU": lambda g: en.ReLU(),
    "LeakyReLU": lambda g: en.LeakyReLU(0.1),
    "ELU": lambda g: en.ELU(),
    "GELU": lambda g: en.GELU(),
    "SiLU": lambda g: en.SiLU(),
    "Softplus": lambda g: en.Softplus(),
    "Softmax": lambda g: en.Softmax(),
    "Dropout": lambda g: en.Dropout(0.3, generator=g),
    "BatchNorm": lambda g: en.BatchNorm(WIDTH),
    "LayerNorm": lambda g: en.LayerNorm(WIDTH),
    "StochasticDepth": lambda g: en.StochasticDepth(en.Sequential(linear(g), en.Tanh()), drop=0.3, generator=g),
    "Residual": lambda g: en.Residual(en.Sequential(en.Tanh(), linear(g))),
    "Flatten": lambda g: en.Flatten(),
    "Sequential": lambda g: en.Sequential(linear(g), en.Sequential(en.Tanh(), linear(g))),
}

LOSSES: dict[str, tuple[Callable[[], Any], Callable[[np.random.Generator], Batch]]] = {
    "SquaredError": (lambda: en.SquaredError(factor=0.5), numbers),
    "MeanSquaredError": (en.MeanSquaredError, numbers),
    "MeanAbsoluteError": (en.MeanAbsoluteError, numbers),
    "Huber": (lambda: en.Huber(delta=0.5), numbers),
    "CrossEntropy": (en.CrossEntropy, labels),
    "CrossEntropy, smoothed and weighted": (
        lambda: en.CrossEntropy(label_smoothing=0.1, class_weight=[1.0, 2.0, 0.5]),
        labels,
    ),
    "CrossEntropy, probabilities": (en.CrossEntropy, probabilities),
    "BinaryCrossEntropy": (en.BinaryCrossEntropy, bits),
    "BinaryCrossEntropy, logits": (lambda: en.BinaryCrossEntropy(from_logits=True), bits),
    "Logistic": (en.Logistic, signs),
    "Hinge": (en.Hinge, labels),
    "TripletMargin": (en.TripletMargin, two_more_inputs),
}

OPTIMIZERS: dict[str, Callable[[list[en.Parameter]], en.Optimizer]] = {
    "SGD": lambda p: en.SGD(p, learning_rate=0.05),
    "SGD, momentum and decay": lambda p: en.SGD(p, learning_rate=0.05, momentum=0.9, weight_decay=1e-3),
    "SGD, nesterov": lambda p: en.SGD(p, learning_rate=0.05, momentum=0.9, nesterov=True),
    "Adagrad": lambda p: en.Adagrad(p, learning_rate=0.05),
    "RMSprop": lambda p: en.RMSprop(p, learning_rate=0.005, alpha=0.9, eps=1e-2, momentum=0.5),
    "Adam": lambda p: en.Adam(p, learning_rate=0.01),
    "Adam, cosine schedule": lambda p: en.Adam(p, learning_rate=en.Cosine(0.01, FREE_STEPS)),
    "AdamW": lambda p: en.AdamW(p, learning_rate=0.01),
    "NAdam": lambda p: en.NAdam(p, learning_rate=0.01),
    "Lion": lambda p: en.Lion(p, learning_rate=0.001),
    "LBFGS": lambda p: en.LBFGS(p, max_iterations=2, history=5),
    "LBFGS, strong-wolfe": lambda p: en.LBFGS(
        p, learning_rate=0.2, max_iterations=1, history=5, line_search="strong-wolfe"
    ),
}

# L-BFGS divides by curvatures that may be next to nothing, so that it blows up rounding where a loss is not convex or
# changes from batch to batch. It is compared where it converges: on one linear map and one batch.
CONVEX: dict[str, tuple[Callable[[], Any], Callable[[np.random.Generator], Batch]]] = {
    "LBFGS": (en.MeanSquaredError, numbers),
    "LBFGS, strong-wolfe": (en.CrossEntropy, probabilities),
}


def cases() -> list[Case]:
    """One case for each layer, loss and optimizer."""
    found = [
        Case(f"layer {name}", "layer", _around(make), en.CrossEntropy, sgd, labels) for name, make in LAYERS.items()
    ]
    for name, (loss, targets) in LOSSES.items():
        model = _with_probabilities if name == "BinaryCrossEntropy" else tanh_net
        found.append(Case(f"loss {name}", "loss", model, loss, sgd, targets))
    for name, optimizer in OPTIMIZERS.items():
        loss, targets = CONVEX.get(name, (None, None))
        if loss is None or targets is None:
            found.append(Case(f"optimizer {name}", "optimizer", tanh_net, en.CrossEntropy, optimizer, labels))
        else:
            found.append(Case(f"optimizer {name}", "optimizer", one_linear_map, loss, optimizer, targets, 1))
    return found


def _around(make: Callable[[np.random.Generator], en.Layer]) -> Callable[[np.random.Generator], en.Layer]:
    return lambda generator: net(make(generator), generator=generator)


def _with_probabilities(generator: np.random.Generator) -> en.Layer:
    return net(en.Tanh(), generator=generator, after=(en.Sigmoid(),))


# -- one side of a comparison ----------------------------------------------------------------------------


class Side:
    """A case on one device."""

    def __init__(self, case: Case, device: Any, dtype: str) -> None:
        self.model = case.model(np.random.default_rng(7)).to(dtype=dtype).to(device=device)
        self.device = device
        self.loss = case.loss()
        self.optimizer = case.optimizer(self.model.parameters())
        self.random = [layer for _, layer in self.model.named_layers() if isinstance(layer, RandomLayer)]
        self.outputs: list[tuple[str, np.ndarray]] = []  # of the layers, in the order of the last forward pass
        for name, layer in self.model.named_layers():
            if name and not any(layer.named_children()):
                object.__setattr__(layer, "forward", self._watched(f"{name} ({type(layer).__name__})", layer.forward))

    def _watched(self, name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*inputs: Any) -> Any:
            output = forward(*inputs)
            self.outputs.append((name, output.numpy()))
            return output

        return call

    def step(self, batch: Batch) -> float:
        """One step of the optimizer; returns the loss before it."""

        def closure() -> Any:
            self.outputs.clear()
            self.optimizer.zero_grad()
            x, *targets = (en.tensor(part, device=self.device) for part in batch)
            if isinstance(self.loss, en.TripletMargin):
                targets = [self.model(one) for one in targets]
            loss = self.loss(self.model(x), *targets)
            loss.backward()
            return loss

        return float(self.optimizer.step(closure).item())

    def state(self) -> dict[str, np.ndarray]:
        """Weights, buffers and the optimizer's states on the host, by name."""
        found = {f"weight {name}": one.numpy() for name, one in self.model.state_dict().items()}
        found.update({f"state {name}": one for name, one in self.optimizer.state_dict()["tensors"].items()})
        return found

    def take_over(self, other: "Side") -> None:
        """Start the next step from the other side's state: weights, buffers, optimizer, counters of the masks."""
        self.model.load_state_dict(other.model.state_dict())
        self.optimizer.load_state_dict(other.optimizer.state_dict())
        for mine, theirs in zip(self.random, other.random, strict=True):
            mine.reseed(theirs.key, theirs.drawn)


# -- the comparisons -------------------------------------------------------------------------------------


def free(case: Case, device: Any, steps: int = FREE_STEPS, tolerance: float = FREE_TOLERANCE) -> Result:
    """Both devices train by themselves in float64; the losses of all steps and the last state are compared."""
    result = Result(case.name, case.kind, "float64", steps, tolerance)
    ours, theirs = Side(case, "cpu", "float64"), Side(case, device, "float64")
    batches = case.batches("float64")
    for step in range(1, steps + 1):
        _compare_step(result, step, ours, theirs, batches[step % len(batches)])
    _compare_state(result, steps, ours, theirs)
    return result


def step_by_step(case: Case, device: Any, steps: int = GUIDED_STEPS, tolerance: float = GUIDED_TOLERANCE) -> Result:
    """Each step of the device starts from the CPU's state, in float32; loss and state are compared after each."""
    result = Result(case.name, case.kind, "float32", steps, tolerance)
    ours, theirs = Side(case, "cpu", "float32"), Side(case, device, "float32")
    batches = case.batches("float32")
    for step in range(1, steps + 1):
        theirs.take_over(ours)
        _compare_step(result, step, ours, theirs, batches[step % len(batches)])
        _compare_state(result, step, ours, theirs)
    return result


def _compare_step(result: Result, step: int, ours: Side, theirs: Side, batch: Batch) -> None:
    result.add("loss", step, ours.step(batch), theirs.step(batch))
    for (name, one), (_, other) in zip(ours.outputs, theirs.outputs, strict=False):
        result.add_layer(name, one, other)


def _compare_state(result: Result, step: int, ours: Side, theirs: Side) -> None:
    mine, other = ours.state(), theirs.state()
    if mine.keys() != other.keys():
        result.add(f"the names {sorted(mine.keys() ^ other.keys())}", step, 0.0, np.nan)
    for name in mine.keys() & other.keys():
        result.add(name, step, mine[name], other[name])
