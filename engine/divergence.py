"""Is a step finite, and which layer was the first whose output was not? A check, what it undoes, a name to tell."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.backend import Backend
from backends.kernels.pair import Array
from engine import autodiff
from engine.layers.layer import Layer
from engine.layers.regularization import RandomLayer
from engine.tensor import Tensor


class DivergedError(Exception):
    """What a step computed is NaN or infinite: one of its losses, by its place among them, or a gradient (None).

    Attributes:
        losses: where it is a gradient, all of them, which are finite.
    """

    def __init__(self, loss: int | None, losses: Sequence[float] = ()) -> None:
        self.loss, self.losses = loss, losses


class FiniteCheck:
    """Looks at a step's losses and gradients before the weights change: the only place that waits for them."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def require(
        self, losses: Sequence[Array], squares: Sequence[Array], gradients: Sequence[Array], places: Sequence[Backend]
    ) -> None:
        """Raise DivergedError where a loss () or a gradient is not finite, which its squared norm (1,) shows."""
        values = [self.backend.to_host(loss).item() for loss in losses]
        for number, value in enumerate(values):
            if not math.isfinite(value):
                raise DivergedError(number)
        for square, gradient, backend in zip(squares, gradients, places, strict=True):
            if math.isfinite(backend.to_host(square).item()):
                continue
            if not backend.to_host(backend.xp.isfinite(gradient).all()):  # large finite ones have such a square too
                raise DivergedError(None, values)


class Undo:
    """What a training forward changes by itself, running estimates and counts of masks, as it was before.

    Copies stay on their device, so that `remember` waits for nothing; a model that has none of them costs nothing.
    """

    def __init__(self, model: Layer) -> None:
        self.buffers = [buffer for _, buffer in model.named_buffers()]
        self.random_layers = [layer for _, layer in model.named_layers() if isinstance(layer, RandomLayer)]
        self._places: list[Array] = [None] * len(self.buffers)
        self._values: list[Array] = [None] * len(self.buffers)
        self._counts: list[Any] = [None] * len(self.random_layers)
        self.remember()

    def remember(self) -> None:
        """Take the values as they are now."""
        for number, buffer in enumerate(self.buffers):
            if buffer.array is self._places[number]:
                self._values[number][...] = buffer.array
            else:
                self._places[number], self._values[number] = buffer.array, buffer.array.copy()
        for number, layer in enumerate(self.random_layers):
            self._counts[number] = layer.count(self._counts[number])

    def put_back(self) -> None:
        """Bring back what was remembered."""
        for buffer, values in zip(self.buffers, self._values, strict=True):
            buffer.backend.xp.copyto(buffer.array, values)
            buffer.touched()
        for layer, count in zip(self.random_layers, self._counts, strict=True):
            layer.reseed(layer.key, int(count.item()))


def first_not_finite(model: Layer, x: Any) -> str | None:
    """The name of the first layer below the model whose output for x is not finite; None where all are.

    The model runs once more as it did (the same masks); running estimates and counters are put back afterwards.
    """
    found: list[str] = []
    patched: list[Layer] = []
    undo = Undo(model)
    for random_layer in undo.random_layers:
        random_layer.reseed(random_layer.key, max(0, random_layer.drawn - 1))
    try:
        for name, layer in model.named_layers():
            if name and not any(True for _ in layer.named_children()):
                object.__setattr__(layer, "forward", _watched(name, layer, layer.forward, found))
                patched.append(layer)
        with autodiff.no_grad(), np.errstate(all="ignore"):
            output = model(x)
        if not found and isinstance(output, Tensor) and not _finite(output):
            found.append("the model's output")
    finally:
        for layer in patched:
            object.__delattr__(layer, "forward")
        undo.put_back()
    return found[0] if found else None


def _watched(name: str, layer: Layer, forward: Any, found: list[str]) -> Any:
    def call(*inputs: Any) -> Any:
        output = forward(*inputs)
        if not found and isinstance(output, Tensor) and not _finite(output):
            found.append(f"layer {name} ({type(layer).__name__})")
        return output

    return call


def _finite(tensor: Tensor) -> bool:
    return bool(np.isfinite(tensor.backend.to_host(tensor.array)).all())
