"""Does a training that was saved and loaded go on exactly, and is a checkpoint that does not fit refused as a whole?"""

import os

import numpy as np
import pytest

import engine as en
from engine import files
from engine.checkpoint import save_state

OPTIMIZERS = {
    "sgd": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "adagrad": {},
    "rmsprop": {"momentum": 0.5},
    "adam": {"weight_decay": 1e-3},
    "adamw": {},
    "nadam": {},
    "lion": {"weight_decay": 1e-2},
    "lbfgs": {"max_iterations": 3},
}
SCHEDULES = {
    "warmup": lambda: en.Warmup(4, en.Cosine(0.02, steps=30)),
    "plateau": lambda: en.ReduceOnPlateau(0.02, factor=0.5, patience=0, threshold=0.2),
}

GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((26, 4)).astype("float32")
Y = np.abs(X[:, :3]).argmax(axis=1)
HELD_OUT = (X[20:], Y[20:])


def made(
    optimizer="adam",
    schedule="warmup",
    callbacks=None,
    ema=0.9,
    seed=11,
    hidden=6,
    drop=True,
    dtype="float32",
    metrics=("accuracy",),
    device="cpu",
):
    """A trainer with everything that has a state, its first weights drawn anew at every call."""
    model = en.Sequential(
        en.Linear(4, hidden),
        en.BatchNorm(hidden),
        en.ReLU(),
        en.Dropout(0.3) if drop else en.Tanh(),
        en.StochasticDepth(en.Linear(hidden, hidden), drop=0.2),
        en.Linear(hidden, 3),
    ).to(dtype=dtype)
    made_optimizer = en.Optimizer.by_name(
        optimizer, model.parameters(), learning_rate=SCHEDULES[schedule](), **OPTIMIZERS[optimizer]
    )
    return en.Trainer(
        model,
        loss=en.CrossEntropy(label_smoothing=0.1),
        optimizer=made_optimizer,
        device=device,
        metrics=metrics,
        penalty=en.L2(1e-3),
        clip_norm=None if optimizer == "lbfgs" else 1.0,
        accumulate=2,
        seed=seed,
        callbacks=[en.EarlyStopping(patience=3)] if callbacks is None else callbacks,
        ema=ema,
    )


def fit(trainer, epochs):
    return trainer.fit((X, Y), epochs=epochs, batch_size=6, validation=HELD_OUT)


def snapshot(trainer):
    """Everything that a training may depend on, as bytes and plain values."""
    optimizer = trainer.optimizer.state_dict()
    arrays = {name: one.numpy() for name, one in trainer.model.state_dict().items()}
    arrays.update({f"optimizer {name}": one for name, one in optimizer["tensors"].items()})
    arrays.update({f"ema {name}": one for name, one in (trainer.ema.state() if trainer.ema else {}).items()})
    values = [optimizer["settings"], trainer.epoch, trainer.step, trainer.seed]
    values += [(layer.key, layer.drawn) for layer in trainer.random_layers]
    for callback in trainer.callbacks:
        for key, one in callback.state().items():
            (arrays.update({key: one}) if isinstance(one, np.ndarray) else values.append((key, one)))
    values.append({name: column for name, column in trainer.history.state()["columns"].items() if name != "seconds"})
    return {name: (one.dtype.str, one.shape, one.tobytes()) for name, one in arrays.items()}, values


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_loading_goes_on_with_the_same_bits(optimizer, schedule, tmp_path):
    trainer = made(optimizer, schedule)
    fit(trainer, 3)
    trainer.save(tmp_path / "run.checkpoint")
    saved = snapshot(trainer)
    fit(trainer, 2)
    en.seed(99)
    other = made(optimizer, schedule, seed=4)
    fit(other, 1)  # what is loaded takes the place of what was
    other.load(tmp_path / "run.checkpoint")
    assert snapshot(other) == saved
    fit(other, 2)
    assert snapshot(other) == snapshot(trainer)
    np.testing.assert_array_equal(other.predict(X), trainer.predict(X))
    assert other.evaluate(HELD_OUT) == trainer.evaluate(HELD_OUT)


def test_saving_changes_nothing(tmp_path):
    first, second = made(), made()
    second.model.load_state_dict(first.model.state_dict())
    for epochs in (2, 1):
        fit(first, epochs)
        fit(second, epochs)
        first.save(tmp_path / "run")
    assert snapshot(first) == snapshot(second)


def test_a_trainer_that_has_not_begun(tmp_path):
    trainer, other = made(), made()
    trainer.save(tmp_path / "run")
    fit(other, 1)
    other.load(tmp_path / "run")
    assert snapshot(other) == snapshot(trainer)
    fit(trainer, 2)
    fit(other, 2)
    assert snapshot(other) == snapshot(trainer)


def test_the_file_can_be_replaced_and_is_all_there_is(tmp_path):
    trainer = made()
    for _ in range(2):
        fit(trainer, 1)
        trainer.save(tmp_path / "run")
    assert os.listdir(tmp_path) == ["run"]
    other = made()
    other.load(str(tmp_path / "run"))
    assert other.epoch == 2


class StopsAndSaves(en.Callback):
    """Saves at this event, after so many steps, and ends the training at once."""

    def __init__(self, path, event, steps):
        self.path, self.steps = path, steps
        setattr(self, event, self.save)

    def save(self, trainer, *_):
        if trainer.step == self.steps:
            trainer.save(self.path)
            raise KeyboardInterrupt


METRICS = ["accuracy", "recall", "f1", "top-2", lambda output, target: (output * output).mean()]
# After how many steps it is taken up again, two times; three steps are an epoch.
TWICE = {"epoch_begin": [(0, 3), (6, 9)], "batch_end": [(1, 2), (3, 8), (5, 6), (10, 12)], "epoch_end": [(3, 9)]}


def begun(*settings, **named):
    """`made` with the same first weights at every call."""
    en.seed(7)
    return made(*settings, **named)


@pytest.mark.parametrize("event", TWICE)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_going_on_within_an_epoch_gives_the_same_bits(optimizer, event, tmp_path):
    whole = begun(optimizer, "plateau", metrics=METRICS)
    fit(whole, 4)
    for stops in TWICE[event]:
        trainer = begun(optimizer, "plateau", metrics=METRICS)
        for steps in stops:
            trainer.callbacks.append(StopsAndSaves(tmp_path / "run", event, steps))
            with pytest.raises(KeyboardInterrupt):
                fit(trainer, 4 - trainer.epoch)
            trainer = made(optimizer, "plateau", metrics=METRICS, seed=4)
            trainer.load(tmp_path / "run")
        fit(trainer, 4 - trainer.epoch)
        assert snapshot(trainer) == snapshot(whole)


def test_going_on_within_an_epoch_on_every_device(backend, tmp_path):
    metrics = [] if backend.device == "fake:0" else METRICS  # which are made for NumPy and CuPy alone
    settings = {"metrics": metrics, "device": backend.device}
    whole, trainer, other = begun(**settings), begun(**settings), made(**settings)
    fit(whole, 2)
    trainer.callbacks.append(StopsAndSaves(tmp_path / "run", "batch_end", 2))
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, 2)
    other.load(tmp_path / "run")
    fit(other, 2)
    assert snapshot(other) == snapshot(whole)


def test_going_on_with_the_metrics_of_a_regression(backend, tmp_path):
    metrics = [] if backend.device == "fake:0" else ["r2", "mae", "mse"]

    def regression():
        model = en.Linear(4, 2, generator=0)
        optimizer = en.SGD(model.parameters(), learning_rate=0.1)
        loss = en.MeanSquaredError()
        return en.Trainer(model, loss=loss, optimizer=optimizer, device=backend.device, metrics=metrics)

    data = (X, X[:, :2] + 100.0)
    whole, trainer, other = regression(), regression(), regression()
    whole.fit(data, epochs=2, batch_size=4)
    trainer.callbacks.append(StopsAndSaves(tmp_path / "run", "batch_end", 10))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(data, epochs=2, batch_size=4)
    other.load(tmp_path / "run")
    other.save(tmp_path / "again")  # before a step is made
    other = regression()
    other.load(tmp_path / "again")
    other.fit(data, batch_size=4)
    assert snapshot(other) == snapshot(whole)


def test_the_reason_to_stop_is_kept_within_an_epoch(tmp_path):
    whole, trainer, other = (begun(callbacks=[]) for _ in range(3))
    whole.fit((X, Y), epochs=4, batch_size=3, stop=en.StepBelow(1e9))
    trainer.callbacks.append(StopsAndSaves(tmp_path / "run", "batch_end", 1))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit((X, Y), epochs=4, batch_size=3, stop=en.StepBelow(1e9))
    other.load(tmp_path / "run")
    other.fit((X, Y), epochs=4, batch_size=3)
    assert (other.stop_reason, other.epoch, other.step) == (whole.stop_reason, 1, 1)
    assert snapshot(other) == snapshot(whole)


def test_going_on_within_an_epoch_of_other_batches_is_refused(tmp_path):
    trainer, other = made(), made()
    trainer.callbacks.append(StopsAndSaves(tmp_path / "run", "batch_end", 1))
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, 1)
    other.load(tmp_path / "run")
    message = "2 of 5 batches of 6 are done, and 7 of 4 were given; go on with the data and the batch size of before"
    with pytest.raises(en.ArgumentError, match=message):
        other.fit((X, Y), batch_size=4)
    fit(other, 1)
    third = made(metrics=["f1"])
    with pytest.raises(en.ArgumentError, match=r"saved with metrics \['accuracy'\], this trainer has \['f1'\]"):
        third.load(tmp_path / "run")


def test_saving_within_a_step_is_refused(tmp_path):
    trainer = made()
    trainer.loss = lambda output, target: en.CrossEntropy()(output, target, trainer.save(tmp_path / "run"))
    with pytest.raises(en.EngineError, match=r"a step is under way; save in a callback, or after fit"):
        trainer.fit((X, Y))
    assert os.listdir(tmp_path) == []


# -- what does not fit -----------------------------------------------------------------------------------


class Other(en.Callback):
    def state(self):
        return {"count": 1}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"hidden": 7},
            en.ShapeError,
            r"0.weight has shape \(4, 6\) in the state, \(4, 7\) in the model",
        ),
        (
            {"drop": False},
            en.ArgumentError,
            r"saved with random layers \['Dropout', 'StochasticDepth'\], this",
        ),
        ({"optimizer": "sgd"}, en.ArgumentError, "the state is of Adam, this optimizer is SGD"),
        ({"optimizer": "lbfgs"}, en.ArgumentError, "the state is of Adam, this optimizer is LBFGS"),
        ({"callbacks": []}, en.ArgumentError, r"saved with callbacks \['EarlyStopping'\], this trainer has \[\]"),
        ({"callbacks": [Other()]}, en.ArgumentError, r"this trainer has \['Other'\]; make it like the one that saved"),
        ({"ema": None}, en.ArgumentError, "saved with ema True, this trainer has False"),
    ],
)
def test_another_kind_of_trainer_changes_nothing(settings, error, message, tmp_path):
    trainer = made()
    fit(trainer, 1)
    trainer.save(tmp_path / "run")
    other = made(**settings)
    fit(other, 1)
    before = snapshot(other)
    with pytest.raises(error, match=message) as caught:
        other.load(tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert snapshot(other) == before
    fit(other, 1)


def test_callbacks_without_a_state_may_differ(tmp_path):
    trainer, other = made(callbacks=[en.Callback(), en.EarlyStopping(2)]), made(callbacks=[en.EarlyStopping(2)])
    fit(trainer, 2)
    trainer.save(tmp_path / "run")
    other.load(tmp_path / "run")
    assert snapshot(other) == snapshot(trainer)


def test_another_precision_is_converted(tmp_path):
    trainer, other = made(), made(dtype="float64")
    fit(trainer, 1)
    trainer.save(tmp_path / "run")
    other.load(tmp_path / "run")
    assert other.dtype == "float64"
    np.testing.assert_array_equal(other.model[0].weight.numpy(), trainer.model[0].weight.numpy())
    fit(other, 1)


def test_a_file_that_is_missing_damaged_or_of_weights_alone(tmp_path):
    trainer = made()
    fit(trainer, 1)
    before = snapshot(trainer)
    with pytest.raises(FileNotFoundError, match="run: there is no such file"):
        trainer.load(tmp_path / "run")
    trainer.save(tmp_path / "run")
    whole = (tmp_path / "run").read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], b"hello" + whole):
        (tmp_path / "run").write_bytes(damaged)
        with pytest.raises(en.DataError, match="run: not a checkpoint, or damaged"):
            trainer.load(tmp_path / "run")
    en_weights = {name: one.numpy() for name, one in trainer.model.state_dict().items()}
    save_state(tmp_path / "weights", en_weights, {})
    with pytest.raises(en.DataError, match=r"not a trainer's checkpoint; it holds weights only\. Use model"):
        trainer.load(tmp_path / "weights")
    assert snapshot(trainer) == before


def test_a_full_disk_keeps_the_older_checkpoint(tmp_path, monkeypatch):
    trainer = made()
    fit(trainer, 1)
    trainer.save(tmp_path / "run")
    before = (tmp_path / "run").read_bytes()

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(files.os, "fsync", full)
    fit(trainer, 1)
    with pytest.raises(en.FileError, match="run: could not be written: No space left on device"):
        trainer.save(tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run").read_bytes() == before
    assert os.listdir(tmp_path) == ["run"]
