"""Is a callback told everything, in order, and is what it keeps saved with the training?"""

import numpy as np
import pytest

import engine as en


class Recorder(en.Callback):
    def __init__(self):
        self.events = []

    def fit_begin(self, trainer):
        self.events.append(("fit begins", trainer.batches_per_epoch))

    def epoch_begin(self, trainer, epoch):
        self.events.append(("epoch begins", epoch))

    def batch_end(self, trainer, batch, loss):
        assert loss.shape == ()
        assert not loss.requires_grad
        self.events.append(("batch", batch, trainer.step))

    def epoch_end(self, trainer, epoch, values):
        assert trainer.history.last == values
        assert trainer.epoch == epoch
        self.events.append(("epoch ends", epoch, sorted(values)))

    def fit_end(self, trainer):
        self.events.append(("fit ends",))


def made(callbacks, **settings):
    model = en.Linear(2, 1, generator=0)
    optimizer = en.SGD(model.parameters(), learning_rate=0.1)
    return en.Trainer(
        model, loss=en.MeanSquaredError(), optimizer=optimizer, device="cpu", callbacks=callbacks, **settings
    )


X = np.random.default_rng(0).standard_normal((7, 2)).astype("float32")
Y = X[:, :1]


def test_the_order_of_events():
    recorder = Recorder()
    made([recorder], accumulate=2).fit((X, Y), epochs=2, batch_size=3)
    columns = ["learning_rate", "loss", "seconds"]
    assert recorder.events == [
        ("fit begins", 3),
        ("epoch begins", 1),
        ("batch", 1, 1),
        ("batch", 2, 1),
        ("batch", 3, 2),
        ("epoch ends", 1, columns),
        ("epoch begins", 2),
        ("batch", 1, 3),
        ("batch", 2, 3),
        ("batch", 3, 4),
        ("epoch ends", 2, columns),
        ("fit ends",),
    ]


def test_all_callbacks_hear_it_in_their_order():
    heard = []

    class Named(en.Callback):
        def __init__(self, name):
            self.name = name

        def epoch_end(self, trainer, epoch, values):
            heard.append(self.name)

    made([Named("first"), Named("second")]).fit((X, Y), epochs=2)
    assert heard == ["first", "second"] * 2


def test_the_end_is_told_after_an_error():
    recorder = Recorder()

    class Fails(en.Callback):
        def batch_end(self, trainer, batch, loss):
            raise RuntimeError("inside")

    trainer = made([recorder, Fails()])
    with pytest.raises(RuntimeError, match="inside"):
        trainer.fit((X, Y))
    assert recorder.events[-1] == ("fit ends",)
    assert trainer.model.training


def test_batch_losses_are_those_of_the_batches_with_the_penalty():
    losses = []

    class Watch(en.Callback):
        def batch_end(self, trainer, batch, loss):
            losses.append(loss.item())

    trainer = made([Watch()], penalty=en.L2(0.5))
    start = trainer.model.weight.numpy()
    history = trainer.fit((X, Y), batch_size=4, shuffle=False)
    first = ((X[:4] @ start - Y[:4]) ** 2).mean() + 0.5 * (start**2).sum()
    assert losses[0] == pytest.approx(first, rel=1e-6)
    assert history["loss"] == [pytest.approx((4 * losses[0] + 3 * losses[1]) / 7, rel=1e-12)]


def test_no_epoch_no_events_between():
    recorder = Recorder()
    history = made([recorder]).fit((X, Y), epochs=0)
    assert recorder.events == [("fit begins", 1), ("fit ends",)]
    assert len(history) == 0


def test_a_plain_callback_does_nothing():
    callback = en.Callback()
    made([callback]).fit((X, Y))
    assert callback.state() == {}
    callback.load_state({})


class Counter(en.Callback):
    """Keeps a number and an array."""

    def __init__(self):
        self.epochs, self.mean = 0, np.zeros(2)

    def epoch_end(self, trainer, epoch, values):
        self.epochs += 1
        self.mean = self.mean + trainer.model.weight.numpy()[:, 0]

    def state(self):
        return {"epochs": self.epochs, "mean": self.mean}

    def load_state(self, state):
        self.epochs, self.mean = state["epochs"], state["mean"]


def test_what_a_callback_keeps_is_saved(tmp_path):
    trainer, other = made([Counter(), en.EarlyStopping(patience=3)]), made([Counter(), en.EarlyStopping(patience=3)])
    trainer.fit((X, Y), epochs=3)
    trainer.save(tmp_path / "run")
    other.load(tmp_path / "run")
    assert other.callbacks[0].epochs == 3
    np.testing.assert_array_equal(other.callbacks[0].mean, trainer.callbacks[0].mean)
    assert (other.callbacks[1].best, other.callbacks[1].best_epoch) == (trainer.history["loss"][-1], 3)


def test_names_of_a_model_do_not_meet_those_of_early_stopping(tmp_path):
    """A model whose parameter is called best."""

    class Odd(en.Layer):
        def __init__(self):
            super().__init__()
            self.best = en.Parameter(np.ones((2, 1), "float32"))

        def forward(self, x):
            return x @ self.best

    def one():
        model = Odd()
        optimizer = en.SGD(model.parameters(), learning_rate=0.1)
        stopping = en.EarlyStopping()
        return en.Trainer(model, loss=en.MeanSquaredError(), optimizer=optimizer, device="cpu", callbacks=[stopping])

    trainer, other = one(), one()
    trainer.fit((X, Y), epochs=2)
    trainer.save(tmp_path / "run")
    other.load(tmp_path / "run")
    assert other.callbacks[0].best == trainer.callbacks[0].best
    np.testing.assert_array_equal(other.model.best.numpy(), trainer.model.best.numpy())


def test_saving_in_epoch_end_goes_on_exactly(tmp_path):
    class Saves(en.Callback):
        def epoch_end(self, trainer, epoch, values):
            trainer.save(tmp_path / f"epoch {epoch}")

    trainer = made([Saves()])
    trainer.fit((X, Y), epochs=4, batch_size=2)
    other = made([Saves()])
    other.load(tmp_path / "epoch 2")
    assert (other.epoch, other.step) == (2, 8)
    other.fit((X, Y), epochs=2, batch_size=2)
    np.testing.assert_array_equal(other.model.weight.numpy(), trainer.model.weight.numpy())
    assert other.history["loss"] == trainer.history["loss"]


def test_step_below_is_printed_and_progress_can_be_read():
    assert repr(en.StepBelow(0.5)) == "StepBelow(0.5)"
    trainer = made([])
    assert (trainer.epoch, trainer.step, trainer.batches_per_epoch, trainer.stop_reason) == (0, 0, 0, None)
    assert (trainer.device, trainer.dtype) == ("cpu", "float32")


def test_a_fit_that_goes_on_after_early_stopping_waits_anew(tmp_path):
    trainer, other = (made([en.EarlyStopping(patience=2, mode="max", restore_best=False)]) for _ in range(2))
    trainer.fit((X, Y), epochs=9)  # the loss only falls
    assert (trainer.epoch, trainer.stop_reason) == (3, "loss has not become better for 2 epochs")
    trainer.save(tmp_path / "stopped")
    other.load(tmp_path / "stopped")
    for one in (trainer, other):
        one.fit((X, Y), epochs=9)
        assert (one.epoch, one.callbacks[0].best_epoch) == (5, 1)
