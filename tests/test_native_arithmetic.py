"""Do compiled arithmetic and sums give what NumPy gives, for every pair of shapes that they take?"""

import numpy as np
import pytest

from backends import native
from backends.kernels.arithmetic import Add, Divide, Exp, Log, Multiply, Negative, PowerConstant, Sqrt, Subtract
from backends.kernels.reduction import Accumulate, Mean, Sum, SumTo

pytestmark = pytest.mark.skipif(native.problem() is not None, reason=f"compiled kernels: {native.problem()}")

DTYPES = ("float32", "float64")
SHAPES = [(), (1,), (7,), (300,), (1, 1), (1, 8), (5, 1), (3, 64), (65, 33), (2, 3, 4), (300_001,), (513, 257)]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, 1e30]


def kernel(definition):
    """The compiled kernel, which must take what it is given."""
    compiled = native.overrides()[definition].compiled

    def run(*arrays, **options):
        assert compiled(*arrays, **(compiled.__kwdefaults__ or {}) | options) is True

    return run


def numbers(shape, dtype, seed):
    generator = np.random.default_rng(seed)
    values = np.asarray(generator.standard_normal(shape) * 10.0 ** generator.integers(-6, 6, shape))
    if values.size > 40:
        values.flat[seed : seed + len(SPECIAL)] = SPECIAL
    return values.astype(dtype)


def same_bits(definition, arrays, names, shape, dtype, **options):
    results = []
    for function in (lambda *given, **named: definition(np, *given, **named), kernel(definition)):
        made = {name: np.empty(shape, dtype) for name in names}
        with np.errstate(all="ignore"):
            function(*arrays, **made, **options)
        results.append(made)
    for name in names:
        np.testing.assert_array_equal(results[0][name], results[1][name], strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arithmetic_has_numpys_bits(shape, dtype):
    a, b, dy = (numbers(shape, dtype, seed) for seed in range(3))
    row = numbers(shape[-1:], dtype, 3)
    array = np.array([0.75], dtype)
    for pair in (Add, Subtract, Multiply, Divide):
        for right in (b, 3, 0.1, -2.5, array, row, row.reshape(1, *row.shape)):
            if np.broadcast_shapes(np.shape(right), shape) == shape:
                same_bits(pair.forward, [a, right], ["y"], shape, dtype)
        for left in (2, 0.3, array):
            if np.broadcast_shapes(np.shape(left), shape) == shape:
                same_bits(pair.forward, [left, b], ["y"], shape, dtype)
    for pair in (Add, Multiply):
        same_bits(pair.forward, [row, b], ["y"], shape, dtype)
    same_bits(Accumulate.forward, [a, b], ["total"], shape, dtype)
    for names in (["da"], ["db"], ["da", "db"]):
        same_bits(Multiply.backward, [dy, a, b], names, shape, dtype)
        same_bits(Divide.backward, [dy, a, b], names, shape, dtype)
    same_bits(Negative.forward, [a], ["y"], shape, dtype)
    same_bits(Negative.backward, [a], ["dx"], shape, dtype)
    same_bits(PowerConstant.forward, [a], ["y"], shape, dtype, exponent=2)
    same_bits(PowerConstant.backward, [dy, a], ["dx"], shape, dtype, exponent=2)
    same_bits(Exp.backward, [dy, a], ["dx"], shape, dtype)
    same_bits(Log.backward, [dy, a], ["dx"], shape, dtype)
    same_bits(Sqrt.forward, [a], ["y"], shape, dtype)
    same_bits(Sqrt.backward, [dy, a], ["dx"], shape, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_may_take_the_place_of_an_operand(dtype):
    for size in (1, 5, 64, 1001, 200_000):
        a, b = numbers(size, dtype, 0), numbers(size, dtype, 1)
        for pair, ufunc in ((Add, np.add), (Subtract, np.subtract), (Multiply, np.multiply), (Divide, np.divide)):
            first, second, both = a.copy(), b.copy(), a.copy()
            kernel(pair.forward)(first, b, y=first)
            kernel(pair.forward)(a, second, y=second)
            kernel(pair.forward)(both, both, y=both)
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(first, ufunc(a, b))
                np.testing.assert_array_equal(second, ufunc(a, b))
                np.testing.assert_array_equal(both, ufunc(a, a))


@pytest.mark.parametrize(
    ("a", "b", "y"),
    [
        (np.ones((3, 1)), np.ones((1, 4)), np.empty((3, 4))),
        (np.ones((4, 4)), np.ones((4, 1)), np.empty((4, 4))),
        (np.ones((2, 3, 4)), np.ones((3, 4)), np.empty((2, 3, 4))),
        (np.ones((4, 8))[:, ::2], np.ones(4), np.empty((4, 4))),
        (np.ones(4, "int64"), np.ones(4), np.empty(4)),
        (np.ones(4, "float32"), np.ones(4), np.empty(4)),
        (np.ones((0, 4)), np.ones(4), np.empty((0, 4))),
    ],
    ids=["column and row", "column", "two axes", "strided", "whole numbers", "two types", "empty"],
)
def test_other_pairs_are_left_to_the_definition(a, b, y):
    for pair, expected in ((Add, 2), (Subtract, 0), (Multiply, 1), (Divide, 1)):
        y.fill(7)
        native.overrides()[pair.forward](np, a, b, y=y)
        np.testing.assert_array_equal(y, expected)


AXES = [None, 0, -1, (0,), (1,), (-1,), (0, 1), (1, 0), (0, 1, 2), (0, 2), ()]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape], ids=str)
def test_sums_and_means(shape, dtype):
    x = np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(dtype)
    tolerance = {"rtol": 100 * np.finfo(dtype).eps}  # NumPy adds down the columns one by one
    for axis in AXES:
        axes = tuple(range(len(shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        if any(not -len(shape) <= one < len(shape) for one in axes):
            continue
        count = int(np.prod([shape[one] for one in axes]))
        for keepdims in (True, False):
            truth = np.sum(x, axis=axis, keepdims=keepdims, dtype="float64")
            y = np.empty(truth.shape, dtype)
            options = {"axis": axis, "keepdims": keepdims}
            native.overrides()[Sum.forward](np, x, y=y, **options)
            np.testing.assert_allclose(y, truth, **tolerance)
            native.overrides()[Mean.forward](np, x, y=y, **options, count=count)
            np.testing.assert_allclose(y, truth / count, **tolerance)
        truth = np.sum(x, axis=axis, keepdims=True, dtype="float64")
        y = np.empty(truth.shape, dtype)
        native.overrides()[SumTo.forward](np, x, dx=y, axis=axis)
        np.testing.assert_allclose(y, truth, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_sums_and_means(dtype):
    dx = np.empty((5, 7), dtype)
    for dy in (np.full((1, 1), 3, dtype), np.arange(5).reshape(5, 1).astype(dtype), np.arange(7).astype(dtype)):
        native.overrides()[Sum.backward](np, dy, dx=dx)
        np.testing.assert_array_equal(dx, np.broadcast_to(dy, dx.shape))
        native.overrides()[Mean.backward](np, dy, dx=dx, count=35)
        np.testing.assert_array_equal(dx, np.broadcast_to(dy / np.array(35, dtype), dx.shape))


def test_sums_of_whole_numbers_are_left_to_the_definition():
    x, y = np.arange(12).reshape(3, 4), np.empty((1, 1), "int64")
    native.overrides()[Sum.forward](np, x, y=y, axis=(0, 1), keepdims=True)
    assert y.item() == 66
