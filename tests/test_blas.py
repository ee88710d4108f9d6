"""Is the BLAS that was asked for the one that multiplies, and is it told which and why?"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import backends
from backends import blas, native

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import numpy as np
import backends, engine as en
from backends import native
layer = en.Linear(40, 30, generator=0)
x = np.random.default_rng(0).standard_normal((20, 40), "float32")
y = layer(en.tensor(x)).numpy()
print(np.abs(y - (x @ layer.weight.numpy() + layer.bias.numpy())).max() < 1e-5)
print(native.kernels is not None and native.kernels.product(x, x.T.copy(), np.empty((20, 20), "float32"), 0, 0))
print(backends.get("cpu").describe()["BLAS"])
"""


def ran(*options, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in ("ENGINE_BLAS", "ENGINE_NATIVE")}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, *options, "-c", PROGRAM]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.mark.skipif(native.kernels is None, reason="compiled kernels are not built")
@pytest.mark.skipif(blas.blas().sgemm == 0, reason="NumPy has no OpenBLAS that can be called directly")
def test_openblas_is_called_directly():
    right, direct, told = ran(OPENBLAS_CORETYPE="Haswell").stdout.splitlines()
    assert (right, direct) == ("True", "True")
    assert told.startswith("OpenBLAS ")
    assert told.endswith("(OPENBLAS_CORETYPE=Haswell)")


def test_numpys_matmul_where_it_is_asked_for():
    right, direct, told = ran(ENGINE_BLAS="numpy").stdout.splitlines()
    assert (right, direct) == ("True", "False")
    assert told.endswith("(ENGINE_BLAS=numpy: its matmul is called)")


def test_an_unknown_choice_is_told_and_ignored():
    done = ran(ENGINE_BLAS="atlas")
    assert done.stdout.startswith("True\n")
    message = "RuntimeWarning: ENGINE_BLAS: 'atlas' was given; it is openblas, mkl or numpy. It is ignored."
    assert message in done.stderr


def test_mkl_that_is_not_installed(monkeypatch):
    monkeypatch.setenv("ENGINE_BLAS", "mkl")
    monkeypatch.setattr(blas, "_mkl", lambda: None)
    with pytest.warns(RuntimeWarning, match=r'mkl is not installed, OpenBLAS is used. pip install "chalkgrad\[mkl\]"'):
        blas._choose()


@pytest.mark.parametrize(
    ("vendor", "wanted", "why"), [("GenuineIntel", "", "processor of Intel's"), ("", "mkl", "=mkl")]
)
def test_mkl_is_taken_on_intels_processors_or_where_asked_for(monkeypatch, vendor, wanted, why):
    monkeypatch.setenv("ENGINE_BLAS", wanted)
    monkeypatch.setattr(blas, "_vendor", lambda: vendor)
    monkeypatch.setattr(blas, "_mkl", lambda: blas.Blas("MKL", ""))
    assert blas._choose().name == "MKL"
    assert why in blas._choose().why


def test_mkl_is_not_taken_elsewhere(monkeypatch):
    monkeypatch.delenv("ENGINE_BLAS", raising=False)
    monkeypatch.setattr(blas, "_vendor", lambda: "AuthenticAMD")
    monkeypatch.setattr(blas, "_mkl", lambda: blas.Blas("MKL", ""))
    assert blas._choose().name != "MKL"


@pytest.mark.skipif(native.kernels is None, reason="compiled kernels are not built")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "sizes", [(1, 2, 8), (1, 100, 37), (1, 784, 256), (5, 1, 70), (7, 5, 3), (9, 11, 10), (33, 64, 65), (128, 784, 256)]
)
def test_products_with_either_side_turned(sizes, dtype):
    rows, inner, columns = sizes
    chance = np.random.default_rng(0)
    a, b = chance.standard_normal((rows, inner)).astype(dtype), chance.standard_normal((inner, columns)).astype(dtype)
    expected = np.einsum("ik,kj->ij", a.astype("float64"), b.astype("float64"))
    backends.get("cpu")
    if blas.blas().sgemm == 0:
        pytest.skip("NumPy has no OpenBLAS that can be called directly")
    for a_turned in (0, 1):
        for b_turned in (0, 1):
            y = np.full((rows, columns), np.nan, dtype)
            given = a.T.copy() if a_turned else a, b.T.copy() if b_turned else b
            assert native.kernels.product(*given, y, a_turned, b_turned)
            np.testing.assert_allclose(y, expected, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-4)
