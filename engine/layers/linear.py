"""Which layers are linear maps? Linear, and Maxout: the largest of several linear maps."""

from typing import Any

import numpy as np

from backends.backend import Backend
from engine import initializers
from engine.layers.layer import Layer, as_input
from engine.operations.activation import MAXOUT
from engine.operations.linear import LINEARS
from engine.random import as_generator
from engine.settings import flag, model_dtype, whole
from engine.tensor import Parameter, Tensor
from engine.value import apply

__all__ = ["Linear", "Maxout"]


def positive_whole(owner: str, name: str, value: Any) -> int:
    """A size: a whole number above 0."""
    return whole(owner, name, value, 1)


class _LinearMap(Layer):
    """A layer that multiplies by its weight."""

    weight: Parameter
    _operands: str | None = None

    @property
    def precision(self) -> str:
        """Of its products: what their operands are rounded to, else the weight's own type; `to` sets it."""
        return self._operands or str(self.weight.dtype)

    def _round_products(self, operands: str | None) -> bool:
        before, self._operands = self._operands, operands
        return operands != before

    def config(self) -> dict[str, Any]:
        """The settings, and the precision that `to` set."""
        return super().config() | ({} if self._operands is None else {"precision": self._operands})


class Linear(_LinearMap):
    """y = x weight + bias.

    Args:
        in_features, out_features: the widths.
        bias: whether there is one.
        initializer: of the weight, by name or as an object (see `engine.initializers`); biases start at 0. The default
            ``fan_in_uniform`` is PyTorch's; ``he_normal`` suits deep ReLU networks, ``glorot_uniform`` tanh, sigmoid.
        generator: where first weights are drawn from, a numpy.random.Generator or a seed; `en.seed` rules the default.
        dtype, device: of the parameters.

    Shapes: x (batch, in_features) or (..., in_features); weight (in_features, out_features); bias (out_features,);
    y (batch, out_features). Source: lecture 001, "Neural network notation".

    >>> import engine as en
    >>> en.Linear(3, 2)(en.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        initializer: Any = "fan_in_uniform",
        generator: "int | np.random.Generator | None" = None,
        dtype: Any = "float32",
        device: str | Backend = "cpu",
    ) -> None:
        super().__init__()
        self.in_features = positive_whole("Linear", "in_features", in_features)
        self.out_features = positive_whole("Linear", "out_features", out_features)
        with_bias = flag("Linear", "bias", bias, fix="An initializer is given by name: initializer=...")
        kind = model_dtype("Linear", dtype)
        start = initializers.get(initializer)
        shape = (self.in_features, self.out_features)
        self.weight = Parameter(start(shape, as_generator(generator), kind), device=device, regularized=True)
        self.bias = (
            Parameter(np.zeros(self.out_features, kind), device=device, regularized=False) if with_bias else None
        )

    def config(self) -> dict[str, Any]:
        own = {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}
        return own if self._operands is None else own | {"precision": self._operands}

    def forward(self, x: Any) -> Tensor:
        if not isinstance(x, Tensor):
            x = as_input(x, self.weight)
        return apply(LINEARS[self._operands], x, self.weight, self.bias)


class Maxout(_LinearMap):
    """y = max over the pieces k of x weight_k + bias_k.

    Args:
        in_features, out_features: the widths.
        pieces: how many linear maps.
        initializer, generator, dtype, device: as in `Linear`.

    Shapes: x (batch, in_features); weight (in_features, pieces * out_features); y (batch, out_features).
    Source: lecture 003, "Activation functions": max(w1^T x + b1, w2^T x + b2); Goodfellow and others (2013).

    >>> import engine as en
    >>> en.Maxout(3, 2)(en.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        *,
        initializer: Any = "fan_in_uniform",
        generator: "int | np.random.Generator | None" = None,
        dtype: Any = "float32",
        device: str | Backend = "cpu",
    ) -> None:
        super().__init__()
        self.in_features = positive_whole("Maxout", "in_features", in_features)
        self.out_features = positive_whole("Maxout", "out_features", out_features)
        self.pieces = positive_whole("Maxout", "pieces", pieces)
        kind = model_dtype("Maxout", dtype)
        start, chance = initializers.get(initializer), as_generator(generator)
        maps = [start((self.in_features, self.out_features), chance, kind) for _ in range(self.pieces)]
        self.weight = Parameter(np.concatenate(maps, axis=1), device=device, regularized=True)
        self.bias = Parameter(np.zeros(self.pieces * self.out_features, kind), device=device, regularized=False)

    def forward(self, x: Any) -> Tensor:
        maps = apply(LINEARS[self._operands], as_input(x, self.weight), self.weight, self.bias)
        pieces = apply(MAXOUT, maps.reshape(-1, self.pieces, self.out_features))
        return pieces if maps.ndim == 2 else pieces.reshape(*maps.shape[:-1], self.out_features)


def precision_of(model: Layer) -> str:
    """Of a model's products; where they have several, all of them: "bfloat16 and float32".

    >>> import engine as en
    >>> model = en.Sequential(en.Linear(4, 3).to(precision="bfloat16"), en.Linear(3, 2))
    >>> precision_of(model), precision_of(model.to(precision="float16"))
    ('bfloat16 and float32', 'float16')
    """
    products = [layer.precision for _, layer in model.named_layers() if isinstance(layer, _LinearMap)]
    others = [str(one.dtype) for one in model.parameters()]
    return " and ".join(dict.fromkeys(products or others[:1] or ["float32"]))
