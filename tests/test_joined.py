"""Are the biases that a GPU's recorded step joins with activations those of the kernels one by one, bit for bit?"""

import functools

import cuda_cases
import numpy as np
import pytest
import replays
from fake_device import FakeArray, FakeBackend, GraphingBackend

from backends import cuda, native
from backends.backend import Backend
from backends.cuda.joined import Joins, by_events
from backends.cuda.products import Products
from backends.cuda.rounded import RoundedProducts
from backends.devices import _backends
from backends.kernels.activation import GELU, ReLU
from backends.kernels.arithmetic import Add
from backends.kernels.linear import Linear
from backends.kernels.reduction import Sum, SumTo
from backends.native.activations import FUSED_BACKWARD, FUSED_FORWARD

CASES = {case.name: case for case in replays.cases()}
PLAIN, WITHIN = (4, 3, 2, 1), (9, 9, 9, 9)  # what a product costs without a bias and with one in it


def always(one, other):
    """As if the first were faster; what is timed must run."""
    one()
    other()
    return True


def fitted(device, machine, faster=always):
    """The fake device with a GPU's kernels, products and joined kernels."""
    table = cuda.overrides()
    products = Products(machine.cupy, 0, table, machine.empty, find=lambda major: machine.library())
    rounded = RoundedProducts(machine.cupy, 0, products, table)
    device.overrides.update(table | products.overrides() | rounded.overrides())
    device.rounded_type = rounded.kept_in
    device.joins = Joins(device.xp, table, products, device.empty, faster)
    device.biased, device.summed = device.joins.biased, device.joins.summed
    return device


@pytest.fixture
def fit(emulated, machine, monkeypatch):
    """Makes a device of these, known by its name."""

    def make(faster=always, biased=WITHIN, kind=FakeBackend):
        machine.costs(PLAIN, biased)
        device = kind()
        device.device = "fake:joined"
        monkeypatch.setitem(_backends, device.device, device)
        if kind is GraphingBackend:
            emulated.plug_in_capturing()
        return fitted(device, machine, faster)

    return make


def joined_calls(run):
    """How many joined kernels the programs have, forward and backward."""
    (program,) = run.programs
    names = [call.function.func.__name__ for call in program.calls if isinstance(call.function, functools.partial)]
    return names.count("_biased"), names.count("_summed")


@pytest.fixture
def recorded(monkeypatch):
    """What `replays.compare` captured last."""
    kept, capture = [], replays.en.capture
    monkeypatch.setattr(replays.en, "capture", lambda step: kept.append(capture(step)) or kept[-1])
    return kept


@pytest.mark.filterwarnings("ignore:capture")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [one for one in CASES if one.startswith("layer ")])
def test_replays_are_the_eager_steps(fit, recorded, name, dtype):
    outcome = replays.compare(CASES[name], fit(), dtype)
    assert outcome.where is None, str(outcome)
    assert outcome.reason is None
    forward, backward = joined_calls(recorded[-1])
    if name.removeprefix("layer ") in {one.__name__ for one in cuda_cases.NAMES}:
        assert (forward, backward) >= (1, 1)


@pytest.mark.filterwarnings("ignore:capture")
@pytest.mark.parametrize("name", [one for one in CASES if one.startswith("products in ")])
def test_after_products_of_rounded_numbers(fit, recorded, name):
    outcome = replays.compare(CASES[name], fit())
    assert outcome.where is None, str(outcome)
    assert joined_calls(recorded[-1]) == (1, 1)


@pytest.mark.filterwarnings("ignore:capture")
def test_launched_as_graphs_too(fit):
    device = fit(kind=GraphingBackend)
    for name in ("layer ReLU", "layer GELU", "layer Tanh"):
        outcome = replays.compare(CASES[name], device)
        assert outcome.where is None, str(outcome)
    assert device.launches > 0


@pytest.mark.filterwarnings("ignore:capture")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, (1, 1)),
        ({"biased": (0, 0, 0, 0)}, (0, 0)),  # cuBLASLt does it within the product
        ({"faster": lambda one, other: False}, (0, 0)),
        ({"faster": lambda one, other: 1 // 0}, (0, 0)),  # no room to time them
    ],
    ids=["faster", "within", "slower", "not timed"],
)
def test_what_is_joined(fit, recorded, options, found, emulated):
    device = fit(**options)
    outcome = replays.compare(CASES["layer ReLU"], device)
    assert outcome.where is None, str(outcome)
    assert joined_calls(recorded[-1]) == found


def test_fewer_kernels_are_launched(fit, recorded, emulated):
    counts = []
    for faster in (always, lambda one, other: False):
        assert replays.compare(CASES["layer ReLU"], fit(faster)).where is None
        (program,) = recorded[-1].programs
        before = emulated.number("launches").value
        program.bound.run()
        counts.append(emulated.number("launches").value - before)
    assert counts[0] == counts[1] - 2


@pytest.mark.filterwarnings("ignore:capture")
def test_what_the_kernels_do_not_take_is_computed_one_by_one(fit, monkeypatch):
    device = fit()
    for table in (FUSED_FORWARD, FUSED_BACKWARD):
        for definition in table:
            monkeypatch.setitem(table, definition, lambda *arrays, **options: False)
    for name in ("layer ReLU", "layer GELU", "layer SiLU"):
        outcome = replays.compare(CASES[name], device)
        assert outcome.where is None, str(outcome)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [*cuda_cases.SHAPES, (200, 70)], ids=str)
@pytest.mark.parametrize("entry", cuda_cases.CURVES, ids=lambda one: one[0].__name__)
def test_the_joined_kernels_have_the_bits_of_the_kernels(emulated, entry, shape, dtype):
    pair, options, *_ = entry
    x, dy, b = (
        cuda_cases.special(cuda_cases.drawn(one, dtype, seed)) for seed, one in enumerate((shape, shape, shape[1:]))
    )
    table, xp = cuda.overrides(), FakeBackend().xp

    def arrays(*hosts):
        return [FakeArray(one.copy()) for one in hosts]

    def new(like):
        return FakeArray(np.full_like(like, np.nan))

    def same(one, other):
        np.testing.assert_array_equal(one._host, other._host, strict=True)

    total, row = arrays(x, b)
    joined, y, z = FakeArray(x.copy()), new(x), new(x)
    table[Add.forward](xp, total, row, y=total)
    work = {name: tuple(map(FakeArray, one)) for name, one in cuda_cases.scratch(pair, "forward", x).items()}
    table[pair.forward](xp, total, y=y, **work, **options)
    assert FUSED_FORWARD[pair.forward](joined, y=z, b=row, **work, **options) is True
    same(joined, total)
    same(z, y)
    saved, incoming = (total if pair.saves == "x" else y), FakeArray(dy)
    dx, db, dz, sums = new(x), new(b), new(x), new(b)
    work = {name: tuple(map(FakeArray, one)) for name, one in cuda_cases.scratch(pair, "backward", x).items()}
    table[pair.backward](xp, incoming, saved, dx=dx, **work, **options)
    table[Sum.forward](xp, dx, y=db, axis=0, keepdims=False)
    assert FUSED_BACKWARD[pair.backward](incoming, saved, dx=dz, db=sums, **work, **options) is True
    same(dz, dx)
    same(sums, db)


def test_the_faster_is_told_by_events(machine):
    def taking(cost):
        def run():
            machine["clock"] += cost

        return run

    assert by_events(machine.cupy, taking(3), taking(4))
    assert by_events(machine.cupy, taking(4), taking(4))
    assert not by_events(machine.cupy, taking(5), taking(4))


def test_a_shape_is_timed_once(fit):
    asked = []
    device = fit(lambda one, other: asked.append(1) is None)
    linear = tuple(FakeArray(np.ones(one, "float32")) for one in ((4, 3), (3, 5), (5,)))
    total, y = (FakeArray(np.ones((4, 5), "float32")) for _ in range(2))
    device.kernel(Linear.forward)(device.xp, *linear, y=total)
    for _ in range(3):
        assert device.joins.biased(linear, total, ReLU.forward, {"y": y}) is not None
    assert device.joins.biased(linear, total, GELU.forward, {"y": y, "work": ()}) is not None
    assert len(asked) == 2
    assert device.joins.describe() == "bias and activation where that is faster: 2 of 2 shapes"
    assert device.joins.biased(linear, total, Linear.forward, {"y": y}) is None


@pytest.mark.parametrize("reason", ["switched off by ENGINE_CUDA_JOINED=0", "cuBLASLt", "fused kernels"])
def test_where_there_are_none_the_reason_is_told(machine, monkeypatch, reason):
    table = {} if reason == "fused kernels" else cuda.overrides() | {Add.forward: 0, SumTo.forward: 0}
    if reason.startswith("switched off"):
        monkeypatch.setenv("ENGINE_CUDA_JOINED", "0")
    if reason == "cuBLASLt":
        monkeypatch.setenv("ENGINE_CUBLASLT", "0")
    joins = Joins(machine.cupy, table, machine.products(), machine.empty, always)
    assert reason in joins.describe()
    assert joins.biased((None, None, None), None, ReLU.forward, {}) is None
    assert joins.summed(None, None, None, ReLU.backward, {}) is None


def test_a_device_that_says_nothing_joins_nothing():
    device = Backend("other", "other:0", np)
    assert device.biased((None, None, None), None, ReLU.forward, {}) is None
    assert device.summed(None, None, None, ReLU.backward, {}) is None
    device.overrides[ReLU.forward] = replacement = native.overrides().get(ReLU.forward, print)
    assert device.definition(replacement) is ReLU.forward
    assert device.definition(len) is len
