"""Where does chance come from? One default generator for initial weights, on the host, so that every device agrees."""

import functools

import numpy as np

from engine.errors import ArgumentError


def seed(value: int) -> None:
    """Start the default generator anew: the same seed gives the same initial weights on every device.

    Args:
        value: a whole number, 0 or above.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ArgumentError(f"seed: {value!r} was given; a seed is a whole number, 0 or above.")
    default_generator().bit_generator.state = np.random.PCG64(int(value)).state


@functools.cache  # made when it is first wanted: numpy.random takes a sixth of NumPy's own import
def default_generator() -> "np.random.Generator":
    """The generator that layers draw their initial weights from when they are given none."""
    return np.random.Generator(np.random.PCG64(0))


def as_generator(generator: "int | np.random.Generator | None") -> "np.random.Generator":
    """A generator: the given one, a new one from a seed, or the default one."""
    if generator is None:
        return default_generator()
    if isinstance(generator, np.random.Generator):
        return generator
    if isinstance(generator, (int, np.integer)) and not isinstance(generator, bool) and generator >= 0:
        return np.random.Generator(np.random.PCG64(int(generator)))
    raise ArgumentError(
        f"generator: {generator!r} was given; allowed are a numpy.random.Generator and a seed (0 or above)."
    )
