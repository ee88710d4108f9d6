"""Does a GPU multiply rounded numbers as their definition does, in 16 bits where they fit? On a fake cuBLASLt."""

import inspect
import shutil

import numpy as np
import pytest
from fake_cublaslt import Backend
from fake_device import FakeArray, FakeBackend, GraphingBackend

import engine as en
from backends import cuda, native
from backends.cuda.cublaslt import KINDS, LtError
from backends.cuda.layouts import padding
from backends.cuda.rounded import SHORT
from backends.devices import _backends
from backends.kernels.linear import RoundedLinear
from backends.kernels.rounding import DROPPED, Round, work_type

SIZES = ((1, 1, 1), (2, 3, 5), (7, 4, 1), (1, 9, 6), (8, 16, 32), (5, 24, 10), (9, 13, 8))
precisions = pytest.mark.parametrize("precision", DROPPED)
sizes = pytest.mark.parametrize("size", SIZES, ids=str)


def drawn(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def rounded(x, precision):
    """By the definition: float32."""
    y = np.empty(x.shape, "float32")
    Round.forward(np, np.ascontiguousarray(x), y=y, work=np.empty(x.shape, work_type(precision)), precision=precision)
    return y


def kept(rounding, x, precision):
    """As the GPU keeps it."""
    y = FakeArray(np.zeros(x.shape, rounding.kept_in(precision)))
    rounding.round(rounding.xp, FakeArray(x), y=y, work=FakeArray(np.empty(x.shape, "bool")), precision=precision)
    return y


def widened(x):
    """The numbers in an array that the GPU keeps."""
    bits = x._host
    return (bits.astype("uint32") << 16).view("float32") if bits.dtype == "uint16" else bits.astype("float32")


@pytest.fixture
def rounding(machine, monkeypatch):
    """The rounded products of a fake GPU, with its namespace as `xp`."""
    monkeypatch.delenv("ENGINE_TENSOR_CORES", raising=False)
    made = machine.rounded()
    made.xp = machine.cupy
    return made


# -- rounding --------------------------------------------------------------------------------------------


def numbers():
    """Of every size, ties of each type among them, and the special ones."""
    bits = np.random.default_rng(0).integers(0, 2**32, 4000, dtype="uint32")
    ties = (bits & 0xFFFF8000) | 0x8000, (bits & 0xFFFFE000) | 0x1000
    edges = [65504, 65519.996, 65520, 2**-14, 2**-24, 2**-25, 1.0001 * 2**-25, 3 * 2**-25, 1e-45, 0.0, np.inf, np.nan]
    usual = np.random.default_rng(1).normal(size=4000) * 2.0 ** np.random.default_rng(2).integers(-30, 20, 4000)
    given = [np.concatenate([bits, *ties]).view("float32"), usual, edges, np.negative(edges)]
    return np.concatenate([np.array(one, "float32") for one in given])


def check(found, x, precision):
    assert found.itemsize == (4 if precision == "tf32" else 2)
    np.testing.assert_array_equal(widened(found), rounded(x, precision))
    np.testing.assert_array_equal(np.signbit(widened(found))[x == x], np.signbit(x)[x == x])


@precisions
def test_rounded_numbers_are_kept_in_as_many_bits_as_they_need(rounding, precision):
    check(kept(rounding, numbers(), precision), numbers(), precision)


@precisions
def test_they_are_by_one_kernel(machine, emulated, precision):
    rounding = machine.rounded(cuda.overrides())
    rounding.xp = machine.cupy
    before = emulated.number("launches").value
    check(kept(rounding, numbers(), precision), numbers(), precision)
    assert emulated.number("launches").value == before + 1
    every_second = numbers()[::2]  # no kernel takes it
    check(kept(rounding, every_second, precision), every_second, precision)
    assert emulated.number("launches").value == before + 1


@pytest.mark.skipif(native.problem() is not None, reason=f"compiled kernels: {native.problem()}")
@pytest.mark.parametrize(("precision", "other"), [("bfloat16", "float16"), ("float16", "uint16")])
def test_compiled_rounding_to_16_bits(precision, other):
    x = numbers()
    y = np.zeros(x.shape, SHORT[precision])
    half = int(precision == "float16")
    assert native.kernels.round_to(x, y, DROPPED[precision], half) is True
    check(FakeArray(y), x, precision)
    for refused in (np.zeros(x.shape, other), y[:-1], np.zeros(x.shape, "uint8")):
        assert native.kernels.round_to(x, refused, DROPPED[precision], half) is False
    assert native.kernels.round_to(np.zeros(len(x)), y, DROPPED[precision], half) is False
    assert native.kernels.round_to(x, np.zeros(x.shape, "uint16"), DROPPED["tf32"], 0) is False


# -- products --------------------------------------------------------------------------------------------


@sizes
@precisions
def test_products_are_those_of_the_definition(machine, rounding, precision, size):
    rows, inputs, outputs = size
    x, w, dy = (drawn(shape, seed) for seed, shape in enumerate(((rows, inputs), (inputs, outputs), (rows, outputs))))
    b = np.arange(outputs, dtype="float32")
    table = rounding.overrides()
    plain = {name: rounded(one, precision) for name, one in (("x", x), ("w", w), ("dy", dy))}
    ours = {name: kept(rounding, one, precision) for name, one in (("x", x), ("w", w), ("dy", dy))}
    for definition, names, bias, shapes in (
        (RoundedLinear.forward, ("x", "w"), (b,), {"y": (rows, outputs)}),
        (RoundedLinear.forward, ("x", "w"), (None,), {"y": (rows, outputs)}),
        (RoundedLinear.backward, ("dy", "x", "w"), (), {"dx": x.shape, "dw": w.shape}),
        (RoundedLinear.backward, ("dy", "x", "w"), (), {"dw": w.shape}),
        (RoundedLinear.backward, ("dy", "x", "w"), (), {"dx": x.shape}),
    ):
        before = machine["products"]
        given = [None if one is None else FakeArray(one) for one in bias]
        made = {name: FakeArray(np.full(shape, np.nan, "float32")) for name, shape in shapes.items()}
        table[definition](machine.cupy, *(ours[name] for name in names), *given, **made, precision=precision)
        assert machine["products"] > before
        assert [*KINDS][machine["kind"]] == precision
        expected = {name: np.empty(shape, "float32") for name, shape in shapes.items()}
        definition(np, *(plain[name] for name in names), *bias, **expected, precision=precision)
        for name, one in expected.items():
            np.testing.assert_allclose(made[name]._host, one, rtol=1e-6, atol=4e-6)
    assert "left to CuPy" not in rounding.products.describe()


@pytest.mark.parametrize("lengthened", [False, True])
@precisions
def test_infinity_and_nan_pass_through(machine, rounding, precision, lengthened):
    machine["cost_of_odd"] = 100 * lengthened
    x = np.array([[np.inf, 1.0, 0.0], [np.nan, 1.0, 0.0], [1.0, 2.0, 0.0]], "float32")
    x.view("uint32")[1, 0] = 0x7F800001  # a NaN whose one bit would be dropped
    y, w = FakeArray(np.empty((3, 1), "float32")), np.ones((3, 1), "float32")
    given = kept(rounding, x, precision), kept(rounding, w, precision)
    rounding.forward(machine.cupy, *given, None, y=y, precision=precision)
    np.testing.assert_array_equal(y._host, [[np.inf], [np.nan], [3.0]])
    assert machine["odd"] == (not lengthened)


@precisions
def test_what_cublaslt_does_not_take_is_multiplied_as_float32(machine, rounding, precision):
    kinds = [*KINDS]
    machine["kinds"] = 0b11111 & ~(1 << kinds.index(precision))
    x, w, b = drawn((4, 6), 0), drawn((6, 3), 1), drawn(3, 2)
    y = FakeArray(np.full((4, 3), np.nan, "float32"))
    given = kept(rounding, x, precision), kept(rounding, w, precision)
    rounding.forward(machine.cupy, *given, FakeArray(b), y=y, precision=precision)
    np.testing.assert_allclose(y._host, rounded(x, precision) @ rounded(w, precision) + b, rtol=1e-6, atol=1e-6)
    assert kinds[machine["kind"]] == "f"
    machine.each("runs", 0, 0, 0, 0)  # nor any other product
    dx, dw = FakeArray(np.full((4, 6), np.nan, "float32")), FakeArray(np.full((6, 3), np.nan, "float32"))
    rounding.backward(machine.cupy, kept(rounding, y._host, precision), *given, dx=dx, dw=dw, precision=precision)
    dy = rounded(y._host, precision)
    np.testing.assert_allclose(dx._host, dy @ rounded(w, precision).T, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(dw._host, rounded(x, precision).T @ dy, rtol=1e-6, atol=1e-5)


# -- longer rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "a", "b", "longer"),
    [
        ("float16", (4, 16), (16, 8), None),
        ("float16", (4, 16), (16, 10), ((4, 16), (16, 16), (4, 16))),
        ("float16", (4, 13), (13, 8), ((4, 16), (16, 8), (4, 8))),
        ("float16", (3, 13), (13, 11), ((3, 16), (16, 16), (3, 16))),
        ("float32", (4, 16), (16, 12), None),
        ("float32", (4, 16), (16, 10), ((4, 16), (16, 16), (4, 16))),
    ],
)
def test_rows_are_lengthened_where_they_begin_anywhere(dtype, a, b, longer):
    one, two = FakeArray(np.zeros(a, dtype)), FakeArray(np.zeros(b, dtype))
    y = FakeArray(np.zeros((a[0], b[1]), "float32"))
    found = padding(one, two, y)
    assert (found and found.shapes) == longer
    for left, right in ((one, FakeArray(np.zeros(b[::-1], dtype)).T), (FakeArray(np.zeros(a[::-1], dtype)).T, two)):
        found = padding(left, right, y)
        assert found is None or found.shapes[0][1] == found.shapes[1][0]


def results(machine, precision, size):
    """y, dx, dw of a linear map by a process that has multiplied nothing, and whether each had rows as they lay."""
    rows, inputs, outputs = size
    rounding = machine.rounded()
    rounding.xp = machine.cupy
    shapes = (rows, inputs), (inputs, outputs), (rows, outputs)
    x, w, dy = (kept(rounding, drawn(shape, seed), precision) for seed, shape in enumerate(shapes))
    bias = FakeArray(drawn(outputs, 3))
    made = [FakeArray(np.full(shape, np.nan, "float32")) for shape in (shapes[2], *shapes[:2])]
    as_they_lie = []
    for function, given, name in (
        (rounding.forward, (x, w, bias), "y"),
        (rounding.backward, (dy, x, w), "dx"),
        (rounding.backward, (dy, x, w), "dw"),
    ):
        function(machine.cupy, *given, **{name: made[len(as_they_lie)]}, precision=precision)
        as_they_lie.append(bool(machine["odd"]))
    return [one._host for one in made], as_they_lie


@pytest.mark.parametrize("size", [(5, 24, 10), (9, 13, 8), (7, 5, 3), (16, 32, 8)], ids=str)
@precisions
def test_longer_rows_are_taken_where_they_are_faster(machine, tmp_path, precision, size):
    plain, as_they_lie = results(machine, precision, size)
    assert any(as_they_lie) == any(length * (4 if precision == "tf32" else 2) % 16 for length in size[1:])
    shutil.rmtree(tmp_path / "cache")
    machine["cost_of_odd"] = 100
    for again in range(2):  # the second one takes what is on the disk
        queries = machine["queries"]
        longer, as_they_lie = results(machine, precision, size)
        assert not any(as_they_lie)
        assert machine["queries"] == queries or not again
        for one, other in zip(longer, plain, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=4e-6)


def test_products_that_are_not_rounded_are_multiplied_as_they_lie(machine):
    machine["cost_of_odd"] = 100
    a, b = drawn((4, 13), 0), drawn((13, 11), 1)
    y = FakeArray(np.full((4, 11), np.nan, "float32"))
    assert machine.products().multiply(FakeArray(a), FakeArray(b), y)
    np.testing.assert_allclose(y._host, a @ b, rtol=1e-6, atol=4e-6)
    assert machine["queries"] == 1


# -- layers ----------------------------------------------------------------------------------------------


class Trained:
    """A small training in a precision; `steps` takes some steps, at once or recorded."""

    def __init__(self, backend, precision):
        self.backend = backend
        en.seed(3)
        self.model = en.Sequential(en.Linear(6, 9), en.ReLU(), en.Linear(9, 4)).to(backend, precision=precision)
        self.optimizer = en.SGD(self.model.parameters(), learning_rate=0.1)

    def step(self, x, labels):
        loss = en.CrossEntropy()(self.model(x), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def steps(self, count=5, recorded=False):
        x, labels = en.tensor(drawn((11, 6), 1), device=self.backend), en.tensor(np.arange(11) % 4, device=self.backend)
        step = en.capture(self.step) if recorded else self.step
        for _ in range(count):
            step(x, labels)
        assert not recorded or step.reason is None
        return [self.backend.to_host(parameter.array) for parameter in self.model.parameters()]


@pytest.mark.parametrize("cost", [0, 100], ids=["as they lie", "longer rows"])
@precisions
def test_a_training_is_that_of_the_definitions(machine, precision, cost):
    machine["cost_of_odd"] = cost
    ours = Trained(Backend(machine), precision).steps()
    for one, other in zip(ours, Trained(FakeBackend(), precision).steps(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    before = machine["products"]
    replayed = Trained(Backend(machine), precision).steps(recorded=True)
    for one, other in zip(replayed, ours, strict=True):
        np.testing.assert_array_equal(one, other)
    assert machine["products"] == before + 5 * 5


@pytest.mark.parametrize("cost", [0, 100], ids=["as they lie", "longer rows"])
@precisions
def test_recorded_steps_are_launched_whole(machine, emulated, monkeypatch, precision, cost):
    """By graphs that hold the rounding, copies with longer rows and the products."""
    emulated.plug_in_capturing()
    machine["cost_of_odd"] = cost
    device = GraphingBackend(("matmul",))
    ours = Backend(machine, cuda.overrides())
    device.overrides.update(ours.overrides)
    device.rounded_type = ours.rounded_type
    monkeypatch.setitem(_backends, device.device, device)
    at_once = Trained(device, precision).steps(12)
    assert device.launches == 0
    for one, other in zip(Trained(device, precision).steps(12, recorded=True), at_once, strict=True):
        np.testing.assert_array_equal(one, other)
    assert 4 <= device.launches <= 3 * 12


@precisions
def test_an_operand_is_rounded_once_and_saved_as_it_is_kept(machine, monkeypatch, precision):
    backend = Backend(machine)
    monkeypatch.setitem(_backends, backend.device, backend)  # the summary knows it by its name
    calls = []
    backend.overrides[Round.forward] = lambda xp, x, **options: (
        calls.append(options) or backend.rounded.round(xp, x, **options)
    )
    layer = en.Linear(16, 8, generator=1).to(backend, precision=precision)
    x = en.tensor(drawn((4, 16), 0), device=backend, requires_grad=True)
    layer(x).sum().backward()
    assert [one["y"].shape for one in calls] == [(4, 16), (16, 8), (4, 8)]
    assert {str(one["y"].dtype) for one in calls} == {SHORT.get(precision, "float32")}
    assert all((one["work"] is None) == (precision in SHORT) for one in calls)
    (row,) = en.summary(layer, 16, batch_size=4).rows
    assert row.activation_bytes == 4 * 4 * 8 + 16 * (4 + 8) * (2 if precision in SHORT else 4)


def test_every_replacement_has_its_definitions_signature(machine):
    for definition, replacement in Backend(machine).overrides.items():
        assert inspect.signature(replacement) == inspect.signature(definition), replacement


# -- switches, and what is missing -----------------------------------------------------------------------


def why(rounding):
    """Why numbers are multiplied as float32, and that they are kept so."""
    assert {rounding.kept_in(precision) for precision in DROPPED} == {"float32"}
    told = rounding.describe()
    assert told.startswith("as float32: ")
    return told.removeprefix("as float32: ")


def product(machine, rounding, precision):
    """One product, compared with the definition's."""
    x, w = rounded(drawn((4, 6), 0), precision), rounded(drawn((6, 3), 1), precision)
    y = FakeArray(np.full((4, 3), np.nan, "float32"))
    table = rounding.products.overrides() and rounding.overrides()
    function = table.get(RoundedLinear.forward, RoundedLinear.forward)
    function(machine.cupy, FakeArray(x), FakeArray(w), None, y=y, precision=precision)
    np.testing.assert_allclose(y._host, x @ w, rtol=1e-6, atol=1e-6)


@precisions
def test_tensor_cores_can_be_switched_off(machine, monkeypatch, precision):
    assert machine.rounded().describe() == "on tensor cores, by cuBLASLt, bfloat16 and float16 in 16 bits"
    monkeypatch.setenv("ENGINE_TENSOR_CORES", "0")
    rounding = machine.rounded()
    assert why(rounding) == "switched off by ENGINE_TENSOR_CORES=0"
    product(machine, rounding, precision)
    assert [*KINDS][machine["kind"]] == "f"


def test_older_gpus_multiply_float32(machine):
    machine.capability = "75"
    assert why(machine.rounded()) == "the GPU is of compute capability 7.5, and 8.0 is needed"


@precisions
def test_without_cublaslt_cupy_multiplies_float32(machine, monkeypatch, precision):
    def find(major):
        raise LtError("there is none")

    rounding = machine.rounded(find=find)
    assert why(rounding) == "there is none"
    product(machine, rounding, precision)
    monkeypatch.setenv("ENGINE_CUBLASLT", "0")
    rounding = machine.rounded()
    assert why(rounding) == "switched off by ENGINE_CUBLASLT=0"
    product(machine, rounding, precision)
    assert machine["products"] == 0
