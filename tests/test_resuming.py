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


def made(optimizer="adam", schedule="warmup", callbacks=None, ema=0.9, seed=11, hidden=6, drop=True, dtype="float32"):
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
        device="cpu",
        metrics=["accuracy"],
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


@pytest.mark.parametrize("event", ["epoch_begin", "batch_end"])
def test_saving_within_an_epoch_is_refused(event, tmp_path):
    class Saves(en.Callback):
        pass

    def save(self, trainer, *_):
        trainer.save(tmp_path / "run")

    setattr(Saves, event, save)
    trainer = made(callbacks=[Saves()])
    with pytest.raises(en.EngineError, match=r"an epoch is under way; save in a callback's epoch_end, or after fit"):
        fit(trainer, 1)
    assert os.listdir(tmp_path) == []


# -- what does not fit -----------------------------------------------------------------------------------


class Other(en.Callback):
    pass


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
