"""With which weights does a network begin? Initializers: (shape, generator, dtype) to an array."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from engine.errors import ArgumentError, ShapeError, unknown_name
from engine.random import as_generator

Generator: TypeAlias = "int | np.random.Generator | None"
Weights = np.ndarray[Any, Any]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs a unit reads, how many units read an input.

    Weights are (inputs, outputs); axes between the two are a window that multiplies both: (inputs, *window, outputs). A
    vector counts its length for both, a scalar 1.

    >>> fans((64, 10)), fans((3, 5, 5, 8)), fans((7,))
    ((64, 10), (75, 200), (7, 7))
    """
    if not shape:
        return 1, 1
    window = math.prod(shape[1:-1])
    return shape[0] * window, shape[-1] * window


class Initializer:
    """First weights of a shape: ``initializer(shape, generator, dtype)``.

    Numbers are drawn in float64 from a generator of the host and then rounded: the same seed gives the same weights on
        every device
    and, but for the rounding, in every precision.
    """

    def __call__(self, shape: Sequence[int], generator: Generator = None, dtype: Any = "float32") -> Weights:
        """An array of this shape and dtype; the generator is one, a seed, or None for the engine's default one."""
        shape = tuple(shape)
        if any(length < 0 for length in shape):
            raise ShapeError(f"{self!r}: shape {shape} was given; lengths are 0 or above.")
        return self._draw(shape, as_generator(generator)).astype(dtype, copy=False)

    def _draw(self, shape: tuple[int, ...], generator: "np.random.Generator") -> Weights:
        raise NotImplementedError

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({parameters})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = object.__hash__


class Constant(Initializer):
    """Every weight is ``value``."""

    def __init__(self, value: float) -> None:
        self.value = _finite("constant", "value", value)

    def _draw(self, shape: tuple[int, ...], generator: "np.random.Generator") -> Weights:
        return np.full(shape, self.value)


class Normal(Initializer):
    """Every weight is drawn from N(mean, std^2)."""

    def __init__(self, std: float, mean: float) -> None:
        self.std, self.mean = _finite("normal", "std", std, least=0), _finite("normal", "mean", mean)

    def _draw(self, shape: tuple[int, ...], generator: "np.random.Generator") -> Weights:
        return generator.normal(self.mean, self.std, shape)


class Uniform(Initializer):
    """Every weight is drawn evenly from low to high."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = _finite("uniform", "low", low), _finite("uniform", "high", high)
        if self.low > self.high:
            raise ArgumentError(f"uniform: low {low} is above high {high}; exchange them.")

    def _draw(self, shape: tuple[int, ...], generator: "np.random.Generator") -> Weights:
        return generator.uniform(self.low, self.high, shape)


class VarianceScaling(Initializer):
    """Weights of mean 0 and variance gain / fan; evenly from -sqrt(3 gain / fan) to +, or normal.

    Args:
        gain: of the variance.
        fan: "in": fan_in; "average": (fan_in + fan_out) / 2.
        distribution: "uniform" or "normal" (not truncated).
    """

    def __init__(self, gain: float, fan: Literal["in", "average"], distribution: Literal["uniform", "normal"]) -> None:
        self.gain, self.fan, self.distribution = gain, fan, distribution

    def _draw(self, shape: tuple[int, ...], generator: "np.random.Generator") -> Weights:
        fan_in, fan_out = fans(shape)
        fan = fan_in if self.fan == "in" else (fan_in + fan_out) / 2
        variance = self.gain / max(fan, 1)  # a shape with a length of 0 has no weights to scale
        if self.distribution == "normal":
            return generator.normal(0.0, math.sqrt(variance), shape)
        limit = math.sqrt(3 * variance)
        return generator.uniform(-limit, limit, shape)


class Orthogonal(Initializer):
    """gain * Q, where Q's columns are orthonormal, or its rows where there are fewer of them.

    All axes but the last count as rows. Source: Saxe et al. (2014).
    """

    def __init__(self, gain: float) -> None:
        self.gain = _finite("orthogonal", "gain", gain)

    def _draw(self, shape: tuple[int, ...], generator: "np.random.Generator") -> Weights:
        if len(shape) < 2:
            raise ShapeError(
                f"orthogonal: shape {shape} was given; at least 2 axes are needed. Use another one for vectors."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # without it not all rotations are equally likely
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


def zeros() -> Initializer:
    """Every weight is 0.

    >>> zeros()((3,)).tolist()
    [0.0, 0.0, 0.0]
    """
    return Constant(0.0)


def constant(value: float = 0.0) -> Initializer:
    """Every weight is ``value``.

    >>> constant(0.5)((2,)).tolist()
    [0.5, 0.5]
    """
    return Constant(value)


def normal(std: float = 0.01, mean: float = 0.0) -> Initializer:
    """Every weight is drawn from N(mean, std^2).

    >>> normal(std=0.1)((2, 3), generator=0).shape
    (2, 3)
    """
    return Normal(std, mean)


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Every weight is drawn evenly from low to high.

    >>> bool(abs(uniform(-0.1, 0.1)((20, 20), generator=0)).max() <= 0.1)
    True
    """
    return Uniform(low, high)


def glorot_uniform() -> Initializer:
    """Evenly from -sqrt(6 / (fan_in + fan_out)) to +: variance 2 / (fan_in + fan_out).

    For tanh and sigmoid. Glorot and Bengio (2010).

    >>> bool(abs(glorot_uniform()((64, 32), generator=0)).max() <= (6 / 96) ** 0.5)
    True
    """
    return VarianceScaling(1.0, "average", "uniform")


def glorot_normal() -> Initializer:
    """N(0, 2 / (fan_in + fan_out)). For tanh and sigmoid. Glorot and Bengio (2010).

    >>> glorot_normal()((64, 32), generator=0).dtype
    dtype('float32')
    """
    return VarianceScaling(1.0, "average", "normal")


def he_uniform() -> Initializer:
    """Evenly from -sqrt(6 / fan_in) to +: variance 2 / fan_in. For ReLU and its kin. He et al. (2015).

    >>> bool(abs(he_uniform()((24, 8), generator=0)).max() <= 0.5)
    True
    """
    return VarianceScaling(2.0, "in", "uniform")


def he_normal() -> Initializer:
    """N(0, 2 / fan_in). For ReLU and its kin. He et al. (2015).

    >>> he_normal()((64, 32), generator=0, dtype="float64").dtype
    dtype('float64')
    """
    return VarianceScaling(2.0, "in", "normal")


def lecun_uniform() -> Initializer:
    """Evenly from -sqrt(3 / fan_in) to +: variance 1 / fan_in. LeCun et al., "Efficient BackProp" (1998).

    >>> bool(abs(lecun_uniform()((12, 8), generator=0)).max() <= 0.5)
    True
    """
    return VarianceScaling(1.0, "in", "uniform")


def lecun_normal() -> Initializer:
    """N(0, 1 / fan_in). LeCun et al., "Efficient BackProp" (1998).

    >>> lecun_normal()((64, 32), generator=0).shape
    (64, 32)
    """
    return VarianceScaling(1.0, "in", "normal")


def fan_in_uniform() -> Initializer:
    """Evenly from -1 / sqrt(fan_in) to +: variance 1 / (3 fan_in), what PyTorch and MLX begin linear maps with.

    Smaller than the others, so that the first logits are near 0. LeCun et al., "Efficient BackProp" (1998).

    >>> bool(abs(fan_in_uniform()((25, 8), generator=0)).max() <= 0.2)
    True
    """
    return VarianceScaling(1 / 3, "in", "uniform")


def orthogonal(gain: float = 1.0) -> Initializer:
    """Orthonormal columns (or rows, where there are fewer) times gain. Saxe et al. (2014).

    >>> w = orthogonal()((4, 3), generator=0, dtype="float64")
    >>> bool(np.allclose(w.T @ w, np.eye(3)))
    True
    """
    return Orthogonal(gain)


INITIALIZERS: dict[str, Callable[..., Initializer]] = {
    factory.__name__: factory
    for factory in (
        zeros,
        constant,
        normal,
        uniform,
        glorot_uniform,
        glorot_normal,
        he_uniform,
        he_normal,
        lecun_uniform,
        lecun_normal,
        fan_in_uniform,
        orthogonal,
    )
}


def names() -> tuple[str, ...]:
    """The names that ``get`` knows."""
    return tuple(INITIALIZERS)


def get(initializer: str | Callable[..., Any], **parameters: Any) -> Callable[..., Weights]:
    """An initializer by name (with - or _), from a factory of this module, or a callable (shape, generator, dtype).

    Raises:
        UnknownNameError: no such initializer.
        ArgumentError: parameters that it does not have.

    >>> get("he_normal") == he_normal() == get(he_normal)
    True
    >>> get("constant", value=2.0)((1,), None, "float32")
    array([2.], dtype=float32)
    """
    if isinstance(initializer, str):
        factory = INITIALIZERS.get(initializer.replace("-", "_"))
        if factory is None:
            raise unknown_name("initializer", initializer, INITIALIZERS)
    elif initializer in INITIALIZERS.values():
        factory = initializer
    elif callable(initializer) and not parameters:
        return initializer
    else:
        raise ArgumentError(
            f"initializer: {initializer!r} was given; allowed are a name and a callable (shape, generator, dtype)."
        )
    try:
        return factory(**parameters)
    except TypeError:
        given = ", ".join(parameters)
        raise ArgumentError(
            f"initializer {factory.__name__}: parameters {given} do not fit; see help({factory.__name__})."
        ) from None


def _finite(initializer: str, name: str, given: float, least: float = -math.inf) -> float:
    if not math.isfinite(given) or given < least:
        allowed = "finite numbers" if least == -math.inf else f"finite numbers from {least}"
        raise ArgumentError(f"{initializer}: {name} {given!r} was given; allowed are {allowed}.")
    return float(given)
