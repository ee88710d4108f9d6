"""Do many steps in one launch end with the bits of as many steps one by one? On fake GPUs, and on one."""

import itertools
import math

import numpy as np
import pytest
from conftest import GPU, graphing
from fake_device import GraphingBackend
from test_capture import LOSSES, OPTIMIZERS
from test_launch_proofs import Wrong, lost
from test_trainer_recorded import net, rich, samples

import engine as en
from backends.devices import _backends
from engine import training_step
from engine.recording import blocks

BATCH, STEPS = 4, 44


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Sizes that are tried within a few steps, on a machine of any speed, and the largest is taken."""
    monkeypatch.setattr(blocks, "SIZES", (1, 3, 8))
    monkeypatch.setattr(blocks, "TIMED", 8)
    monkeypatch.setattr(blocks, "GAIN", math.inf)
    monkeypatch.setattr(training_step, "CALL_SECONDS", 1000.0)


@pytest.fixture(params=["fake", "fused", "cublaslt", GPU])
def device(request, monkeypatch):
    """The name of a device that makes one launch of many steps, however long they take."""
    return graphing(request.param, request, monkeypatch)


@pytest.fixture
def fake(monkeypatch):
    """The fake one alone, as a backend."""
    backend = GraphingBackend()
    monkeypatch.setitem(_backends, backend.device, backend)
    return backend


@pytest.fixture
def noted(monkeypatch):
    """What takes many steps, in the order in which it was made."""
    made = []

    class Noted(blocks.Blocks):
        def __init__(self, *given):
            super().__init__(*given)
            self.launched = []
            made.append(self)

        def _take(self, block, part, outputs):
            super()._take(block, part, outputs)
            self.launched.append((block.size, len(outputs)))

    monkeypatch.setattr(blocks, "Blocks", Noted)
    return made


def trainer_of(device, record=True, model=net, loss=None, optimizer=None, schedule=None, **parts):
    en.seed(3)
    made = model()
    rate = 0.01 if schedule is None else schedule
    kind = (lambda parameters: en.Adam(parameters, rate)) if optimizer is None else optimizer
    given = en.CrossEntropy() if loss is None else loss
    return en.Trainer(made, loss=given, optimizer=kind(list(made.parameters())), device=device, record=record, **parts)


def ends(trainer, history=None):
    """All that a training leaves."""
    states = trainer.optimizer.state_dict()
    found = {
        "weights": {name: one.numpy().tobytes() for name, one in trainer.model.state_dict().items()},
        "states": {name: one.tobytes() for name, one in states["tensors"].items()},
        "counts": (states["settings"]["counts"], trainer.optimizer.steps, trainer.step, trainer.epoch, trainer.skipped),
        "drawn": [layer.drawn for layer in trainer.random_layers],
    }
    if trainer.ema is not None:
        with trainer.ema.applied():
            found["averages"] = [one.numpy().tobytes() for one in trainer.model.parameters()]
    if trainer.loss_scale is not None:
        found["scale"] = {name: one.tobytes() for name, one in trainer.loss_scale.state().items()}
    if history is not None:
        found["history"] = {name: history[name] for name in history.columns if name != "seconds"}
    return found


def both(device, epochs=3, count=STEPS * BATCH + 2, target="labels", dtype="float32", **parts):
    """The same training, step by step and many at a time."""
    found = []
    for record in (False, True):
        trainer = trainer_of(device, record, **parts)
        history = trainer.fit(samples(target, count=count, dtype=dtype), epochs=epochs, batch_size=BATCH)
        found.append(ends(trainer, history))
    assert found[0] == found[1]


PARTS = {
    "plain": {},
    "everything": {
        "model": rich,
        "metrics": ["accuracy"],
        "clip_norm": 1.0,
        "clip_value": 0.5,
        "penalty": en.L2(1e-3),
        "ema": 0.9,
    },
    "another rate each step": {"schedule": en.schedules.Cosine(0.05, steps=500, final=0.001)},
    "steps of the rate": {"schedule": en.schedules.Step(0.05, every=37, factor=0.5), "metrics": ["accuracy"]},
    "float16": {"precision": "float16", "metrics": ["accuracy"]},
    "bfloat16": {"precision": "bfloat16"},
}


@pytest.mark.parametrize("name", PARTS)
def test_the_same_bits(name, device, noted, request):
    both(device, **PARTS[name])
    (many, *others) = noted
    assert not others  # the last batch, which is smaller, is taken by itself
    if "cublaslt" in request.node.name and "precision" in PARTS[name]:
        return  # such products are NumPy's matmul there, which is not captured
    assert many.problem is None
    assert many.size == max(blocks.SIZES)
    assert {size for size, _ in many.launched} == set(blocks.SIZES)
    assert any(steps > 2 * size for size, steps in many.launched)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, fake, noted):
    both(fake.device, optimizer=OPTIMIZERS[name])
    assert [one.problem for one in noted] == [None]


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, fake, noted):
    make_loss, target = LOSSES[name]
    both(fake.device, loss=make_loss(), target=target)
    assert all(one.problem is None for one in noted)


def test_several_dtypes_of_parameters(fake, noted):
    both(fake.device, model=lambda: net().to(dtype="float64"), dtype="float64")
    assert [one.problem for one in noted] == [None]


def test_the_host_waits_once_a_call(fake, noted, monkeypatch):
    trainer = trainer_of(fake.device, metrics=["accuracy"])
    data = samples(count=STEPS * BATCH)
    trainer.fit(data, epochs=3, batch_size=BATCH)
    waits, launches = [], []
    original, take = fake.to_host, type(noted[0])._take

    def to_host(array):
        waits.append(array.shape)
        return original(array)

    def taken(many, block, part, outputs):
        waits.clear()
        before = fake.launches
        take(many, block, part, outputs)
        launches.append((block.size, fake.launches - before, len(outputs), list(waits)))

    monkeypatch.setattr(fake, "to_host", to_host)
    monkeypatch.setattr(type(noted[0]), "_take", taken)
    trainer.fit(data, epochs=2, batch_size=BATCH)
    assert [one.size for one in noted] == [8, 8]  # found in the first fit
    assert noted[1].seconds == {}
    assert any(size == 8 and steps == 40 for size, _, steps, _ in launches)
    for size, count, steps, read in launches:
        assert count == steps // size  # nothing but the launches
        assert read == [(steps,), (steps,), (steps, 1)]  # the losses, as what is told and as what is checked; the norms


def test_a_rest_is_taken_by_launches_of_one_step(fake, noted):
    trainer = trainer_of(fake.device)
    trainer.fit(samples(count=STEPS * BATCH), epochs=3, batch_size=BATCH)
    (many,) = noted
    assert many.launched[-2:] == [(8, 40), (1, 4)]


@pytest.mark.parametrize(("saving", "size"), [(0.02, 1), (0.1, 4), (0.3, 16), (1.0, 64)])
def test_the_size_is_the_least_that_is_about_as_fast_as_the_next(saving, size, monkeypatch):
    """A launch costs `saving`, a step 1 less that."""
    monkeypatch.undo()
    many = blocks.Blocks.__new__(blocks.Blocks)
    many.seconds, many.size, many._sizes = {}, 1, iter(blocks.SIZES)
    many._trying = next(many._sizes)
    while many._trying is not None:
        one = many._trying
        for noise in (1.5, 1.0):
            many._note(one, (saving / one + (1 - saving)) * noise)
    assert many.size == size
    assert max(many.seconds) == min(4 * size, 64)  # no more than is needed


# -- what goes wrong ---------------------------------------------------------------------------------------


def bad(where, count=STEPS * BATCH):
    """Samples of which one makes the loss infinite; the order is that of the first epoch."""
    x, y = samples(count=count)
    order = np.random.Generator(np.random.PCG64([0, 2])).permutation(count)
    x[order[where * BATCH]] = 1e30
    return x, y


def steep():
    """A net whose loss leaves float32 where a sample is very large, and only then."""
    return en.Sequential(en.Linear(5, 8), en.Linear(8, 4))


@pytest.mark.parametrize("where", [3, 30, 43])
def test_what_is_not_finite_stops_at_its_step(where, fake, noted):
    told = []
    for record in (False, True):
        trainer = trainer_of(fake.device, record, model=steep, loss=en.MeanSquaredError(), metrics=[])
        x, y = bad(where)
        good = np.where(np.abs(x) > 1e20, 0, x).astype("float32")
        target = np.eye(4, dtype="float32")[y]
        trainer.fit((good, target), epochs=2, batch_size=BATCH)
        with pytest.raises(en.NotFiniteError) as error:
            trainer.fit((x, target), epochs=1, batch_size=BATCH)
        told.append((str(error.value), ends(trainer)))
    assert told[0] == told[1]
    assert f"epoch 3, step {2 * STEPS + where + 1}: the loss is not finite" in told[0][0]
    assert noted


def test_a_step_that_is_skipped(fake, noted):
    """Gradients that leave float16 halve the scale; the steps beside it are taken."""

    found = []
    for record in (False, True):
        trainer = trainer_of(fake.device, record, precision="float16")
        trainer.loss_scale.factor.fill(2.0**24)
        trainer.fit(samples(count=STEPS * BATCH), epochs=3, batch_size=BATCH)
        assert trainer.skipped > 0
        found.append(ends(trainer))
    assert found[0] == found[1]


@pytest.mark.parametrize("launch", [1, 2, 3])
def test_an_interrupt_leaves_whole_steps(launch, fake, noted, monkeypatch):
    trainer = trainer_of(fake.device, metrics=["accuracy"])
    data = samples(count=STEPS * BATCH)
    trainer.fit(data, epochs=3, batch_size=BATCH)
    (block,) = [one for one in noted[0]._blocks.values() if one is not None and one.size == 8]
    calls = itertools.count(1)
    original = type(block).load

    def load(one, *given):
        if next(calls) == launch:
            raise KeyboardInterrupt
        original(one, *given)

    with monkeypatch.context() as patch:
        patch.setattr(type(block), "load", load)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(data, epochs=1, batch_size=BATCH)
    steps = trainer.step
    assert trainer.optimizer.steps == steps
    other = trainer_of(fake.device, False, metrics=["accuracy"])
    for _ in range(3):
        other.fit(data, epochs=1, batch_size=BATCH)

    class Stop(en.Callback):
        def batch_end(self, trainer, batch, loss):
            if trainer.step == steps:
                trainer.stop("there")

    if steps > other.step:
        other.callbacks.append(Stop())
        other.fit(data, epochs=1, batch_size=BATCH)
    assert ends(other)["weights"] == ends(trainer)["weights"]


class WrongLater(Wrong):
    """A fake GPU on which long launches alone are wrong."""

    def taken(self, steps):
        return self.change(steps) if len(steps) > 100 else steps


def test_a_wrong_launch_of_many_steps_is_found_out(monkeypatch, noted):
    backend = WrongLater(lost(-3))
    monkeypatch.setitem(_backends, backend.device, backend)
    with pytest.warns(RuntimeWarning, match="CUDA graph on fake:graphs did not compute what its kernels do one by one"):
        both(backend.device)
    assert "did not compute" in noted[0].problem


@pytest.mark.parametrize("what", ["rows", "numbers"])
def test_steps_on_another_steps_rows_or_numbers_are_found_out(what, fake, noted, monkeypatch):
    original = blocks.Block.load

    def load(block, rows, numbers, known):
        turned = [one[::-1] for one in (rows if what == "rows" else numbers)]
        original(block, turned if what == "rows" else rows, turned if what == "numbers" else numbers, known)

    monkeypatch.setattr(blocks.Block, "load", load)
    with pytest.warns(
        RuntimeWarning, match="3 steps in one CUDA graph did not compute what they do one by one on fake"
    ):
        both(fake.device)
    assert noted[0].size == 1


def test_where_a_step_changes_much_memory_steps_are_taken_one_by_one(fake, noted, monkeypatch):
    monkeypatch.setattr(blocks, "LARGEST", 100)
    both(fake.device)
    assert "changes too much memory" in noted[0].problem
    assert noted[0].launched == []


def test_where_there_is_no_room_steps_are_taken_one_by_one(fake, noted, monkeypatch):
    def full(many, block):
        raise MemoryError("64 MiB")

    monkeypatch.setattr(blocks.Blocks, "_copies", full)
    both(fake.device)
    assert noted[0].launched == []
    assert noted[0].problem is not None


def test_where_somebody_listens_steps_are_taken_one_by_one(fake, noted):
    class Ear(en.Callback):
        def batch_end(self, trainer, batch, loss):
            pass

    trainer = trainer_of(fake.device, callbacks=[Ear()])
    trainer.fit(samples(count=STEPS * BATCH), epochs=2, batch_size=BATCH)
    assert not noted


def test_data_of_another_fit(fake, noted):
    found = []
    for record in (False, True):
        trainer = trainer_of(fake.device, record)
        for seed in (1, 2):
            trainer.fit(samples(seed=seed, count=STEPS * BATCH), epochs=2, batch_size=BATCH)
        found.append(ends(trainer))
    assert found[0] == found[1]
    assert len({id(one.plan.guards[0][2]) for one in noted[-2:]}) == 2


def test_a_function_of_ones_own_over_many_parts(device):
    en.seed(0)
    found = []
    for over in (False, True):
        en.seed(0)
        model = net(en.Tanh()).to(device)
        loss, optimizer = en.CrossEntropy(), en.SGD(model.parameters(), 0.05, momentum=0.9)

        @en.capture
        def step(x, y, model=model, loss=loss, optimizer=optimizer):
            value = loss(model(x), y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            return value

        x, y = (en.tensor(one, device=device) for one in samples(count=STEPS * BATCH))
        x, y = x.reshape(STEPS, BATCH, -1), y.reshape(STEPS, BATCH)
        if over:
            losses = step.over(x, y).numpy()
            (program,) = step.programs
            assert program.many.problem is None
        else:
            losses = np.stack([step(x[k], y[k]).numpy() for k in range(STEPS)])
        found.append((losses.tobytes(), [one.numpy().tobytes() for one in model.parameters()], optimizer.steps))
    assert found[0] == found[1]
