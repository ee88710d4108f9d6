"""Do initial weights have the variance, bounds and shape that their formulas say, and do they follow the seed?"""

import math

import numpy as np
import pytest

import engine.random
from engine import initializers
from engine.errors import ArgumentError, ShapeError, UnknownNameError

SCALED = [
    ("glorot_uniform", 2 / (300 + 200), math.sqrt(6 / 500)),
    ("glorot_normal", 2 / (300 + 200), None),
    ("he_uniform", 2 / 300, math.sqrt(6 / 300)),
    ("he_normal", 2 / 300, None),
    ("lecun_uniform", 1 / 300, math.sqrt(3 / 300)),
    ("fan_in_uniform", 1 / 900, math.sqrt(1 / 300)),
    ("lecun_normal", 1 / 300, None),
]


@pytest.mark.parametrize(("name", "variance", "limit"), SCALED)
def test_variance_and_bounds(name, variance, limit):
    w = initializers.get(name)((300, 200), 1, "float64")
    assert abs(w.mean()) < 5 * math.sqrt(variance / w.size)
    assert w.var() == pytest.approx(variance, rel=0.03)
    if limit is None:
        kurtosis = ((w - w.mean()) ** 4).mean() / w.var() ** 2
        assert kurtosis == pytest.approx(3, abs=0.1)
    else:
        assert 0.999 * limit < np.abs(w).max() <= limit


def test_windows_count_into_both_fans():
    assert initializers.fans((3, 5, 5, 8)) == (75, 200)
    assert initializers.fans((4, 6)) == (4, 6)
    assert initializers.fans((7,)) == (7, 7)
    assert initializers.fans(()) == (1, 1)
    assert initializers.he_normal()((8, 5, 5, 300), 0, "float64").var() == pytest.approx(2 / 200, rel=0.03)


def test_plain_ones():
    assert (initializers.zeros()((2, 3)) == 0).all()
    assert (initializers.constant(0.25)((2, 3)) == 0.25).all()
    w = initializers.normal(std=0.5, mean=2.0)((300, 300), 0)
    assert w.mean() == pytest.approx(2, abs=0.01)
    assert w.std() == pytest.approx(0.5, rel=0.01)
    w = initializers.uniform(1.0, 3.0)((300, 300), 0)
    assert 1 <= w.min() < 1.001
    assert 2.999 < w.max() <= 3


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (2, 3, 4)])
def test_orthogonal(shape):
    w = initializers.orthogonal(gain=2.0)(shape, 3, "float64")
    assert w.shape == shape
    flat = w.reshape(-1, shape[-1]) / 2.0
    product = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_orthogonal_rotations_and_reflections_are_equally_likely():
    generator = np.random.default_rng(0)
    corners = [initializers.orthogonal()((2, 2), generator, "float64")[0, 0] for _ in range(500)]
    assert abs(np.mean(corners)) < 0.1


@pytest.mark.parametrize("name", initializers.names())
def test_the_same_seed_gives_the_same_weights_in_both_precisions(name):
    initializer = initializers.get(name)
    single, double = (initializer((5, 4), 7, dtype) for dtype in ("float32", "float64"))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(single, double.astype(np.float32))
    np.testing.assert_array_equal(single, initializer((5, 4), np.random.Generator(np.random.PCG64(7)), np.float32))
    if name not in ("zeros", "constant"):
        assert (initializer((5, 4), 8) != single).any()


def test_without_a_generator_the_engines_seed_counts():
    engine.random.seed(5)
    first = initializers.he_normal()((3, 3))
    second = initializers.he_normal()((3, 3))
    engine.random.seed(5)
    np.testing.assert_array_equal(initializers.he_normal()((3, 3)), first)
    assert (first != second).any()


def test_by_name_factory_and_function():
    assert initializers.get("he-normal") == initializers.get("he_normal") == initializers.get(initializers.he_normal)
    assert initializers.get("normal", std=0.5) == initializers.normal(0.5)
    assert initializers.get("zeros") != initializers.get("he_normal")
    made = initializers.normal(0.5)
    assert initializers.get(made) is made

    def ones(shape, generator, dtype):
        return np.ones(shape, dtype)

    assert initializers.get(ones) is ones
    assert repr(initializers.get("uniform", high=1)) == "Uniform(low=-0.05, high=1.0)"


@pytest.mark.parametrize("name", initializers.names())
def test_shapes_without_weights(name):
    assert initializers.get(name)((0, 3)).shape == (0, 3)


def test_what_is_refused():
    with pytest.raises(UnknownNameError, match="initializer 'he_norml' is unknown; did you mean he_normal"):
        initializers.get("he_norml")
    with pytest.raises(ArgumentError, match="initializer: 3 was given"):
        initializers.get(3)
    with pytest.raises(ArgumentError, match="initializer normal: parameters slope do not fit"):
        initializers.get("normal", slope=1)
    with pytest.raises(ArgumentError, match="std -1 was given"):
        initializers.normal(-1)
    with pytest.raises(ArgumentError, match="value nan was given"):
        initializers.constant(math.nan)
    with pytest.raises(ArgumentError, match="low 1 is above high 0;"):
        initializers.uniform(1, 0)
    with pytest.raises(ShapeError, match=r"orthogonal: shape \(3,\)"):
        initializers.orthogonal()((3,))
    with pytest.raises(ShapeError, match="lengths are 0 or above"):
        initializers.zeros()((-1, 2))
    with pytest.raises(ArgumentError, match="generator: 'x' was given"):
        initializers.zeros()((1,), "x")
