"""Does every way to multiply on a GPU compute the product, each time with the same bits? Here, by the fake cuBLASLt.

A choice is made by time, so that a training meets one way of many: here each algorithm of each of them is run, for each
kind of numbers, with a bias, with its gradient, with rows that are lengthened.
"""

import numpy as np
import pytest
from conftest import NO_GPU, make

import engine as en
from backends.cuda.products import Given, Products, _key
from backends.cuda.rounded import RoundedProducts
from backends.kernels.rounding import DROPPED, Round, work_type

KINDS = ("float32", "float64", *DROPPED)
SMALL = ((1, 1, 1), (7, 5, 3), (16, 64, 32), (5, 24, 10))
LARGE = ((1, 784, 10), (128, 784, 256), (129, 257, 31), (4096, 64, 10), (512, 1024, 1024), (8, 65536, 16))
kinds = pytest.mark.parametrize("kind", KINDS)


class Side:
    """The products of a device, its arrays, and how they come back to the host."""

    def __init__(self, xp, asarray, to_host, products, rounded):
        self.xp, self.asarray, self.to_host, self.products, self.rounded = xp, asarray, to_host, products, rounded

    def operand(self, shape, kind, seed):
        """Drawn numbers of a kind, as the device keeps them, and their values as float64."""
        x = np.random.default_rng(seed).normal(size=shape)
        if kind not in DROPPED:
            return self.asarray(x.astype(kind)), x.astype(kind).astype("float64")
        x = x.astype("float32")
        y = self.asarray(np.zeros(shape, self.rounded.kept_in(kind)))
        self.rounded.round(self.xp, self.asarray(x), y=y, work=self.scratch(shape, kind), precision=kind)
        values = np.empty(shape, "float32")
        Round.forward(np, x, y=values, work=np.empty(shape, work_type(kind)), precision=kind)
        return y, values.astype("float64")

    def scratch(self, shape, kind):
        return self.asarray(np.empty(shape, work_type(kind))) if kind == "tf32" else None

    def unwritten(self, shape, dtype):
        return self.asarray(np.full(shape, np.nan, dtype))


@pytest.fixture
def fake(machine, monkeypatch):
    """The fake cuBLASLt."""
    monkeypatch.delenv("ENGINE_TENSOR_CORES", raising=False)
    rounded = machine.rounded()
    return Side(machine.cupy, machine.cupy.asarray, lambda one: one._host.copy(), rounded.products, rounded)


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """A GPU's own, with a folder for what is timed."""
    if NO_GPU is not None:
        pytest.skip(f"no CUDA device: {NO_GPU}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("ENGINE_CUBLASLT", "ENGINE_TENSOR_CORES"):
        monkeypatch.delenv(name, raising=False)
    gpu = make("cupy")
    table = gpu.fused.overrides()
    products = Products(gpu.xp, gpu.index, table, gpu.empty)
    rounded = RoundedProducts(gpu.xp, gpu.index, products, table)
    if rounded.problem is not None:
        pytest.skip(f"no tensor cores: {rounded.problem}")
    return Side(gpu.xp, gpu.asarray, gpu.to_host, products, rounded)


def every_plan(ours, given):
    """Each way, each of its algorithms: (whether lengthened, whether what is beside it is within, the plan)."""
    bare = given._replace(bias=None, sums=None)
    plain = None if given.row is None else ours._choose(_key(*bare), bare)
    for bound, padded in ours._ways(given, plain):
        for plan in [plain] if plain is not None and bound is plain.bound else ours._candidates(bound, padded):
            yield padded is not None, plan.whole, plan


def check_all(side, size, kind):
    """Every plan of y = x w + b, of dx = dy w^T, of dw = x^T dy with the sums of dy: the ways that there were."""
    rows, inputs, outputs = size
    result = "float64" if kind == "float64" else "float32"
    precision = kind if kind in DROPPED else None
    (x, xv), (w, wv), (dy, dyv) = (
        side.operand(shape, kind, seed)
        for seed, shape in enumerate(((rows, inputs), (inputs, outputs), (rows, outputs)))
    )
    b = np.random.default_rng(3).normal(size=outputs).astype(result)
    unit = np.finfo(result).eps
    units = 32 if kind in DROPPED else 8  # tensor cores cut off what they add, where others round
    seen = set()
    for a, c, exact, bias, summed in (
        (x, w, xv @ wv + b, side.asarray(b), False),
        (x, w, xv @ wv, None, False),
        (dy, w.T, dyv @ wv.T, None, False),
        (x.T, dy, xv.T @ dyv, None, precision is None),
    ):
        y = side.unwritten(exact.shape, result)
        sums = side.unwritten(outputs, result) if summed else None
        given = Given(a, c, y, bias, sums, 0, precision)
        count = a.shape[1]
        for lengthened, within, plan in every_plan(side.products, given):
            found = []
            for _ in range(3):
                y[...] = np.nan
                if summed:
                    sums[...] = np.nan
                assert side.products._run(plan, *given[:6])
                found.append([side.to_host(one) for one in (y, sums) if one is not None])
            np.testing.assert_allclose(found[0][0], exact, rtol=0, atol=units * (count**0.5 + 4) * unit * count**0.5)
            if summed:
                np.testing.assert_allclose(found[0][1], dyv.sum(axis=0), rtol=0, atol=8 * (rows + 4) * unit)
            for again in found[1:]:
                for one, other in zip(found[0], again, strict=True):
                    np.testing.assert_array_equal(other, one)
            seen.add((lengthened, within))
    return seen


@pytest.mark.parametrize("size", SMALL, ids=str)
@kinds
def test_every_way_of_the_fake_library(fake, kind, size):
    lengthened = kind in DROPPED and any(length * (4 if kind == "tf32" else 2) % 16 for length in size[1:])
    within = kind != "float64"
    wanted = {(False, False)} | ({(True, False)} if lengthened else set()) | ({(False, True)} if within else set())
    assert check_all(fake, size, kind) >= wanted


@pytest.mark.gpu
@pytest.mark.parametrize("size", SMALL + LARGE, ids=str)
@kinds
def test_every_way_of_a_gpus_library(gpu, kind, size):
    assert (False, False) in check_all(gpu, size, kind)


@pytest.mark.gpu
@pytest.mark.parametrize("size", SMALL + LARGE, ids=str)
@pytest.mark.parametrize("kind", DROPPED)
def test_a_captured_step_of_rounding_and_product_has_the_bits_of_one_at_once(gpu, kind, size):
    cuda, (rows, inputs, outputs) = gpu.xp.cuda, size
    x, b = gpu.asarray(np.zeros((rows, inputs), "float32")), gpu.asarray(np.ones(outputs, "float32"))
    w, _ = gpu.operand((inputs, outputs), kind, 1)
    kept, work = gpu.operand((rows, inputs), kind, 0)[0], gpu.scratch((rows, inputs), kind)
    y = gpu.unwritten((rows, outputs), "float32")

    def run():
        gpu.rounded.round(gpu.xp, x, y=kept, work=work, precision=kind)
        gpu.rounded.forward(gpu.xp, kept, w, b, y=y, precision=kind)

    run()  # the first time is timed, and compiles
    stream, pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()
    cuda.get_current_stream().synchronize()
    with stream, cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        run()
        graph = stream.end_capture()
    for seed in range(3):
        x.set(np.random.default_rng(seed).normal(size=x.shape).astype("float32"))
        results = []
        for function in (run, graph.launch):
            y.fill(np.nan)
            function()
            results.append(gpu.to_host(y))
        np.testing.assert_array_equal(*results)
    assert "left to CuPy" not in gpu.products.describe()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", DROPPED)
def test_a_layer_on_a_gpu_computes_as_on_the_cpu(gpu, precision):
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


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_16_bits_on_a_gpu_are_the_definitions(gpu, kind):
    bits = np.random.default_rng(0).integers(0, 2**32, 100_003, dtype="uint32")
    x = bits.view("float32")
    expected = np.empty_like(x)
    Round.forward(np, x, y=expected, work=np.empty(x.shape, work_type(kind)), precision=kind)
    for given in (x, x[::2]):  # by the fused kernel; by CuPy, which takes what does not lie together
        on_gpu = gpu.asarray(x)[:: 1 if given is x else 2]
        y = gpu.asarray(np.zeros(given.shape, gpu.rounded.kept_in(kind)))
        gpu.rounded.round(gpu.xp, on_gpu, y=y, work=None, precision=kind)
        found = gpu.to_host(y)
        wide = (found.astype("uint32") << 16).view("float32") if kind == "bfloat16" else found.astype("float32")
        np.testing.assert_array_equal(wide, expected[:: 1 if given is x else 2])
