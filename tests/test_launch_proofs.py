"""Is a launch that computes something else found out, before anything was computed wrongly? On fake GPUs that err."""

import fake_device
import numpy as np
import pytest
from fake_device import FakeArray, GraphingBackend
from test_capture import OPTIMIZERS
from test_launches import STEPS, compare, trained

import engine as en
from backends.cupy_backend import CupyBackend
from backends.devices import _backends
from engine.recording import launches
from engine.recording.kept import Kept, once, spoil


class Wrong(GraphingBackend):
    """A fake GPU whose launches run other steps than were captured, from some launch on.

    Attributes:
        change: what makes the steps that run of the steps that were captured.
        first: the first launch that is wrong, counted from 1.
    """

    def __init__(self, change, first=1):
        super().__init__()
        self.change, self.first = change, first

    def taken(self, steps):
        return self.change(steps) if self.launches >= self.first else steps


class Stale(GraphingBackend):
    """A fake GPU whose launches see single numbers as they were when they were captured."""

    def graph(self, run):
        def copied(value):
            if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind == "f":
                return value.copy()
            return tuple(copied(one) for one in value) if type(value) is tuple else value

        original = fake_device.later

        def later(function, given, named, out):
            kept = {name: one if name == "out" else copied(one) for name, one in named.items()}
            return original(function, copied(given), kept, out)

        fake_device.later = later
        try:
            return super().graph(run)
        finally:
            fake_device.later = original


def plugged(backend, monkeypatch):
    monkeypatch.setitem(_backends, backend.device, backend)
    return backend.device


def lost(place):
    return lambda steps: [one for number, one in enumerate(steps) if number != place % len(steps)]


def swapped(place):
    def change(steps):
        steps = list(steps)
        steps[place - 1], steps[place] = steps[place], steps[place - 1]
        return steps

    return change


RELU = {"layers": lambda: (en.ReLU(),), "optimizer": OPTIMIZERS["momentum"]}
PLAIN = {"layers": lambda: (en.ReLU(),), "optimizer": lambda parameters: en.SGD(parameters, learning_rate=0.05)}
DIFFERS = "CUDA graph on fake:graphs did not compute what its kernels do one by one: what .* wrote differs"


@pytest.mark.parametrize("first", [1, 2, 3], ids=lambda one: f"from launch {one}")
@pytest.mark.parametrize(
    ("change", "wrote"),
    [
        (lost(0), "Linear.forward"),
        (lost(-1), "SGD.update"),
        (lambda steps: steps[: len(steps) // 2], "Linear.backward"),
        (swapped(-1), "SGD.update"),
        (lambda steps: steps[::-1], "Linear.forward"),
        (lambda steps: [], "Average.forward"),
    ],
    ids=["first write lost", "last write lost", "half of it lost", "order changed", "backwards", "nothing"],
)
def test_what_is_launched_wrongly_is_computed_call_by_call(change, wrote, first, monkeypatch):
    backend = Wrong(change, first)
    plugged(backend, monkeypatch)
    with pytest.warns(RuntimeWarning, match=DIFFERS) as told:
        program = compare(backend.device, **RELU)
    assert len(told) == 1
    assert f"what {wrote} wrote" in str(told[0].message)
    assert "ENGINE_CUDA_GRAPHS=0" in str(told[0].message)
    assert program.replays >= STEPS - 4
    assert backend.launches == max(first, 1)  # none after the one that was found out


@pytest.mark.parametrize("parts", [RELU, PLAIN, {"optimizer": OPTIMIZERS["adam"]}], ids=["momentum", "plain", "adam"])
def test_a_number_that_is_read_when_it_is_captured_is_found_out(parts, monkeypatch):
    """A learning rate that does not change while a launch is proved: it would be wrong whenever it does."""
    backend = Stale()
    plugged(backend, monkeypatch)
    with pytest.warns(RuntimeWarning, match="did not compute .* what [A-Za-z]+.update wrote"):
        compare(backend.device, **parts)
    assert backend.launches == 1


def test_a_right_launch_is_compared_twice_and_then_serves(monkeypatch):
    backend = GraphingBackend()
    plugged(backend, monkeypatch)
    made, compared = [], []

    class Noted(launches.Launch):
        def __init__(self, *given):
            super().__init__(*given)
            made.append(self)

        def _compare(self, *given, altered):
            super()._compare(*given, altered=altered)
            compared.append(altered)

    monkeypatch.setattr(launches, "Launch", Noted)
    program = compare(backend.device, **RELU)  # a warning is an error
    (launch,) = made  # gradients, step and all
    assert launch.proved
    assert launch.problem is None
    assert compared == [True, False, False]
    assert launches.PROOFS == 2
    assert backend.launches == program.replays - 1 + 1  # the first replay was by calls; the first proof took two


def test_without_room_for_copies_the_calls_serve(monkeypatch):
    backend = GraphingBackend()
    plugged(backend, monkeypatch)
    original = Kept.__init__

    def full(kept, *given):
        original(kept, *given)
        raise MemoryError("8 bytes")

    monkeypatch.setattr(Kept, "__init__", full)
    with pytest.warns(
        RuntimeWarning, match="for want of memory: fake:graphs is out of memory: 8 bytes. Its kernels"
    ) as told:
        compare(backend.device, **RELU)
    assert len(told) == 1
    assert backend.launches == 0


def test_the_memory_of_large_copies_is_given_back(monkeypatch):
    backend = GraphingBackend()
    plugged(backend, monkeypatch)
    given = []
    monkeypatch.setattr(backend, "give_back", lambda: given.append(backend.launches))
    compare(backend.device, **RELU)
    assert given == []
    monkeypatch.setattr(launches, "MUCH", 100)
    compare(backend.device, **RELU)
    assert len(given) == launches.PROOFS


def test_a_launch_that_fails_is_not_tried_again(monkeypatch):
    def fail(steps):
        raise RuntimeError("cudaErrorLaunchFailure")

    backend = Wrong(fail)
    plugged(backend, monkeypatch)
    with pytest.warns(RuntimeWarning, match="could not be launched: cudaErrorLaunchFailure"):
        compare(backend.device, **RELU)
    assert backend.launches == 1


def test_an_interrupt_while_a_launch_is_proved_leaves_the_state_before(monkeypatch):
    def interrupt(steps):
        raise KeyboardInterrupt

    backend = Wrong(interrupt)
    plugged(backend, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        trained(backend.device, True, **RELU)


def test_graphs_are_switched_off_by_a_variable(monkeypatch):
    made = CupyBackend.__new__(CupyBackend)
    for value, graphs in ((None, True), ("1", True), ("0", False)):
        monkeypatch.delenv("ENGINE_CUDA_GRAPHS", raising=False)
        if value is not None:
            monkeypatch.setenv("ENGINE_CUDA_GRAPHS", value)
        made.graphs = made.graphs_wanted()
        assert made.graphs is graphs
        assert ("switched off by ENGINE_CUDA_GRAPHS=0" in made.graphs_described()) is not graphs


# -- copies ------------------------------------------------------------------------------------------------


def device_array(values, dtype="float32"):
    return FakeArray(np.array(values, dtype))


def test_copies_are_compared_bit_for_bit():
    backend = GraphingBackend()
    whole = device_array([1.0, np.nan, 0.0, 4.0])
    others = [device_array([True, False], "bool"), device_array(3, "uint64"), device_array([[1, 2], [3, 4]]).T]
    kept = Kept(backend, [whole[1:3], whole, *others, whole[:1]])
    assert len(kept.arrays) == 4  # the parts of the first are in it
    kept.take()
    assert kept.differing() == []
    whole._host[2] = -0.0
    others[2]._host[0, 1] = 7
    assert [one.shape for one in kept.differing()] == [(4,), (2, 2)]
    kept.put_back()
    assert kept.differing() == []
    assert not np.signbit(whole._host[2])
    assert others[2]._host.tolist() == [[1, 3], [2, 4]]
    assert Kept(backend, []).differing() == []


def test_what_is_spoiled_is_no_number():
    arrays = [device_array([1.0, 2.0]), device_array(1.0, "float64"), device_array([1, 2], "int64")]
    spoil([*arrays, device_array([True], "bool")])
    assert np.isnan(arrays[0]._host).all()
    assert np.isnan(arrays[1]._host)
    assert arrays[2]._host.tolist() == [-1, -1]
    assert len(once([arrays[0], arrays[0][:1], arrays[1]])) == 2
