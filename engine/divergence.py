"""Where did the numbers stop being finite? The first layer whose output is NaN or infinite, for one clear message."""

from typing import Any

import numpy as np

from engine import autodiff
from engine.layers.layer import Layer
from engine.layers.regularization import RandomLayer
from engine.tensor import Tensor


class Undo:
    """What a training forward changes by itself, running estimates and counts of masks, as it was before.

    Copies stay on their device, so that `remember` waits for nothing; a model that has none of them costs nothing.
    """

    def __init__(self, model: Layer) -> None:
        self.buffers = [buffer for _, buffer in model.named_buffers()]
        self.random_layers = [layer for _, layer in model.named_layers() if isinstance(layer, RandomLayer)]
        self.remember()

    def remember(self) -> None:
        """Take the values as they are now."""
        self._values = [buffer.array.copy() for buffer in self.buffers]
        self._counts = [layer.count() for layer in self.random_layers]

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
