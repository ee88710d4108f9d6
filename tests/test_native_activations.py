"""Do the compiled activations agree with their definitions and with the truth, alone and together with a bias?"""

import math

import numpy as np
import pytest

from backends import native
from backends.blas import blas
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
from backends.native.activations import FUSED_BACKWARD, FUSED_FORWARD

pytestmark = pytest.mark.skipif(native.problem() is not None, reason=f"compiled kernels: {native.problem()}")

DTYPES = ("float32", "float64")
SIZES = (*range(1, 70), 127, 128, 255, 257, 300, 40_001)
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, -1e-42, 1e-30, 88.0, -88.0, -104.5, 1e30, -1e30)

# Pair, its options, whether forward and backward give the definition's bits.
CURVES = {
    "relu": (ReLU, {}, True, True),
    "leaky": (LeakyReLU, {"negative_slope": 0.01}, True, True),
    "leaky, none": (LeakyReLU, {"negative_slope": 0.0}, True, True),
    "leaky, steep": (LeakyReLU, {"negative_slope": 3.0}, True, True),
    "leaky, fold": (LeakyReLU, {"negative_slope": -1.0}, True, True),
    "elu": (ELU, {"alpha": 1.0}, False, False),
    "elu, 0.3": (ELU, {"alpha": 0.3}, False, False),
    "sigmoid": (Sigmoid, {}, False, True),
    "tanh": (Tanh, {}, False, True),
    "gelu": (GELU, {}, False, False),
    "silu": (SiLU, {}, False, False),
    "softplus": (Softplus, {}, False, False),
}
curves = pytest.mark.parametrize("name", CURVES)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def table():
    return native.overrides()


def numbers(shape, dtype, seed, spread=4.0):
    return (np.random.default_rng(seed).standard_normal(shape) * spread).astype(dtype)


def scratch(pair, direction, x):
    count = getattr(pair, f"{direction}_work")
    return {"work": tuple(np.full_like(x, np.nan) for _ in range(count))} if count else {}


def forward(function, pair, x, y=None, **options):
    """What a definition or its replacement makes of x; the input must stay as it is."""
    y = np.full_like(x, 7.0) if y is None else y
    before = x.copy()
    with np.errstate(all="ignore"):
        function(np, x, y=y, **scratch(pair, "forward", x), **options)
    if y is not x:
        np.testing.assert_array_equal(x, before)
    return y


def backward(function, pair, dy, saved, dx=None, **options):
    dx = np.full_like(saved[0], 7.0) if dx is None else dx
    with np.errstate(all="ignore"):
        function(np, dy, *saved, dx=dx, **scratch(pair, "backward", saved[0]), **options)
    return dx


def near(got, expected, dtype, exact=False):
    """Equal bits, or differences of rounding: the definitions have an error of a few 1e-7 in single precision."""
    if exact:
        np.testing.assert_array_equal(got, expected, strict=True)
    else:
        rounding = 2e-6 if dtype == "float32" else 1e-14
        np.testing.assert_allclose(got, expected, rtol=rounding, atol=rounding, strict=True)


@dtypes
@curves
def test_curves_agree_with_their_definitions(table, name, dtype):
    pair, options, exact, exact_gradient = CURVES[name]
    for size in SIZES:
        x, dy = numbers(size, dtype, size), numbers(size, dtype, 1)
        x[: len(SPECIAL)] = SPECIAL[:size] if size > 20 else x[: len(SPECIAL)]
        y = forward(pair.forward, pair, x, **options)
        near(forward(table[pair.forward], pair, x, **options), y, dtype, exact)
        saved = x if pair.saves == "x" else y
        dx = backward(pair.backward, pair, dy, [saved], **options)
        near(backward(table[pair.backward], pair, dy, [saved], **options), dx, dtype, exact_gradient)


@dtypes
@curves
def test_an_element_does_not_depend_on_its_neighbours_nor_on_its_place(table, name, dtype):
    pair, options, *_ = CURVES[name]
    x, dy = numbers(200, dtype, 0, 30.0), numbers(200, dtype, 1)
    whole = forward(table[pair.forward], pair, x, **options)
    slopes = backward(table[pair.backward], pair, dy, [x], **options)
    for first, last in ((0, 1), (3, 10), (1, 18), (5, 42), (100, 133), (7, 200)):
        part, of_dy = x[first:last].copy(), dy[first:last].copy()
        np.testing.assert_array_equal(forward(table[pair.forward], pair, part, **options), whole[first:last])
        np.testing.assert_array_equal(
            backward(table[pair.backward], pair, of_dy, [part], **options), slopes[first:last]
        )


@dtypes
@curves
def test_curves_in_place(table, name, dtype):
    pair, options, *_ = CURVES[name]
    for size in (1, 5, 16, 77, 1000):
        x, dy = numbers(size, dtype, 0), numbers(size, dtype, 1)
        y = forward(table[pair.forward], pair, x, **options)
        over = x.copy()
        np.testing.assert_array_equal(forward(table[pair.forward], pair, over, over, **options), y)
        dx = backward(table[pair.backward], pair, dy, [x], **options)
        over = dy.copy()
        np.testing.assert_array_equal(backward(table[pair.backward], pair, over, [x], over, **options), dx)


def normal_below(x):
    return np.array([0.5 * math.erfc(-number / math.sqrt(2)) for number in x])


TRUTHS = {
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 1.5),
    "sigmoid": (lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))), 3),
    "tanh": (np.tanh, 3),
    "gelu": (lambda x: x * normal_below(x), 8),
    "silu": (lambda x: x * (np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))), 4.5),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 3),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_single_precision_is_some_units_in_the_last_place_from_the_truth(table, name):
    pair, options, *_ = CURVES[name]
    truth, bound = TRUTHS[name]
    small = np.geomspace(1e-44, 1.0, 3001)
    x = np.concatenate([np.linspace(-87, 87, 20_001), np.linspace(-6, 6, 30_001), small, -small]).astype("float32")
    expected = truth(x.astype("float64"))
    unit = np.spacing(np.abs(expected).astype("float32")).astype("float64")
    normal = (np.abs(expected) > 1e-35) | (np.abs(x) < 1)  # a product with something below 1e-38 has lost digits
    error = np.abs(forward(table[pair.forward], pair, x, **options) - expected) / unit
    assert error[normal].max() <= bound


@dtypes
@curves
@pytest.mark.parametrize("shape", [(1, 1), (7, 10), (5, 16), (33, 48), (3, 300), (700, 3), (128, 256), (40, 2100)])
def test_together_with_a_bias_the_bits_are_those_of_two_steps(table, name, dtype, shape):
    pair, options, *_ = CURVES[name]
    x, dy, b = numbers(shape, dtype, 0), numbers(shape, dtype, 1), numbers(shape[1], dtype, 2)
    y = forward(table[pair.forward], pair, x + b, **options)
    for in_place in (False, True):
        given = x.copy()
        made = given if in_place else np.empty_like(x)
        work = scratch(pair, "forward", x)
        assert FUSED_FORWARD[pair.forward](given, b=b, y=made, **work, **options)
        np.testing.assert_array_equal(made, y)
        if not in_place:
            np.testing.assert_array_equal(given, x + b)

    dx = backward(table[pair.backward], pair, dy, [y], **options)
    db = np.empty_like(b)
    assert native.table.kernels.column_sum(dx, db)
    made, made_sum = np.empty_like(x), np.empty_like(b)
    work = scratch(pair, "backward", x)
    assert FUSED_BACKWARD[pair.backward](dy, y, dx=made, db=made_sum, **work, **options)
    np.testing.assert_array_equal(made, dx)
    np.testing.assert_array_equal(made_sum, db)


@curves
def test_with_a_bias_what_is_not_taken_is_left_as_it_was(name):
    pair, options, *_ = CURVES[name]
    x, b = numbers((4, 6), "float32", 0), numbers(6, "float32", 1)
    for given, bias, y in (
        (x, b, np.empty((4, 6))),  # two types
        (x, b[:5], np.empty_like(x)),
        (x.ravel(), b, np.empty(24, "float32")),
        (np.asfortranarray(x), b, np.empty_like(x)),
    ):
        before = given.copy()
        assert not FUSED_FORWARD[pair.forward](given, b=bias, y=y, **scratch(pair, "forward", x), **options)
        np.testing.assert_array_equal(given, before)
    dx, db = np.empty_like(x), np.empty(6)
    assert not FUSED_BACKWARD[pair.backward](x, x, dx=dx, db=db, **scratch(pair, "backward", x), **options)


ROWS = {"softmax": Softmax, "log softmax": LogSoftmax}


@dtypes
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize(
    "shape", [(1,), (10,), (5, 1), (128, 10), (9, 16), (3, 37), (128, 256), (3, 2500), (2, 3, 5), (1200, 130)]
)
def test_softmax_along_the_last_axis(table, name, shape, dtype):
    pair = ROWS[name]
    x, dy = numbers(shape, dtype, 0), numbers(shape, dtype, 1)
    for axis in (-1, len(shape) - 1):
        y = forward(pair.forward, pair, x, axis=axis)
        made = forward(table[pair.forward], pair, x, axis=axis)
        near(made, y, dtype)
        over = x.copy()
        np.testing.assert_array_equal(forward(table[pair.forward], pair, over, over, axis=axis), made)
        dx = backward(pair.backward, pair, dy, [y], axis=axis)
        many = shape[-1] > 1000  # the sums of many numbers, in another order
        np.testing.assert_allclose(
            backward(table[pair.backward], pair, dy, [y], axis=axis),
            dx,
            rtol=1e-5 if dtype == "float32" else 1e-13,
            atol=(1e-4 if many else 1e-5) if dtype == "float32" else 1e-12,
        )


@dtypes
@pytest.mark.parametrize("name", ROWS)
def test_softmax_of_special_rows(table, name, dtype):
    pair = ROWS[name]
    for columns in (3, 40):
        x = np.zeros((6, columns), dtype)
        x[0, 1], x[1, 1], x[2, 1], x[3], x[4, 2] = np.nan, np.inf, -np.inf, -np.inf, 1e4
        y = forward(pair.forward, pair, x, axis=1)
        near(forward(table[pair.forward], pair, x, axis=1), y, dtype)
        assert np.isfinite(y[5]).all()


@dtypes
@pytest.mark.parametrize("name", ROWS)
def test_softmax_along_another_axis_is_the_definition(table, name, dtype):
    pair = ROWS[name]
    x, dy = numbers((4, 5, 6), dtype, 0), numbers((4, 5, 6), dtype, 1)
    for axis in (0, 1, -2):
        y = forward(pair.forward, pair, x, axis=axis)
        np.testing.assert_array_equal(forward(table[pair.forward], pair, x, axis=axis), y)
        dx = backward(pair.backward, pair, dy, [y], axis=axis)
        np.testing.assert_array_equal(backward(table[pair.backward], pair, dy, [y], axis=axis), dx)


@dtypes
@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 2, 7), (3, 5, 64), (2, 3, 65), (300, 4, 200)])
def test_maxout_has_the_definition_s_bits(table, shape, dtype):
    x = np.round(numbers(shape, dtype, 0, 1.0))  # many ties
    x[0, 0, :3] = (np.nan, np.inf, -np.inf)[: shape[2]]
    dy = numbers((shape[0], shape[2]), dtype, 1)
    y, made = np.empty_like(dy), np.empty_like(dy)
    Maxout.forward(np, x, y=y)
    table[Maxout.forward](np, x, y=made)
    np.testing.assert_array_equal(made, y)
    dx = backward(Maxout.backward, Maxout, dy, [x, y])
    np.testing.assert_array_equal(backward(table[Maxout.backward], Maxout, dy, [x, y]), dx)


@pytest.mark.parametrize("threads", ["one", "all"])
def test_threads_do_not_change_bits(table, threads):
    """Against one thread's results of the parts, far below the size that several share."""
    if threads == "one":
        native.table.kernels.use(0, 0, 0, 0)
    try:
        x, dy = numbers((2000, 130), "float32", 0), numbers((2000, 130), "float32", 1)
        for pair, options in ((GELU, {}), (Softmax, {"axis": 1}), (LogSoftmax, {"axis": 1})):
            y = forward(table[pair.forward], pair, x, **options)
            dx = backward(table[pair.backward], pair, dy, [y], **options)
            for rows in (slice(0, 3), slice(997, 1003), slice(1999, 2000)):
                np.testing.assert_array_equal(forward(table[pair.forward], pair, x[rows], **options), y[rows])
                part = backward(table[pair.backward], pair, dy[rows], [y[rows]], **options)
                np.testing.assert_array_equal(part, dx[rows])
    finally:
        native.use(blas())
