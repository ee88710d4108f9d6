"""Does a replay give what the function itself gives, to the bit? Layers, losses, optimizers; what ends a recording."""

import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import engine as en
from backends.devices import _backends
from engine.autodiff import Version
from engine.recording.capture import LIMIT, capture
from engine.recording.recorder import Recorder
from engine.recording.user_calls import UserCall

STEPS = 32
RNG = np.random.default_rng


def batches(count=STEPS, rows=6, features=5, classes=4, seed=1, target="labels", dtype="float32"):
    """Batches of one shape: Tensors of features and targets."""
    chance = RNG(seed)
    for _ in range(count):
        x = chance.normal(size=(rows, features)).astype(dtype)
        y = {
            "labels": lambda: chance.integers(classes, size=rows),
            "probabilities": lambda: chance.dirichlet(np.ones(classes), rows).astype(dtype),
            "numbers": lambda: chance.normal(size=(rows, classes)).astype(dtype),
            "bits": lambda: chance.integers(2, size=(rows, classes)).astype(dtype),
            "signs": lambda: (2 * chance.integers(2, size=(rows, classes)) - 1).astype(dtype),
        }[target]()
        yield en.tensor(x), en.tensor(y)


def state_of(model, optimizer=None):
    """Everything that a step changes, as bytes by name."""
    found = {name: value.numpy().tobytes() for name, value in model.state_dict().items()}
    found |= {f"grad of {name}": bits(one.grad) for name, one in model.named_parameters()}
    for name, layer in model.named_layers():
        if isinstance(layer, en.RandomLayer):
            found[f"drawn by {name}"] = layer.drawn
    if optimizer is not None:
        saved = optimizer.state_dict()
        found |= {name: value.tobytes() for name, value in saved["tensors"].items()}
        found |= {"steps": optimizer.steps, "counts": saved["settings"]["counts"]}
    return found


def poison(step):
    """Overwrite every array that a replay should compute anew."""
    for program in step.programs:
        for array in program.buffers.arrays:
            if array.flags.writeable:
                array.fill({"f": np.nan, "u": 255}.get(array.dtype.kind, 1))


def bits(value):
    return None if value is None else value.numpy().tobytes()


def compare(make, data, *, changes=None, poisoned=True):
    """The same steps eagerly and captured: equal outputs and states at every step. Gives the captured step.

    ``make()`` returns (model, optimizer, step); ``changes`` maps a step's number to a change of (model, optimizer).
    """
    en.seed(3)
    mine = make()
    en.seed(3)
    theirs = make()
    recorded = capture(theirs[2])
    for number, batch in enumerate(data):
        for model, optimizer, _ in (mine, theirs):
            if changes and number in changes:
                changes[number](model, optimizer)
        if poisoned:
            poison(recorded)
        expected, given = mine[2](*batch), recorded(*batch)
        assert bits(given) == bits(expected), f"output of step {number}"
        assert state_of(*theirs[:2]) == state_of(*mine[:2]), f"state after step {number}"
    return recorded


def training(model, loss, optimizer, extra=None):
    """The loop by hand around one model."""

    def step(x, y):
        value = loss(model(x), y)
        optimizer.zero_grad()
        value.backward()
        if extra is not None:
            extra(model, optimizer)
        optimizer.step()
        return value

    return model, optimizer, step


def net(*middle, features=5, classes=4):
    return en.Sequential(en.Linear(features, 8), *middle, en.Linear(8, classes))


LAYERS = {
    "relu": lambda: (en.ReLU(),),
    "leaky relu": lambda: (en.LeakyReLU(0.1),),
    "elu": lambda: (en.ELU(0.7),),
    "gelu": lambda: (en.GELU(),),
    "silu": lambda: (en.SiLU(),),
    "softplus": lambda: (en.Softplus(),),
    "sigmoid": lambda: (en.Sigmoid(),),
    "tanh": lambda: (en.Tanh(),),
    "softmax": lambda: (en.Softmax(),),
    "maxout": lambda: (en.Maxout(8, 8, 3),),
    "dropout": lambda: (en.Dropout(0.3), en.Tanh(), en.Dropout(0.5)),
    "batch norm": lambda: (en.BatchNorm(8), en.ReLU()),
    "batch norm, plain": lambda: (en.BatchNorm(8, affine=False), en.ReLU()),
    "layer norm": lambda: (en.LayerNorm(8), en.ReLU()),
    "stochastic depth": lambda: (en.StochasticDepth(en.Sequential(en.Linear(8, 8), en.ReLU()), drop=0.4),),
    "residual": lambda: (en.Residual(en.Sequential(en.Linear(8, 8), en.Tanh())),),
    "flatten": lambda: (en.Flatten(),),
    "shared": lambda: (one := en.Linear(8, 8), en.ReLU(), one),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    def make():
        model = net(*LAYERS[name]())
        return training(model, en.CrossEntropy(), en.SGD(model.parameters(), 0.1, momentum=0.9))

    recorded = compare(make, batches())
    assert recorded.reason is None
    assert len(recorded.programs) == 1


LOSSES = {
    "cross-entropy": (lambda: en.CrossEntropy(), "labels"),
    "cross-entropy, sum": (lambda: en.CrossEntropy(reduction="sum"), "labels"),
    "cross-entropy, probabilities": (lambda: en.CrossEntropy(), "probabilities"),
    "cross-entropy, class weights": (lambda: en.CrossEntropy(class_weight=[1.0, 2.0, 0.5, 1.0]), "labels"),
    "cross-entropy, smoothed": (lambda: en.CrossEntropy(label_smoothing=0.1), "labels"),
    "cross-entropy, both": (lambda: en.CrossEntropy(label_smoothing=0.1, class_weight=[1.0, 2.0, 0.5, 1.0]), "labels"),
    "cross-entropy, soft": (lambda: en.CrossEntropy(0.1, class_weight=[1.0, 2.0, 0.5, 1.0]), "probabilities"),
    "squared error": (lambda: en.SquaredError(0.5), "numbers"),
    "mean squared error": (lambda: en.MeanSquaredError(), "numbers"),
    "mean absolute error": (lambda: en.MeanAbsoluteError(), "numbers"),
    "huber": (lambda: en.Huber(0.5), "numbers"),
    "binary cross-entropy, logits": (lambda: en.BinaryCrossEntropy(from_logits=True), "bits"),
    "logistic": (lambda: en.Logistic(), "signs"),
    "hinge": (lambda: en.Hinge(0.5), "labels"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    loss, target = LOSSES[name]

    def make():
        model = net(en.Tanh())
        return training(model, loss(), en.SGD(model.parameters(), 0.05))

    assert compare(make, batches(target=target)).reason is None


def test_losses_of_another_form():
    def triplet():
        model, loss = en.Linear(5, 4), en.TripletMargin(0.5)
        return training(model, lambda a, x: loss(a, model(x * 2), model(x - 1)), en.SGD(model.parameters(), 0.05))

    assert compare(triplet, ((x, x) for x, _ in batches())).reason is None

    def probabilities():
        model = en.Sequential(net(), en.Sigmoid())
        return training(model, en.BinaryCrossEntropy(), en.SGD(model.parameters(), 0.05))

    assert compare(probabilities, batches(target="bits")).reason is None

    class LogCosh(en.Loss, abstract=True):
        def unit_losses(self, prediction, target):
            difference = prediction - target
            return (difference.exp() + (-difference).exp()).log()

    def own():
        model = net(en.Tanh())
        return training(model, LogCosh(), en.SGD(model.parameters(), 0.05))

    assert compare(own, batches(target="numbers")).reason is None


@pytest.mark.parametrize("loss", ["cross-entropy", "mean-squared-error"])
def test_sample_weights_and_each_units_loss(loss):
    one = en.CrossEntropy() if loss == "cross-entropy" else en.MeanSquaredError()
    single = en.CrossEntropy(reduction="none") if loss == "cross-entropy" else en.MeanSquaredError(reduction="none")
    target = "labels" if loss == "cross-entropy" else "numbers"

    def make():
        model = net(en.Tanh())
        optimizer = en.SGD(model.parameters(), 0.05)

        def step(x, y, weight):
            prediction = model(x)
            value = one(prediction, y, sample_weight=weight) + single(prediction, y).mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            return value

        return model, optimizer, step

    chance = RNG(4)
    data = [(x, y, chance.uniform(size=6)) for x, y in batches(target=target)]
    assert compare(make, data).reason is None


OPTIMIZERS = {
    "sgd": lambda p: en.SGD(p, 0.1),
    "momentum": lambda p: en.SGD(p, 0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: en.SGD(p, 0.05, momentum=0.9, nesterov=True),
    "adagrad": lambda p: en.Adagrad(p, 0.05),
    "rmsprop": lambda p: en.RMSprop(p, 0.01, momentum=0.5),
    "adam": lambda p: en.Adam(p, 0.01, weight_decay=0.01),
    "adamw": lambda p: en.AdamW(p, 0.01),
    "nadam": lambda p: en.NAdam(p, 0.01),
    "lion": lambda p: en.Lion(p, 0.01, weight_decay=0.1),
    "cosine": lambda p: en.Adam(p, en.Warmup(5, en.Cosine(0.05, 30))),
    "one cycle": lambda p: en.SGD(p, en.OneCycle(0.2, 30), momentum=0.9),
    "groups": lambda p: en.Adam([{"params": p[:1], "learning_rate": 0.1, "beta1": 0.5}, {"params": p[1:]}], 0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    def make():
        model = net(en.Tanh())
        return training(model, en.CrossEntropy(), OPTIMIZERS[name](model.parameters()))

    recorded = compare(make, batches())
    assert recorded.reason is None
    assert len(recorded.programs) == 1


def test_an_optimizer_of_ones_own():
    class Signs(en.Optimizer):
        @staticmethod
        def update(xp, w, g, *, work, learning_rate):
            xp.sign(g, out=work[0])
            xp.multiply(work[0], learning_rate, out=work[0])
            xp.subtract(w, work[0], out=w)

    def make():
        model = net(en.Tanh())
        return training(model, en.CrossEntropy(), Signs(model.parameters(), en.Exponential(0.1, 0.9)))

    try:
        assert compare(make, batches()).reason is None
    finally:
        del en.Optimizer.members["signs"]


def test_penalties_clipping_and_averages():
    def make():
        model = net(en.Tanh())
        optimizer = en.Adam(model.parameters(), 0.05)
        average = en.ExponentialMovingAverage(model.parameters(), 0.9)
        loss = en.CrossEntropy()

        def step(x, y):
            value = loss(model(x), y) + en.L2(1e-2)(model) + en.L1(1e-3)(model)
            optimizer.zero_grad()
            value.backward()
            en.ElasticNet(1e-3, 0.5)(model).backward()
            optimizer.clip_value(0.2)
            optimizer.clip_norm(0.3)
            optimizer.scale_gradients(0.5)
            optimizer.step()
            average.update()
            with_average.append(average)
            return value

        return model, optimizer, step

    with_average = []
    assert compare(make, batches()).reason is None
    states = {id(one): one.state() for one in with_average}
    first, second = states.values()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_gradients_add_up():
    """Every third call steps: gradients exist at the start of the others."""

    def make():
        model = net(en.Dropout(0.2))
        optimizer = en.Adam(model.parameters(), 0.05)
        loss = en.CrossEntropy()

        def step(x, y, last):
            value = loss(model(x), y)
            value.backward()
            if last:
                optimizer.step()
                optimizer.zero_grad()
            return value

        return model, optimizer, step

    data = [(x, y, number % 3 == 2) for number, (x, y) in enumerate(batches(40))]
    recorded = compare(make, data)
    assert recorded.reason is None
    assert len(recorded.programs) == 3  # the first of three, the second, the last


def test_gradients_without_an_optimizer():
    """Plain leaves, changed by hand in no_grad, as the lecture does."""

    def make():
        w = en.Parameter(RNG(0).normal(size=(5, 4)).astype("float32"))
        holder = en.Layer()
        holder.w = w

        def step(x, y):
            loss = ((x @ w - y) ** 2).mean()
            loss.backward()
            with en.no_grad():
                w.__isub__(0.1 * w.grad)
            w.zero_grad()
            return loss

        return holder, None, step

    assert compare(make, batches(target="numbers")).reason is None

    plain = en.tensor([1.0, 2.0], requires_grad=True)

    @capture
    def add(x):
        (plain * x).sum().backward()

    for number in range(1, 6):
        add(en.tensor([1.0, float(number)]))
        assert plain.grad.tolist() == [number, number * (number + 1) / 2]
    assert add.reason is None
    plain.zero_grad()
    add(en.tensor([1.0, 3.0]))
    held = plain.grad
    add(en.tensor([1.0, 3.0]))
    assert held.tolist() == [1.0, 3.0]


def test_a_gradient_that_is_kept_from_before():
    leaf = en.tensor([1.0, 2.0], requires_grad=True)
    (leaf * 3).sum().backward()
    step = capture(lambda x: (leaf * x).sum().backward())
    for count in range(1, 6):
        step(en.tensor([1.0, 1.0]))
        assert leaf.grad.tolist() == [3.0 + count] * 2


def test_the_last_batch_and_the_modes():
    def make():
        model = net(en.BatchNorm(8), en.Dropout(0.2))
        optimizer = en.SGD(model.parameters(), 0.1)
        loss = en.CrossEntropy()

        def step(x, y):
            value = loss(model(x), y)
            if model.training:
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
            return value

        return model, optimizer, step

    data = [batch for epoch in range(6) for batch in (*batches(4, seed=epoch), *batches(1, rows=3, seed=epoch))]
    changes = {number: lambda model, _, mode=bool(number % 2): model.train(mode) for number in range(10, 24)}
    recorded = compare(make, data, changes=changes)
    assert recorded.reason is None
    assert len(recorded.programs) == 4


def test_a_mode_that_the_function_sets():
    def make():
        model = net(en.Dropout(0.5))
        optimizer = en.SGD(model.parameters(), 0.1)
        loss = en.CrossEntropy()

        def step(x, y):
            model.train()
            value = loss(model(x), y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            model.eval()
            return loss(model(x), y)

        return model, optimizer, step

    recorded = compare(make, batches(), changes={9: lambda model, _: model.train()})
    assert len(recorded.programs) == 1


def test_what_is_frozen_and_set_free():
    changes = {
        6: lambda model, _: model[0].weight.requires_grad_(False),
        12: lambda model, _: model[0].weight.requires_grad_(True),
        18: lambda model, _: model.parameters()[-1].zero_grad(),
        20: lambda model, _: model[2].bias.requires_grad_(False),
    }

    def make():
        model = net(en.Tanh())
        return training(model, en.CrossEntropy(), en.Adam(model.parameters(), 0.05))

    assert compare(make, batches(), changes=changes).reason is None


def test_a_function_that_freezes_for_a_while():
    """Two adversaries in one step: the second is frozen while the first learns."""

    def make():
        both = en.Layer()
        both.a, both.b = en.Linear(5, 5), net(en.Tanh())
        loss = en.CrossEntropy()

        def step(x, y):
            for parameter in both.b.parameters():
                parameter.requires_grad_(False)
            loss(both.b(both.a(x)), y).backward()
            for parameter in both.b.parameters():
                parameter.requires_grad_(True)
            value = loss(both.b(both.a(x).detach()), y)
            value.backward()
            with en.no_grad():
                for parameter in both.parameters():
                    parameter -= 0.1 * parameter.grad
                    parameter.zero_grad()
            return value

        return both, None, step

    recorded = compare(make, batches())
    assert recorded.reason is None
    assert len(recorded.programs) == 1


def test_errors_of_numbers_are_those_of_the_function():
    @capture
    def quiet(x):
        with np.errstate(over="ignore"):
            return x.exp()

    loud = capture(lambda x: x.exp())
    for _ in range(4):
        assert quiet(en.tensor([1e4])).tolist() == [np.inf]
        loud(en.tensor([1.0]))
    with pytest.raises(RuntimeWarning, match="overflow"):
        loud(en.tensor([1e4]))


RATES = {
    "SGD": lambda p: en.SGD(p, 0.05, momentum=0.9),
    "Adam": lambda p: en.Adam(p, 0.01, weight_decay=0.01),
    "AdamW": lambda p: en.AdamW(p, 0.01),
    "NAdam": lambda p: en.NAdam(p, 0.01),
    "Lion": lambda p: en.Lion(p, 0.01),
    "groups": lambda p: en.Adam([{"params": p[:1], "learning_rate": 0.1, "beta1": 0.5}, {"params": p[1:]}], 0.01),
}


@pytest.mark.parametrize("name", RATES)
def test_a_rate_that_is_set_before_every_step(name):
    def make():
        model = net(en.Tanh())
        return training(model, en.CrossEntropy(), RATES[name](model.parameters()))

    def change(number):
        rate = [0.02 / (1 + number), np.float32(0.01), 0, 1, en.Cosine(0.05, 30)][number % 5 if number > 20 else 0]

        def changed(_, optimizer):
            optimizer.learning_rate = rate

        return changed

    recorded = compare(make, batches(60), changes={number: change(number) for number in range(60)})
    assert recorded.reason is None
    assert [program.replays for program in recorded.programs] == [0]  # all in the quickest way


def test_of_several_recordings_each_is_replayed_at_once():
    model = net(en.Tanh())
    step = capture(training(model, en.CrossEntropy(), en.SGD(model.parameters(), 0.1))[2])
    sizes = [list(batches(10, rows=rows)) for rows in (6, 4, 3)]
    for each in zip(*sizes, strict=True):
        for x, y in each:
            step(x, y)
    assert len(step.programs) == 3
    assert [program.replays for program in step.programs] == [0, 0, 0]
    step.release()
    step(*sizes[0][0])
    assert sum(program.replays for program in step.programs) == 1


def test_settings_that_change_between_calls():
    def rate(model, optimizer):
        optimizer.learning_rate = 0.01

    def decay(model, optimizer):
        optimizer.groups[0].settings["weight_decay"] = 0.1

    def reseed(model, _):
        model[1].reseed((5, 6), drawn=3)

    def rate_of_dropout(model, _):
        model[1].rate = 0.7

    def count(model, optimizer):
        state = optimizer.state_dict()
        state["settings"]["counts"] = [3, 9, 9, 9]
        optimizer.load_state_dict(state)

    def weights(model, _):
        model.load_state_dict({name: value * 0.5 for name, value in model.state_dict().items()})

    changes = {5: rate, 9: decay, 13: reseed, 17: rate_of_dropout, 21: count, 25: weights}

    def make():
        model = net(en.Dropout(0.3))
        return training(model, en.CrossEntropy(), en.Adam(model.parameters(), 0.05))

    assert compare(make, batches(), changes=changes).reason is None


def test_reduce_on_plateau():
    def make():
        model = net()
        return training(model, en.CrossEntropy(), en.SGD(model.parameters(), en.ReduceOnPlateau(0.1, patience=0)))

    changes = {number: lambda _, optimizer: optimizer.schedules()[0].epoch_end(1.0) for number in (8, 12, 16)}
    assert compare(make, batches(), changes=changes).reason is None


def test_another_dtype_later():
    steps = []
    for _ in range(2):
        en.seed(0)
        model = net(en.BatchNorm(8))
        steps.append(training(model, en.CrossEntropy(), en.Adam(model.parameters(), 0.05)))
    recorded = capture(steps[1][2])
    for dtype in ("float32", "float64", "float32"):
        for one, optimizer, _ in steps:
            one.to(dtype=dtype)
            optimizer.zero_grad()
        for x, y in batches(5, dtype=dtype):
            assert bits(recorded(x, y)) == bits(steps[0][2](x, y))
            assert state_of(*steps[1][:2]) == state_of(*steps[0][:2])
    assert recorded.reason is None


def test_two_models_and_two_optimizers():
    def make():
        both = en.Layer()
        both.a, both.b = net(en.Tanh()), net(en.Dropout(0.2))
        first, second = en.SGD(both.a.parameters(), 0.1), en.Adam(both.b.parameters(), 0.01)
        loss = en.CrossEntropy()

        def step(x, y):
            value = loss(both.a(x), y)
            first.zero_grad()
            value.backward()
            first.step()
            other = loss(both.b(both.a(x).detach()[:, [0, 1, 2, 3, 0]]), y)
            second.zero_grad()
            other.backward()
            second.step()
            return value + other

        return both, None, step

    assert compare(make, batches()).reason is None


def test_indices_masks_and_copies():
    def make():
        model = en.Linear(5, 4)
        outside = np.array([0, 3])

        def step(x, y):
            rows = x[y]  # an index that is an input
            parts = (rows.T.reshape(5, 6).T, rows[1:4], rows[:, 0], x[0, 0], x[[2, 1]], x[outside], rows[::2, 1:3])
            loose = sum(part.sum() * (number + 1.0) for number, part in enumerate(parts))
            compared = (x > 0.5).sum() + (x == rows).to(dtype="float32").mean()
            chosen = en.where(x > rows, x, rows * 2).sum()
            grown = en.stack([en.concatenate([x, x], axis=1), en.concatenate([rows, rows], axis=1)]).var()
            return (
                loose
                + compared
                + chosen
                + grown
                + model(x.reshape(2, 3, 5)).mean()
                + en.tensor(x).max()
                + x.clone().min()
            )

        return model, None, step

    assert compare(make, batches()).reason is None


def test_in_place_changes():
    @capture
    def change(x, where):
        with en.no_grad():
            x += 1.0
            x[where] = -1.0
            y = x.detach()
            y *= 2.0
        return x, y

    for number in range(5):
        x = en.tensor(np.full(3, float(number), "float32"))
        same, other = change(x, en.tensor([0]))
        assert same is x
        assert x.tolist() == other.tolist() == [-2.0, 2.0 * number + 2, 2.0 * number + 2]
    assert change.reason is None


def test_a_users_operation_is_called_again():
    calls = []

    class Scale(en.Operation):
        def __init__(self, factor):
            self.factor = factor

        def forward(self, x):
            calls.append("forward")
            return np.sqrt(np.abs(x)) * self.factor, np.sign(x) / (np.sqrt(np.abs(x)) + 1e-3)

        def backward(self, saved, incoming_gradient, needed):
            calls.append("backward")
            return (0.5 * self.factor * saved * incoming_gradient,)

    def make():
        model = net(en.Tanh())
        optimizer = en.SGD(model.parameters(), 0.05)

        def step(x, y):
            value = (en.apply(Scale(3.0), model(x)) - y).abs().mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            return value

        return model, optimizer, step

    recorded = compare(make, batches(target="numbers"))
    assert recorded.reason is None
    assert any(isinstance(getattr(call.function, "__self__", None), UserCall) for call in recorded.programs[0].calls)
    assert calls.count("forward") == calls.count("backward") == 2 * STEPS


def test_metrics_are_counted_again():
    en.seed(0)
    model = net()
    accuracy = en.metrics.Accuracy()

    @capture
    def step(x, y):
        output = model(x)
        accuracy.update(output, y)
        return output

    with en.no_grad():
        data = list(batches(6))
        outputs = [step(x, y) for x, y in data]
    right = np.concatenate(
        [output.numpy().argmax(axis=1) == y.numpy() for output, (_, y) in zip(outputs, data, strict=True)]
    )
    assert step.reason is None
    assert accuracy.result() == right.mean()


# -- what goes in and comes out ----------------------------------------------------------------------------------------


def test_outputs_stay_valid_and_keep_their_form():
    weight = en.Parameter([[1.0, 2.0]])

    @capture
    def form(x, scale, *, more):
        y = x * scale
        return {"y": y, "all": [x, (weight, y.sum())], "name": "n", "more": more["z"], "none": None}

    kept = []
    for number in range(5):
        x, z = en.tensor([[float(number), 1.0]]), en.tensor([float(number)])
        result = form(x, 2.0, more={"z": z})
        assert result["all"][0] is x
        assert result["all"][1][0] is weight
        assert result["more"] is z
        assert result["name"] == "n"
        assert result["none"] is None
        kept.append((number, result))
    assert form.reason is None
    for number, result in kept:
        assert result["y"].tolist() == [[2.0 * number, 2.0]]
        assert result["all"][1][1].item() == 2.0 * number + 2
        assert not result["y"].requires_grad
    assert len(form.programs) == 1
    form(en.tensor([[1.0, 1.0]]), 3.0, more={"z": en.tensor([1.0])})
    assert len(form.programs) == 2


def test_arrays_in_numpys_own_form():
    en.seed(0)
    model = net(en.Tanh()).to(dtype="float32")
    loss = en.CrossEntropy()

    @capture
    def step(x, y):
        return loss(model(x), y)

    for number, (x, y) in enumerate(batches(6)):
        value = step(x.numpy().astype("float64"), y.numpy())
        assert value.item() == loss(model(x.numpy().astype("float64")), y.numpy()).item(), number
    assert step.reason is None


def test_layouts_choose_the_same_loops():
    """A transposed or sliced input runs through other loops, with other last bits."""
    weight = en.Parameter(RNG(0).normal(size=(40, 7)).astype("float32"))
    step = capture(lambda x: (x @ weight).sum(axis=0))
    whole = RNG(1).normal(size=(4, 90, 90)).astype("float32")
    for number in range(4):
        for x in (
            whole[number, :40, :40],
            whole[number, :40, :40].T,
            whole[number, ::2, 1:81:2],
            whole[number, :, :40],
        ):
            tensor = en.Tensor.wrap(x, weight.backend)
            assert bits(step(tensor)) == bits((tensor @ weight).sum(axis=0))
    assert len(step.programs) == 4


def test_inputs_that_require_a_gradient():
    @capture
    def step(x, factor):
        ((x * factor) ** 2).sum().backward()
        return x.grad

    for number in range(1, 6):
        x = en.tensor([1.0, 2.0], requires_grad=True)
        step(x, en.tensor(float(number)))
        assert x.grad.tolist() == [2.0 * number**2, 4.0 * number**2]
        again = step(x, en.tensor(1.0))
        assert x.grad.tolist() == again.tolist() == [2.0 * number**2 + 2, 4.0 * number**2 + 4]
    assert step.reason is None


def test_constants_and_variables_are_frozen():
    scale = 2.0

    @capture
    def step(x):
        return x * scale + en.tensor([1.0, 2.0])

    assert [step(en.tensor([1.0, number])).tolist() for number in (1.0, 2.0, 3.0)] == [[3, 4], [3, 6], [3, 8]]
    scale = 5.0
    assert step(en.tensor([1.0, 1.0])).tolist() == [3.0, 4.0]


def test_a_closed_over_tensor_is_read_anew():
    table = en.tensor([1.0, 2.0])
    step = capture(lambda x: x * table)
    for number in range(5):
        with en.no_grad():
            table[0] = float(number)
        assert step(en.tensor([3.0, 1.0])).tolist() == [3.0 * number, 2.0]
    assert step.reason is None


def test_no_grad_is_part_of_the_signature():
    weight = en.Parameter([2.0])
    step = capture(lambda x: (x * weight).sum())
    for _ in range(3):
        assert step(en.tensor([3.0])).item() == 6.0
        with en.no_grad():
            assert step(en.tensor([3.0])).item() == 6.0
    assert len(step.programs) == 2


def test_methods_nesting_and_recursion():
    class Model:
        def __init__(self, factor):
            self.factor = factor

        @capture
        def step(self, x):
            return inner(x) * self.factor

    inner = capture(lambda x: x + 1.0)
    two, three = Model(2.0), Model(3.0)
    for number in range(4):
        assert two.step(en.tensor([float(number)])).tolist() == [2.0 * number + 2]
        assert three.step(en.tensor([float(number)])).tolist() == [3.0 * number + 3]
    assert inner.programs == []
    assert len(Model.step.programs) == 2
    assert capture(inner) is inner

    @capture
    def power(x, times):
        return x if times == 0 else x * power(x, times - 1)

    assert power(en.tensor(2.0), 3).item() == power(en.tensor(2.0), 3).item() == 16.0


# -- what ends a recording ---------------------------------------------------------------------------------------------


def runs_eagerly(step, calls, match):
    """Call a captured function; exactly one warning, in this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [call() for call in calls]
    assert len(caught) == 1, [str(one.message) for one in caught]
    assert caught[0].category is RuntimeWarning
    assert caught[0].filename == __file__
    assert match in str(caught[0].message)
    assert step.reason is not None
    assert step.programs == []
    return results, caught[0]


@pytest.mark.parametrize("read", [en.Tensor.item, en.Tensor.numpy, float, bool, repr, np.asarray, en.Tensor.tolist])
def test_reading_a_value_runs_eagerly(read):
    def make():
        en.seed(0)
        model = net(en.Dropout(0.5))
        optimizer = en.Adam(model.parameters(), 0.05)
        loss = en.CrossEntropy()
        seen = []

        def step(x, y):
            value = loss(model(x), y)
            optimizer.zero_grad()
            value.backward()
            seen.append(read(value))  # this line is named
            optimizer.step()
            return value

        return model, optimizer, step, seen

    mine, theirs = make(), make()
    recorded = capture(theirs[2])
    data = list(batches(5))
    expected = [mine[2](*batch).numpy() for batch in data]
    results, warning = runs_eagerly(recorded, [lambda one=batch: recorded(*one) for batch in data], "a value is read")
    assert [one.numpy().tobytes() for one in results] == [one.tobytes() for one in expected]
    assert state_of(*theirs[:2]) == state_of(*mine[:2])
    assert len(theirs[3]) == len(data)
    with open(__file__) as lines:
        assert "# this line is named" in lines.readlines()[warning.lineno - 1]
    assert f"{__file__}:{warning.lineno}" in recorded.reason
    assert "eagerly" in repr(recorded)


def test_an_if_on_a_value_takes_both_ways():
    @capture
    def step(x):
        if x.sum() > 0:
            return x
        return -x

    calls = [lambda number=number: step(en.tensor([float(number)])).item() for number in (1, -1, 2, -2)]
    results, _ = runs_eagerly(step, calls, "a value is read")
    assert results == [1.0, 1.0, 2.0, 2.0]


def test_numpy_on_an_argument_runs_eagerly():
    for compute in (
        lambda x: x * 2,
        lambda x: np.log(x),
        lambda x: x.mean(keepdims=True),
        lambda x: np.concatenate([x, x]),
        lambda x: x[::2],
    ):
        step = capture(lambda x, compute=compute: en.tensor(compute(x)) + 1.0)
        arrays = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0])]
        results, _ = runs_eagerly(step, [lambda one=one, step=step: step(one) for one in arrays], "NumPy computes")
        assert [one.tolist() for one in results] == [(compute(one) + 1.0).tolist() for one in arrays]


def test_lbfgs_runs_eagerly():
    en.seed(0)
    model = en.Linear(3, 1)
    optimizer = en.LBFGS(model.parameters(), line_search="strong-wolfe")
    x, y = en.tensor(RNG(0).normal(size=(10, 3))).to(dtype="float32"), en.tensor(np.ones((10, 1), "float32"))

    def closure():
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        return loss

    step = capture(lambda: optimizer.step(closure))
    results, _ = runs_eagerly(step, [step] * 3, "a value is read")
    assert optimizer.steps == 3
    assert results[-1].item() < 1.0


def test_state_of_python_is_noticed():
    states = [en.tensor([1.0])]

    @capture
    def recurrent(x):
        states.append(states[-1] * x)
        return states[-1]

    calls = [lambda: recurrent(en.tensor([2.0])).item()] * 12
    results, _ = runs_eagerly(recurrent, calls, "differ from call to call")
    assert results == [2.0 ** (number + 1) for number in range(12)]

    chance = RNG(0)
    noisy = capture(lambda x: x + en.tensor(chance.normal(size=2).astype("float32")))
    again = RNG(0)
    results, _ = runs_eagerly(noisy, [lambda: noisy(en.tensor([0.0, 0.0])).tolist()] * 12, "differ from call to call")
    assert results == [again.normal(size=2).astype("float32").tolist() for _ in range(12)]


def test_more_that_runs_eagerly():
    model = net(en.Dropout(0.5))
    optimizer = en.SGD(model.parameters(), 0.1)
    x = en.tensor([[1.0] * 5])
    saved = {name: one.numpy() for name, one in model.state_dict().items()}

    def set_rate(x):
        optimizer.learning_rate = 0.5 * optimizer.learning_rate
        return x

    for function, match in (
        (lambda x: (model.load_state_dict(saved), x)[1], "state is loaded"),
        (set_rate, "learning rate"),
        (lambda x: x[x > 0], "mask"),
        (lambda x: {1, 2}, "returns set"),
        (lambda x: (one for one in [x]), "returns generator"),
        (lambda x: en.metrics.accuracy(model(x), np.array([1])), "metric"),
    ):
        step = capture(function)
        runs_eagerly(step, [lambda step=step: step(x)] * 2, match)
    assert optimizer.learning_rate == 0.025

    weight = en.Parameter([2.0])
    step = capture(lambda x: x * 2)
    history = weight * 1
    results, _ = runs_eagerly(step, [lambda: step(history)] * 2, "history")
    assert results[0].requires_grad


def test_arithmetic_that_no_kernel_does_is_noticed():
    class Raw(en.Layer):
        def forward(self, x):
            return en.tensor(np.sin(x.array)) * 2.0

    class Wrapped(en.Layer):
        def forward(self, x):
            return en.Tensor.wrap(np.sin(x.array), x.backend) * 2.0

    for layer in (Raw(), Wrapped()):
        step = capture(lambda x, layer=layer: layer(x * 1.0))
        same, other = en.tensor([1.0, 2.0]), en.tensor([3.0, 4.0])
        calls = [lambda x=x, step=step: step(x).tolist() for x in [same] * 8 + [other]]
        results, _ = runs_eagerly(step, calls, "differ from call to call")
        assert results == [layer(same).tolist()] * 8 + [layer(other).tolist()]

    class ByHand(en.Optimizer, abstract=True):
        def step(self):
            for parameter in self.groups[0].parameters:
                parameter.array -= 0.1 * parameter.grad.array

    model = en.Linear(5, 4)
    optimizer = ByHand(model.parameters())
    step = capture(training(model, en.CrossEntropy(), optimizer)[2])
    data = list(batches(4))
    results, _ = runs_eagerly(step, [lambda one=one: step(*one) for one in data], "step() of its own")
    assert len({bits(one) for one in results}) == 4


def test_too_many_recordings():
    step = capture(lambda x, factor: x * factor)
    for factor in range(LIMIT):
        step(en.tensor([1.0]), float(factor))
    with pytest.warns(RuntimeWarning, match="give numbers that change as Tensors"):
        step(en.tensor([1.0]), float(LIMIT))
    for factor in range(40):
        assert step(en.tensor([1.0]), float(factor)).tolist() == [factor]
    assert len(step.programs) == LIMIT
    assert step.reason is None


# -- errors ------------------------------------------------------------------------------------------------------------


def test_errors_while_recording_leave_nothing():
    model = net()
    optimizer = en.SGD(model.parameters(), 0.1)
    loss = en.CrossEntropy()
    step = capture(training(model, loss, optimizer)[2])
    (x, y), *_ = batches(1)
    kernel, empty = x.backend.kernel, x.backend.empty
    for _ in range(2):
        with pytest.raises(en.ShapeError):
            step(x, y[:3])
        assert step.programs == []
        assert Recorder.current is None
        assert x.backend.kernel == kernel
        assert x.backend.empty is empty
    for _ in range(3):
        step(x, y)
    assert len(step.programs) == 1


def engine_as_it_is():
    """Every attribute of every class and module of the engine's core, and of the backends in use."""
    found = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("engine", "backends"):
            found |= {(name, key): value for key, value in vars(module).items() if key != "__warningregistry__"}
            for kind in vars(module).values():
                if isinstance(kind, type) and kind.__module__ == name:
                    found |= {(kind, key): value for key, value in vars(kind).items() if not key.startswith("_abc_")}
    found |= {(one.device, key): value for one in _backends.values() for key, value in vars(one).items()}
    return found


def test_nothing_is_watched_after_a_recording():
    model = net(en.BatchNorm(8), en.Dropout(0.5))
    optimizer = en.Adam(model.parameters(), 0.01)
    kept, during = [], []

    def step(x, y, fails):
        during.append(engine_as_it_is())
        value = en.CrossEntropy()(model(x), y)
        optimizer.zero_grad()
        value.backward()
        kept.append(optimizer.step)
        kept[-1]()
        if fails:
            raise KeyboardInterrupt
        return value

    (x, y), *_ = batches(1)
    step(x, y, False)  # what is imported and made at the first use
    capture(lambda x: x)(x)
    before = engine_as_it_is()
    recorded = capture(step)
    recorded(x, y, False)
    assert recorded.reason is None
    with pytest.raises(KeyboardInterrupt):
        recorded(x, y, True)
    after = engine_as_it_is()
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key] is not after[key]}
    assert changed <= {(Version, "latest"), ("engine.autodiff", "_numbers")}, changed
    assert sum(during[1].get(key) is not value for key, value in before.items()) > 30
    program = recorded.programs[0]
    calls = len(program.calls)
    for one in kept:  # a watching method that outlives the recording is the method itself
        one()
    assert len(program.calls) == calls


def test_the_core_does_not_know_of_recorders():
    root = Path(en.__file__).parent
    for path in [*root.rglob("*.py"), *(root.parent / "backends").rglob("*.py")]:
        if path.parent not in (root / "recording", root / "profiling"):
            assert "recorder" not in path.read_text(), path


def test_an_attribute_that_is_watched():
    @capture
    def step(x):
        leaf = en.Tensor.__new__(en.Tensor)
        with pytest.raises(AttributeError, match="array"):
            _ = leaf.array
        with pytest.raises(AttributeError, match="array"):
            del leaf.array
        assert leaf.requires_grad is False
        leaf.zero_grad()
        assert leaf._gradient is None
        del leaf._gradient
        assert leaf._gradient is None
        assert not hasattr(en.Tensor, "array")
        assert en.Tensor.requires_grad is False
        y = x * 2.0
        return y

    assert step(en.tensor([2.0])).tolist() == [4.0]
    assert step.reason is None
    assert en.Tensor.requires_grad is False


def test_checks_of_targets_are_repeated():
    model = net()
    for loss, good, bad in (
        (en.CrossEntropy(), np.array([0, 1, 3]), np.array([0, 4, 1])),
        (en.CrossEntropy(), np.array([0, 1, 3]), np.array([0, -1, 1])),
        (en.Hinge(), np.array([0, 1, 3]), np.array([0, 4, 1])),
        (en.Logistic(), np.ones((3, 4), "float32"), np.zeros((3, 4), "float32")),
        (en.BinaryCrossEntropy(from_logits=True), np.ones((3, 4), "float32"), np.full((3, 4), 2.0, "float32")),
    ):
        weights = en.SGD(model.parameters(), 0.1)
        step = capture(training(model, loss, weights)[2])
        x = en.tensor(RNG(0).normal(size=(3, 5)).astype("float32"))
        for _ in range(3):
            step(x, en.tensor(good))
        assert len(step.programs) == 1
        before = state_of(model, weights)
        with pytest.raises(en.DataError) as eager:
            loss(model(x), en.tensor(bad))
        with pytest.raises(en.DataError) as replayed:
            step(x, en.tensor(bad))
        assert str(replayed.value) == str(eager.value)
        assert state_of(model, weights) == before
        step(x, en.tensor(good))

    step = capture(lambda p, t: en.BinaryCrossEntropy()(p, t))
    for _ in range(2):
        step(en.tensor([0.5]), en.tensor([1.0]))
    with pytest.raises(en.DataError, match="outside 0 to 1"):
        step(en.tensor([1.5]), en.tensor([1.0]))

    pick = capture(lambda x, rows: x[rows] * 1.0)
    for _ in range(2):
        pick(en.tensor([1.0, 2.0]), en.tensor([1]))
    with pytest.raises(en.ShapeError):
        pick(en.tensor([1.0, 2.0]), en.tensor([7]))


def test_an_error_in_a_replay_leaves_what_an_eager_call_leaves():
    class Fragile(en.Operation):
        def forward(self, x):
            if (x < 0).any():
                raise RuntimeError("negative")
            return x * 1.0, None

        def backward(self, saved, incoming_gradient, needed):
            return (incoming_gradient,)

    weight = en.Parameter([1.0])
    optimizer = en.SGD([weight], 0.1)

    @capture
    def step(x):
        optimizer.zero_grad()
        (weight * x).sum().backward()
        return en.apply(Fragile(), x)

    for _ in range(3):
        step(en.tensor([2.0]))
    weight.zero_grad()
    with pytest.raises(RuntimeError, match="negative"):
        step(en.tensor([-3.0]))
    assert weight.grad.tolist() == [-3.0]


def test_not_a_function():
    with pytest.raises(en.ArgumentError, match="give a function"):
        capture(3)


def test_threads():
    """Another thread's eager work is not recorded, and two threads may call one captured function."""
    en.seed(0)
    model = net(en.Tanh())
    step = capture(lambda x: model(x).sum(axis=0))
    data = [x for x, _ in batches(20)]
    with en.no_grad():
        expected = [bits(model(x).sum(axis=0)) for x in data]
    wrong = []

    def work():
        for _ in range(5):
            with en.no_grad():
                for x, right in zip(data, expected, strict=True):
                    if bits(step(x)) != right or bits(model(x).sum(axis=0)) != right:
                        wrong.append(x)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == []
    assert len(step.programs) == 1


def test_recording_beside_another_threads_training():
    def train(count, wrapped):
        en_model = en.Sequential(en.Linear(5, 8, generator=1), en.Tanh(), en.Linear(8, 4, generator=2))
        optimizer = en.Adam(en_model.parameters(), 0.01)
        step = training(en_model, en.CrossEntropy(), optimizer)[2]
        for x, y in data[:count]:
            (capture(step) if wrapped else step)(x, y)
        return state_of(en_model, optimizer)

    data = list(batches(100))
    expected, found = train(100, False), []
    threads = [threading.Thread(target=lambda one=one: found.append(train(100, one))) for one in (True, False, True)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == [expected] * 3


def test_what_it_tells():
    step = capture(lambda x: x * 2.0 + 1.0)
    assert "0 programs" in repr(step)
    step(en.tensor(np.zeros((10, 10), "float32")))
    assert "1 programs, 2 calls, 1248 bytes" in repr(step)


def test_the_contracts_example():
    train = en.data.Dataset(*(one.numpy() for one in next(iter(batches(1, rows=100)))))
    en.seed(0)
    model = net(en.BatchNorm(8), en.ReLU(), en.Dropout(0.2))
    optimizer = en.SGD(model.parameters(), learning_rate=0.1, momentum=0.9)
    loss_function = en.CrossEntropy()

    def step(x, y):
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = capture(step)
    losses = [
        step(x, y) for _ in range(3) for x, y in en.data.batches(train, batch_size=32, seed=0, device=model.device)
    ]
    assert len(losses) == optimizer.steps == 12
    assert all(np.isfinite(loss.item()) for loss in losses)
    assert len(step.programs) == 2


# -- every device ------------------------------------------------------------------------------------------------------


def on(backend, make):
    """The same model, on a device."""

    def made():
        model, optimizer, step = make()
        model.to(backend)
        return model, optimizer, step

    return made


def test_every_device(backend):
    def make():
        model = net(
            en.BatchNorm(8),
            en.Dropout(0.3),
            en.StochasticDepth(en.Sequential(en.Linear(8, 8), en.GELU(), en.LayerNorm(8)), drop=0.3),
        )
        optimizer = en.AdamW(model.parameters(), en.Cosine(0.05, 30))
        loss = en.CrossEntropy(label_smoothing=0.1, class_weight=[1.0, 2.0, 0.5, 1.0])

        def step(x, y):
            value = loss(model(x), y) + en.L2(1e-2)(model)
            optimizer.zero_grad()
            value.backward()
            optimizer.clip_norm(0.5)
            optimizer.step()
            return value

        return model, optimizer, step

    data = [(x.to(backend), y.to(backend)) for x, y in batches()]
    recorded = compare(on(backend, make), data)
    assert recorded.reason is None
    assert len(recorded.programs) == 1


def test_arrays_of_the_host_go_to_the_model(backend):
    en.seed(0)
    model = net(en.Tanh()).to(backend)
    loss = en.CrossEntropy()
    step = capture(lambda x, y: loss(model(x), y))
    for x, y in batches(6):
        assert bits(step(x.numpy(), y.numpy())) == bits(loss(model(x.numpy()), y.numpy()))
    assert step.reason is None
    assert len(step.programs) == 1


def test_raw_arrays_of_a_device(backend):
    en.seed(0)
    model = net(en.Tanh()).to(backend)
    step = capture(lambda x: model(x))
    for x, _ in batches(6):
        array = backend.asarray(x.numpy())
        assert bits(step(array)) == bits(model(array))
    assert step.reason is None


def test_a_replay_checks_sample_weights_again():
    loss = en.MeanSquaredError()

    @capture
    def step(x, y, w):
        return loss(x, y, sample_weight=w)

    x, y = en.tensor([[1.0], [2.0]]), en.tensor([[0.0], [0.0]])
    for _ in range(3):
        assert step(x, y, en.tensor([1.0, 3.0])).item() == 3.25
    with pytest.raises(en.DataError, match="weight"):
        step(x, y, en.tensor([1.0, -3.0]))


# -- many steps in one call ------------------------------------------------------------------------------


def stepping(loss):
    model = en.Sequential(en.Linear(5, 8), en.Dropout(0.2), en.Tanh(), en.Linear(8, 4))
    return training(model, loss, en.Adam(model.parameters(), en.Cosine(0.05, 30)))


def test_steps_over_the_first_axis_are_those_of_a_loop():
    chance = np.random.default_rng(1)
    x, y = chance.standard_normal((20, 6, 5)).astype("float32"), chance.integers(4, size=(20, 6))
    found = []
    for many in (False, True):
        en.seed(0)
        model, optimizer, step = stepping(en.CrossEntropy())
        recorded = capture(step)
        if many:
            losses = recorded.over(en.tensor(x), en.tensor(y))
        else:
            losses = en.stack([step(en.tensor(a), en.tensor(b)) for a, b in zip(x, y, strict=True)])
        assert losses.shape == (20,)
        found.append((losses.tolist(), state_of(model, optimizer)))
    assert found[0] == found[1]


def test_over_goes_on_where_a_recording_cannot():
    reading = capture(lambda x: x * float(x.sum()))
    with pytest.warns(RuntimeWarning, match="a value is read"):
        assert reading.over(en.tensor([[1.0, 1.0], [2.0, 0.5]])).tolist() == [[2.0, 2.0], [5.0, 1.25]]
    several = capture(lambda x, name: {"sum": (x.sum(), name), "x": x * 2})
    answer = several.over(en.tensor([[1.0], [2.0], [3.0]]), "n")
    assert (answer["sum"][0].tolist(), answer["sum"][1]) == ([1.0, 2.0, 3.0], ["n"] * 3)
    assert answer["x"].tolist() == [[2.0], [4.0], [6.0]]


def test_over_stops_at_the_step_that_raises():
    _, optimizer, step = stepping(en.CrossEntropy())
    recorded = capture(step)
    x, y = en.tensor(np.ones((9, 6, 5), "float32")), np.zeros((9, 6), int)
    y[7, 3] = 4
    with pytest.raises(en.DataError, match="label 4 of sample 3"):
        recorded.over(x, en.tensor(y))
    assert optimizer.steps == 7


@pytest.mark.parametrize("given", [(), (1.0,), ("x", 2), "scalar", "differ", "empty"])
def test_over_wants_tensors_of_one_length(given):
    shapes = {"scalar": [()], "differ": [(2, 1), (3, 1)], "empty": [(0, 2)]}
    given = [en.tensor(np.zeros(one)) for one in shapes[given]] if isinstance(given, str) else given
    with pytest.raises(en.ShapeError, match=r"^over: .*; give Tensors of one length"):
        capture(lambda *inputs: inputs[0]).over(*given)
