"""Are cuBLAS's arguments for products of rounded matrices right? A stand-in reads the memory by cuBLAS's rules."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import NO_GPU

import engine as en
from backends.kernels.linear import RoundedLinear
from backends.kernels.rounding import DROPPED, Round, work_type
from backends.tensor_cores import TensorCores

# As cublas_api.h and library_types.h number them.
NUMBERS = {"CUBLAS_OP_N": 0, "CUBLAS_OP_T": 1, "CUBLAS_GEMM_DEFAULT": -1}
NUMBERS |= {"CUBLAS_COMPUTE_32F": 68, "CUBLAS_COMPUTE_32F_FAST_TF32": 77}
TYPES = {"CUDA_R_32F": 0, "CUDA_R_16F": 2, "CUDA_R_16BF": 14}


class Pointed(np.ndarray):
    """An array that tells its address as CuPy's do."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)


def read(place, kind, rows, columns, leading):
    """A matrix (rows, columns) in memory, column after column, each `leading` elements after the one before."""
    size = 4 if kind == TYPES["CUDA_R_32F"] else 2
    raw = ctypes.string_at(place, size * (leading * (columns - 1) + rows))
    if kind == TYPES["CUDA_R_32F"]:
        flat = np.frombuffer(raw, np.float32)
    elif kind == TYPES["CUDA_R_16F"]:
        flat = np.frombuffer(raw, np.float16)
    else:
        flat = (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.array([flat[leading * column : leading * column + rows] for column in range(columns)], np.float64).T


def gemm(handle, a_turned, b_turned, m, n, k, alpha, a, a_kind, lda, b, b_kind, ldb, beta, c, c_kind, ldc, how, algo):
    """C (m, n) = alpha op(A) op(B) + beta C, columns first; op(A) is (m, k), op(B) (k, n)."""
    assert (handle, c_kind, algo) == ("the handle", TYPES["CUDA_R_32F"], NUMBERS["CUBLAS_GEMM_DEFAULT"])
    assert a_kind == b_kind
    wide = a_kind == TYPES["CUDA_R_32F"]
    assert how == NUMBERS["CUBLAS_COMPUTE_32F_FAST_TF32" if wide else "CUBLAS_COMPUTE_32F"]
    assert ctypes.c_float.from_address(alpha).value == 1
    assert ctypes.c_float.from_address(beta).value == 0
    assert lda >= (k if a_turned else m)
    assert ldb >= (n if b_turned else k)
    assert ldc >= m
    left = read(a, a_kind, k, m, lda).T if a_turned else read(a, a_kind, m, k, lda)
    right = read(b, b_kind, n, k, ldb).T if b_turned else read(b, b_kind, k, n, ldb)
    if wide:  # what tensor cores read of a float32
        for one in (left, right):
            assert not (one.astype(np.float32).view(np.uint32) & 0x1FFF).any()
    with np.errstate(invalid="ignore"):
        product = (left @ right).astype(np.float32)
    for column in range(n):
        ctypes.memmove(c + 4 * ldc * column, np.ascontiguousarray(product[:, column]).ctypes.data, 4 * m)


class Module:
    """What is asked of cupy; its arrays are NumPy's."""

    __version__ = "0"

    def __init__(self, capability="90", numbers=NUMBERS):
        self.cuda = SimpleNamespace(
            Device=lambda index: SimpleNamespace(compute_capability=capability),
            cublas=SimpleNamespace(gemmEx=gemm, **numbers),
            runtime=SimpleNamespace(**TYPES),
            device=SimpleNamespace(get_cublas_handle=lambda: "the handle"),
        )

    def __getattr__(self, name):
        return getattr(np, name)


def drawn(shape, precision, seed):
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    y = np.empty_like(x)
    Round.forward(np, x, y=y, work=np.empty(shape, work_type(precision)), precision=precision)
    return y.view(Pointed)


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (2, 3, 5), (7, 4, 1), (1, 9, 6), (8, 16, 32)])
@pytest.mark.parametrize("precision", DROPPED)
def test_products_are_those_of_the_definition(precision, rows, inputs, outputs, monkeypatch):
    monkeypatch.delenv("ENGINE_TENSOR_CORES", raising=False)
    xp = Module()
    table = TensorCores(xp, 0).overrides()
    x, w = drawn((rows, inputs), precision, 0), drawn((inputs, outputs), precision, 1)
    dy, b = drawn((rows, outputs), precision, 2), np.arange(outputs, dtype=np.float32)
    for definition, arrays, shapes in (
        (RoundedLinear.forward, (x, w, b), {"y": (rows, outputs)}),
        (RoundedLinear.forward, (x, w, None), {"y": (rows, outputs)}),
        (RoundedLinear.backward, (dy, x, w), {"dx": x.shape, "dw": w.shape}),
        (RoundedLinear.backward, (dy, x, w), {"dw": w.shape}),
        (RoundedLinear.backward, (dy, x, w), {"dx": x.shape}),
    ):
        found = {name: np.full(shape, np.nan, np.float32).view(Pointed) for name, shape in shapes.items()}
        expected = {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
        table[definition](xp, *arrays, **found, precision=precision)
        definition(np, *(None if one is None else np.asarray(one) for one in arrays), **expected, precision=precision)
        for name, one in expected.items():
            np.testing.assert_allclose(found[name], one, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("precision", DROPPED)
def test_infinity_and_nan_pass_through(precision):
    xp = Module()
    x = np.array([[np.inf, 1.0], [np.nan, 1.0], [1.0, 2.0]], np.float32)
    x.view(np.uint32)[1, 0] = 0x7F800001  # a NaN whose one bit would be dropped
    rounded = np.empty_like(x)
    Round.forward(np, x, y=rounded, work=np.empty(x.shape, work_type(precision)), precision=precision)
    y = np.empty((3, 1), np.float32).view(Pointed)
    w = np.ones((2, 1), np.float32).view(Pointed)
    TensorCores(xp, 0).overrides()[RoundedLinear.forward](xp, rounded.view(Pointed), w, None, y=y, precision=precision)
    np.testing.assert_array_equal(y, [[np.inf], [np.nan], [3.0]])


def test_what_it_does_not_take_goes_to_the_definition():
    xp = Module()
    cores = TensorCores(xp, 0)
    x, w = drawn((4, 6), "tf32", 0), drawn((3, 2), "tf32", 1)
    for given in (x[:, ::2], np.asfortranarray(x[:, :3]).view(Pointed), x[:0, :3]):
        y = np.empty((len(given), 2), np.float32).view(Pointed)
        cores.forward(xp, given, w, None, y=y, precision="tf32")
        np.testing.assert_allclose(y, np.asarray(given) @ np.asarray(w), rtol=1e-6)
        dx = np.empty(given.shape, np.float32).view(Pointed)
        cores.backward(xp, y, given, w, dx=dx, precision="tf32")
        np.testing.assert_allclose(dx, np.asarray(y) @ np.asarray(w).T, rtol=1e-6)


def test_where_they_are_not_used_it_is_told(monkeypatch):
    missing = {name: one for name, one in NUMBERS.items() if name != "CUBLAS_COMPUTE_32F_FAST_TF32"}
    for xp, why in ((Module("75"), "compute capability 7.5"), (Module(numbers=missing), "does not offer them")):
        cores = TensorCores(xp, 0)
        assert why in cores.problem
        assert cores.overrides() == {}
    assert TensorCores(Module(), 0).problem is None
    monkeypatch.setenv("ENGINE_TENSOR_CORES", "0")
    assert TensorCores(Module(), 0).problem == "switched off by ENGINE_TENSOR_CORES=0"


@pytest.mark.gpu
@pytest.mark.parametrize("precision", DROPPED)
def test_a_gpu_multiplies_as_the_cpu_does(precision):
    if NO_GPU is not None:
        pytest.skip(f"no CUDA device: {NO_GPU}")
    found = []
    generator = np.random.default_rng(0)
    values, incoming = generator.normal(size=(37, 65)), generator.normal(size=(37, 19))
    for device in ("cpu", "cuda"):
        layer = en.Linear(65, 19, generator=1).to(device, precision=precision)
        x = en.tensor(values, dtype="float32", device=device, requires_grad=True)
        y = layer(x)
        y.backward(en.tensor(incoming, dtype="float32", device=device))
        found.append([one.numpy() for one in (y, x.grad, layer.weight.grad, layer.bias.grad)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)
