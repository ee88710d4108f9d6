"""Is a replay the eager step bit for bit, on every device? Every layer, loss and optimizer, with poisoned buffers."""

import pytest
import replays
from fake_device import GraphingBackend

from backends.devices import _backends

CASES = {case.name: case for case in replays.cases()}
EAGER = {"optimizer LBFGS", "optimizer LBFGS, strong-wolfe"}


def check(outcome):
    assert outcome.where is None, str(outcome)
    assert (outcome.reason is None) == (outcome.case not in EAGER), str(outcome)
    if outcome.reason is None:
        assert outcome.replayed >= outcome.steps - 4
        assert outcome.poisoned > 0


@pytest.mark.filterwarnings("ignore:capture")
@pytest.mark.parametrize("name", CASES)
def test_a_replay_is_the_eager_step_bit_for_bit(name, backend):
    check(replays.compare(CASES[name], backend))


@pytest.mark.filterwarnings("ignore:capture")
@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("name", CASES)
def test_without_compiled_c_too(name):
    check(replays.compare(CASES[name], "cpu"))


@pytest.mark.filterwarnings("ignore:capture")
@pytest.mark.parametrize("name", ["layer Dropout", "layer BatchNorm", "optimizer Adam", "loss Huber"])
def test_launched_as_graphs_too(name, monkeypatch):
    device = GraphingBackend()
    monkeypatch.setitem(_backends, device.device, device)
    check(replays.compare(CASES[name], device))
    assert device.launches > 0


def test_a_replay_that_differs_is_named_with_its_step(monkeypatch):
    true = replays.Side.step

    def frozen(self, x, *targets):  # a number of Python's, which a recording keeps as it was
        self.calls = getattr(self, "calls", 0) + 1
        return true(self, x, *targets) * float(self.calls)

    monkeypatch.setattr(replays.Side, "step", frozen)
    outcome = replays.compare(CASES["layer Tanh"], "cpu")
    assert outcome.where is not None
    assert outcome.where.startswith("the loss after step ")
    assert str(outcome).endswith("is not the eager step's")


def test_what_is_kept_from_step_to_step_in_a_buffer_is_found(monkeypatch):
    poisoned = []

    def poison(recorded, device):  # weights, which no replay computes anew
        if recorded.programs:
            poisoned.append(recorded.function.__self__.model.parameters()[0].array.fill(0.0))
        return len(poisoned)

    monkeypatch.setattr(replays, "poison", poison)
    assert replays.compare(CASES["layer Tanh"], "cpu").where is not None
