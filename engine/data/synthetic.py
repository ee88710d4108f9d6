"""Which data sets can be made? Points in the plane that no straight line parts, and noisy curves."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from engine.data.dataset import Dataset
from engine.errors import ArgumentError
from engine.random import as_generator
from engine.settings import number

Seed: TypeAlias = "int | np.random.Generator"
Points = np.ndarray[Any, Any]

_SQUARE = math.sqrt(math.pi / 2)  # half the side of the square that has twice the area of the circle of radius 1
_CORNERS = ((-0.9, -0.8), (0.9, -0.8), (0.0, 0.9))


def xor(samples: int = 400, noise: float = 0.2, *, seed: Seed = 0) -> Dataset:
    """Points around the corners (-1, -1), (-1, 1), (1, -1), (1, 1): labels 0, 1, 1, 0. Lecture 001, "XOR".

    Args:
        samples: how many points; the corners take turns, so that 4 with noise 0 are the truth table.
        noise: standard deviation of the points around their corner.
        seed: a whole number or a generator; the same seed gives the same points.

    >>> data = xor(4, noise=0)
    >>> data.x.tolist(), data.y.tolist()
    ([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    generator = _checked("xor", samples, 1, noise, seed)
    corner = np.arange(samples) % 4
    first, second = corner // 2, corner % 2
    x = np.stack([first, second], axis=1) * 2.0 - 1.0
    return _plane("xor", x, noise, generator, first ^ second, ("same sign", "other sign"))


def circle(
    samples: int = 400,
    noise: float = 0.0,
    *,
    centre: Sequence[float] = (0.0, 0.0),
    radius: float = 1.0,
    seed: Seed = 0,
) -> Dataset:
    """Points spread evenly over a square: label 1 outside the circle, 0 inside.

    Outside is where (x1 - c1)^2 + (x2 - c2)^2 > radius^2. The square around the circle has twice its area: both
    classes are about equal. Lecture 001, where sigmoid(z) with z = (x1 - w1)^2 + (x2 - w2)^2 - w0^2 is the probability
    of class 1.

    Args:
        samples: how many points.
        noise: standard deviation of what is added to the points after they were labelled.
        centre: the circle's centre.
        radius: the circle's radius, above 0.
        seed: a whole number or a generator.

    >>> data = circle(100, radius=2.0, seed=1)
    >>> bool(((data.x**2).sum(axis=1) > 4.0).astype(int).tolist() == data.y.tolist())
    True
    """
    generator = _checked("circle", samples, 1, noise, seed)
    number("circle", "radius", radius, "a number above 0", lambda given: given > 0)
    offset = generator.uniform(-_SQUARE * radius, _SQUARE * radius, (samples, 2))
    outside = np.square(offset).sum(axis=1) > radius**2
    return _plane("circle", offset + np.asarray(centre, dtype=float), noise, generator, outside, ("inside", "outside"))


def triangle(
    samples: int = 400, noise: float = 0.0, *, corners: Sequence[Sequence[float]] = _CORNERS, seed: Seed = 0
) -> Dataset:
    """Points spread evenly over the square from -1 to 1: label 1 inside the triangle, 0 outside.

    Lecture 000, "Triangle Problem". Inside is where three lines agree, one logistic regression for each.

    Args:
        samples: how many points.
        noise: standard deviation of what is added to the points after they were labelled.
        corners: the three corners, (x1, x2) each.
        seed: a whole number or a generator.

    >>> data = triangle(1000)
    >>> bool(abs(data.y.mean() - 1.8 * 1.7 / 2 / 4) < 0.05)      # the triangle's share of the square
    True
    """
    generator = _checked("triangle", samples, 1, noise, seed)
    a, b, c = np.asarray(corners, dtype=float)
    x = generator.uniform(-1.0, 1.0, (samples, 2))
    # A point is inside when it lies on the same side of all three edges: the sign of the cross product.
    sides = np.stack([_side(x, a, b), _side(x, b, c), _side(x, c, a)])
    inside: Points = np.abs(np.sign(sides).sum(axis=0)) == 3
    return _plane("triangle", x, noise, generator, inside, ("outside", "inside"))


def _side(x: Points, start: Points, end: Points) -> Points:
    (u, v), offset = end - start, x - start
    side: Points = u * offset[:, 1] - v * offset[:, 0]
    return side


def spirals(samples: int = 400, noise: float = 0.02, *, arms: int = 2, turns: float = 1.5, seed: Seed = 0) -> Dataset:
    """Arms that wind around each other from the middle to radius 1, one class each.

    Args:
        samples: how many points, dealt to the arms in turn.
        noise: standard deviation of the points around their arm.
        arms: how many, 2 or above.
        turns: how often an arm goes around.
        seed: a whole number or a generator.

    >>> spirals(300, arms=3).classes
    3
    """
    _checked_count("spirals", "arms", arms, 2)
    generator = _checked("spirals", samples, arms, noise, seed)
    label = np.arange(samples) % arms
    radius = np.sqrt(generator.uniform(0.01, 1.0, samples))  # the root: as dense outside as in the middle
    angle = 2 * math.pi * (turns * radius + label / arms)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _plane("spirals", x, noise, generator, label, tuple(f"arm {number}" for number in range(arms)))


def moons(samples: int = 400, noise: float = 0.1, *, seed: Seed = 0) -> Dataset:
    """Two half circles that reach into each other: (cos t, sin t) and (1 - cos t, 1/2 - sin t), t from 0 to pi.

    Args:
        samples: how many points, dealt to the two in turn.
        noise: standard deviation of the points around their half circle.
        seed: a whole number or a generator.

    >>> moons(10).y.tolist()
    [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    """
    generator = _checked("moons", samples, 2, noise, seed)
    label = np.arange(samples) % 2
    angle = generator.uniform(0.0, math.pi, samples)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(label[:, None] == 0, upper, np.array([1.0, 0.5]) - upper)
    return _plane("moons", x, noise, generator, label, ("upper", "lower"))


def blobs(samples: int = 400, noise: float = 0.5, *, classes: int = 3, seed: Seed = 0) -> Dataset:
    """Round clouds with their centres evenly on the circle of radius 2, one class each.

    Args:
        samples: how many points, dealt to the clouds in turn.
        noise: standard deviation of the points around their centre.
        classes: how many clouds, 2 or above.
        seed: a whole number or a generator.

    >>> blobs(90, noise=0).x[0].tolist()
    [2.0, 0.0]
    """
    _checked_count("blobs", "classes", classes, 2)
    generator = _checked("blobs", samples, classes, noise, seed)
    label = np.arange(samples) % classes
    angle = 2 * math.pi * label / classes
    x = 2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _plane("blobs", x, noise, generator, label, tuple(f"cloud {number}" for number in range(classes)))


def sines(samples: int = 200, noise: float = 0.2, *, periods: float = 1.0, seed: Seed = 0) -> Dataset:
    """A noisy curve: y = sin(periods * pi * x) + noise, x spread evenly over -1 to 1. Lecture 000, degrees of fit.

    x, y (samples, 1).

    Args:
        samples: how many points.
        noise: standard deviation of what is added to y.
        periods: how many whole waves there are.
        seed: a whole number or a generator.

    >>> data = sines(50, noise=0)
    >>> data.task, bool(np.allclose(data.y, np.sin(np.pi * data.x), atol=1e-6))
    ('regression', True)
    """
    generator = _checked("sines", samples, 1, noise, seed)
    x = generator.uniform(-1.0, 1.0, (samples, 1))
    y = np.sin(periods * math.pi * x) + noise * generator.standard_normal(x.shape)
    return Dataset(x.astype(np.float32), y.astype(np.float32), "sines", ("x",), task="regression")


def _checked_count(name: str, what: str, given: Any, least: int) -> None:
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < least:
        raise ArgumentError(f"{name}: {what} {given!r} was given; allowed are whole numbers from {least}.")


def _checked(name: str, samples: Any, least: int, noise: float, seed: Seed) -> "np.random.Generator":
    _checked_count(name, "samples", samples, least)
    number(name, "noise", noise, "a number, 0 or above", lambda given: given >= 0)
    return as_generator(seed)


def _plane(
    name: str, x: Points, noise: float, generator: "np.random.Generator", label: Points, class_names: tuple[str, ...]
) -> Dataset:
    # The noise is drawn even where it is 0: then it changes nothing but the points themselves.
    x = x + noise * generator.standard_normal(x.shape)
    task: Any = "binary" if len(class_names) == 2 else "multiclass"
    return Dataset(x.astype(np.float32), label.astype(np.int64), name, ("x1", "x2"), class_names, task)
