"""Does float16 train where its gradients would be too small or too large: scaled, a step skipped, the factor kept?"""

import copy

import numpy as np
import pytest
from test_trainer_recorded import Poison, snapshot

import engine as en
from backends.kernels.scaling import count_finite_step
from engine import recordable, scaling
from engine.recording.capture import capture
from engine.scaling import LossScale

FEATURES, OUTPUTS, SAMPLES, BATCH = 5, 2, 203, 8


def samples(size=30.0):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(SAMPLES, FEATURES)) * 3, generator.normal(size=(SAMPLES, OUTPUTS)) * size
    return x.astype("float32"), y.astype("float32")


def made(precision="float16", optimizer=en.Adam, loss=None, **options):
    """A model with all that a step changes beside weights, whose gradients are sums over a batch: some too large."""
    en.seed(0)
    model = en.Sequential(en.Linear(FEATURES, 16), en.BatchNorm(16), en.ReLU(), en.Dropout(0.2), en.Linear(16, OUTPUTS))
    return en.Trainer(
        model,
        loss=loss or en.SquaredError(reduction="sum"),
        optimizer=optimizer(model.parameters(), learning_rate=1e-2),
        device="cpu",
        precision=precision,
        **options,
    )


def state(trainer):
    scale = {name: one.item() for name, one in trainer.loss_scale.state().items()}
    return snapshot(trainer), scale, trainer.step, trainer.skipped


@pytest.fixture
def impatient(monkeypatch):
    """The factor grows soon."""
    monkeypatch.setattr(scaling, "PATIENCE", 7)


# -- the factor ------------------------------------------------------------------------------------------


def test_it_doubles_after_so_many_finite_steps_and_halves_at_once(backend):
    scale = LossScale(backend)
    assert scale.state()["factor"] == 2.0**16
    for _ in range(1999):
        scale.stepped()
    assert (scale.state()["factor"], scale.state()["steps"]) == (2.0**16, 1999)
    scale.stepped()
    assert (scale.state()["factor"], scale.state()["steps"]) == (2.0**17, 0)
    scale.stepped()
    assert scale.halve()
    assert (scale.state()["factor"], scale.state()["steps"]) == (2.0**16, 0)


def test_it_has_bounds():
    factor, steps, work = (np.array(one, np.float32) for one in (2.0**23, 0, 0))
    for _ in range(4):
        count_finite_step(np, factor, steps=steps, work=work, patience=1, largest=2.0**24)
    assert factor == 2.0**24
    scale = LossScale(en.tensor(0.0).backend)
    assert [scale.halve() for _ in range(17)] == [True] * 16 + [False]
    assert scale.state()["factor"] == 1


def test_gradients_are_those_of_the_loss_itself():
    """A power of two changes no digit: what float16 does not round or lose is the same as without a factor."""
    model = en.Sequential(en.Linear(3, 1, bias=False, generator=0)).to(precision="tf32")
    optimizer = en.SGD(model.parameters())
    x, y = en.tensor([[1.0, 2.0, -3.0]]), en.tensor([[0.5]])
    loss, scale = en.MeanSquaredError(), LossScale(model[0].weight.backend)
    loss(model(x), y).backward()
    expected = model[0].weight.grad.numpy()
    optimizer.zero_grad()
    value = loss(model(x), y)
    value.backward(scale.incoming(value, None))
    optimizer.buffers()
    np.testing.assert_array_equal(model[0].weight.grad.numpy(), expected * 2.0**16)
    scale.divide(optimizer)
    np.testing.assert_array_equal(model[0].weight.grad.numpy(), expected)
    share = en.tensor(np.array(0.25))
    assert scale.incoming(value, share).item() == 2.0**14


def test_small_gradients_are_not_lost():
    """A gradient of 1e-9 is 0 in float16, whose smallest number is 6e-8; times 2^16 it is not."""
    model = en.Linear(1, 1, bias=False, generator=0)
    optimizer = en.SGD(model.parameters(), learning_rate=1e9)
    trainer = en.Trainer(
        model, loss=en.SquaredError(factor=1e-9), optimizer=optimizer, device="cpu", precision="float16"
    )
    data = np.ones((4, 1), "float32"), np.zeros((4, 1), "float32")
    before = model.weight.item()
    trainer.fit(data, batch_size=4)
    assert model.weight.item() == pytest.approx(before - 2 * before, rel=0.01)
    before = model.weight.item()
    trainer.loss_scale.factor.fill(1.0)
    trainer.fit(data, batch_size=4)
    assert model.weight.item() == before


# -- steps that are skipped ------------------------------------------------------------------------------


def test_a_skipped_step_changes_the_factor_alone():
    trainer = made()
    before = snapshot(trainer)
    x, y = samples(size=1e5)
    history = trainer.fit((x[:BATCH], y[:BATCH]), epochs=1, batch_size=BATCH)
    after = snapshot(trainer)
    assert (trainer.step, trainer.skipped) == (0, 1)
    assert trainer.loss_scale.state()["factor"] == 2.0**15
    assert history["skipped"] == [1.0]
    assert np.isfinite(history["loss"][0])
    assert {name: after[name] for name in before if name not in ("position", "history")} == {
        name: value for name, value in before.items() if name not in ("position", "history")
    }


@pytest.mark.parametrize("accumulate", [1, 3])
def test_recorded_and_eager_steps_skip_alike(accumulate, impatient, monkeypatch):
    recordings = []

    def kept(function):
        recordings.append(capture(function))
        return recordings[-1]

    monkeypatch.setattr(recordable, "capture", kept)
    found = []
    for record in (True, False):
        poison = Poison(recordings)
        trainer = made(record=record, accumulate=accumulate, penalty=en.L2(1e-3), clip_norm=5.0, callbacks=[poison])
        trainer.fit(samples(), epochs=4, batch_size=BATCH)
        found.append((state(trainer), poison.losses))
    assert found[0] == found[1]
    assert trainer.skipped > 3
    assert trainer.step == trainer.optimizer.steps > trainer.skipped


def test_many_steps_in_one_call_skip_alike(impatient):
    one, other = made(record=True), made(record=False)
    for trainer in (one, other):
        trainer.fit(samples(), epochs=4, batch_size=BATCH)
    assert state(one) == state(other)
    assert one.history["skipped"] == other.history["skipped"]
    assert sum(one.history["skipped"]) == one.skipped > 3
    assert one.history["loss"] == other.history["loss"]


def test_every_batch_is_told_of_and_counted(impatient):
    found = []

    class Told(en.Callback):
        def batch_end(self, trainer, batch, loss):
            found.append((batch, loss.item(), str(loss.dtype)))

    trainer = made(callbacks=[Told()])
    history = trainer.fit(samples(), epochs=1, batch_size=BATCH)
    batches = -(-SAMPLES // BATCH)
    assert [number for number, _, _ in found] == list(range(1, batches + 1))
    assert trainer.step + trainer.skipped == batches
    assert history["loss"][0] == pytest.approx(sum(loss for _, loss, _ in found) / SAMPLES)
    assert {dtype for _, _, dtype in found} == {"float32"}


def test_a_skipped_step_does_not_stop_by_the_rule_of_small_steps():
    trainer = made(optimizer=en.SGD)
    x, y = samples(size=3e3)
    trainer.fit((x, y), epochs=3, batch_size="all", stop=en.StepBelow(1e-30))
    assert trainer.skipped == 3
    assert trainer.stop_reason is None


def test_training_stops_where_the_factor_cannot_be_smaller():
    x, y = samples(size=1e6)
    trainer = made()
    before = trainer.model[0].weight.numpy()
    with pytest.raises(en.NotFiniteError, match=r"a gradient is not finite; .* or precision \"bfloat16\""):
        trainer.fit((x, y), epochs=5, batch_size=BATCH)
    assert (trainer.skipped, trainer.step, trainer.loss_scale.state()["factor"]) == (16, 0, 1.0)
    np.testing.assert_array_equal(trainer.model[0].weight.numpy(), before)


def test_a_loss_that_is_not_finite_stops_at_once():
    x, y = samples()
    trainer = made()
    with pytest.raises(en.NotFiniteError, match="the loss is not finite"):
        trainer.fit((x * 1e20, y), epochs=1, batch_size=BATCH)
    assert trainer.skipped == 0


# -- where there is one, and kept ------------------------------------------------------------------------


def test_only_float16_has_one():
    for precision in ("float32", "float64", "tf32", "bfloat16", None):
        trainer = made(precision=precision)
        assert trainer.loss_scale is None
        assert "skipped" not in trainer.fit(samples(), epochs=1)
    model = en.Sequential(en.Linear(2, 2).to(precision="float16"), en.Linear(2, 1))
    trainer = en.Trainer(model, loss=en.MeanSquaredError(), optimizer=en.SGD(model.parameters()), device="cpu")
    assert trainer.loss_scale is not None


def test_an_optimizer_that_compares_losses_is_refused():
    with pytest.raises(en.ArgumentError, match=r"float16 scales the loss, and LBFGS compares losses; use bfloat16"):
        made(optimizer=en.LBFGS)
    made(optimizer=en.LBFGS, precision="bfloat16").fit(samples(), epochs=1, batch_size="all")


def test_a_checkpoint_goes_on_exactly(tmp_path, impatient):
    class Save(en.Callback):
        def batch_end(self, trainer, batch, loss):
            if trainer.epoch == 1 and batch == 11:
                trainer.save(tmp_path / "run")

    whole = made(callbacks=[Save()])
    whole.fit(samples(), epochs=3, batch_size=BATCH)
    resumed = made()
    resumed.load(tmp_path / "run")
    assert resumed.skipped > 0
    assert resumed.loss_scale.state()["factor"] < 2.0**16
    resumed.fit(samples(), epochs=2, batch_size=BATCH)
    assert state(resumed) == state(whole)
    assert resumed.history["skipped"] == whole.history["skipped"]


def test_an_older_checkpoint_of_float32_is_still_read(tmp_path, monkeypatch):
    from engine import resuming

    trainer = made(precision=None)
    trainer.fit(samples(), epochs=1)
    before = resuming.state_of

    def older(trainer):
        arrays, metadata = before(trainer)
        del metadata["made of"]["rounded products"], metadata["position"]["skipped"]
        return arrays, metadata

    monkeypatch.setattr(resuming, "state_of", older)
    trainer.save(tmp_path / "run")
    other = made(precision=None)
    other.load(tmp_path / "run")
    assert (other.step, other.skipped) == (trainer.step, 0)


def test_a_copy_has_a_factor_of_its_own():
    trainer = made()
    other = copy.deepcopy(trainer)
    trainer.loss_scale.halve()
    assert other.loss_scale.state()["factor"] == 2.0**16
