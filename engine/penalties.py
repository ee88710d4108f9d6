"""What keeps weights small? Penalties: numbers of the weights, added to the training loss."""

from collections.abc import Iterable
from typing import Any

from engine.errors import ArgumentError
from engine.layers.layer import Layer
from engine.operations.penalty import ElasticNet as Operation
from engine.optimizers.optimizer import _number
from engine.tensor import Parameter, Tensor
from engine.value import apply

__all__ = ["L1", "L2", "ElasticNet", "Penalty"]


class Penalty:
    """A number of a model's weights: ``penalty(model)`` or ``penalty(parameters)``, a Tensor. Subclass it for your own.

    It counts the parameters that are ``regularized``: weights of linear maps, not biases or normalisation gains. A
    subclass defines ``of_weights(weights)``, the number of a list of Tensors.
    """

    def __call__(self, model: Layer | Iterable[Parameter]) -> Tensor:
        """The penalty of a model's weights, 0 where it has none."""
        parameters = model.parameters() if isinstance(model, Layer) else list(model)
        weights = [one for one in parameters if getattr(one, "regularized", True)]
        if weights:
            return self.of_weights(weights)
        return Tensor(0.0, dtype=parameters[0].dtype, device=parameters[0].backend) if parameters else Tensor(0.0)

    def of_weights(self, weights: list[Any]) -> Tensor:
        """The penalty of these weights."""
        raise NotImplementedError(f"{type(self).__name__}: define of_weights(self, weights).")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class L2(Penalty):
    """strength sum(w^2), with gradient 2 strength w.   Source: lecture 003, "Weight regularization".

    >>> import engine as en
    >>> en.L2(0.5)([en.Parameter([[1.0, 2.0]])]).item()
    2.5
    """

    def __init__(self, strength: float = 1e-4) -> None:
        self.strength = _strength("L2", "strength", strength)

    def of_weights(self, weights: list[Any]) -> Tensor:
        return apply(Operation(squares=self.strength, absolutes=0.0), *weights)


class L1(Penalty):
    """strength sum(|w|), with gradient strength sign(w), 0 at w = 0.   Source: lecture 003, "Weight regularization".

    >>> import engine as en
    >>> en.L1(0.5)([en.Parameter([[1.0, -2.0]])]).item()
    1.5
    """

    def __init__(self, strength: float = 1e-4) -> None:
        self.strength = _strength("L1", "strength", strength)

    def of_weights(self, weights: list[Any]) -> Tensor:
        return apply(Operation(squares=0.0, absolutes=self.strength), *weights)


class ElasticNet(Penalty):
    """strength sum(beta w^2 + |w|).   Source: lecture 003, "Weight regularization".

    >>> import engine as en
    >>> en.ElasticNet(1.0, beta=0.5)([en.Parameter([[1.0, -2.0]])]).item()
    5.5
    """

    def __init__(self, strength: float = 1e-4, beta: float = 1.0) -> None:
        self.strength = _strength("ElasticNet", "strength", strength)
        self.beta = _strength("ElasticNet", "beta", beta)

    def of_weights(self, weights: list[Any]) -> Tensor:
        return apply(Operation(squares=self.strength * self.beta, absolutes=self.strength), *weights)


def _strength(owner: str, name: str, value: Any) -> float:
    if not _number(value, 0):
        raise ArgumentError(f"{owner}: {name} {value!r} was given; it is a number, 0 or above.")
    return float(value)
