"""Do the activation kernels compute their formulas, their derivatives, and the right limits where numbers run out?"""

import math

import numpy as np
import pytest

from backends.kernels.activation import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    Maxout,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from backends.kernels.special import erf

EDGES = (0.0, 80.0, -80.0, 1e4, -1e4)


def normal_cumulative(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


# Pair, its constants, and y and dy/dx of one number, written another way than the kernel.
ELEMENTWISE = {
    "relu": (ReLU, {}, lambda x: x if x > 0 else 0.0, lambda x: float(x > 0)),
    "leaky": (LeakyReLU, {"negative_slope": 0.01}, lambda x: x if x > 0 else 0.01 * x, lambda x: 1 if x > 0 else 0.01),
    "leaky-steep": (LeakyReLU, {"negative_slope": 3.0}, lambda x: x if x > 0 else 3 * x, lambda x: 1 if x > 0 else 3),
    "leaky-fold": (LeakyReLU, {"negative_slope": -1.0}, abs, lambda x: 1 if x > 0 else -1),
    "elu": (ELU, {"alpha": 1.0}, lambda x: x if x > 0 else math.expm1(x), lambda x: 1 if x > 0 else math.exp(x)),
    "elu-2": (
        ELU,
        {"alpha": 2.5},
        lambda x: x if x > 0 else 2.5 * math.expm1(x),
        lambda x: 1 if x > 0 else 2.5 * math.exp(x),
    ),
    "sigmoid": (
        Sigmoid,
        {},
        lambda x: 0.5 * (1 + math.tanh(x / 2)),
        lambda x: 0.25 * (1 - math.tanh(x / 2) ** 2),
    ),
    "tanh": (Tanh, {}, lambda x: 1 - 2 / (math.exp(2 * min(x, 300)) + 1), lambda x: math.cosh(min(abs(x), 300)) ** -2),
    "gelu": (
        GELU,
        {},
        lambda x: x * normal_cumulative(x),
        lambda x: normal_cumulative(x) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ),
    "silu": (
        SiLU,
        {},
        lambda x: x * 0.5 * (1 + math.tanh(x / 2)),
        lambda x: 0.5 * (1 + math.tanh(x / 2)) + x * 0.25 * (1 - math.tanh(x / 2) ** 2),
    ),
    "softplus": (
        Softplus,
        {},
        lambda x: math.log(1 + math.exp(x)) if x < 30 else x,
        lambda x: 0.5 * (1 + math.tanh(x / 2)),
    ),
}
ALONG_AXIS = {
    "softmax-rows": (Softmax, {"axis": 1}),
    "softmax-columns": (Softmax, {"axis": 0}),
    "log-softmax-rows": (LogSoftmax, {"axis": -1}),
    "log-softmax-columns": (LogSoftmax, {"axis": 0}),
}
ALL = {name: case[:2] for name, case in ELEMENTWISE.items()} | ALONG_AXIS | {"maxout": (Maxout, {})}


def read_only(values):
    array = np.array(values)
    array.setflags(write=False)
    return array


def scratch(pair, direction, x):
    """The ``work`` argument of a direction: as many arrays as it declares, filled with NaN; none for 0."""
    count = getattr(pair, f"{direction}_work")
    return {"work": tuple(np.full_like(x, np.nan) for _ in range(count))} if count else {}


def forward(pair, x, **constants):
    x = read_only(x)
    y = np.full(x.shape if pair is not Maxout else (x.shape[0], x.shape[2]), np.nan, x.dtype)
    pair.forward(np, x, y=y, **scratch(pair, "forward", x), **constants)
    return y


def backward(pair, dy, x, **constants):
    saved = {"x": read_only(x), "y": read_only(forward(pair, x, **constants))}
    dx = np.full_like(x, np.nan)
    pair.backward(
        np, read_only(dy), *(saved[name] for name in pair.saves), dx=dx, **scratch(pair, "backward", x), **constants
    )
    return dx


def points(pair, dtype="float64"):
    """Random x away from the kink at 0, and a random incoming gradient."""
    generator = np.random.default_rng(7)
    x = generator.uniform(0.1, 4.0, (3, 5, 2) if pair is Maxout else (6, 5))
    x *= generator.choice([-1.0, 1.0], x.shape)
    dy = generator.normal(size=(3, 2) if pair is Maxout else x.shape)
    return x.astype(dtype), dy.astype(dtype)


@pytest.mark.parametrize("name", ALL)
def test_the_derivative_is_the_slope(name):
    pair, constants = ALL[name]
    x, dy = points(pair)
    numerical = np.empty_like(x)
    for index in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[index] += 1e-6
        below[index] -= 1e-6
        difference = forward(pair, above, **constants) - forward(pair, below, **constants)
        numerical[index] = (dy * difference).sum() / 2e-6
    np.testing.assert_allclose(backward(pair, dy, x, **constants), numerical, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_float32_agrees_with_float64(name):
    pair, constants = ALL[name]
    x, dy = points(pair, "float32")
    np.testing.assert_allclose(
        forward(pair, x, **constants), forward(pair, x.astype("float64"), **constants), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        backward(pair, dy, x, **constants),
        backward(pair, dy.astype("float64"), x.astype("float64"), **constants),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_formula_number_by_number(name):
    pair, constants, formula, derivative = ELEMENTWISE[name]
    x = np.concatenate([np.linspace(-6, 6, 49), EDGES])
    y = [formula(number) for number in x]
    dx = [3.0 * derivative(number) for number in x]
    np.testing.assert_allclose(forward(pair, x, **constants), y, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(backward(pair, np.full_like(x, 3.0), x, **constants), dx, rtol=1e-12, atol=1e-14)
    single = x.astype("float32")
    np.testing.assert_allclose(forward(pair, single, **constants), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(backward(pair, np.full_like(single, 3), single, **constants), dx, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "below", "above", "slope_below", "slope_above"),
    [
        ("relu", 0.0, np.inf, 0.0, 1.0),
        ("leaky", -np.inf, np.inf, 0.01, 1.0),
        ("elu", -1.0, np.inf, 0.0, 1.0),
        ("sigmoid", 0.0, 1.0, 0.0, 0.0),
        ("tanh", -1.0, 1.0, 0.0, 0.0),
        ("gelu", 0.0, np.inf, 0.0, 1.0),
        ("silu", 0.0, np.inf, 0.0, 1.0),
        ("softplus", 0.0, np.inf, 0.0, 1.0),
    ],
)
def test_limits_at_infinity_and_nan(name, below, above, slope_below, slope_above, dtype):
    pair, constants = ALL[name]
    x = np.array([-np.inf, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(forward(pair, x, **constants), [below, above, np.nan])
    slopes = backward(pair, np.ones_like(x), x, **constants)[:2]
    np.testing.assert_allclose(slopes, [slope_below, slope_above], rtol=1e-6)


@pytest.mark.parametrize("pair", [Sigmoid, Softplus])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_small_values_keep_their_digits(pair, dtype, tolerance):
    x = np.array([-40.0, -60.0, -80.0], dtype)
    expected = np.exp([-40.0, -60.0, -80.0])
    np.testing.assert_allclose(forward(pair, x), expected, rtol=tolerance)
    np.testing.assert_allclose(backward(pair, np.ones_like(x), x), expected, rtol=tolerance)


def test_at_zero_the_left_slope_counts():
    x, dy = np.zeros(1), np.ones(1)
    assert backward(ReLU, dy, x) == 0
    assert backward(LeakyReLU, dy, x, negative_slope=0.01) == 0.01
    assert backward(ELU, dy, x, alpha=0.5) == 0.5
    assert forward(Sigmoid, x) == 0.5
    assert backward(Sigmoid, dy, x) == 0.25
    assert forward(GELU, x) == 0
    assert backward(GELU, dy, x) == 0.5


def test_softmax_of_the_lecture():
    scores = np.array([[3.2, 5.1, -1.7]])
    np.testing.assert_allclose(forward(Softmax, scores, axis=1), [[0.13, 0.87, 0.0]], atol=5e-3)
    np.testing.assert_allclose(np.exp(forward(LogSoftmax, scores, axis=1)), [[0.13, 0.87, 0.0]], atol=5e-3)


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_softmax_sums_to_one_and_ignores_a_shift(axis):
    x = np.random.default_rng(3).normal(size=(3, 4, 5))
    y = forward(Softmax, x, axis=axis)
    np.testing.assert_allclose(y, np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(forward(Softmax, x + 1e4, axis=axis), y, rtol=1e-10)
    np.testing.assert_allclose(forward(LogSoftmax, x, axis=axis), np.log(y), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_of_huge_values_is_exact(dtype):
    x = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [-np.inf, 0.0, 0.0]], dtype)
    third = 1 / 3
    expected = np.array([[1, 0, 0], [third, third, third], [0, 0.5, 0.5]], dtype)
    np.testing.assert_allclose(forward(Softmax, x, axis=1), expected, rtol=1e-6)
    np.testing.assert_array_equal(forward(LogSoftmax, x, axis=1)[0], [0.0, -2e4, -1e4])
    dy = np.array([[1.0, 2.0, 3.0]] * 3, dtype)
    np.testing.assert_array_equal(backward(Softmax, dy, x, axis=1)[0], [0, 0, 0])
    np.testing.assert_array_equal(backward(LogSoftmax, dy, x, axis=1)[0], [-5, 2, 3])


@pytest.mark.parametrize("pair", [Softmax, LogSoftmax])
def test_softmax_passes_nan_through_its_own_row_only(pair):
    y = forward(pair, np.array([[1.0, np.nan], [0.0, 0.0]]), axis=1)
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()


def test_maxout_takes_the_largest_piece_and_shares_ties():
    x = np.array([[[1.0, 2.0, -1.0], [3.0, 2.0, -5.0], [0.0, 2.0, -1.0]]])
    np.testing.assert_array_equal(forward(Maxout, x), [[3.0, 2.0, -1.0]])
    dx = backward(Maxout, np.array([[10.0, 6.0, 4.0]]), x)
    np.testing.assert_array_equal(dx, [[[0, 2, 2], [10, 2, 0], [0, 2, 2]]])


def test_maxout_passes_nan_and_infinity():
    x = np.array([[[np.nan, -np.inf, 1.0], [1.0, np.inf, -np.inf]]])
    np.testing.assert_array_equal(forward(Maxout, x), [[np.nan, np.inf, 1.0]])
    np.testing.assert_array_equal(backward(Maxout, np.ones((1, 3)), x)[:, :, 1:], [[[0, 1], [1, 0]]])


@pytest.mark.parametrize("name", ALL)
def test_strided_inputs(name):
    pair, constants = ALL[name]
    x, dy = points(pair)
    spread, dy_spread = np.repeat(x, 2, axis=0)[::2], np.repeat(dy, 2, axis=0)[::2]
    expected = backward(pair, dy, x, **constants)
    dx = np.full_like(x, np.nan)
    saved = {"x": spread, "y": np.repeat(forward(pair, spread, **constants), 2, axis=0)[::2]}
    arrays = (saved[letter] for letter in pair.saves)
    pair.backward(np, dy_spread, *arrays, dx=dx, **scratch(pair, "backward", x), **constants)
    np.testing.assert_array_equal(dx, expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-15), ("float32", 3e-7)])
def test_erf_agrees_with_the_standard_library(dtype, tolerance):
    boundary = [0.46875, np.nextafter(0.46875, 1), 4.0, 5.9999, 6.0]
    x = np.concatenate([np.linspace(-7, 7, 20001), boundary, EDGES, [1e30, -1e30]]).astype(dtype)
    y = np.full_like(x, np.nan)
    erf(np, read_only(x), y=y, work=tuple(np.full_like(x, np.nan) for _ in range(3)))
    expected = np.array([math.erf(number) for number in x])
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(y[expected != 0] / expected[expected != 0], 1, rtol=0, atol=2 * tolerance)


def test_erf_at_zero_infinity_and_nan():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    y = np.empty_like(x)
    erf(np, read_only(x), y=y, work=tuple(np.empty_like(x) for _ in range(3)))
    np.testing.assert_array_equal(y, [0, 0, 1, -1, np.nan])
    np.testing.assert_array_equal(np.signbit(y[:2]), [False, True])
