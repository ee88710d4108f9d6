"""Does another device compute what the CPU does? Every layer, loss and optimizer, on the fake GPU and on a real one."""

import numpy as np
import parity
import pytest
from conftest import GPU, NO_GPU, make

import engine as en
from backends.numpy_backend import NumpyBackend
from engine import layers, losses, optimizers

CASES = {case.name: case for case in parity.cases()}


class Definitions(NumpyBackend):
    """The CPU by NumPy's definitions, beside the CPU as it is."""

    def __init__(self):
        super().__init__()
        self.device = "cpu:definitions"
        self.overrides.clear()


@pytest.fixture(params=["fake-device", "definitions", GPU])
def device(request):
    if request.param == "cupy" and NO_GPU is not None:
        pytest.skip(f"no CUDA device: {NO_GPU}")
    if request.param == "definitions":
        return Definitions()
    if request.param == "fake-device":
        request.getfixturevalue("definitions_alone")
    return make(request.param)


def check(result, device):
    assert not result.failed, str(result)
    if device.name == "fake":  # NumPy computes there, too: by the same calls, so the same bits
        assert result.difference == 0, str(result)
        assert result.layer is None, str(result)


@pytest.mark.parametrize("name", CASES)
def test_100_steps_by_itself_in_float64(name, device):
    check(parity.free(CASES[name], device), device)


@pytest.mark.parametrize("name", CASES)
def test_every_step_from_the_cpus_state_in_float32(name, device):
    check(parity.step_by_step(CASES[name], device), device)


class OtherRounding(NumpyBackend):
    """The CPU, but with products and elementary functions computed in wider floats and rounded once, as no GPU does it.

    It says how far apart two right devices come by rounding alone: the tolerances must leave room for it.
    """

    class Namespace:
        def __getattr__(self, name):
            found = getattr(np, name)
            return (
                widened(found)
                if name in ("matmul", "exp", "expm1", "log", "log1p", "tanh", "divide", "sqrt")
                else found
            )

    def __init__(self):
        super().__init__()
        self.device, self.xp = "cpu:other-rounding", self.Namespace()
        self.overrides.clear()


def widened(function):
    def called(*inputs, out=None):
        dtype = next(one.dtype for one in inputs if isinstance(one, np.ndarray))
        wide = np.float64 if dtype == np.float32 else np.longdouble
        exact = function(*(one.astype(wide) if isinstance(one, np.ndarray) else one for one in inputs))
        out = np.empty(exact.shape, dtype) if out is None else out
        out[...] = exact
        return out

    return called


@pytest.mark.parametrize("compare", [parity.free, parity.step_by_step])
@pytest.mark.parametrize("name", CASES)
def test_the_tolerances_leave_room_for_rounding(name, compare):
    result = compare(CASES[name], OtherRounding())
    assert result.difference > 0, "nothing was rounded in another way"
    assert result.difference < result.tolerance / 5, str(result)


def public(module, base):
    """The classes that a module offers, without their base."""
    found = (getattr(module, name) for name in module.__all__)
    return {one.__name__ for one in found if isinstance(one, type) and issubclass(one, base)} - {base.__name__}


@pytest.mark.parametrize(
    ("offered", "tested"),
    [
        (public(layers, en.Layer) - {"Activation", "RandomLayer"}, parity.LAYERS),
        (public(losses, en.Loss), parity.LOSSES),
        (public(optimizers, en.Optimizer), parity.OPTIMIZERS),
    ],
    ids=["layers", "losses", "optimizers"],
)
def test_every_one_has_a_case(offered, tested):
    assert offered == {name.split(",")[0] for name in tested}


@pytest.mark.parametrize("name", CASES)
def test_the_training_changes_something(name):
    side = parity.Side(CASES[name], "cpu", "float64")
    before = side.state()
    for batch in CASES[name].batches("float64"):
        side.step(batch)
    after = side.state()
    weights = [one for one in before if one.startswith("weight ")]
    assert any((before[one] != after[one]).any() for one in weights)
    assert all(np.isfinite(one).all() for one in after.values())


# -- what is reported where two devices do differ ---------------------------------------------------------


class Careless(en.Layer):
    """A layer that is wrong on every device but the CPU."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        return x if x.device == "cpu" else x + self.error


def careless(error, position):
    def model(generator):
        middle = [en.Tanh(), en.Tanh(), en.Tanh()]
        middle[position] = Careless(error)
        return parity.net(*middle, generator=generator)

    return parity.Case("careless", "layer", model, en.CrossEntropy, parity.sgd, parity.labels)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("compare", [parity.free, parity.step_by_step])
def test_the_first_layer_that_differs_is_named(compare, position, fake_device):
    result = compare(careless(1e-3, position), fake_device)
    assert result.failed
    assert result.layer == f"{1 + position} (Careless)"
    assert f"the first layer whose output differs is {1 + position} (Careless)" in str(result)
    assert result.where in str(result)


def test_a_layer_beyond_the_tolerance_comes_before_one_within_it():
    result = parity.Result("case", "layer", "float32", 1, tolerance=1e-5)
    result.add_layer("first", 1.0, 1.0)
    assert result.layer is None
    result.add_layer("second", 1.0, 1.0 + 1e-7)
    assert result.layer == "second"
    result.add_layer("third", 1.0, 1.1)
    result.add_layer("fourth", 1.0, 2.0)
    assert result.layer == "third"


@pytest.mark.usefixtures("definitions_alone")
def test_a_small_difference_passes_and_is_still_told(fake_device):
    result = parity.step_by_step(careless(1e-7, 1), fake_device, steps=3)
    assert not result.failed
    assert 0 < result.difference < parity.GUIDED_TOLERANCE
    assert result.layer == "2 (Careless)"


@pytest.mark.usefixtures("definitions_alone")
def test_wrong_gradients_are_found_where_all_outputs_agree(fake_device):
    class Scaled(en.SGD):
        def step(self, closure=None):
            loss = closure()
            if self.groups[0].parameters[0].device != "cpu":
                self.scale_gradients(1.01)
            super().step()
            return loss

    case = CASES["layer Tanh"]
    wrong = parity.Case(
        case.name, case.kind, case.model, case.loss, lambda p: Scaled(p, learning_rate=0.5), case.targets
    )
    result = parity.step_by_step(wrong, fake_device, steps=3)
    assert result.failed
    assert result.where.startswith("weight ")
    assert result.layer is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([0.0], [1e-6], 1e-6),
        ([100.0], [101.0], 1 / 101),
        ([np.nan], [1.0], np.inf),
        ([np.inf], [np.inf], 0.0),
        ([1.0], [1.0, 1.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_the_measure_of_a_difference(ours, theirs, expected):
    assert parity.relative(ours, theirs) == pytest.approx(expected)
