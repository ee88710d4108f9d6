"""Does the trainer do what the loop by hand does, tell what happens, and refuse what cannot be trained?"""

import math

import numpy as np
import pytest

import engine as en

CLASSES = 3
FEATURES = 4


def data(samples=22, seed=0, dtype="float64"):
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((samples, FEATURES)).astype(dtype)
    return x, np.abs(x[:, :CLASSES]).argmax(axis=1)


def net(dtype="float64", hidden=5):
    model = en.Sequential(
        en.Linear(FEATURES, hidden, generator=1, initializer="glorot_uniform"),
        en.Tanh(),
        en.Linear(hidden, CLASSES, generator=2),
    )
    return model.to(dtype=dtype)


def trainer_of(model, loss=None, optimizer=None, **settings):
    optimizer = optimizer or en.SGD(model.parameters(), learning_rate=0.3)
    return en.Trainer(model, loss=loss or en.CrossEntropy(), optimizer=optimizer, device="cpu", **settings)


def weights(model):
    return [one.numpy() for one in model.parameters()]


def assert_same_bits(given, expected):
    for mine, other in zip(given, expected, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)


# -- against the loop in plain NumPy ---------------------------------------------------------------------


class Plain:
    """A two-layer net by hand: tanh, softmax, cross-entropy; the weights, and the mean loss and gradient of a batch."""

    def __init__(self, model):
        self.w = weights(model)

    def logits(self, x):
        w1, b1, w2, b2 = self.w
        return np.tanh(x @ w1 + b1) @ w2 + b2

    def losses(self, x, y):
        z = self.logits(x)
        z = z - z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return -log_p[np.arange(len(y)), y], np.exp(log_p)

    def gradients(self, x, y, share):
        """The gradient of sum(share * losses)."""
        w1, b1, w2, _ = self.w
        _, p = self.losses(x, y)
        h = np.tanh(x @ w1 + b1)
        dz = (p - np.eye(CLASSES)[y]) * share[:, None]
        dh = (dz @ w2.T) * (1 - h * h)
        return [x.T @ dh, dh.sum(0), h.T @ dz, dz.sum(0)]


def order(seed, epoch, samples):
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(samples)


def by_hand(model, x, y, *, epochs, size, seed=0, rate=0.3, momentum=0.0, strength=0.0, clip=None, limit=None, k=1,
            sample_weight=None, class_weight=None, drop_last=False):  # fmt: skip
    """Weights and history after training with SGD, an L2 penalty, clipping and accumulation."""
    plain = Plain(model)
    velocity = [0.0] * 4
    history = []
    samples = len(x)
    unit = np.ones(samples) if sample_weight is None else sample_weight
    if class_weight is not None:
        unit = unit * np.asarray(class_weight)[y]
    for epoch in range(epochs):
        rows = order(seed, epoch, samples) if size < samples else np.arange(samples)
        batches = [rows[start : start + size] for start in range(0, samples, size)]
        if drop_last and len(batches[-1]) < size:
            batches.pop()
        total = counted = 0.0
        for start in range(0, len(batches), k):
            group = np.concatenate(batches[start : start + k])
            penalty = strength * sum((w**2).sum() for w in plain.w[::2])
            for batch in batches[start : start + k]:
                losses, _ = plain.losses(x[batch], y[batch])
                total += (unit[batch] * losses).sum() + penalty * unit[batch].sum()
                counted += unit[batch].sum()
            gradients = plain.gradients(x[group], y[group], unit[group] / unit[group].sum())
            for number in (0, 2):
                gradients[number] = gradients[number] + 2 * strength * plain.w[number]
            if limit is not None:
                gradients = [np.clip(g, -limit, limit) for g in gradients]
            if clip is not None:
                norm = math.sqrt(sum((g**2).sum() for g in gradients))
                gradients = [g * min(1.0, clip / (norm + 1e-6)) for g in gradients]
            velocity = [momentum * v + g for v, g in zip(velocity, gradients, strict=True)]
            plain.w = [w - rate * v for w, v in zip(plain.w, velocity, strict=True)]
        history.append(total / counted)
    return plain, history


SAMPLE_WEIGHT = np.random.default_rng(5).uniform(0.2, 2.0, 22)
CLASS_WEIGHT = [0.5, 1.0, 3.0]


@pytest.mark.parametrize(
    ("hand", "settings", "fit"),
    [
        ({"size": 22}, {}, {"batch_size": "all"}),
        ({"size": 22}, {}, {"batch_size": 1000}),
        ({"size": 1}, {}, {"batch_size": 1}),
        ({"size": 5}, {}, {"batch_size": 5}),
        ({"size": 5, "seed": 7}, {"seed": 7}, {"batch_size": 5}),
        ({"size": 5, "drop_last": True}, {}, {"batch_size": 5, "drop_last": True}),
        ({"size": 5, "strength": 0.01}, {"penalty": en.L2(0.01)}, {"batch_size": 5}),
        ({"size": 5, "clip": 0.2, "strength": 0.05}, {"clip_norm": 0.2, "penalty": en.L2(0.05)}, {"batch_size": 5}),
        ({"size": 5, "limit": 0.05}, {"clip_value": 0.05}, {"batch_size": 5}),
        ({"size": 5, "limit": 0.05, "clip": 0.1}, {"clip_value": 0.05, "clip_norm": 0.1}, {"batch_size": 5}),
        ({"size": 5, "k": 2}, {"accumulate": 2}, {"batch_size": 5}),
        ({"size": 5, "k": 100, "strength": 0.01}, {"accumulate": 100, "penalty": en.L2(0.01)}, {"batch_size": 5}),
        ({"size": 4, "k": 3, "clip": 0.1}, {"accumulate": 3, "clip_norm": 0.1}, {"batch_size": 4}),
        ({"size": 5, "sample_weight": SAMPLE_WEIGHT}, {}, {"batch_size": 5}),
        ({"size": 5, "sample_weight": SAMPLE_WEIGHT, "k": 2}, {"accumulate": 2}, {"batch_size": 5}),
        ({"size": 5, "class_weight": CLASS_WEIGHT}, {}, {"batch_size": 5}),
        ({"size": 5, "class_weight": CLASS_WEIGHT, "k": 3}, {"accumulate": 3}, {"batch_size": 5}),
        (
            {"size": 5, "class_weight": CLASS_WEIGHT, "sample_weight": SAMPLE_WEIGHT, "k": 2, "strength": 0.1},
            {"accumulate": 2, "penalty": en.L2(0.1)},
            {"batch_size": 5},
        ),
    ],
)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_epochs_equal_the_loop_by_hand(hand, settings, fit, momentum):
    model = net()
    x, y = data()
    plain, history = by_hand(model, x, y, epochs=3, momentum=momentum, rate=0.1, **hand)
    optimizer = en.SGD(model.parameters(), learning_rate=0.1, momentum=momentum)
    trainer = trainer_of(model, en.CrossEntropy(class_weight=hand.get("class_weight")), optimizer, **settings)
    parts = (x, y) if "sample_weight" not in hand else (x, y, hand["sample_weight"])
    result = trainer.fit(parts, epochs=3, **fit)
    for given, expected in zip(weights(model), plain.w, strict=True):
        np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result["loss"], history, rtol=1e-12)
    size, k = hand["size"], hand.get("k", 1)
    per_epoch = 22 // size if hand.get("drop_last") else math.ceil(22 / size)
    assert (trainer.epoch, trainer.step) == (3, 3 * math.ceil(per_epoch / k))
    assert trainer.batches_per_epoch == per_epoch


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_a_summed_loss_adds_gradients_and_reports_the_mean(accumulate):
    x, y = data(samples=12)
    averaged, summed = net(), net()
    trainer = trainer_of(averaged, optimizer=en.SGD(averaged.parameters(), learning_rate=0.4), accumulate=accumulate)
    other = trainer_of(
        summed,
        en.CrossEntropy(reduction="sum"),
        en.SGD(summed.parameters(), learning_rate=0.4 / (4 * accumulate)),
        accumulate=accumulate,
    )
    for one in (trainer, other):
        one.fit((x, y), epochs=2, batch_size=4)
    if accumulate < 3 and 3 % accumulate:
        return  # the rest at the end of an epoch is a smaller sum, but as large a mean
    for given, expected in zip(weights(summed), weights(averaged), strict=True):
        np.testing.assert_allclose(given, expected, rtol=1e-11)
    np.testing.assert_allclose(other.history["loss"], trainer.history["loss"], rtol=1e-11)
    assert other.evaluate((x, y))["loss"] == pytest.approx(trainer.evaluate((x, y))["loss"], rel=1e-11)


@pytest.mark.parametrize("size", [1, 5, 1000, "all"])
def test_evaluation_does_not_depend_on_the_batch_size_and_leaves_out_the_penalty(size):
    model = net()
    x, y = data()
    losses, _ = Plain(model).losses(x, y)
    right = (Plain(model).logits(x).argmax(axis=1) == y).mean()
    trainer = trainer_of(model, penalty=en.L2(100.0), metrics=["accuracy"])
    result = trainer.evaluate((x, y), batch_size=size)
    assert result == {"loss": pytest.approx(losses.mean(), rel=1e-12), "accuracy": right}
    weighted = trainer_of(model, en.CrossEntropy(class_weight=CLASS_WEIGHT)).evaluate(
        (x, y, SAMPLE_WEIGHT), batch_size=size
    )
    w = SAMPLE_WEIGHT * np.array(CLASS_WEIGHT)[y]
    assert weighted["loss"] == pytest.approx((w * losses).sum() / w.sum(), rel=1e-12)


def test_soft_targets_under_class_weights():
    x, y = data()
    soft = np.full((22, CLASSES), 0.1) + 0.7 * np.eye(CLASSES)[y]
    for size in (5, 22):
        trainer = trainer_of(net(), en.CrossEntropy(class_weight=CLASS_WEIGHT))
        result = trainer.evaluate((x, soft), batch_size=size)["loss"]
        log_p = np.log(Plain(net()).losses(x, y)[1])
        assert result == pytest.approx(-(soft * log_p * CLASS_WEIGHT).sum(axis=1).mean(), rel=1e-12)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_predict_gives_raw_logits(size):
    model = net()
    x, _ = data()
    trainer = trainer_of(model)
    given = trainer.predict(x, batch_size=size)
    assert type(given) is np.ndarray
    np.testing.assert_allclose(given, Plain(model).logits(x), rtol=1e-12)
    np.testing.assert_allclose(trainer.predict(en.tensor(x)), given, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(trainer.predict(x.astype("float32").tolist()), given, rtol=1e-6, atol=1e-7)


# -- modes, order, seeds ---------------------------------------------------------------------------------


def random_net(dtype="float32"):
    return en.Sequential(
        en.Linear(FEATURES, 8, generator=1),
        en.BatchNorm(8),
        en.ReLU(),
        en.Dropout(0.3),
        en.StochasticDepth(en.Linear(8, 8, generator=2), drop=0.2),
        en.Linear(8, CLASSES, generator=3),
    ).to(dtype=dtype)


def modes(model):
    return [layer.training for _, layer in model.named_layers()]


def test_modes_are_put_back():
    model = random_net()
    x, y = data(dtype="float32")
    model.eval()
    model[1].train()
    before = modes(model)
    seen = []

    class Watch(en.Callback):
        def batch_end(self, trainer, batch, loss):
            seen.append(set(modes(model)))

        def epoch_end(self, trainer, epoch, values):
            seen.append(modes(model))

    trainer = trainer_of(model, callbacks=[Watch()])
    trainer.fit((x, y), batch_size=11, validation=(x, y))
    assert seen == [{True}, {True}, before]
    first, second = trainer.predict(x), trainer.predict(x)  # no masks in evaluation
    np.testing.assert_array_equal(first, second)
    trainer.evaluate((x, y))
    assert modes(model) == before
    assert not en.tensor([1.0]).requires_grad
    with pytest.raises(en.ShapeError):
        trainer.predict(x[:, :2])
    assert modes(model) == before
    assert (en.tensor(2.0, requires_grad=True) * 2).requires_grad  # recording is on again


def test_the_same_seeds_give_the_same_weights():
    x, y = data(dtype="float32")

    def trained(seed=0, shuffle=True):
        model = random_net()
        trainer = trainer_of(model, seed=seed)
        trainer.fit((x, y), epochs=3, batch_size=8, shuffle=shuffle)
        return weights(model), trainer.history

    first, second = trained(), trained()
    assert_same_bits(first[0], second[0])
    assert first[1]["loss"] == second[1]["loss"]
    assert not np.array_equal(trained(seed=1)[0][0], first[0][0])
    assert not np.array_equal(trained(shuffle=False)[0][0], first[0][0])


def test_masks_depend_on_the_seed_alone():
    x, y = data(dtype="float32")
    results = []
    for seed in (0, 0, 1):
        model = random_net()
        trainer_of(model, seed=seed).fit((x, y), batch_size="all")
        results.append(weights(model)[0])
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_en_seed_rules_the_first_weights():
    def first():
        en.seed(3)
        return en.Linear(3, 2).weight.numpy()

    np.testing.assert_array_equal(first(), first())


@pytest.mark.parametrize("shuffle", [True, False])
def test_two_fits_are_one(shuffle):
    x, y = data(dtype="float32")
    results = []
    for parts in ([5], [2, 3], [1, 0, 1, 1, 2]):
        model = random_net()
        optimizer = en.Adam(model.parameters(), learning_rate=en.Warmup(3, en.Cosine(0.05, 12)))
        trainer = trainer_of(model, optimizer=optimizer, accumulate=2, ema=0.9)
        for epochs in parts:
            history = trainer.fit((x, y), epochs=epochs, batch_size=5, shuffle=shuffle)
        assert history is trainer.history
        results.append((weights(model), history["loss"], trainer.predict(x)))
        assert (len(history), trainer.epoch, trainer.step) == (5, 5, 15)
    for weight, loss, output in results[1:]:
        assert_same_bits(weight, results[0][0])
        assert loss == results[0][1]
        np.testing.assert_array_equal(output, results[0][2])


def test_a_new_order_for_every_epoch():
    x = np.arange(10.0).reshape(10, 1)
    seen = []

    class Spy(en.Layer):
        def __init__(self):
            super().__init__()
            self.w = en.Parameter(np.ones((1, 1)))

        def forward(self, x):
            seen.append(x.numpy().ravel().tolist())
            return x @ self.w

    trainer = trainer_of(model := Spy(), en.MeanSquaredError(), en.SGD(model.parameters(), learning_rate=0.0), seed=4)
    trainer.fit((x, x), epochs=2, batch_size=4)
    flat = [[value for batch in half for value in batch] for half in (seen[:3], seen[3:])]
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    assert sorted(flat[0]) == sorted(flat[1]) == x.ravel().tolist()
    assert flat[0] != flat[1]
    assert flat[1] == order(4, 1, 10).tolist()


# -- history, metrics, schedules, ema --------------------------------------------------------------------


def test_the_columns_of_the_history():
    model = net()
    x, y = data()

    def first_right(output, target):
        return float(output.numpy()[0].argmax() == target.numpy()[0])

    trainer = trainer_of(model, metrics=["accuracy", "top-2", first_right, en.metrics.F1()])
    history = trainer.fit((x, y), epochs=2, batch_size=5, validation=data(seed=3))
    assert list(history) == [
        "loss", "accuracy", "top-2", "first_right", "f1", "validation_loss", "validation_accuracy", "validation_top-2",
        "validation_first_right", "validation_f1", "learning_rate", "seconds",
    ]  # fmt: skip
    assert history.last["learning_rate"] == 0.3
    result = trainer.evaluate(data(seed=3))
    assert {f"validation_{name}": value for name, value in result.items()}.items() <= history.last.items()


def test_metrics_of_probabilities_and_of_a_single_output():
    x, _ = data()
    y = (x[:, :1] > 0).astype("float64")
    model = en.Sequential(en.Linear(FEATURES, 1, generator=0), en.Sigmoid()).to(dtype="float64")
    trainer = trainer_of(model, en.BinaryCrossEntropy(), metrics=["accuracy"])
    expected = ((trainer.predict(x) > 0.5) == y).mean()
    assert 0 < expected < 1
    assert trainer.evaluate((x, y))["accuracy"] == expected
    logits = trainer_of(
        en.Linear(FEATURES, 1, dtype="float64"), en.BinaryCrossEntropy(from_logits=True), metrics=["f1"]
    )
    assert logits.evaluate((x, y))["f1"] == en.metrics.f1(logits.predict(x), y)
    same = en.metrics.Accuracy(threshold=0.5)
    trainer_of(model, en.BinaryCrossEntropy(), metrics=[same]).fit((x, y))
    with pytest.raises(en.ArgumentError, match="no batch"):
        same.result()  # the trainer counts in a copy


def test_schedules_count_optimizer_steps_and_plateaus_count_epochs():
    x, y = data(samples=20)
    model = net()
    seen = []

    class Watch(en.Callback):
        def batch_end(self, trainer, batch, loss):
            seen.append(trainer.optimizer.steps)

    optimizer = en.SGD(model.parameters(), learning_rate=en.Step(0.1, every=3, factor=0.5))
    trainer = trainer_of(model, optimizer=optimizer, accumulate=2, callbacks=[Watch()])
    history = trainer.fit((x, y), epochs=2, batch_size=4)  # 5 batches, 3 steps
    assert seen == [1, 1, 2, 2, 3, 4, 4, 5, 5, 6]
    assert history["learning_rate"] == [0.05, 0.025]

    flat = net()
    schedule = en.ReduceOnPlateau(0.0, patience=1, factor=0.5)
    schedule.rate = 1e-30  # nothing becomes better
    trainer = trainer_of(flat, optimizer=en.SGD(flat.parameters(), learning_rate=schedule))
    history = trainer.fit((x, y), epochs=5, batch_size=4, validation=(x, y))
    assert history["learning_rate"] == [1e-30, 1e-30, 5e-31, 5e-31, 2.5e-31]


def test_the_moving_average_is_what_is_evaluated():
    x, y = data()
    model = net()
    steps = []

    class Watch(en.Callback):
        def batch_end(self, trainer, batch, loss):
            steps.append(weights(model))

    trainer = trainer_of(model, ema=0.5, callbacks=[Watch()])
    history = trainer.fit((x, y), epochs=2, batch_size=11, validation=(x, y))
    average = steps[0]
    for own in steps[1:]:
        average = [0.5 * a + 0.5 * w for a, w in zip(average, own, strict=True)]
    plain = Plain(model)
    assert_same_bits(plain.w, steps[-1])
    plain.w = average
    np.testing.assert_allclose(trainer.predict(x), plain.logits(x), rtol=1e-12)
    assert history["validation_loss"][-1] == pytest.approx(plain.losses(x, y)[0].mean(), rel=1e-12)
    assert_same_bits(weights(model), steps[-1])


# -- stopping --------------------------------------------------------------------------------------------


def test_stop_ends_after_the_batch():
    x, y = data()

    class Stops(en.Callback):
        def batch_end(self, trainer, batch, loss):
            if trainer.epoch == 1 and batch == 2:
                trainer.stop("enough")
                trainer.stop("a second reason")

    trainer = trainer_of(net(), callbacks=[Stops()])
    history = trainer.fit((x, y), epochs=9, batch_size=5)
    assert (trainer.stop_reason, trainer.epoch, trainer.step, len(history)) == ("enough", 2, 7, 2)
    trainer.callbacks.clear()
    trainer.fit((x, y), epochs=1, batch_size=5)
    assert (trainer.stop_reason, trainer.epoch) == (None, 3)


def test_step_below_is_the_lecture_s_rule():
    """One weight, loss w^2 / 2 over one sample: steps of 0.5 w halve the weight; stop at the first below eps."""

    class Weight(en.Layer):
        def __init__(self):
            super().__init__()
            self.w = en.Parameter(np.array([[8.0]]))

        def forward(self, x):
            return x @ self.w

    model = Weight()
    trainer = trainer_of(model, en.SquaredError(factor=0.5), en.SGD(model.parameters(), learning_rate=0.5))
    history = trainer.fit((np.ones((1, 1)), np.zeros((1, 1))), epochs=50, batch_size="all", stop=en.StepBelow(0.6))
    assert model.w.item() == 0.5  # steps 4, 2, 1, 0.5
    assert len(history) == 4
    assert trainer.stop_reason == "a step moved the weights by less than 0.6"
    assert history["loss"] == [32.0, 8.0, 2.0, 0.5]


def curve(values, **settings):
    """Epochs with these values: the epoch that stopped (or None), whose weights are left, and the callback."""

    class Script(en.Callback):
        def epoch_end(self, trainer, epoch, row):
            row[settings.get("monitor") or "validation_loss"] = values[epoch - 1]
            with en.no_grad():
                trainer.model.w[...] = float(epoch)

    class Weight(en.Layer):
        def __init__(self):
            super().__init__()
            self.w = en.Parameter(np.zeros((1, 1)))

        def forward(self, x):
            return x @ self.w

    model = Weight()
    stopping = en.EarlyStopping(**settings)
    trainer = trainer_of(
        model,
        en.MeanSquaredError(),
        en.SGD(model.parameters(), learning_rate=0.0),
        callbacks=[Script(), stopping],
        metrics=["mae", "r2"],
    )
    x = np.arange(4.0).reshape(4, 1)
    trainer.fit((x, x), epochs=len(values), validation=(x, x))
    return trainer.epoch if trainer.stop_reason else None, model.w.item(), stopping


@pytest.mark.parametrize(
    ("values", "settings", "stopped", "kept"),
    [
        ([3, 2, 1], {"patience": 1}, None, 3),
        ([3, 2, 2, 1], {"patience": 1}, 3, 2),
        ([3, 2, 2, 1, 1], {"patience": 2}, None, 4),
        ([3, 2, 4, 5, 1], {"patience": 2}, 4, 2),
        ([3, 2, 4, 5, 1], {"patience": 2, "restore_best": False}, 4, 4),
        ([3.0, 2.95, 2.9, 2.5], {"patience": 2, "minimum_change": 0.2}, 3, 1),
        ([1, 2, 3, 3, 3], {"patience": 2, "monitor": "validation_r2"}, 5, 3),
        ([3, 1, 2, 3], {"patience": 2, "monitor": "validation_mae"}, 4, 2),
        ([3, 1, 2, 3], {"patience": 3, "monitor": "validation_mae", "mode": "max"}, 4, 1),
        ([1, 2, 3, 4], {"patience": 2, "monitor": "r2", "mode": "min"}, 3, 1),
        ([math.nan, 2, 1, math.nan, math.nan], {"patience": 2}, 5, 3),
        ([math.nan, math.nan, 2.0], {"patience": 2}, 2, 2),
    ],
)
def test_early_stopping(values, settings, stopped, kept):
    assert curve(values, **settings)[:2] == (stopped, kept)


def test_early_stopping_tells_the_best_as_it_was():
    _, _, stopping = curve([1, 3, 2], patience=5, monitor="validation_r2")
    assert (stopping.best, stopping.best_epoch) == (3, 2)


def test_early_stopping_watches_the_training_loss_without_validation():
    x, y = data()
    model = net()
    stopping = en.EarlyStopping(patience=2)
    trainer = trainer_of(model, optimizer=en.SGD(model.parameters(), learning_rate=0.0), callbacks=[stopping])
    trainer.fit((x, y), epochs=9, batch_size="all")
    assert trainer.epoch == 3
    assert trainer.stop_reason == "loss has not become better for 2 epochs"


def test_early_stopping_restores_the_average_that_was_best():
    x, y = data()
    model = net()
    trainer = trainer_of(
        model,
        optimizer=en.SGD(model.parameters(), learning_rate=0.5),
        ema=0.5,
        callbacks=[en.EarlyStopping(patience=50)],
    )
    history = trainer.fit((x, np.roll(y, 1)), epochs=40, batch_size=5, validation=data(seed=9))  # nothing to learn
    epoch, best = history.best("validation_loss")
    assert epoch < 40
    assert trainer.evaluate(data(seed=9))["loss"] == best


@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 0},
        {"patience": 1.5},
        {"patience": True},
        {"mode": "least"},
        {"minimum_change": "a"},
        {"restore_best": 1},
    ],
)
def test_settings_of_early_stopping(arguments):
    with pytest.raises(en.ArgumentError, match="EarlyStopping: "):
        en.EarlyStopping(**arguments)


def test_early_stopping_needs_its_column():
    trainer = trainer_of(net(), callbacks=[en.EarlyStopping(monitor="validation_accuracy")])
    with pytest.raises(en.ArgumentError, match="there is no 'validation_accuracy'; this training has loss"):
        trainer.fit(data())


# -- not finite ------------------------------------------------------------------------------------------


def test_a_parameter_that_is_not_a_number_is_named_and_nothing_changes():
    model = random_net()
    x, y = data(dtype="float32")
    trainer = trainer_of(model, metrics=["accuracy"])
    trainer.fit((x, y), epochs=1, batch_size=11)
    with en.no_grad():
        model[4].branch.weight[2, 3] = math.nan
    before = {name: one.numpy() for name, one in model.state_dict().items()}
    drawn = [layer.drawn for layer in trainer.random_layers]
    with pytest.raises(en.NotFiniteError, match=r"epoch 2, step 3: the loss is not finite") as caught:
        trainer.fit((x, y), epochs=1, batch_size=11)
    assert "layer 4.branch (Linear)" in str(caught.value)
    assert "\n" not in str(caught.value)
    for name, one in model.state_dict().items():
        np.testing.assert_array_equal(one.numpy(), before[name])
    assert [layer.drawn for layer in trainer.random_layers] == drawn
    assert (trainer.epoch, trainer.step) == (1, 2)
    assert len(trainer.history) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_a_huge_learning_rate_stops_with_finite_weights(dtype, optimizer):
    x = np.random.default_rng(0).standard_normal((16, FEATURES)).astype(dtype)
    model = en.Sequential(
        en.Linear(FEATURES, 8, generator=0),
        en.ReLU(),
        en.Linear(8, 8, generator=1),
        en.ReLU(),
        en.Linear(8, 1, generator=2),
    ).to(dtype=dtype)
    made = en.Optimizer.by_name(optimizer, model.parameters(), learning_rate=1e25)
    trainer = trainer_of(model, en.MeanSquaredError(), made)
    with pytest.raises(en.NotFiniteError, match=r"epoch \d+, step \d+: .* is not finite; "):  # and no warning
        trainer.fit((x, x[:, :1]), epochs=50, batch_size=8)
    assert all(np.isfinite(one).all() for one in weights(model))


def state(model):
    return {name: one.numpy() for name, one in model.state_dict().items()}


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
@pytest.mark.parametrize(("spoil", "error"), [("x", en.NotFiniteError), ("y", en.DataError)])
def test_a_step_that_is_refused_leaves_running_estimates_and_masks_as_they_were(optimizer, spoil, error):
    x, y = data(dtype="float32")
    model = random_net()
    trainer = trainer_of(model, optimizer=en.Optimizer.by_name(optimizer, model.parameters(), learning_rate=0.01))
    trainer.fit((x, y), batch_size=11)
    before, drawn = state(model), [layer.drawn for layer in trainer.random_layers]
    assert any("running_mean" in name for name in before)
    assert min(drawn) > 0
    with pytest.raises(error):
        trainer.fit((x * np.float32(1e38) if spoil == "x" else x, y + 5 if spoil == "y" else y), batch_size="all")
    for name, one in state(model).items():
        np.testing.assert_array_equal(one, before[name])
    assert [layer.drawn for layer in trainer.random_layers] == drawn
    assert np.isfinite(trainer.predict(x)).all()
    trainer.fit((x, y), batch_size=11)
    assert np.isfinite(trainer.history["loss"]).all()


def test_an_error_in_a_later_closure_brings_the_weights_back():
    x, y = data()
    model = net()
    calls = []

    def loss(prediction, target):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("interrupted")
        return en.CrossEntropy()(prediction, target)

    trainer = trainer_of(model, loss, en.LBFGS(model.parameters(), line_search="strong-wolfe"))
    before = weights(model)
    with pytest.raises(RuntimeError, match="interrupted"):
        trainer.fit((x, y), batch_size="all")
    assert_same_bits(weights(model), before)


def test_large_gradients_whose_sum_overflows_are_finite():
    model = en.Linear(1, 4, initializer="zeros")
    factor = np.float32(2e38)

    def loss(prediction, target):
        return (prediction * factor).sum()

    trainer = trainer_of(model, loss, en.SGD(model.parameters(), learning_rate=1e-38))
    trainer.fit((np.ones((1, 1), "float32"), np.zeros((1, 4), "float32")))
    np.testing.assert_allclose(model.bias.numpy(), [-2.0] * 4, rtol=1e-6)


def test_a_gradient_that_is_not_finite_is_found_behind_a_finite_loss():
    class Root(en.Layer):
        def __init__(self):
            super().__init__()
            self.w = en.Parameter(np.zeros((1, 1)))

        def forward(self, x):
            return (x @ self.w).abs().sqrt()  # its slope at 0 is infinite

    model = Root()
    trainer = trainer_of(model, en.MeanAbsoluteError(), en.SGD(model.parameters(), learning_rate=0.1), clip_norm=1.0)
    with pytest.raises(en.NotFiniteError, match=r"epoch 1, step 1: a gradient is not finite; the outputs of"):
        trainer.fit((np.ones((2, 1)), np.ones((2, 1))))
    assert model.w.item() == 0.0


def test_the_layer_that_overflows_is_named():
    class Exponential(en.Layer):
        def forward(self, x):
            return x.exp()

    model = en.Sequential(en.Linear(1, 1, initializer="zeros"), Exponential(), en.Linear(1, 1))
    with en.no_grad():
        model[0].bias += 1000.0
    trainer = trainer_of(model, en.MeanSquaredError())
    with pytest.raises(en.NotFiniteError, match=r"layer 1 \(Exponential\)"):
        trainer.fit((np.ones((2, 1), "float32"), np.ones((2, 1), "float32")))


def test_training_can_go_on_after_it_diverged():
    x, y = data()
    model = net()
    trainer = trainer_of(model)
    with en.no_grad():
        model[2].bias[0] = math.inf
    with pytest.raises(en.NotFiniteError, match="layer 2"):
        trainer.fit((x, y))
    with en.no_grad():
        model[2].bias[0] = 0.0
    trainer.fit((x, y), epochs=2)
    assert trainer.epoch == 2


@pytest.mark.parametrize("part", ["x", "y", "weights"])
def test_data_that_is_not_finite_is_refused(part):
    x = np.ones((4, 1))
    parts = {"x": x, "y": x.copy(), "weights": np.ones(4)}
    parts[part] = parts[part].copy()
    parts[part][2] = math.nan
    model = en.Linear(1, 1, dtype="float64")
    before = weights(model)
    trainer = trainer_of(model, en.MeanSquaredError())
    with pytest.raises(en.DataError, match="is nan at row 2"):
        trainer.fit(tuple(parts.values()))
    with pytest.raises(en.DataError, match="is nan at row 2"):
        trainer.fit((x, x), validation=tuple(parts.values()))
    assert_same_bits(weights(model), before)
    assert trainer.epoch == 0


# -- LBFGS -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("accumulate", "size"), [(1, "all"), (3, 8)])
def test_lbfgs_in_the_trainer(accumulate, size):
    x, y = data()
    model = net()
    optimizer = en.LBFGS(model.parameters(), line_search="strong-wolfe")
    trainer = trainer_of(model, optimizer=optimizer, penalty=en.L2(1e-3), metrics=["accuracy"], accumulate=accumulate)
    first = trainer.evaluate((x, y))["loss"] + 1e-3 * sum((one**2).sum() for one in weights(model)[::2])
    history = trainer.fit((x, y), epochs=6, batch_size=size)
    assert history["loss"][0] == pytest.approx(first, rel=1e-12)  # before the step, as with the others
    assert history["loss"][-1] < 0.2 * first
    assert trainer.evaluate((x, y))["accuracy"] > 0.9
    assert trainer.step == optimizer.steps == 6


@pytest.mark.parametrize("name", ["clip_norm", "clip_value"])
def test_lbfgs_does_not_clip(name):
    model = net()
    with pytest.raises(en.ArgumentError, match=f"Trainer: {name} was given; LBFGS does not clip gradients"):
        trainer_of(model, optimizer=en.LBFGS(model.parameters()), **{name: 1.0})


# -- what data may look like -----------------------------------------------------------------------------


def test_forms_of_data_give_the_same_training():
    x, y = data(dtype="float32")
    results = []
    for given in (
        (x, y),
        en.data.Dataset(x, y),
        (x.tolist(), y.tolist()),
        (en.tensor(x), en.tensor(y)),
        (x, y.astype("uint8")),
        (x.astype("float64"), y),
        (x, y, np.ones(22)),
        (x, y, np.ones(22, "int64")),
    ):
        model = net("float32")
        trainer_of(model).fit(given, epochs=2, batch_size=5)
        results.append(weights(model))
    for other in results[1:]:
        for mine, expected in zip(other, results[0], strict=True):
            np.testing.assert_allclose(mine, expected, rtol=2e-6, atol=1e-7)
            assert mine.dtype == "float32"


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_whole_numbers_as_inputs(dtype):
    x = np.random.default_rng(0).integers(0, 2, (12, FEATURES)).astype(dtype)
    y = (x[:, 0] != x[:, 1]).astype("int64")
    results = []
    for given in (x, x.astype("float32")):
        model = net("float32")
        trainer = trainer_of(model)
        trainer.fit((given, y), batch_size=5)
        results.append((weights(model), trainer.predict(given)))
    assert_same_bits(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((np.ones((4, 2)),), en.DataError, r"a tuple of 1 was given; give \(x, y\)"),
        ((np.ones((4, 2)),) * 4, en.DataError, "a tuple of 4 was given"),
        (np.ones((4, 2)), en.DataError, r"ndarray was given; give a Dataset or \(x, y\)"),
        (None, en.DataError, "NoneType was given"),
        ((np.ones((4, 4)), np.zeros(3, int)), en.DataError, "x has 4 samples, y 3"),
        ((np.ones((0, 4)), np.zeros(0, int)), en.DataError, "at least one sample"),
        ((np.ones((4, 4)), np.zeros(4)), en.DtypeError, "CrossEntropy: labels are of float64"),
        ((np.ones((4, 4)), np.zeros((4, 1), int)), en.ShapeError, r"labels are \(batch,\). Use target.reshape\(4\)"),
        ((np.ones((4, 4)), np.array([0, 1, 2, 3])), en.DataError, "label 3 of sample"),
        ((np.ones((4, 4)), np.array([0, 1, 2, -1])), en.DataError, "label -1 of sample"),
        ((np.ones((4, 5)), np.zeros(4, int)), en.ShapeError, r"\(4, 5\)"),
        ((np.ones((4, 4)), np.zeros(4, int), np.ones((4, 1))), en.ShapeError, "sample_weight has shape"),
        ((np.ones((4, 4)), np.zeros(4, int), np.zeros(4)), en.DataError, "the weights of a batch are all 0"),
        ((np.array([["a"] * 4] * 4), np.zeros(4, int)), en.DataError, "x is"),
    ],
)
def test_data_that_cannot_be_trained_on(given, error, message):
    model = net()
    before = weights(model)
    trainer = trainer_of(model, en.CrossEntropy(class_weight=CLASS_WEIGHT))
    with pytest.raises(error, match=message):
        trainer.fit(given, batch_size="all")
    assert_same_bits(weights(model), before)
    with pytest.raises(error, match=message):
        trainer.evaluate(given)
    assert trainer.step == 0


@pytest.mark.parametrize("loss", [en.MeanSquaredError(), en.SquaredError(), en.BinaryCrossEntropy(from_logits=True)])
def test_targets_of_another_shape_are_never_broadcast(loss):
    trainer = trainer_of(en.Linear(3, 1), loss)
    with pytest.raises(en.ShapeError, match=r"shape \(4,\), prediction \(4, 1\); .* Use target\.reshape\(4, 1\)"):
        trainer.fit((np.ones((4, 3)), np.ones(4)))


def test_predict_takes_samples():
    trainer = trainer_of(net())
    for given in (data(), en.data.Dataset(*data())):
        with pytest.raises(en.DataError, match=r"give the samples alone, such as data\.x"):
            trainer.predict(given)
    with pytest.raises(en.DataError, match="at least one sample"):
        trainer.predict(np.ones((0, FEATURES)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.ones((4, FEATURES)), np.array([0, 1, 2, 3])), "label 3 of sample 3 is out of range"),
        ((np.ones((4, FEATURES + 1)), np.zeros(4, int)), r"\(4, 5\)"),
        ((np.ones((4, FEATURES)), np.zeros((4, 1), int)), r"labels are \(batch,\)"),
        ((np.ones((4, FEATURES)), np.zeros(4)), "labels are of float64"),
        ((np.ones((4, FEATURES)), np.zeros(4, int), np.zeros(4)), "the weights of a batch are all 0"),
    ],
)
def test_validation_data_that_does_not_fit_is_refused_before_training(given, message):
    model = random_net("float64")
    trainer = trainer_of(model, metrics=["accuracy"])
    before = state(model)
    with pytest.raises(en.EngineError, match=message):
        trainer.fit(data(), validation=given)
    for name, one in state(model).items():
        np.testing.assert_array_equal(one, before[name])
    assert (trainer.epoch, trainer.step, len(trainer.history)) == (0, 0, 0)
    assert [layer.drawn for layer in trainer.random_layers] == [0, 0]


def test_a_metric_that_does_not_fit_the_validation_data_is_told_before_training():
    def fails(output, target):
        raise en.DataError("no")

    trainer = trainer_of(net(), metrics=[fails])
    with pytest.raises(en.DataError, match="no"):
        trainer.fit(data(), validation=data())
    assert trainer.step == 0


@pytest.mark.parametrize("loss", [en.CrossEntropy(), en.CrossEntropy(reduction="sum")])
def test_negative_weights_are_refused_before_training(loss):
    x, y = data()
    weight = np.ones(len(y))
    weight[17] = -0.5
    trainer = trainer_of(net(), loss)
    for fit in (
        lambda: trainer.fit((x, y, weight), batch_size=2, shuffle=False),
        lambda: trainer.fit((x, y), validation=(x, y, weight)),
        lambda: trainer.evaluate((x, y, weight)),
    ):
        with pytest.raises(en.DataError, match=r"Trainer: the weight of sample 17 is -0\.5; .* 0 or above"):
            fit()
    assert trainer.step == 0


# -- BatchNorm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "size"), [(7, 3), (5, 1), (1, "all")])
def test_a_batch_of_one_sample_is_refused_before_training(samples, size):
    model = random_net()
    before = {name: one.numpy() for name, one in model.state_dict().items()}
    trainer = trainer_of(model)
    with pytest.raises(en.ArgumentError, match=r"BatchNorm cannot train on a batch of one sample.*drop_last=True"):
        trainer.fit(data(samples, dtype="float32"), batch_size=size)
    for name, one in model.state_dict().items():
        np.testing.assert_array_equal(one.numpy(), before[name])
    assert trainer.epoch == 0


def test_drop_last_lets_batchnorm_train():
    trainer = trainer_of(random_net())
    trainer.fit(data(7, dtype="float32"), batch_size=3, drop_last=True)
    assert trainer.step == 2
    with pytest.raises(en.ArgumentError, match="BatchNorm cannot train"):
        trainer.fit(data(7, dtype="float32"), batch_size=1, drop_last=True)
    trainer.evaluate(data(1, dtype="float32"))  # evaluation may
    trainer_of(net()).fit(data(1), batch_size=1)


# -- callbacks -------------------------------------------------------------------------------------------


WRONG = {
    "model of a class": ({"model": en.Linear}, r"model Linear \(the class: add parentheses\) was given; it is a Layer"),
    "no model": ({"model": None}, "model None was given; it is a Layer, such as Sequential"),
    "loss of a class": ({"loss": en.CrossEntropy}, r"loss CrossEntropy \(the class: add parentheses\) was given"),
    "loss of a name": ({"loss": "cross-entropy"}, "loss 'cross-entropy' was given; it is a Loss, such as CrossEntropy"),
    "no loss": ({"loss": None}, "loss None was given; it is a Loss"),
    "optimizer of a class": (
        {"optimizer": en.Adam},
        r"optimizer Adam \(the class: add parentheses\) was given; it is an Optimizer, such as Adam\(model\.parameters",
    ),
    "optimizer of a name": ({"optimizer": "adam"}, "optimizer 'adam' was given; it is an Optimizer"),
    "no optimizer": ({"optimizer": None}, "optimizer None was given; it is an Optimizer"),
    "penalty of a number": ({"penalty": 1e-4}, r"penalty 0\.0001 was given; it is None or a Penalty, such as L2\(1e-4"),
    "penalty of a name": ({"penalty": "l2"}, "penalty 'l2' was given"),
    "penalty of a class": ({"penalty": en.L2}, r"penalty L2 \(the class: add parentheses\) was given"),
    "one callback": (
        {"callbacks": en.EarlyStopping()},
        r"callbacks <.*EarlyStopping.*> was given; give a list, such as \[EarlyStopping\(\)\]",
    ),
    "callbacks of a name": ({"callbacks": "early"}, "callbacks 'early' was given; give a list"),
    "callbacks of a number": ({"callbacks": 1}, "callbacks 1 was given; give a list"),
    "a callback of a class": ({"callbacks": [en.EarlyStopping]}, r"callback EarlyStopping \(the class: add parenthes"),
    "metrics of a number": ({"metrics": 1}, r"metrics 1 was given; give a list, such as \['accuracy'\]"),
    "metrics of a dict": ({"metrics": {"accuracy": 1}}, "give a list"),
    "a metric of a number": ({"metrics": [1]}, "metric: 1 was given"),
    "clip_norm of a list": ({"clip_norm": [1]}, r"clip_norm \[1\] was given; it is a number above 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_parts_that_are_refused(name):
    settings, message = WRONG[name]
    model = net()
    parts = {"model": model, "loss": en.CrossEntropy(), "optimizer": en.SGD(model.parameters()), "device": "cpu"}
    parts.update(settings)
    with pytest.raises(en.ArgumentError, match=message) as caught:
        en.Trainer(parts.pop("model"), **parts)
    assert "\n" not in str(caught.value)


def test_no_callbacks_and_no_metrics():
    trainer = trainer_of(net(), callbacks=None, metrics=None)
    trainer.fit(data())
    assert trainer.callbacks == []
    assert set(trainer.evaluate(data())) == {"loss"}


def test_settings_that_are_refused():
    model = net()
    x, y = data()
    for settings, message in (
        ({"accumulate": 0}, "accumulate 0 was given"),
        ({"accumulate": 1.5}, "accumulate 1.5"),
        ({"seed": -1}, "seed -1"),
        ({"clip_norm": 0}, "clip_norm 0 was given; it is a number above 0"),
        ({"clip_norm": math.nan}, "clip_norm nan"),
        ({"clip_value": "1"}, "clip_value '1'"),
        ({"ema": 1.0}, "decay 1.0"),
        ({"metrics": "accuracy"}, r"give a list, such as \['accuracy'\]"),
        ({"metrics": ["acuracy"]}, "metric 'acuracy' is unknown; did you mean accuracy"),
        ({"callbacks": [en.EarlyStopping]}, "give objects of Callback"),
        ({"loss": en.CrossEntropy(reduction="none")}, 'the loss has reduction "none"'),
    ):
        with pytest.raises(en.ArgumentError, match=message):
            trainer_of(model, **settings)
    with pytest.raises(en.ArgumentError, match="holds none of the model's parameters"):
        trainer_of(model, optimizer=en.SGD(net().parameters()))
    with pytest.raises(en.DeviceError, match="device 'gpu' is unknown"):
        en.Trainer(model, loss=en.CrossEntropy(), optimizer=en.SGD(model.parameters()), device="gpu")
    trainer = trainer_of(model)
    for fit, message in (
        ({"epochs": -1}, "epochs -1 was given"),
        ({"epochs": 1.0}, "epochs 1.0 was given"),
        ({"batch_size": 0}, "batch_size 0 was given"),
        ({"batch_size": "every"}, "batch_size 'every'"),
        ({"stop": 0.1}, "stop 0.1 was given; it is a rule"),
        ({"batch_size": 30, "drop_last": True}, None),
    ):
        if message is None:
            trainer.fit((x, y), **fit)  # one full batch of all
            continue
        with pytest.raises(en.ArgumentError, match=message):
            trainer.fit((x, y), **fit)
    for eps in (0, -1, math.nan, "1", True):
        with pytest.raises(en.ArgumentError, match="eps is a number above 0"):
            en.StepBelow(eps)


# -- it learns -------------------------------------------------------------------------------------------


def test_digits():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    train, test = en.data.load("digits")
    model = en.Sequential(
        en.Linear(64, 128, generator=0), en.BatchNorm(128), en.ReLU(), en.Dropout(0.2), en.Linear(128, 10, generator=1)
    )
    optimizer = en.AdamW(model.parameters(), learning_rate=en.Cosine(5e-3, steps=15 * 23))
    trainer = trainer_of(model, optimizer=optimizer, metrics=["accuracy"])
    trainer.fit(train, epochs=15, batch_size=64, drop_last=False)
    assert trainer.evaluate(test)["accuracy"] >= 0.965


@pytest.mark.parametrize("frozen", [True, False])
def test_a_penalty_of_weights_that_are_not_trained(frozen):
    """It is part of the loss, has no gradient, and a model of biases alone has none."""
    model = en.Linear(2, 1, dtype="float64")
    model.weight.requires_grad_(False)
    model.weight.regularized = frozen
    before = model.weight.numpy()
    trainer = trainer_of(
        model, en.MeanSquaredError(), en.SGD(model.parameters(), learning_rate=0.5), penalty=en.L2(1.0)
    )
    x = np.zeros((4, 2))
    history = trainer.fit((x, np.ones((4, 1))), batch_size="all")
    assert history["loss"] == [pytest.approx(1.0 + frozen * (before**2).sum())]
    np.testing.assert_array_equal(model.weight.numpy(), before)
    assert model.bias.item() == 1.0


def test_a_regression_reaches_its_line():
    x = np.linspace(-1, 1, 40).reshape(-1, 1)
    model = en.Linear(1, 1, initializer="zeros", dtype="float64")
    trainer = trainer_of(
        model, en.MeanSquaredError(), en.SGD(model.parameters(), learning_rate=0.5), metrics=["r2", "mae"]
    )
    trainer.fit((x, 3 * x - 1), epochs=60, batch_size=8)
    np.testing.assert_allclose([model.weight.item(), model.bias.item()], [3.0, -1.0], atol=1e-6)
    assert trainer.evaluate((x, 3 * x - 1))["r2"] == pytest.approx(1.0)
