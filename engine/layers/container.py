"""Which layers are made of layers? Sequential chains, Residual connections; Flatten puts a sample's axes into one."""

from collections.abc import Iterator
from typing import Any, overload

import numpy as np

from engine.errors import ArgumentError, ShapeError
from engine.layers.layer import Layer
from engine.settings import instance, shown
from engine.tensor import Tensor, as_tensor

__all__ = ["Flatten", "Residual", "Sequential"]


class Sequential(Layer):
    """Layers one after the other: the output of each is the input of the next.

    As a list it is read and changed by position: ``model[-1]``, ``model[0] = layer``, ``del model[1]``,
    ``model.append(layer)``; ``model[:2]`` is a Sequential of the same layers, counted from 0.

    >>> import engine as en
    >>> model = en.Sequential(en.Linear(2, 8), en.ReLU(), en.Linear(8, 2))
    >>> model(en.tensor([[1.0, 2.0]])).shape
    (1, 2)
    >>> model[0].out_features
    8
    >>> model[1] = en.Tanh()
    >>> [type(layer).__name__ for layer in model[:2]]
    ['Linear', 'Tanh']
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self._chain: tuple[Layer, ...] = ()
        for position, layer in enumerate(layers):
            setattr(self, str(position), _layer(f"item {position}", layer))

    def __setattr__(self, name: str, value: Any) -> None:
        links = isinstance(value, Layer) or name in self.__dict__.get("_members", ())
        super().__setattr__(name, value)
        if links:
            self._link()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._link()

    def _link(self) -> None:
        """Take the chain from the members: kept, so that a forward need not look for it."""
        self._chain = tuple(layer for _, layer in self.named_children())

    def forward(self, x: Any) -> Any:
        for layer in self._chain:
            x = layer.forward(x)
        return x

    def append(self, layer: Layer) -> "Sequential":
        """Add a layer at the end; returns the chain itself."""
        _layer("the appended item", layer)
        names = [int(name) for name, _ in self.named_children() if name.isdecimal()]
        setattr(self, str(max(names, default=-1) + 1), layer)
        return self

    def __len__(self) -> int:
        return len(self._chain)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._chain)

    @overload
    def __getitem__(self, position: int) -> Layer: ...
    @overload
    def __getitem__(self, position: slice) -> "Sequential": ...
    def __getitem__(self, position: int | slice) -> "Layer | Sequential":
        if isinstance(position, slice):
            part = Sequential(*self._chain[position])
            part.training = self.training
            return part
        return self._chain[self._place(position)]

    def __setitem__(self, position: int, layer: Layer) -> None:
        name = list(self.named_children())[self._place(position)][0]
        setattr(self, name, _layer(f"item {position}", layer))

    def __delitem__(self, position: int) -> None:
        place = self._place(position)
        names = [name for name, _ in self.named_children()]
        later = self._chain[place + 1 :]
        for name in names[place:]:
            delattr(self, name)
        for name, layer in zip(names[place:], later, strict=False):  # each takes the name of the one before it
            setattr(self, name, layer)

    def _place(self, position: Any) -> int:
        """A position, counted from 0; negative ones count from the end."""
        if isinstance(position, bool) or not isinstance(position, (int, np.integer)):
            raise ArgumentError(f"Sequential: index {shown(position)} was given; it is a position, such as 0 or -1.")
        length = len(self._chain)
        if not -length <= position < length:
            raise IndexError(f"Sequential: index {position} was given; it has {length} layers, counted from 0.")
        return int(position) % length


def _layer(what: str, given: Any) -> Layer:
    if not isinstance(given, Layer):
        raise ArgumentError(f"Sequential: {what} is {shown(given)}; give layers, such as Linear(2, 8) and ReLU().")
    return given


class Residual(Layer):
    """y = x + branch(x).   Source: He and others, "Deep residual learning" (2016).

    >>> import engine as en
    >>> en.Residual(en.ReLU())(en.tensor([[1.0, -2.0]])).tolist()
    [[2.0, -2.0]]
    """

    def __init__(self, branch: Layer) -> None:
        super().__init__()
        self.branch = instance("Residual", "branch", branch, Layer, "a Layer, such as Linear(8, 8)")

    def forward(self, x: Any) -> Tensor:
        tensor = as_tensor(x)
        branch: Tensor = self.branch(tensor)
        if branch.shape != tensor.shape:
            raise ShapeError(f"Residual: the branch turns {tensor.shape} into {branch.shape}; it must keep the shape.")
        return tensor + branch


class Flatten(Layer):
    """(batch, ...) to (batch, features): all axes of a sample become one.

    >>> import engine as en
    >>> en.Flatten()(en.tensor([[[1.0, 2.0], [3.0, 4.0]]])).shape
    (1, 4)
    """

    def forward(self, x: Any) -> Tensor:
        tensor = as_tensor(x)
        if not tensor.shape:
            raise ShapeError("Flatten: the input has no axes; it is (batch, ...).")
        features = 1
        for length in tensor.shape[1:]:
            features *= length
        return tensor.reshape(tensor.shape[0], features)
