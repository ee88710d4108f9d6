"""Which layers bend the line? The activations: no parameters, one function of every element.

To add one: subclass `Activation`, define ``forward`` from the operations of tensors, and name it in ``__all__``. It is
then `en.Name`, and ``--activation name`` on the command line.
"""

from typing import Any

from backends.kernels import activation as kernels
from engine.layers.layer import Layer
from engine.naming import Named
from engine.operations import activation as operations
from engine.operations.core import Unary
from engine.settings import number, whole
from engine.tensor import Tensor, as_tensor

__all__ = [
    "ELU",
    "GELU",
    "Activation",
    "LeakyReLU",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]


class Activation(Named, Layer, family="activation"):
    """A layer without parameters that applies one function; subclasses are found by name.

    >>> Activation.by_name("leaky-relu", negative_slope=0.1)
    LeakyReLU(negative_slope=0.1)
    """


class _Elementwise(Activation, abstract=True):
    """One of the engine's own pairs, prepared once."""

    operation: Unary

    def forward(self, x: Any) -> Tensor:
        return as_tensor(x)._unary(self.operation)


class Sigmoid(_Elementwise):
    """y = 1 / (1 + e^-x), between 0 and 1.   Source: lecture 003, "Activation functions".

    >>> import engine as en
    >>> en.Sigmoid()(en.tensor([0.0])).tolist()
    [0.5]
    """

    operation = operations.SIGMOID


class Tanh(_Elementwise):
    """y = (e^x - e^-x) / (e^x + e^-x), between -1 and 1.   Source: lecture 003, "Activation functions"."""

    operation = operations.TANH


class ReLU(_Elementwise):
    """y = max(0, x); its derivative at 0 is 0.   Source: lecture 003, "Activation functions".

    >>> import engine as en
    >>> en.ReLU()(en.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    operation = operations.RELU


class GELU(_Elementwise):
    """y = x P(x), P the standard normal distribution (exact, by erf).   Source: Hendrycks and Gimpel (2016)."""

    operation = operations.GELU


class SiLU(_Elementwise):
    """y = x / (1 + e^-x).   Source: Elfwing, Uchibe and Doya (2018)."""

    operation = operations.SILU


class Softplus(_Elementwise):
    """y = log(1 + e^x), a smooth ReLU.   Source: Dugas and others (2001)."""

    operation = operations.SOFTPLUS


class LeakyReLU(_Elementwise):
    """y = x where x > 0, else negative_slope x; the lecture's slope is 0.1.

    Source: lecture 003, "Activation functions".

    >>> import engine as en
    >>> en.LeakyReLU(0.5)(en.tensor([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope, "a finite number")
        self.operation = Unary(kernels.LeakyReLU, negative_slope=self.negative_slope)


class ELU(_Elementwise):
    """y = x where x > 0, else alpha (e^x - 1), with alpha above 0.

    Source: lecture 003, "Activation functions"; Clevert and others (2016).
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = number("ELU", "alpha", alpha, "a number above 0", lambda given: given > 0)
        self.operation = Unary(kernels.ELU, alpha=self.alpha)


class Softmax(Activation):
    """y_i = e^x_i / sum of e^x_j along an axis. CrossEntropy takes logits: do not put a Softmax before it.

    Source: lecture 000, "Softmax".
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = whole("Softmax", "axis", axis)

    def forward(self, x: Any) -> Tensor:
        return as_tensor(x).softmax(self.axis)
