"""Are matrices multiplied in tiles as they should be: any shape, any number of threads, nothing beside the result?"""

import ctypes
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import backends
from backends import blas, native

ROOT = Path(__file__).resolve().parent.parent
CREW = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
THREADS = ctypes.CFUNCTYPE(ctypes.c_int)
PART = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
DTYPES = ("float32", "float64")


@pytest.fixture(scope="module")
def addresses():
    """Of the BLAS's functions; skips where products are not computed in tiles."""
    if native.problem() is not None:
        pytest.skip(f"compiled kernels: {native.problem()}")
    backends.get("cpu")
    found = blas.blas()
    if not native.use(blas.Blas(found.name, found.why, found.sgemm, found.dgemm, tiles=True)):
        pytest.skip("no vectors of 64 bytes, or a compiler that does not know them")
    yield found
    native.use(found)


@pytest.fixture
def crew(addresses):
    """Multiply with so many threads, which a function of Python stands in for; how many parts each product had."""
    counts = []

    @CREW
    def run(count, function, parts, size):
        counts.append(count)
        for number in reversed(range(count)):
            PART(function)(parts + number * size)
        return 0

    kept = []

    def use(threads):
        kept.append(THREADS(lambda: threads))
        places = [ctypes.cast(one, ctypes.c_void_p).value for one in (run, kept[-1])]
        native.use(blas.Blas("", "", addresses.sgemm, addresses.dgemm, *places, tiles=True))
        counts.clear()
        return counts

    yield use
    native.use(addresses)


def product(a, b, a_turned=0, b_turned=0):
    """Of matrices as they are meant; what lies behind the result must not change."""
    rows, columns = a.shape[0], b.shape[1]
    memory = np.full(rows * columns + 64, 7, a.dtype)
    y = memory[: rows * columns].reshape(rows, columns)
    y[:] = np.nan
    given = [np.ascontiguousarray(one.T if turned else one) for one, turned in ((a, a_turned), (b, b_turned))]
    assert native.kernels.product(*given, y, a_turned, b_turned)
    assert (memory[rows * columns :] == 7).all()
    return y


def matrices(rows, inner, columns, dtype):
    chance = np.random.default_rng(0)
    return chance.standard_normal((rows, inner)).astype(dtype), chance.standard_normal((inner, columns)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turned", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_every_shape_of_tile(addresses, dtype, turned):
    # With and without ends in rows and columns, of one vector and of two; b as it lies and gathered; pieces of `inner`.
    shapes = itertools.product((2, 3, 8, 9, 15, 72), (5, 16, 17, 31, 32, 33, 257), (2, 15, 16, 33, 401))
    epsilon = np.finfo(dtype).eps
    for rows, columns, inner in shapes:
        a, b = matrices(rows, inner, columns, dtype)
        expected = np.einsum("ik,kj->ij", a.astype("float64"), b.astype("float64"))
        largest = np.abs(a).astype("float64") @ np.abs(b).astype("float64")
        wrong = np.abs(product(a, b, *turned) - expected) > inner * epsilon * largest
        assert not wrong.any(), (rows, columns, inner)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [8, 15, 16, 17, 31, 64, 100, 256, 300, 784])
def test_a_single_row(addresses, dtype, columns):
    a, b = matrices(1, 300, columns, dtype)
    expected = np.einsum("ik,kj->ij", a.astype("float64"), b.astype("float64"))
    np.testing.assert_allclose(product(a, b), expected, rtol=0, atol=1e-4 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "inner", "columns"), [(128, 500, 96), (2000, 40, 10), (9, 420, 700), (300, 300, 301)])
def test_the_bits_do_not_depend_on_the_number_of_threads(crew, dtype, rows, inner, columns):
    a, b = matrices(rows, inner, columns, dtype)
    for turned in ((0, 0), (1, 0), (0, 1)):
        results = {}
        for threads in (1, 2, 3, 4, 7, 16):
            counts = crew(threads)
            results[threads] = product(a, b, *turned)
            assert counts == [] if threads == 1 else max(counts, default=1) <= threads
        for one in results.values():
            np.testing.assert_array_equal(one, results[1], strict=True)


def test_large_products_are_shared_and_small_ones_are_not(crew):
    counts = crew(4)
    product(*matrices(32, 64, 64, "float32"))
    assert counts == []
    product(*matrices(256, 512, 512, "float32"))
    assert counts == [4]


def test_nan_and_infinity_pass(addresses):
    a, b = matrices(40, 70, 50, "float32")
    a[3, 5], b[60, 7] = np.nan, np.inf
    found = product(a, b)
    assert np.isnan(found[3]).all()
    assert not np.isfinite(np.delete(found[:, 7], 3)).any()
    assert np.isfinite(np.delete(np.delete(found, 3, 0), 7, 1)).all()


@pytest.mark.parametrize(("wanted", "tiles"), [("", True), ("openblas", False), ("numpy", False), ("mkl", False)])
def test_a_library_that_is_asked_for_multiplies_everything(addresses, wanted, tiles):
    if addresses.sgemm == 0:
        pytest.skip("NumPy has no OpenBLAS that can be called directly")
    program = "import backends; print(backends.get('cpu').describe()['products'])"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ENGINE_BLAS": wanted, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert ("tiles" in told) == (tiles and blas.blas().name.startswith("OpenBLAS"))
