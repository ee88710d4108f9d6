"""Do a GPU's kernels compute what their definitions say? Emulated on the CPU, thread by thread, in any order.

The same cases as on a GPU (test_cuda_gpu.py); then what has no definition: kernels with the bias beside an activation.
"""

import ctypes

import cuda_cases
import numpy as np
import parity
import pytest
from fake_device import FakeArray, FakeBackend

from backends import cuda, native
from backends.cuda import LEFT
from backends.kernels.averaging import label_weights
from backends.kernels.loss import CrossEntropy, Hinge, WeightedCrossEntropy
from backends.native.activations import FUSED_BACKWARD, FUSED_FORWARD
from backends.native.table import TABLE

DTYPES = ("float32", "float64")
ORDERS = {"in turn": (0, 0), "backwards": (1, 0), "warp by warp": (2, 0), "few blocks": (0, 2)}

dtypes = pytest.mark.parametrize("dtype", DTYPES)
shapes = pytest.mark.parametrize("shape", cuda_cases.SHAPES, ids=str)
families = pytest.mark.parametrize("family", cuda_cases.FAMILIES, ids=lambda one: one.__name__)


class Memory:
    """Arrays between bytes that make NaN of a float and that nobody may change."""

    def __init__(self, aligned):
        self.aligned, self.edges = aligned, []

    def put(self, array):
        """The array on the device: at a place like those that CuPy allocates, or like those of its views."""
        start = 256 if self.aligned else 256 + array.itemsize
        raw = np.full(start + array.nbytes + 256, 0xFF, "uint8")
        inside = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        inside[...] = array
        self.edges += [raw[:start], raw[start + array.nbytes :]]
        return FakeArray(inside)

    def check(self):
        assert all((edge == 0xFF).all() for edge in self.edges)
        self.edges.clear()


@pytest.mark.parametrize("order", ORDERS)
@dtypes
@shapes
@families
def test_kernels_agree_with_their_definitions(emulated, family, shape, dtype, order):
    emulated.number("order").value, emulated.number("blocks").value = ORDERS[order]
    memory = Memory(aligned=order in ("in turn", "few blocks"))
    for case in family(shape, dtype):
        before = emulated.number("launches").value
        case.check(case.run(TABLE[case.replaced].compiled, memory.put, lambda one: one._host))
        assert emulated.number("launches").value > before
        memory.check()


@dtypes
@shapes
@pytest.mark.parametrize("family", [cuda_cases.curves, cuda_cases.units], ids=lambda one: one.__name__)
def test_an_element_has_the_bits_that_the_cpu_gives_it(emulated, family, shape, dtype):
    for case in family(shape, dtype):
        kernel = TABLE[case.replaced].compiled
        ours = case.run(kernel, lambda one: one, lambda one: one)
        theirs = case.run(kernel, FakeArray, lambda one: one._host)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(other, one, strict=True)


def test_every_kernel_that_is_replaced_has_cases():
    cases = (case for family in cuda_cases.FAMILIES for case in family((7, 10), "float32"))
    assert {case.replaced for case in cases} == set(TABLE) - LEFT


@dtypes
@shapes
@pytest.mark.parametrize("entry", cuda_cases.CURVES, ids=lambda one: one[0].__name__)
def test_an_activation_with_its_bias_beside_it(emulated, entry, shape, dtype):
    pair, options, *_ = entry
    x, b, dy = (cuda_cases.drawn(one, dtype, seed) for seed, one in enumerate((shape, shape[1:], shape)))
    work = cuda_cases.scratch(pair, "forward", x)
    y = np.full_like(x, np.nan)
    TABLE[pair.forward](np, x + b, y=y, **work, **options)
    fused = FUSED_BACKWARD[pair.backward]
    for in_place in (False, True):
        given = FakeArray(x.copy())
        made = given if in_place else FakeArray(np.full_like(x, np.nan))
        function = getattr(native.kernels, f"bias_{cuda_cases.NAMES[pair]}")
        assert function(given, FakeArray(b), made, *options.values()) is True
        np.testing.assert_array_equal(made._host, y)
        np.testing.assert_array_equal(given._host, y if in_place else x + b)
    work = cuda_cases.scratch(pair, "backward", x)
    dx, db = np.full_like(x, np.nan), FakeArray(np.full_like(b, np.nan))
    TABLE[pair.backward](np, dy, y, dx=dx, **work, **options)
    made = FakeArray(np.full_like(x, np.nan))
    assert fused(FakeArray(dy), FakeArray(y), dx=made, db=db, **work, **options) is True
    np.testing.assert_array_equal(made._host, dx)
    rounding = {"rtol": 64 * np.finfo(dtype).eps, "atol": 2 * shape[0] * np.finfo(dtype).eps}
    np.testing.assert_allclose(db._host, dx.sum(axis=0, dtype="float64"), **rounding)
    assert FUSED_FORWARD.keys() == {one.forward for one in cuda_cases.NAMES}


@pytest.mark.parametrize("columns", [1, 3, 1000, 2**32 - 1, 2**32, 2**40 + 7])
def test_cells_of_any_matrix(emulated, columns):
    find = emulated.library.emulated_cell
    find.argtypes = (ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    found = np.zeros(2, "int64")
    for number in (0, 1, 999, 1000, 2**31, 2**32 - 1, 2**32, 2**45 + 12_345):
        find(number, columns, found.ctypes.data)
        assert tuple(found) == divmod(number, columns)


@dtypes
@pytest.mark.parametrize("size", [1 << 16, (1 << 16) + 1, 10 * cuda.PIECE, 10 * cuda.PIECE + 3])
def test_the_squared_norm_of_many_gradients(emulated, size, dtype):
    """Beyond what one block adds up: in pieces, the last of which may be short."""
    g, out = cuda_cases.drawn(size, dtype, 0), FakeArray(np.full(1, np.nan, dtype))
    before = emulated.number("launches").value
    cuda.squared_norm_by_pieces(EmulatedBackend().xp, FakeArray(g), out=out)
    assert emulated.number("launches").value - before == 1 + (size > 1 << 16)
    np.testing.assert_allclose(out._host[0], (g.astype("longdouble") ** 2).sum().astype("float64"), rtol=1e-6)
    pieces = np.full(-(-size // cuda.PIECE), np.nan, dtype)
    assert native.kernels.squared_pieces(g, pieces, cuda.PIECE) is True
    np.testing.assert_allclose(pieces.sum(dtype="float64"), out._host[0], rtol=1e-6)
    g[size // 2] = np.nan
    cuda.squared_norm_by_pieces(EmulatedBackend().xp, FakeArray(g), out=out)
    assert np.isnan(out._host[0])
    for wrong in (np.empty(len(pieces) + 1, dtype), pieces.astype("int64")):
        assert native.kernels.squared_pieces(g, wrong, cuda.PIECE) is False


@dtypes
@pytest.mark.parametrize("classes", [3, 40])
def test_labels_that_are_no_class_read_no_other_memory(emulated, classes, dtype):
    labels = np.array([0, -1, classes, 2, 2**60, -(2**62)])
    batch, wrong = len(labels), np.array([1, 2, 4, 5])
    logits = cuda_cases.drawn((batch, classes), dtype, 0)
    weights = np.ones(classes, dtype)
    rows = np.arange(batch)
    for pair, given, options in (
        (CrossEntropy, (labels, rows), {}),
        (WeightedCrossEntropy, (labels, rows, weights), {"label_smoothing": 0.1}),
        (Hinge, (labels, rows), {"margin": 1.0}),
    ):
        losses = FakeArray(np.zeros(batch, dtype))
        gradient = FakeArray(np.full_like(logits, np.nan))
        saved = FakeArray(np.full_like(logits, np.nan))
        others = tuple(FakeArray(one) for one in given)
        named = {"work": ()} if pair is Hinge else {"probabilities": saved}
        assert TABLE[pair.forward].compiled(FakeArray(logits), *others, losses=losses, **named, **options) is True
        assert np.isnan(losses._host[wrong]).all()
        assert np.isfinite(np.delete(losses._host, wrong)).all()
        named = {"dscores" if pair is Hinge else "dlogits": gradient}
        first = FakeArray(logits) if pair is Hinge else saved
        dlosses = FakeArray(np.ones(batch, dtype))
        assert TABLE[pair.backward].compiled(dlosses, first, *others, **named, **options) is True
        assert np.isfinite(gradient._host).all()
    found = FakeArray(np.zeros(batch, dtype))
    assert TABLE[label_weights].compiled(FakeArray(weights), FakeArray(labels), weights=found) is True
    assert (found._host == 1).all()


class EmulatedBackend(FakeBackend):
    """The fake device with a GPU's kernels: what they leave, NumPy computes there."""

    def __init__(self):
        super().__init__(cuda.overrides())


CASES = {case.name: case for case in parity.cases()}


@pytest.mark.parametrize("name", CASES)
def test_training_with_fused_kernels_is_the_cpus(emulated, name):
    before = emulated.number("launches").value
    device = EmulatedBackend()
    result = parity.free(CASES[name], device, steps=20)
    assert not result.failed, str(result)
    result = parity.step_by_step(CASES[name], device, steps=5)
    assert not result.failed, str(result)
    assert emulated.number("launches").value > before + 25
