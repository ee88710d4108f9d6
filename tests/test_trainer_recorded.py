"""Does a Trainer whose steps are recorded end with the bits of one whose steps run as they stand?"""

import copy
import math
import weakref

import numpy as np
import pytest
import test_capture

import engine as en
from engine import recordable
from engine.recording.capture import capture
from engine.training_step import TrainingStep

FEATURES, CLASSES, WIDTH = 5, 4, 8
SAMPLES, BATCH, EPOCHS = 195, 8, 4  # 25 batches, the last of three samples: 100 steps


@pytest.fixture
def recordings(monkeypatch):
    """Every function that is captured, in order; from its second call on."""
    made = []

    def kept(function):
        made.append(capture(function))
        return made[-1]

    monkeypatch.setattr(recordable, "capture", kept)
    return made


class Poison(en.Callback):
    """Overwrites, after every batch, each array that a replay should compute anew; keeps the losses."""

    def __init__(self, recordings):
        self.recordings, self.losses = recordings, []

    def batch_end(self, trainer, batch, loss):
        self.losses.append((batch, loss.dtype, loss.shape, loss.item()))
        for recording in self.recordings:
            for program in recording.programs:
                for array in program.buffers.arrays:
                    if array.flags.writeable:
                        array.fill(np.nan if array.dtype.kind == "f" else 1)


def samples(target="labels", seed=1, count=SAMPLES, dtype="float32"):
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(count, FEATURES)).astype(dtype)
    y = {
        "labels": lambda: chance.integers(CLASSES, size=count),
        "probabilities": lambda: chance.dirichlet(np.ones(CLASSES), count).astype(dtype),
        "numbers": lambda: chance.normal(size=(count, CLASSES)).astype(dtype),
        "bits": lambda: chance.integers(2, size=(count, CLASSES)).astype(dtype),
        "signs": lambda: (2 * chance.integers(2, size=(count, CLASSES)) - 1).astype(dtype),
    }[target]()
    return x, y


def net(*middle):
    return en.Sequential(en.Linear(FEATURES, WIDTH), *middle, en.Linear(WIDTH, CLASSES))


def rich():
    """A model with all that a forward changes by itself."""
    branch = en.Sequential(en.Linear(WIDTH, WIDTH), en.ReLU())
    return net(
        en.BatchNorm(WIDTH), en.ReLU(), en.Dropout(0.3), en.StochasticDepth(branch, drop=0.2), en.LayerNorm(WIDTH)
    )


def snapshot(trainer):
    """Everything that a training changes, as bytes and plain values."""
    saved = trainer.optimizer.state_dict()
    arrays = {name: one.numpy() for name, one in trainer.model.state_dict().items()}
    arrays |= {
        f"gradient of {name}": one.grad.numpy()
        for name, one in trainer.model.named_parameters()
        if one.grad is not None
    }
    arrays |= {f"optimizer {name}": one for name, one in saved["tensors"].items()}
    arrays |= {f"average {name}": one for name, one in (trainer.ema.state() if trainer.ema else {}).items()}
    found = {name: (one.dtype.str, one.shape, one.tobytes()) for name, one in arrays.items()}
    found["drawn"] = [layer.drawn for layer in trainer.random_layers]
    found["position"] = (trainer.epoch, trainer.step, trainer.stop_reason)
    found["optimizer"] = repr(saved["settings"])
    columns = trainer.history.state()["columns"]
    found["history"] = repr({name: column for name, column in columns.items() if name != "seconds"})
    return found


def trainer_of(model, loss=None, optimizer=None, **more):
    loss = en.CrossEntropy() if loss is None else loss
    optimizer = en.SGD(model.parameters(), 0.05, momentum=0.9) if optimizer is None else optimizer
    return en.Trainer(model, loss=loss, optimizer=optimizer, device="cpu", **more)


def compare(recordings, make, data, *, run=None, programs=None, record=None, epochs=EPOCHS, batch_size=BATCH, **fit):
    """The same training as it stands and recorded: equal losses of every batch, and equal ends.

    ``make(**options)`` gives a trainer, ``run(trainer)`` trains it, ``programs`` is how many recordings there must be.
    """
    ends = []
    for kind in (False, record):
        en.seed(3)
        recordings.clear()
        watch = Poison(recordings)
        trainer = make(record=kind, callbacks=[watch])
        if run is None:
            trainer.fit(data, epochs=epochs, batch_size=batch_size, **fit)
        else:
            run(trainer)
        ends.append((watch.losses, snapshot(trainer)))
        if kind is False:
            assert recordings == []
    assert [one.reason for one in recordings] == [None] * len(recordings)
    if programs is not None:
        assert sum(len(one.programs) for one in recordings) == programs
    (losses, expected), (other, given) = ends
    assert other == losses
    assert {name for name in expected if expected[name] != given.get(name)} == set()
    assert expected.keys() == given.keys()


# -- every layer, loss and optimizer -----------------------------------------------------------------------

LAYERS = test_capture.LAYERS | {"everything": lambda: tuple(rich())[1:-1]}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, recordings):
    def make(**options):
        return trainer_of(net(*LAYERS[name]()), **options)

    compare(recordings, make, samples(), programs=2)


LOSSES = test_capture.LOSSES


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, weighted, recordings):
    loss, target = LOSSES[name]
    data = samples(target)
    if weighted:
        data = (*data, np.random.default_rng(5).uniform(0.1, 2.0, SAMPLES))

    def make(**options):
        model = net(en.Tanh())
        return trainer_of(model, loss(), en.SGD(model.parameters(), 0.01), **options)

    compare(recordings, make, data, programs=2)


def test_a_loss_of_probabilities(recordings):
    def make(**options):
        return trainer_of(en.Sequential(net(en.Tanh()), en.Sigmoid()), en.BinaryCrossEntropy(), **options)

    compare(recordings, make, samples("bits"), programs=2)


OPTIMIZERS = test_capture.OPTIMIZERS | {
    "step": lambda p: en.NAdam(p, en.Step(0.02, every=30)),
    "plateau": lambda p: en.AdamW(p, en.ReduceOnPlateau(0.02, factor=0.5, patience=0, threshold=0.2)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, recordings):
    def make(**options):
        model = net(en.Tanh())
        return trainer_of(model, optimizer=OPTIMIZERS[name](model.parameters()), **options)

    compare(recordings, make, samples(), programs=2)


# -- what a trainer does besides -----------------------------------------------------------------------------

EXTRAS = {
    "clip_norm": {"clip_norm": 0.5},
    "clip_value": {"clip_value": 0.05},
    "both": {"clip_norm": 0.5, "clip_value": 0.05},
    "penalty": {"penalty": en.L2(1e-2)},
    "l1": {"penalty": en.L1(1e-3)},
    "elastic net": {"penalty": en.ElasticNet(1e-3, beta=0.5)},
    "averages": {"ema": 0.9},
    "metrics": {"metrics": ["accuracy", "top-2", "precision", "recall", "f1"]},
    "all": {"metrics": ["accuracy"], "penalty": en.L2(1e-3), "clip_norm": 1.0, "clip_value": 0.3, "ema": 0.9},
}


@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("name", EXTRAS)
def test_extras(name, accumulate, recordings):
    def make(**options):
        model = rich()
        optimizer = en.Adam(model.parameters(), en.Warmup(5, en.Cosine(0.05, 90)))
        return trainer_of(model, optimizer=optimizer, accumulate=accumulate, **EXTRAS[name], **options)

    held_out = samples(seed=2, count=40)
    # A recorded step and a short one; or gradients with and without earlier ones, of both sizes, and the update.
    compare(recordings, make, samples(), validation=held_out)
    assert sum(len(one.programs) for one in recordings) >= 2


@pytest.mark.parametrize("metric", ["mae", "mse", "r2"])
def test_metrics_of_numbers(metric, recordings):
    def make(**options):
        return trainer_of(net(en.Tanh()), en.MeanSquaredError(), metrics=[metric], **options)

    compare(recordings, make, samples("numbers"), validation=samples("numbers", seed=2, count=20))
    assert any(one.programs for one in recordings)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_accumulating_over_weighted_samples(accumulate, weights, recordings):
    data = samples()
    if weights:
        data = (*data, np.random.default_rng(5).uniform(0, 2.0, SAMPLES))

    def make(**options):
        loss = en.CrossEntropy(class_weight=[1.0, 2.0, 0.5, 1.0])
        return trainer_of(rich(), loss, accumulate=accumulate, penalty=en.L2(1e-3), **options)

    compare(recordings, make, data)
    assert any(one.programs for one in recordings)


FITS = {
    "all": {"batch_size": "all", "epochs": 20},
    "one": {"batch_size": 1, "epochs": 1},
    "in order": {"shuffle": False},
    "whole batches": {"drop_last": True},
    "halves": {"batch_size": 98},
}


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("name", FITS)
def test_batches(name, dtype, layout, recordings):
    x, y = samples()
    x = np.asarray(np.abs(x) * 50 if dtype == "uint8" else x, order=layout).astype(dtype, order="K")

    def make(**options):
        return trainer_of(net(en.Dropout(0.2), en.ReLU()), metrics=["accuracy"], **options)

    compare(recordings, make, (x, y), **FITS[name])
    assert any(one.programs for one in recordings)


def test_augmented_pictures(recordings):
    chance = np.random.default_rng(0)
    x, y = chance.normal(size=(99, 6, 6)).astype("float32"), chance.integers(CLASSES, size=99)

    def make(**options):
        return trainer_of(en.Sequential(en.Flatten(), en.Linear(36, CLASSES)), **options)

    compare(recordings, make, (x, y), augment=[en.data.Flip(), en.data.Shift(1)], programs=2)


def test_rows_of_a_file(recordings, tmp_path):
    x, y = samples()
    np.save(tmp_path / "x.npy", x)
    rows = en.data.rows.Rows(np.load(tmp_path / "x.npy", mmap_mode="r"))

    def make(**options):
        return trainer_of(net(en.ReLU()), **options)

    compare(recordings, make, (rows, y), programs=2)


def test_a_model_of_another_precision(recordings):
    def make(**options):
        return trainer_of(rich().to(dtype="float64"), clip_norm=1.0, ema=0.5, **options)

    compare(recordings, make, samples(), programs=2)


def test_buffers_of_two_precisions_run_as_they_stand_where_their_norms_meet(recordings):
    def make(**options):
        model = net(en.ReLU())
        spare = en.Parameter(np.zeros(3))
        return trainer_of(model, optimizer=en.SGD([*model.parameters(), spare], 0.1), clip_norm=1.0, **options)

    compare(recordings, make, samples())
    assert recordings == []


def test_frozen_parameters(recordings):
    def make(**options):
        model = rich()
        model[0].weight.requires_grad_(False)
        return trainer_of(model, **options)

    def run(trainer):
        trainer.fit(samples(), epochs=2, batch_size=BATCH)
        trainer.model[0].weight.requires_grad_()
        trainer.model[-1].bias.requires_grad_(False)
        trainer.fit(samples(), epochs=2, batch_size=BATCH)

    compare(recordings, make, None, run=run)
    assert any(one.programs for one in recordings)


def test_a_branch_that_the_loss_does_not_reach(recordings):
    """A parameter without gradient is skipped, by the norm as well."""

    def make(**options):
        model = net(en.ReLU())
        spare = en.Linear(3, 3)
        return trainer_of(
            model, optimizer=en.Adam([*spare.parameters(), *model.parameters()]), clip_norm=0.1, **options
        )

    compare(recordings, make, samples(), programs=2)


# -- going on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
def test_going_on_within_an_epoch(accumulate, recordings, tmp_path):
    class Stop(en.Callback):
        def batch_end(self, trainer, batch, loss):
            if trainer.epoch == 1 and batch == 12:
                trainer.save(tmp_path / "run")
                trainer.stop("enough")

    def make(**options):
        options["callbacks"] = [*options["callbacks"], Stop()]
        model = rich()
        optimizer = en.Adam(model.parameters(), en.Cosine(0.05, 90))
        return trainer_of(
            model,
            optimizer=optimizer,
            accumulate=accumulate,
            metrics=["accuracy"],
            ema=0.9,
            clip_norm=1.0,
            penalty=en.L2(1e-3),
            **options,
        )

    def run(trainer):
        trainer.fit(samples(), epochs=EPOCHS, batch_size=BATCH)
        trainer.load(tmp_path / "run")
        trainer.fit(samples(), epochs=EPOCHS, batch_size=BATCH)
        trainer.fit(samples(), epochs=1, batch_size=2 * BATCH)

    compare(recordings, make, None, run=run)
    assert any(one.programs for one in recordings)


def test_what_a_recorder_saved_another_goes_on_with(recordings, tmp_path):
    def make(**options):
        return trainer_of(rich(), ema=0.9, **options)

    ends = []
    for first, second in ((False, False), (None, False), (False, None), (None, None)):
        en.seed(3)
        trainer = make(record=first)
        trainer.fit(samples(), epochs=2, batch_size=BATCH)
        trainer.save(tmp_path / "run")
        other = make(record=second)
        other.load(tmp_path / "run")
        other.fit(samples(), epochs=2, batch_size=BATCH)
        ends.append(snapshot(other))
    assert ends == [ends[0]] * 4


# -- callbacks that change something -------------------------------------------------------------------------


def penalize(trainer):
    trainer.penalty.strength *= 3


def replace_penalty(trainer):
    trainer.penalty = en.L1(1e-2)


def clip(trainer):
    trainer.clip_norm, trainer.clip_value = 0.01, None


def drop_more(trainer):
    trainer.model[3].rate = 0.6


def other_loss(trainer):
    trainer.loss = en.Hinge()


def learn_slower(trainer):
    trainer.optimizer.learning_rate = 0.001


def freeze(trainer):
    trainer.model[0].weight.requires_grad_(False)


def steady(trainer):
    trainer.model[2].eps = 0.3


CHANGES = [penalize, replace_penalty, clip, drop_more, other_loss, learn_slower, freeze, steady]


@pytest.mark.parametrize("when", ["batch", "epoch"])
@pytest.mark.parametrize("change", CHANGES)
def test_callbacks_that_change_the_training(change, when, recordings):
    class Changing(en.Callback):
        def batch_end(self, trainer, batch, loss):
            if when == "batch" and trainer.epoch == 1 and batch == 10:
                change(trainer)

        def epoch_end(self, trainer, epoch, values):
            if when == "epoch" and epoch == 2:
                change(trainer)

    def make(**options):
        options["callbacks"] = [*options["callbacks"], Changing()]
        model = net(en.LeakyReLU(0.1), en.LayerNorm(WIDTH), en.Dropout(0.2))
        return trainer_of(model, penalty=en.L2(1e-2), clip_norm=5.0, **options)

    compare(recordings, make, samples())
    assert any(one.programs for one in recordings)


def test_evaluating_within_an_epoch(recordings):
    seen = []

    class Asking(en.Callback):
        def batch_end(self, trainer, batch, loss):
            if batch % 7 == 0:
                seen.append((trainer.evaluate(samples(seed=2)), trainer.predict(samples()[0]).tobytes()))

    def make(**options):
        options["callbacks"] = [*options["callbacks"], Asking()]
        return trainer_of(rich(), ema=0.9, metrics=["accuracy"], **options)

    compare(recordings, make, samples())
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_a_fit_within_a_fit(recordings):
    class Twice(en.Callback):
        def epoch_end(self, trainer, epoch, values):
            if epoch in (1, 4):
                trainer.fit(samples(seed=epoch), epochs=1, batch_size="all" if epoch == 4 else 13)

    def make(**options):
        options["callbacks"] = [*options["callbacks"], Twice()]
        return trainer_of(rich(), **options)

    compare(recordings, make, samples(), epochs=3)


# -- what is not finite ----------------------------------------------------------------------------------------


def refused(make, recordings, data, error, before=EPOCHS, **fit):
    """A fit that goes well, and one that is refused: equal words and equal states."""
    ends = []
    for record in (False, None):
        en.seed(3)
        trainer = make(record=record)
        trainer.fit(samples(), epochs=before, batch_size=BATCH)
        with pytest.raises(error) as caught:
            trainer.fit(data, epochs=2, batch_size=BATCH, **fit)
        position = trainer.step
        end = snapshot(trainer)
        trainer.fit(samples(), batch_size=BATCH)
        ends.append((str(caught.value), position, end, snapshot(trainer)))
    assert ends[0][0] == ends[1][0]
    for expected, given in zip(ends[0][2:], ends[1][2:], strict=True):
        assert {name for name in expected if expected[name] != given[name]} == set()
    assert ends[0] == ends[1]
    assert any(one.programs for one in recordings)
    return ends[0][0], ends[0][1]


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("row", [0, 100, SAMPLES - 1])
def test_a_loss_that_is_not_finite(row, accumulate, recordings):
    x, y = samples("numbers")
    x = x.copy()
    x[row] = 3e38

    def make(**options):
        return trainer_of(net(en.BatchNorm(WIDTH), en.Dropout(0.2)), en.Huber(), accumulate=accumulate, **options)

    def spoiled(**options):
        trainer = make(**options)
        trainer.fit = wrapped(trainer, trainer.fit, y)
        return trainer

    told, _ = refused(spoiled, recordings, (x, y), en.NotFiniteError, shuffle=False)
    assert "the first output that is not finite is that of layer 0 (Linear)" in told


def wrapped(trainer, fit, y):
    """Labels of the samples that go well are these numbers."""

    def call(data, **options):
        return fit((data[0], y[: len(data[0])]), **options)

    return call


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_gradient_that_is_not_finite(accumulate, recordings):
    chance = np.random.default_rng(0)
    x = chance.normal(size=(40, 3)).astype("float32")
    y = np.zeros((40, 1), "float32")
    ends = []
    for record in (False, None):
        model = en.Linear(3, 1, initializer="zeros")
        trainer = trainer_of(model, en.SquaredError(), en.SGD(model.parameters(), 1e-3), record=record, metrics=["mae"])
        trainer.accumulate = accumulate
        spoiled, aims = x.copy(), y.copy()
        spoiled[33], aims[33] = 1e21, 3e18
        with pytest.raises(en.NotFiniteError, match="a gradient is not finite") as caught:
            trainer.fit((spoiled, aims), batch_size=4, shuffle=False)
        ends.append((str(caught.value), snapshot(trainer)))
    assert ends[0] == ends[1]
    assert ends[0][1]["position"][1] == 8 // accumulate
    assert any(one.programs for one in recordings)


def test_large_gradients_whose_squares_overflow_are_finite(recordings):
    x, y = samples("numbers")

    def make(**options):
        model = en.Linear(FEATURES, CLASSES)
        return trainer_of(model, en.MeanSquaredError(), en.SGD(model.parameters(), 1e-30), **options)

    compare(recordings, make, (x * np.float32(1e12), y * np.float32(1e12)), programs=2)


def test_a_label_that_is_none(recordings):
    x, y = samples()
    y = y.copy()
    y[77] = CLASSES

    def make(**options):
        return trainer_of(rich(), metrics=["accuracy"], ema=0.9, **options)

    told, _ = refused(make, recordings, (x, y), en.DataError)
    assert told.startswith("CrossEntropy: label 4 of sample ")


# -- what may be recorded ----------------------------------------------------------------------------------------


class Own(en.Layer):
    """A layer of a user's, with Python state that no recording follows."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x * 2.0


class OwnLoss(en.MeanSquaredError, abstract=True):
    pass


class OwnPenalty(en.L2):
    pass


def own_metric(output, target):
    return 1.0


PARTS = {
    "layer": lambda: trainer_of(net(Own())),
    "inner layer": lambda: trainer_of(net(en.Residual(en.Sequential(en.ReLU(), Own())))),
    "loss": lambda: trainer_of(net(), OwnLoss()),
    "function as loss": lambda: trainer_of(net(), lambda output, target: ((output - target) ** 2.0).mean()),
    "penalty": lambda: trainer_of(net(), en.MeanSquaredError(), penalty=OwnPenalty(0.1)),
    "metric": lambda: trainer_of(net(), en.MeanSquaredError(), metrics=[own_metric]),
    "step rule": lambda: trainer_of(net(), en.MeanSquaredError()),
    "lbfgs": lambda: (lambda model: trainer_of(model, en.MeanSquaredError(), en.LBFGS(model.parameters(), 0.01)))(
        net()
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_what_a_user_wrote_runs_as_it_stands(name, recordings):
    trainer = PARTS[name]()
    data = samples("labels" if isinstance(trainer.loss, en.CrossEntropy) else "numbers")
    stop = en.StepBelow(1e-9) if name == "step rule" else None
    trainer.fit(data, epochs=2, batch_size=64, validation=data, stop=stop)
    assert [one for one in recordings if "StepFunctions" in repr(one)] == []
    layers = [layer for _, layer in trainer.model.named_layers() if isinstance(layer, Own)]
    assert all(layer.calls == 2 * 4 + 1 + 2 for layer in layers)  # with the look at the validation before the first


def test_a_forward_put_over_a_layers_own(recordings):
    model = net(en.ReLU())
    object.__setattr__(model[1], "forward", lambda x: x * 2.0)
    trainer_of(model).fit(samples(), batch_size=BATCH)
    assert recordings == []


def test_a_users_classes_are_recorded_where_the_user_says_so(recordings):
    def make(**options):
        return trainer_of(net(Own()), OwnLoss(), metrics=[own_metric], penalty=OwnPenalty(1e-3), **options)

    compare(recordings, make, samples("numbers"), record=True, programs=2)


def test_what_cannot_be_recorded_says_so_and_goes_on():
    class Branching(en.Layer):
        def forward(self, x):
            return x if x.sum().item() > 0 else -x

    ends = []
    for record in (False, True):
        en.seed(3)
        trainer = trainer_of(net(Branching()), record=record)
        if record:
            with pytest.warns(
                RuntimeWarning, match=r"StepFunctions.whole: it runs eagerly from now on: a value is read"
            ):
                trainer.fit(samples(), epochs=2, batch_size=BATCH)
        else:
            trainer.fit(samples(), epochs=2, batch_size=BATCH)
        ends.append(snapshot(trainer))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("record", [1, "yes", 0, "none"])
def test_record_is_true_false_or_none(record):
    with pytest.raises(en.ArgumentError, match=r"Trainer: record .* was given; it is True or False"):
        trainer_of(net(), record=record)


# -- evaluation and prediction --------------------------------------------------------------------------------


def test_evaluation_and_prediction_are_recorded_when_a_size_comes_again(recordings):
    x, y = samples()
    weights = np.random.default_rng(2).uniform(size=SAMPLES)
    trainers = []
    for record in (False, None):
        en.seed(3)
        trainers.append(trainer_of(rich(), metrics=["accuracy"], record=record))
        trainers[-1].fit((x, y), epochs=2, batch_size=BATCH)
    plain, recorded = trainers
    recordings.clear()
    for data in ((x, y), (x, y, weights), (x.astype("float64"), y), (np.asarray(x, order="F"), y)):
        for size in (16, 64):
            for _ in range(3):
                assert recorded.evaluate(data, batch_size=size) == plain.evaluate(data, batch_size=size)
                expected = plain.predict(data[0], batch_size=size)
                assert recorded.predict(data[0], batch_size=size).tobytes() == expected.tobytes()
    assert len(recorded._inference.judged.recorded.programs) > 2
    outputs = recorded.predict(x)
    kept = outputs.copy()
    recorded.model.to(dtype="float64")
    plain.model.to(dtype="float64")
    for _ in range(3):
        assert recorded.predict(x + 1).tobytes() == plain.predict(x + 1).tobytes()
    assert outputs.tobytes() == kept.tobytes()
    assert recorded.model.training is plain.model.training is True


def test_who_watches_an_evaluation_may_keep_what_it_is_given():
    x, y = samples()
    trainer = trainer_of(rich())
    ends = []
    for _ in range(3):
        kept = []
        trainer.evaluate((x, y), batch_size=32, watch=lambda output, target, kept=kept: kept.append((output, target)))
        ends.append([(output.numpy().tobytes(), target.numpy().tobytes()) for output, target in kept])
        np.testing.assert_array_equal(np.concatenate([target.numpy() for _, target in kept]), y)
    assert ends[0] == ends[1] == ends[2]


def test_requests_of_any_length_need_no_recording_each(recordings):
    trainer = trainer_of(net(en.ReLU()))
    x, _ = samples()
    for _ in range(3):
        for size in range(1, 60):  # and no warning that there are too many
            assert trainer.predict(x[:size]).shape == (size, CLASSES)
    assert [len(one.programs) for one in recordings if one.programs] == [recordable.SIZES]


def test_a_layer_that_changes_between_evaluations():
    x, y = samples()
    trainer = trainer_of(net(en.LayerNorm(WIDTH)))
    before = [trainer.evaluate((x, y)) for _ in range(3)]
    trainer.model[1].eps = 0.5
    after = trainer.evaluate((x, y))
    trainer.record = False
    assert trainer.evaluate((x, y)) == after != before[-1] == before[0]


# -- when it is recorded -------------------------------------------------------------------------------------


def test_sizes_of_a_training_are_recorded_at_once():
    trainer = trainer_of(net(en.ReLU()))
    x, y = samples()
    trainer.fit((x[:60], y[:60]), epochs=1, batch_size=BATCH)  # eight batches an epoch, the last of four samples
    assert len(trainer._training_step._whole.recorded.programs) == 2


def test_sizes_that_are_evaluated_seldom_are_not_worth_a_recording():
    trainer = trainer_of(net(en.ReLU()))
    x, _ = samples()
    expected = trainer.predict(x[:60])
    recorded = trainer._inference.output.recorded
    for number in range(recordable.OFTEN):
        assert (number, recorded.programs) == (number, [])
        trainer.predict(x[:60])
    assert len(recorded.programs) == 1
    np.testing.assert_array_equal(trainer.predict(x[:60]), expected)


def test_fits_in_a_row_go_on_with_the_recordings(recordings):
    trainers = []
    for record in (False, None):
        en.seed(3)
        recordings.clear()
        trainer = trainer_of(rich(), metrics=["accuracy"], record=record)
        for seed in range(1, 6):
            trainer.fit(samples(seed=seed), epochs=1, batch_size=BATCH, validation=samples(seed=9))
        trainers.append(trainer)
    assert snapshot(trainers[0]) == snapshot(trainers[1])
    assert len([one for one in recordings if "whole" in repr(one)]) == 1
    # Data of another form, or that is the whole batch itself, is recorded anew.
    for trainer in trainers:
        for data in (samples(dtype="float64"), samples(), samples("probabilities")):
            trainer.fit(data, epochs=2, batch_size=BATCH)
        for seed in range(3):
            trainer.fit(samples(seed=seed), epochs=3, batch_size="all")
        trainer.fit(samples(), epochs=1, batch_size=BATCH, stop=en.StepBelow(1e-9))
        trainer.fit(samples(), epochs=0)
        trainer.fit(samples(), epochs=1, batch_size=BATCH)
    assert snapshot(trainers[0]) == snapshot(trainers[1])


def test_every_device(backend, recordings):
    ends = []
    for record in (False, None):
        en.seed(3)
        model = rich()
        trainer = en.Trainer(
            model,
            loss=en.CrossEntropy(),
            optimizer=en.Adam(model.parameters(), 0.01),
            device=backend.device,
            clip_norm=1.0,
            ema=0.9,
            record=record,
        )
        trainer.fit(samples(), epochs=2, batch_size=BATCH, validation=samples(seed=2))
        ends.append((snapshot(trainer), trainer.predict(samples()[0]).tobytes()))
    assert ends[0] == ends[1]
    assert any(one.programs for one in recordings)
    assert [one.reason for one in recordings] == [None] * len(recordings)


# -- what is left --------------------------------------------------------------------------------------------


def test_the_data_is_let_go_of():
    x, y = samples()
    alive = weakref.ref(x)
    trainer = trainer_of(net(en.ReLU()))
    trainer.fit((x, y), epochs=2, batch_size=BATCH)
    del x
    assert alive() is None


def test_a_copy_of_a_trainer_trains_by_itself():
    trainer = trainer_of(rich(), metrics=["accuracy"])
    trainer.fit(samples(), epochs=1, batch_size=BATCH)
    trainer.evaluate(samples())
    trainer.evaluate(samples())
    other = copy.deepcopy(trainer)
    for one in (trainer, other):
        one.fit(samples(), epochs=2, batch_size=BATCH)
    assert snapshot(other) == snapshot(trainer)
    assert other.evaluate(samples()) == trainer.evaluate(samples())
    assert math.isfinite(other.evaluate(samples())["loss"])


@pytest.mark.parametrize("place", ["between two steps", "after the call"])
def test_what_is_interrupted_has_counted_its_steps(monkeypatch, place):
    trainer = trainer_of(net(en.ReLU()))
    trainer.fit(samples(), epochs=2, batch_size=BATCH)  # recorded, and many steps in a call from now on
    before = trainer.step

    def between(whole, outputs, rows, original=recordable.Repeated.run_over):
        if original(whole, outputs[:3], rows[:3]):  # 0 where it is not bound to these data yet
            raise KeyboardInterrupt
        return 0

    def after(step, trainer, many, original=TrainingStep.run_many):
        done = original(step, trainer, many)
        if many.done > 1:
            raise KeyboardInterrupt
        return done

    if place == "after the call":
        monkeypatch.setattr(TrainingStep, "run_many", after)
    else:
        monkeypatch.setattr(recordable.Repeated, "run_over", between)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(samples(), epochs=1, batch_size=BATCH)
    assert trainer.step == trainer.optimizer.steps > before
