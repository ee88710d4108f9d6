"""Which layers thin a net at random while it trains? Dropout of elements, and StochasticDepth of whole branches."""

from typing import Any

import numpy as np

from backends import get
from backends.backend import Backend
from engine.errors import ShapeError
from engine.layers.layer import Layer
from engine.operations import dropout as operations
from engine.random import as_generator
from engine.settings import instance, number
from engine.tensor import Tensor, as_tensor
from engine.value import apply

__all__ = ["Dropout", "RandomLayer", "StochasticDepth"]


class RandomLayer(Layer):
    """A layer that draws masks: a function of its key and of how many it has drawn, the same on every device.

    Attributes:
        key: two numbers below 2^32, (seed, which layer of the model); a Trainer sets both from its own seed.
        drawn: how many masks were drawn, on the device: every training forward takes the next.
    """

    def __init__(self, generator: "int | np.random.Generator | None") -> None:
        super().__init__()
        self._key = tuple(int(word) for word in as_generator(generator).integers(2**32, size=2))
        self._backend = get("cpu")
        self._counter = self._backend.zeros((1,), "uint64")

    @property
    def key(self) -> tuple[int, int]:
        """The two numbers that, with the count, decide every mask."""
        return self._key[0], self._key[1]

    @property
    def drawn(self) -> int:
        """How many masks were drawn."""
        return int(self._backend.to_host(self._counter)[0])

    def count(self, into: Tensor | None = None) -> Tensor:
        """A copy of the count on the device, in an earlier one where that is given: taking it waits for nothing."""
        if into is None or into.backend is not self._backend:
            return Tensor.wrap(self._backend.copy(self._counter), self._backend)
        into.array[...] = self._counter
        return into

    def reseed(self, key: tuple[int, int], drawn: int = 0) -> None:
        """Start again from a key, or go on where a saved run stopped."""
        self._key = (int(key[0]) % 2**32, int(key[1]) % 2**32)
        self._counter.fill(drawn)

    def moved(self, backend: Backend | None) -> None:
        if backend is not None and backend is not self._backend:
            host = self._backend
            self._backend = backend
            self._counter = backend.asarray(host.to_host(self._counter))

    def _counter_beside(self, x: Tensor) -> Any:
        self.moved(x.backend)  # a layer without parameters follows its input
        return self._counter


class Dropout(RandomLayer):
    """In training y = x mask / (1 - rate), each element kept with probability 1 - rate; in evaluation y = x.

    Args:
        rate: the share that is dropped, 0 or above and below 1.
        generator: where the key of the masks is drawn from, a numpy.random.Generator or a seed.

    Source: lecture 003, "Dropout"; Srivastava and others (2014).

    >>> import engine as en
    >>> en.Dropout(0.5).eval()(en.tensor([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """

    def __init__(self, rate: float = 0.5, *, generator: "int | np.random.Generator | None" = None) -> None:
        super().__init__(generator)
        self.rate = _rate("Dropout", "rate", rate)

    def forward(self, x: Any) -> Tensor:
        tensor = as_tensor(x)
        if not self.training or self.rate == 0:
            return tensor
        tensor._require_float("Dropout")
        return apply(operations.Dropout(self.rate, self.key, self._counter_beside(tensor)), tensor)


class StochasticDepth(RandomLayer):
    """y = x + branch(x); training leaves it out of a sample with probability ``drop``, or scales it by 1/(1 - drop).

    Args:
        branch: a layer whose output has its input's shape.
        drop: the share of samples that skip it, 0 or above and below 1.
        generator: where the key of the masks is drawn from.

    Source: lecture 003, "Stochastic depth"; Huang and others (2016), scaled in training, not in evaluation.

    >>> import engine as en
    >>> layer = en.StochasticDepth(en.ReLU(), drop=0.5).eval()
    >>> layer(en.tensor([[1.0, -2.0]])).tolist()
    [[2.0, -2.0]]
    """

    def __init__(
        self, branch: Layer, drop: float = 0.5, *, generator: "int | np.random.Generator | None" = None
    ) -> None:
        super().__init__(generator)
        self.branch = instance("StochasticDepth", "branch", branch, Layer, "a Layer, such as Linear(8, 8)")
        self.drop = _rate("StochasticDepth", "drop", drop)

    def forward(self, x: Any) -> Tensor:
        tensor = as_tensor(x)
        branch: Tensor = self.branch(tensor)
        if branch.shape != tensor.shape:
            raise ShapeError(
                f"StochasticDepth: the branch turns {tensor.shape} into {branch.shape}; it must keep the shape."
            )
        if not self.training or self.drop == 0:
            return tensor + branch
        operation = operations.StochasticDepth(self.drop, self.key, self._counter_beside(tensor))
        return apply(operation, tensor, branch)


def _rate(owner: str, name: str, value: Any) -> float:
    return number(owner, name, value, "0 or above and below 1", lambda given: 0 <= given < 1)
