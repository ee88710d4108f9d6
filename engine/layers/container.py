"""Which layers are made of layers? Sequential chains, Residual connections; Flatten puts a sample's axes into one."""

from collections.abc import Iterator
from typing import Any

from engine.errors import ArgumentError, ShapeError
from engine.layers.layer import Layer
from engine.tensor import Tensor, as_tensor


class Sequential(Layer):
    """Layers one after the other: the output of each is the input of the next.

    >>> import engine as en
    >>> model = en.Sequential(en.Linear(2, 8), en.ReLU(), en.Linear(8, 2))
    >>> model(en.tensor([[1.0, 2.0]])).shape
    (1, 2)
    >>> model[0].out_features
    8
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self._chain: tuple[Layer, ...] = ()
        for position, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                kind = layer.__name__ + " (the class: add parentheses)" if isinstance(layer, type) else repr(layer)
                raise ArgumentError(
                    f"Sequential: item {position} is {kind}; give layers, such as Linear(2, 8) and ReLU()."
                )
            setattr(self, str(position), layer)
        self._chain = layers

    def forward(self, x: Any) -> Any:
        for layer in self._chain:
            x = layer.forward(x)
        return x

    def __len__(self) -> int:
        return len(self._chain)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._chain)

    def __getitem__(self, position: int) -> Layer:
        return self._chain[position]


class Residual(Layer):
    """y = x + branch(x).   Source: He and others, "Deep residual learning" (2016).

    >>> import engine as en
    >>> en.Residual(en.ReLU())(en.tensor([[1.0, -2.0]])).tolist()
    [[2.0, -2.0]]
    """

    def __init__(self, branch: Layer) -> None:
        super().__init__()
        self.branch = branch

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
