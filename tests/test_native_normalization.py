"""Do the compiled normalisations agree with their definitions, whatever is missing, and keep digits at large means?"""

import itertools

import numpy as np
import pytest

from backends import native
from backends.blas import blas
from backends.kernels.normalization import BatchNorm, BatchNormEvaluation, LayerNorm, update_running

pytestmark = pytest.mark.skipif(native.problem() is not None, reason=f"compiled kernels: {native.problem()}")

EPS = 1e-5
PAIRS = (BatchNorm, BatchNormEvaluation, LayerNorm)
SHAPES = [(2, 1), (1, 5), (2, 3), (7, 10), (33, 17), (128, 10), (16, 63), (16, 64), (16, 65), (128, 256), (5, 2100)]
LARGE = [(700, 500), (3, 100_001), (100_001, 3)]

pairs = pytest.mark.parametrize("pair", PAIRS)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
affine = pytest.mark.parametrize(("with_gain", "with_bias"), list(itertools.product([True, False], repeat=2)))


@pytest.fixture
def table():
    return native.overrides()


def normal(shape, dtype, seed, mean=0.0):
    array = (mean + np.random.default_rng(seed).standard_normal(shape)).astype(dtype)
    array.setflags(write=False)
    return array


def given(pair, shape, dtype, with_gain=True, with_bias=True, mean=1.0):
    """x, gain and bias, and the running estimates in evaluation."""
    x = normal(shape, dtype, 0, mean)
    gain = normal(shape[1], dtype, 1) if with_gain else None
    bias = normal(shape[1], dtype, 2) if with_bias else None
    running = (normal(shape[1], dtype, 3, mean), np.abs(normal(shape[1], dtype, 4)) + np.array(0.1, dtype))
    return (x, gain, bias, *(running if pair is BatchNormEvaluation else ()))


def forward(function, pair, arrays, **changed):
    x = arrays[0]
    row = (x.shape[0], 1) if pair is LayerNorm else (x.shape[1],)
    names = {"y": x.shape, "normalized": x.shape, "inverse_deviation": row}
    if pair is BatchNorm:
        names |= {"mean": row, "variance": row}
    out = {name: np.full(shape, 7.0, x.dtype) for name, shape in names.items()} | changed
    with np.errstate(all="ignore"):
        function(np, *arrays, **out, eps=EPS)
    return out


def backward(function, pair, saved, dy, gain, wanted=("dx", "dgain", "dbias")):
    out = {name: np.full_like(dy if name == "dx" else dy[0], 7.0) for name in wanted}
    work = tuple(np.full_like(dy, np.nan) for _ in range(pair.backward_work))
    function(np, dy, saved["normalized"], gain, saved["inverse_deviation"], **out, work=work)
    return out


def near(got, expected, pair, dtype):
    """Batch norm adds row after row, as NumPy does, and has its bits; but a single column NumPy adds in pairs."""
    assert got.keys() == expected.keys()
    for name, one in got.items():
        if one is None:
            continue
        if pair is not LayerNorm and one.shape[-1] > 1:
            np.testing.assert_array_equal(one, expected[name], strict=True)
        else:
            bound = 2e-5 if dtype == "float32" else 1e-12
            scale = max(1.0, float(np.abs(expected[name]).max()))
            np.testing.assert_allclose(one, expected[name], rtol=bound, atol=bound * scale, strict=True)


@pairs
@dtypes
@affine
@pytest.mark.parametrize("shape", SHAPES)
def test_they_agree_with_their_definitions(table, pair, shape, dtype, with_gain, with_bias):
    arrays, dy = given(pair, shape, dtype, with_gain, with_bias), normal(shape, dtype, 5)
    out = forward(pair.forward, pair, arrays)
    near(forward(table[pair.forward], pair, arrays), out, pair, dtype)
    gradients = backward(pair.backward, pair, out, dy, arrays[1])
    near(backward(table[pair.backward], pair, out, dy, arrays[1]), gradients, pair, dtype)


@pairs
@dtypes
@pytest.mark.parametrize("shape", LARGE)
def test_large_ones_have_the_same_bits_on_one_thread_and_on_several(table, pair, shape, dtype):
    arrays, dy = given(pair, shape, dtype), normal(shape, dtype, 5)
    results = []
    for threads in ("one", "all"):
        if threads == "one":
            native.table.kernels.use(0, 0, 0, 0)
        else:
            native.use(blas())
        out = forward(table[pair.forward], pair, arrays)
        results.append(out | backward(table[pair.backward], pair, out, dy, arrays[1]))
    for name, one in results[0].items():
        np.testing.assert_array_equal(one, results[1][name])


@pairs
@pytest.mark.parametrize("wanted", [("dx",), ("dgain",), ("dbias",), ("dx", "dgain"), ("dgain", "dbias"), ()])
def test_each_gradient_alone_has_the_same_bits(table, pair, wanted):
    arrays, dy = given(pair, (9, 70), "float32"), normal((9, 70), "float32", 5)
    out = forward(table[pair.forward], pair, arrays)
    together = backward(table[pair.backward], pair, out, dy, arrays[1])
    for name, one in backward(table[pair.backward], pair, out, dy, arrays[1], wanted).items():
        np.testing.assert_array_equal(one, together[name])


@pytest.mark.parametrize("kept", ["none", "y"])
@affine
def test_evaluation_needs_no_memory_for_what_no_backward_reads(table, kept, with_gain, with_bias):
    arrays = given(BatchNormEvaluation, (6, 70), "float32", with_gain, with_bias)
    expected = forward(BatchNormEvaluation.forward, BatchNormEvaluation, arrays)["y"]
    y = np.empty_like(expected)
    normalized = None if kept == "none" else y
    forward(table[BatchNormEvaluation.forward], BatchNormEvaluation, arrays, y=y, normalized=normalized)
    np.testing.assert_array_equal(y, expected)


@dtypes
@pytest.mark.parametrize("pair", [BatchNorm, LayerNorm])
@pytest.mark.parametrize("mean", [0.0, 1e4, -3e5])
def test_a_large_mean_costs_no_more_digits_than_in_the_definition(table, pair, dtype, mean):
    for shape in ((64, 48), (500, 3), (3, 5000)):
        arrays = given(pair, shape, dtype, False, False, mean)
        x = arrays[0].astype("longdouble")
        axis = 1 if pair is LayerNorm else 0
        centered = x - x.mean(axis, keepdims=True)
        truth = centered / np.sqrt((centered**2).mean(axis, keepdims=True) + EPS)
        errors = [
            float(np.abs(forward(function, pair, arrays)["y"] - truth).max())
            for function in (table[pair.forward], pair.forward)
        ]
        assert errors[0] <= 1.5 * errors[1] + float(np.finfo(dtype).eps)


@pytest.mark.parametrize("pair", [BatchNorm, LayerNorm])
@dtypes
@pytest.mark.parametrize("value", [0.0, 0.1, -80.0, 1e6])
def test_a_constant_is_normalized_to_exactly_zero(table, pair, dtype, value):
    x = np.full((100, 70), value, dtype)
    out = forward(table[pair.forward], pair, (x, None, None))
    np.testing.assert_array_equal(out["normalized"], 0)
    np.testing.assert_allclose(out["inverse_deviation"], EPS**-0.5, rtol=1e-6)


@pairs
@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_own_feature_or_sample(table, pair, special):
    arrays = list(given(pair, (20, 70), "float32"))
    arrays[0] = arrays[0].copy()
    arrays[0][2, 66] = special
    out, expected = (forward(function, pair, arrays) for function in (table[pair.forward], pair.forward))
    for name, one in out.items():
        np.testing.assert_array_equal(np.isfinite(one), np.isfinite(expected[name]))


@dtypes
@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("features", [1, 7, 300])
def test_running_estimates_have_the_definition_s_bits(table, dtype, momentum, features):
    found = [normal(features, dtype, seed) for seed in range(2)]
    results = []
    for function in (update_running, table[update_running]):
        running = [normal(features, dtype, seed).copy() for seed in (2, 3)]
        options = {"momentum": momentum, "batch": 7, "work": np.empty(features, dtype)}
        function(np, *found, running_mean=running[0], running_variance=running[1], **options)
        results.append(running)
    np.testing.assert_array_equal(results[0], results[1])


@pairs
def test_what_is_not_taken_is_left_to_the_definition(table, pair):
    x, *others = given(pair, (12, 5), "float64")
    for one in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], np.repeat(x, 2, axis=1)[:, ::2]):
        arrays = (one, *others)
        expected = forward(pair.forward, pair, arrays)
        for name, made in forward(table[pair.forward], pair, arrays).items():
            np.testing.assert_array_equal(made, expected[name])
