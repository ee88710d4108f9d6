"""Which kernels part a GPU's step into several launches, and why? On a device that refuses what CuPy cannot capture."""

import ast
import inspect
import pkgutil

import parity
import pytest
import replays
from fake_device import GraphingBackend
from test_trainer_recorded import rich, samples

import engine as en
from backends import cuda, kernels
from backends.devices import _backends
from backends.kernels.linear import RoundedLinear

CASES = {one.name: one for one in parity.cases()}
WAITING = {"optimizer LBFGS", "optimizer LBFGS, strong-wolfe"}  # they compare losses, so that they run as they stand
REFUSED = ("matmul", "dot")  # cuBLAS, which CuPy does not call while a stream is captured

COUNTED = {"_advance", "count_step", "touched", "update", "_set_scalars", "remember"}
"""What is done in Python before or after all launches: counts, changes in place, metrics, numbers of the step."""


@pytest.fixture
def device(emulated, machine, monkeypatch):
    """The emulated GPU with fused kernels and cuBLASLt, as a backend."""
    emulated.plug_in_capturing()
    backend = GraphingBackend(REFUSED)
    backend.overrides.update(cuda.overrides())
    backend.overrides.update(machine.products().overrides())
    monkeypatch.setitem(_backends, backend.device, backend)
    return backend


def named(call):
    return "launch" if isinstance(call.function, replays.Launch) else call.function.__name__


def calls_of(program):
    calls, _ = replays.launched(program.calls, program.buffers)
    return [named(call) for call in calls]


@pytest.mark.parametrize("name", [name for name in CASES if name not in WAITING])
def test_a_step_is_one_launch(name, device):
    """Every layer, loss and optimizer of the engine: nothing parts its step."""
    outcome = replays.compare(CASES[name], device, steps=4)
    assert outcome.where is None
    assert outcome.reason is None
    assert (outcome.launches, outcome.between) == (1, ())


PARTS = {
    "plain": {},
    "metrics": {"metrics": ["accuracy"]},
    "clipping": {"clip_norm": 1.0, "clip_value": 0.5},
    "penalty and averages": {"penalty": en.ElasticNet(1e-3, 1e-3), "ema": 0.9},
}


@pytest.mark.parametrize("name", PARTS)
def test_a_trainers_step_is_two_launches_and_one_look_at_the_gradients(name, device, monkeypatch):
    """What is clipped, penalized, averaged is in them; many steps at a time have no such look (test_blocks.py)."""
    en.seed(0)
    model = rich()
    optimizer = en.Adam(model.parameters(), 0.01)
    trainer = en.Trainer(model, loss=en.CrossEntropy(), optimizer=optimizer, device=device, **PARTS[name])
    found = []
    end = type(trainer._training_step).end

    def look(step):
        found.extend(calls_of(program) for program in step._whole.recorded.programs)
        end(step)

    monkeypatch.setattr(type(trainer._training_step), "end", look)
    trainer.fit(samples(count=32), epochs=2, batch_size=8)
    (calls,) = found
    assert [one for one in calls if one not in COUNTED] == ["launch", "require", "launch"]
    assert {"remember", "_set_scalars"} == set(calls[: calls.index("launch")])


# -- what parts a step all the same --------------------------------------------------------------------------

ELSEWHERE = {"direction": "LBFGS, whose steps wait for the host anyway"}
"""Definitions that CuPy computes by cuBLAS, and why they are left to it."""


def definitions():
    """Every function of the kernels' definitions, by its qualified name, with its source."""
    for found in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}."):
        module = __import__(found.name, fromlist=["*"])
        for part in vars(module).values():
            if getattr(part, "__module__", None) != found.name:
                continue
            if inspect.isfunction(part):
                yield part
            elif inspect.isclass(part):
                yield from (
                    one for one in (getattr(part, name, None) for name in vars(part)) if inspect.isfunction(one)
                )


def uses_cublas(function):
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    return any(isinstance(one, ast.Attribute) and one.attr in REFUSED for one in ast.walk(tree))


def test_which_kernels_are_left_to_cublas(device):
    left = {one.__qualname__ for one in definitions() if uses_cublas(one) and one not in device.overrides}
    rounded = {one.__qualname__ for one in (RoundedLinear.forward, RoundedLinear.backward)}
    assert left - rounded == set(ELSEWHERE)  # these: backends/cuda/rounded.py
