"""Does a profile tell what a step does? Calls, FLOPs and layers by hand; and does it leave everything as it was?"""

import dataclasses
import functools
import gc
import json
import re
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import backends
import engine as en
from backends.devices import _backends
from backends.kernels.activation import ReLU
from backends.kernels.shape import Fill
from engine.profiling import Profile
from engine.profiling.table import Unit, amount, duration

BATCH, INPUTS, HIDDEN, CLASSES = 8, 6, 5, 3


class Mlp:
    """A 6-5-3 network and a step of it by hand."""

    def __init__(self, device="cpu"):
        self.model = en.Sequential(
            en.Linear(INPUTS, HIDDEN, generator=0), en.ReLU(), en.Linear(HIDDEN, CLASSES, generator=1)
        ).to(device)
        self.optimizer = en.SGD(self.model.parameters(), learning_rate=0.01)
        self.loss = en.CrossEntropy()
        self.steps = 0
        generator = np.random.Generator(np.random.PCG64(3))
        self.x = en.tensor(generator.standard_normal((BATCH, INPUTS)).astype(np.float32), device=device)
        self.y = en.tensor(np.arange(BATCH) % CLASSES, device=device)

    def step(self, x=None, y=None):
        self.steps += 1
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.x if x is None else x), self.y if y is None else y)
        loss.backward()
        self.optimizer.step()
        return loss


@pytest.fixture
def mlp():
    return Mlp()


def by_name(rows):
    return {one.name: one for one in rows}


# -- what is found ------------------------------------------------------------------------------------------


def test_a_step_of_two_layers_by_hand(backend):
    found = en.profile(Mlp(backend.device).step, repeats=3, warmup=2)
    rows = by_name(found.operations)
    assert {name: one.calls for name, one in rows.items()} == {
        "Linear.forward": 2,
        "ReLU.forward": 1,
        "CrossEntropy.forward": 1,
        "Average.forward": 1,
        "Fill.forward": 1,  # the incoming gradient, 1
        "Average.backward": 1,
        "CrossEntropy.backward": 1,
        "Linear.backward": 2,
        "ReLU.backward": 1,
        "Copy.forward": 4,  # two weights' and two biases' gradients into the optimizer's buffer
        "SGD.update": 1,
    }
    forward = 2 * BATCH * INPUTS * HIDDEN + BATCH * HIDDEN + 2 * BATCH * HIDDEN * CLASSES + BATCH * CLASSES
    assert rows["Linear.forward"].flops == forward
    # For the first layer's weight alone, for weight and input of the second, and the two biases.
    backward = 2 * BATCH * INPUTS * HIDDEN + 2 * (2 * BATCH * HIDDEN * CLASSES) + BATCH * (HIDDEN + CLASSES)
    assert rows["Linear.backward"].flops == backward
    assert rows["ReLU.forward"].flops == rows["ReLU.backward"].flops == BATCH * HIDDEN
    assert rows["Copy.forward"].flops == 0
    assert rows["SGD.update"].flops is None
    assert found.flops == forward + backward + 2 * BATCH * HIDDEN
    x, h, z = BATCH * INPUTS, BATCH * HIDDEN, BATCH * CLASSES
    assert rows["Linear.forward"].bytes == 4 * (
        (x + INPUTS * HIDDEN + HIDDEN + h) + (h + HIDDEN * CLASSES + CLASSES + z)
    )
    assert rows["ReLU.backward"].bytes == 4 * 3 * h
    assert [one.name for one in found.operations if one.is_product] == [
        one.name for one in found.operations if one.name.startswith("Linear")
    ]
    assert found.devices == (backend.device,)


def test_layers_losses_and_optimizers(mlp):
    found = en.profile(mlp.step, repeats=3)
    assert [(one.name, one.kind, one.calls) for one in found.parts] == [
        ("0", "Linear", 1),
        ("1", "ReLU", 1),
        ("2", "Linear", 1),
        ("loss", "", 0),
        ("optimizer", "", 0),
    ]
    parts = by_name(found.parts)
    products = (
        4 * BATCH * INPUTS * HIDDEN + 2 * BATCH * HIDDEN,
        6 * BATCH * HIDDEN * CLASSES + 2 * BATCH * CLASSES,
    )
    assert (parts["0"].flops, parts["2"].flops) == products
    assert parts["1"].flops == 2 * BATCH * HIDDEN
    assert all(one.forward_seconds > 0 and one.backward_seconds > 0 for one in found.parts[:4])
    assert parts["optimizer"].backward_seconds == 0
    assert parts["optimizer"].seconds == by_name(found.operations)["SGD.update"].seconds


def test_times_add_up(mlp):
    found = en.profile(mlp.step, repeats=5)
    assert 0 < found.kernel_seconds <= found.seconds
    assert found.kernel_seconds == pytest.approx(sum(one.seconds for one in found.parts))
    assert found.kernel_seconds + found.python_seconds == pytest.approx(found.seconds)
    assert 0 < found.product_share < 1
    assert found.product_share == pytest.approx(found.product_seconds / found.seconds)
    assert found.flops_per_second == pytest.approx(found.flops / found.seconds)
    assert found.alone_seconds <= found.seconds
    assert found.recorded_seconds is None


def test_a_slow_kernel_and_slow_python_are_told_apart(mlp, monkeypatch):
    backend = backends.get("cpu")
    computed = backend.kernel(ReLU.forward)

    def slow(*inputs, **options):
        time.sleep(0.004)
        computed(*inputs, **options)

    monkeypatch.setitem(backend.overrides, ReLU.forward, slow)

    def step():
        time.sleep(0.006)
        return mlp.step()

    found = en.profile(step, repeats=3)
    assert found.operations[0].name == "ReLU.forward"
    assert found.operations[0].seconds >= 0.004
    assert found.python_seconds >= 0.0055
    assert by_name(found.parts)["1"].forward_seconds == found.operations[0].seconds


def test_allocated_bytes(mlp):
    def step():
        backend = backends.get("cpu")
        backend.empty((10, 2), "float32")
        backend.zeros((3,), "float64")
        backend.copy(np.zeros(4, np.int64))

    found = en.profile(step, repeats=1)
    assert (found.allocated_bytes, found.allocated_arrays) == (80 + 24 + 32, 3)
    assert found.operations == found.parts == ()
    assert "no operation of the engine ran" in str(found)


def test_the_step_runs_as_often_as_is_said(mlp):
    en.profile(mlp.step, repeats=4, warmup=3)
    assert mlp.steps == 3 + 2 * 4 + 3
    weights = mlp.model[0].weight.numpy()
    en.profile(mlp.step, repeats=1, warmup=0)
    assert (mlp.model[0].weight.numpy() != weights).any()


def test_a_forward_pass_alone(mlp):
    with en.no_grad():
        found = en.profile(mlp.model, mlp.x, repeats=2)
    assert found.step == "Sequential"
    assert {one.name for one in found.operations} == {"Linear.forward", "ReLU.forward"}
    assert all(one.backward_seconds == 0 for one in found.parts)


def test_names_of_steps(mlp):
    assert en.profile(functools.partial(mlp.step, mlp.x, y=mlp.y), repeats=1).step == "step"
    assert en.profile(mlp.step, mlp.x, mlp.y, repeats=1).step == "step"
    assert en.profile(mlp.model[0], mlp.x, repeats=1).parts[0].name == "(model)"


class Doubled(en.Linear):
    def forward(self, x):
        return super().forward(x) * 2


class Hidden(en.Layer):
    """A layer in a list is not known to the layer that calls it."""

    def __init__(self):
        super().__init__()
        self.inner, self.unknown = Doubled(4, 4, generator=0), [en.ReLU()]

    def forward(self, x):
        return self.unknown[0](self.inner(self.inner(x))) + x


def test_layers_of_ones_own():
    model, x = Hidden(), en.tensor(np.ones((2, 4), np.float32))
    parts = by_name(en.profile(model, x, repeats=2).parts)
    assert {(one.name, one.kind, one.calls) for one in parts.values()} == {
        ("inner", "Doubled", 2),
        ("ReLU", "ReLU", 1),
        ("(model)", "Hidden", 1),
    }
    assert parts["inner"].flops == 2 * (2 * 2 * 4 * 4 + 2 * 4 + 2 * 4)
    assert parts["(model)"].flops == 2 * 4


def test_gradients_that_meet_belong_to_the_layer_whose_output_they_are_of():
    inner = en.Residual(en.Tanh())
    model, x = en.Sequential(en.Linear(4, 4, generator=0), inner), en.tensor(np.ones((2, 4), np.float32))
    found = en.profile(lambda: model(x).sum().backward(), repeats=1)
    parts, rows = by_name(found.parts), by_name(found.operations)
    assert rows["Accumulate.forward"].calls == 1
    gradients = rows["Linear.backward"], rows["Accumulate.forward"], rows["Add.forward"]
    assert parts["0"].backward_seconds < sum(one.seconds for one in gradients)  # the residual's sum is an Add, too
    assert parts["0"].backward_seconds > gradients[0].seconds + gradients[1].seconds
    x.requires_grad = True
    found = en.profile(lambda: x[:1, :1].sum().backward() or x[0, 0].backward(), repeats=1)
    assert [one.name for one in found.parts] == ["other operations"]


def test_several_models():
    first, second = (en.Sequential(en.Linear(4, 4, generator=seed), en.ReLU()) for seed in (0, 1))
    alone, x = en.Tanh(), en.tensor(np.ones((2, 4), np.float32))
    names = [one.name for one in en.profile(lambda: alone(second(first(x))), repeats=1).parts]
    assert names == ["Sequential 1: 0", "Sequential 1: 1", "Sequential 2: 0", "Sequential 2: 1", "Tanh"]


class Cube(en.Operation):
    def forward(self, x):
        return x**3, x

    def backward(self, saved, incoming_gradient, needed):
        return (3 * saved**2 * incoming_gradient,)


def test_operations_of_ones_own():
    x = en.tensor(np.ones((2, 4), np.float32), requires_grad=True)
    found = en.profile(lambda: en.apply(Cube(), x).sum().backward(), repeats=2)
    rows = by_name(found.operations)
    assert rows["Cube.forward"].calls == rows["Cube.backward"].calls == 1
    assert rows["Cube.forward"].bytes == 2 * 32  # x and y
    assert rows["Cube.backward"].bytes == 3 * 32  # incoming gradient, saved, gradient
    assert rows["Cube.forward"].flops is None
    assert [one.name for one in found.parts] == ["other operations"]
    assert found.parts[0].backward_seconds > 0


def test_an_optimizer_of_ones_own(mlp):
    class Plain(en.optimizers.Optimizer):
        def update(self, xp, w, g, *, work, learning_rate):
            xp.multiply(g, learning_rate, out=work[0])
            xp.subtract(w, work[0], out=w)

    mlp.optimizer = Plain(mlp.model.parameters())
    found = en.profile(mlp.step, repeats=2)
    assert by_name(found.operations)["Plain.update"].calls == 1
    mlp.optimizer, gone = None, weakref.ref(mlp.optimizer)
    gc.collect()
    assert gone() is None  # nothing is kept


def test_a_product_of_stacks():
    a, b = (en.tensor(np.ones(shape, np.float32), requires_grad=True) for shape in ((7, 2, 3), (7, 3, 5)))
    rows = by_name(en.profile(lambda: (a @ b).sum().backward(), repeats=1).operations)
    assert rows["MatrixProduct.forward"].flops == 7 * 2 * 2 * 3 * 5
    assert rows["MatrixProduct.backward"].flops == 2 * 7 * 2 * 2 * 3 * 5


@pytest.mark.parametrize(
    ("layer", "forward", "backward"),
    [
        (en.Tanh, 1, 1),
        (en.Softmax, 5, 4),
        (lambda: en.BatchNorm(6), 7, 7),
        (lambda: en.LayerNorm(6), 7, 11),
        (lambda: en.LayerNorm(6, affine=False), 5, 7),
        (lambda: en.Dropout(0.5, generator=0), 2, 2),
    ],
)
def test_flops_are_those_of_the_summary(layer, forward, backward):
    made, x = layer(), en.tensor(np.ones((4, 6), np.float32), requires_grad=True)
    found = en.profile(lambda: made(x).backward(en.tensor(np.ones((4, 6), np.float32))), repeats=1)
    name = type(made).__name__
    rows = by_name(found.operations)
    assert rows[f"{name}.forward"].flops == forward * 24
    assert rows[f"{name}.backward"].flops == backward * 24


def test_batches_penalties_metrics_and_averages(mlp):
    data = en.data.batches((mlp.x.numpy(), mlp.y.numpy()), batch_size=4)
    metric, average = en.metrics.get("accuracy"), en.ExponentialMovingAverage(mlp.model.parameters(), 0.9)
    average.update()
    penalty = en.L2(0.1)

    def step():
        for x, y in data:
            output = mlp.model(x)
            mlp.optimizer.zero_grad()
            mlp.loss(output, y).backward()
            penalty(mlp.model).backward()
            mlp.optimizer.clip_norm(1.0)
            mlp.optimizer.step()
            metric.update(output, y)
            average.update()

    found = en.profile(step, repeats=2)
    assert [one.name for one in found.parts] == [
        *("0", "1", "2", "loss", "penalty", "optimizer", "batch", "metrics", "weight average")
    ]
    parts, rows = by_name(found.parts), by_name(found.operations)
    assert parts["0"].calls == 2
    assert rows["gather of rows"].calls == 4
    assert rows["gather of rows"].bytes == 2 * (mlp.x.array.nbytes + mlp.y.array.nbytes)  # read and written
    assert rows["Accuracy.update"].calls == 2
    assert parts["penalty"].forward_seconds > 0
    assert parts["penalty"].backward_seconds > 0
    assert parts["weight average"].seconds == rows["move_average"].seconds
    clipping = sum(rows[name].seconds for name in ("squared_norm", "scale_by_norm", "SGD.update"))
    assert parts["optimizer"].seconds == pytest.approx(clipping)


# -- captured functions, other threads, errors ------------------------------------------------------------------


def test_a_captured_step_is_profiled_by_its_function(mlp):
    eager = en.profile(mlp.step, mlp.x, mlp.y, repeats=2)
    step = en.capture(mlp.step)
    found = en.profile(step, mlp.x, mlp.y, repeats=2)
    assert [(one.name, one.calls, one.flops) for one in sorted(found.operations, key=lambda one: one.name)] == [
        (one.name, one.calls, one.flops) for one in sorted(eager.operations, key=lambda one: one.name)
    ]
    assert found.step == "step"
    assert found.recorded_seconds > 0
    assert "by en.capture" in str(found)
    assert re.match(r"step: [\d.]+ [um]s eagerly on cpu, ", str(found))
    assert step.reason is None
    assert len(step.programs) == 1
    before = mlp.model[0].weight.numpy()
    step(mlp.x, mlp.y)  # what was recorded computes as ever
    assert (mlp.model[0].weight.numpy() != before).any()
    assert not any(".timed" in repr(call) for program in step.programs for call in program.calls)


def test_a_captured_function_that_runs_eagerly_has_no_recorded_time(mlp):
    @en.capture
    def step(x):
        return mlp.model(x).sum().item()

    with pytest.warns(RuntimeWarning, match="runs eagerly"):
        found = en.profile(lambda: step(mlp.x), repeats=1)
    assert found.recorded_seconds is None
    assert by_name(found.operations)["Linear.forward"].calls == 2


def test_profiling_within_a_recording_is_refused(mlp):
    step = en.capture(lambda x: (en.profile(mlp.model, x, repeats=1), mlp.model(x))[1])
    with pytest.raises(en.ArgumentError, match="is being recorded; profile it from outside"):
        step(mlp.x)


def test_other_threads_are_not_heard(mlp):
    other, stop, rounds = Mlp(), threading.Event(), []

    def work():
        while not stop.is_set():
            (other.model(other.x).tanh() @ other.model(other.x).T).sum().backward()
            rounds.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        found = en.profile(mlp.step, repeats=5)
    finally:
        stop.set()
        thread.join()
    assert rounds
    rows = by_name(found.operations)
    assert "MatrixProduct.forward" not in rows
    assert "Tanh.forward" not in rows
    assert rows["Linear.forward"].calls == 2
    assert [one.calls for one in found.parts if one.kind] == [1, 1, 1]


def engine_as_it_is():
    """Every attribute of every class and module of the engine, and of the backends in use."""
    found = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("engine", "backends"):
            found |= {(name, key): value for key, value in vars(module).items() if key != "__warningregistry__"}
            for kind in vars(module).values():
                if isinstance(kind, type) and kind.__module__ == name:
                    found |= {(kind, key): value for key, value in vars(kind).items() if not key.startswith("_abc_")}
    return found | {(one.device, key): value for one in _backends.values() for key, value in vars(one).items()}


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_everything_is_put_back_after_an_error(mlp, error):
    en.profile(mlp.step, repeats=1)
    calls, before = [], engine_as_it_is()

    def step():
        mlp.step()
        calls.append(1)
        if len(calls) == 9:  # 5 to warm up, 2 alone, 2 watched
            assert "kernel" in vars(backends.get("cpu"))
            raise error

    with pytest.raises(error):
        en.profile(step, repeats=3, warmup=5)
    after = engine_as_it_is()
    assert before.keys() == after.keys()
    counters = {key for key in before if before[key] is not after[key]}
    assert {key[1] for key in counters} <= {"latest"}  # the time stamp of changes in place goes on
    assert en.profile(mlp.step, repeats=1).operations


def test_a_kernel_that_was_kept_works_on(mlp):
    kept = []

    def step():
        backend = backends.get("cpu")
        kept.append(backend.kernel(Fill.forward))

    en.profile(step, repeats=1)
    for function in kept:
        y = np.zeros(2)
        function(np, y=y, value=3)
        assert y.tolist() == [3, 3]


def test_a_device_is_waited_for(mlp, monkeypatch):
    """A device that computes while Python goes on: what a kernel takes is seen when it is waited for."""
    backend, waits = backends.get("cpu"), []
    monkeypatch.setattr(type(backend), "synchronize", lambda self: waits.append(self.device))
    found = en.profile(mlp.step, repeats=2, warmup=0)
    kernels = sum(one.calls for one in found.operations)
    assert waits.count("cpu") == 3 * 2 * kernels + 2 + 2  # around each kernel of three steps; after each of four others


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"step": 3}, "profile: step 3 was given; it is a function or a layer."),
        ({"repeats": 0}, "profile: repeats 0 was given; it is a whole number, 1 or above."),
        ({"repeats": 2.5}, "profile: repeats 2.5 was given; it is a whole number, 1 or above."),
        ({"repeats": True}, "profile: repeats True was given; it is a whole number, 1 or above."),
        ({"warmup": -1}, "profile: warmup -1 was given; it is a whole number, 0 or above."),
    ],
)
def test_what_cannot_be_profiled(given, words):
    step = given.pop("step", print)
    with pytest.raises(en.ArgumentError) as error:
        en.profile(step, **given)
    assert str(error.value) == words


# -- how it looks -----------------------------------------------------------------------------------------------


def test_the_table(mlp):
    found = en.profile(mlp.step, repeats=3)
    lines = str(found).splitlines()
    assert repr(found) == str(found)
    assert re.fullmatch(r"step: [\d.]+ [um]s on cpu, median of 3", lines[0])
    assert lines[2].split()[:4] == ["operation", "in", "calls", "total"]
    assert max(map(len, lines)) <= 100
    tables = "\n".join(lines).split("\n\n")[1:3]
    for table in tables:
        head, rule, *rows = table.splitlines()
        assert set(rule) == {"-"}
        assert len(rule) >= max(map(len, (head, *rows)))
    operations = tables[0].splitlines()
    assert len(operations) == 2 + len(found.operations) + 1 + 3
    ends = {line.rstrip()[-6:] for line in operations[-1:]}
    assert ends == {"100.0%"}
    column = operations[0].index("GFLOP/s") + len("GFLOP/s")
    assert all(len(row) == column for row in operations[2 : 2 + len(found.operations)])
    for fact in ("matrix products", "known work", "allocated"):
        assert any(line.startswith(fact) for line in lines)


def test_what_takes_longer_when_it_is_watched(mlp):
    found = en.profile(mlp.step, repeats=1)
    assert "unwatched" not in str(dataclasses.replace(found, alone_seconds=found.seconds))
    text = str(dataclasses.replace(found, alone_seconds=found.seconds / 2))
    assert f"unwatched         {duration(found.seconds / 2)} a step where nobody waits for each operation" in text


def test_long_names_are_shortened():
    kind = type("A" * 80, (en.ReLU,), {})
    text = str(en.profile(kind(), en.tensor([1.0]), repeats=1))
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("A~A") == 2  # the step and the class; the operation is ReLU.forward


def test_units():
    assert [duration(one) for one in (2.5, 0.25, 25e-6, 1e-9, 0.0)] == [
        *("2.500 s", "250.0 ms", "25.00 us", "0.001 us", "0 us")
    ]
    assert [amount(one, "B") for one in (0, 999, 12_345, 5e9)] == ["0 B", "999 B", "12.35 kB", "5.000 GB"]
    unit = Unit((("m", 1e3), ("u", 1e6)), [0.0123, None])
    assert (unit.name, unit.show(0.0123), unit.show(0.001), unit.show(None)) == ("m", "12.30", "1.00", "-")


def test_as_plain_data(mlp):
    found = en.profile(mlp.step, repeats=2)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["seconds"] == found.seconds
    assert told["devices"] == ["cpu"]
    assert [one["name"] for one in told["operations"]] == [one.name for one in found.operations]
    assert {"forward_seconds", "backward_seconds", "flops", "kind"} <= told["parts"][0].keys()
    assert told["product_share"] == found.product_share


def test_the_picture(mlp, tmp_path):
    pytest.importorskip("matplotlib")
    found = en.profile(mlp.step, repeats=2)
    figure = found.plot(tmp_path / "profile.png")
    assert (tmp_path / "profile.png").read_bytes()[:4] == b"\x89PNG"
    left, right = figure.axes
    assert [axes.get_title(loc="left") for axes in (left, right)] == ["By operation", "By layer"]
    labels = [[text.get_text() for text in axes.get_yticklabels()] for axes in (left, right)]
    assert labels[0] == [*(one.name for one in found.operations), "Python and the rest"]
    assert labels[1] == ["0 Linear", "1 ReLU", "2 Linear", "loss", "optimizer", "Python and the rest"]
    unit = {"time of a step (us)": 1e6, "time of a step (ms)": 1e3}[left.get_xlabel()]
    assert figure.get_suptitle().startswith("step: ")
    lengths = [patch.get_width() for patch in left.patches]
    assert sum(lengths) == pytest.approx(found.seconds * unit)
    assert sum(patch.get_width() for patch in right.patches) == pytest.approx(found.seconds * unit)
    assert found.plot(title="mine").get_suptitle() == f"mine: {duration(found.seconds)} on cpu"
    with pytest.raises(en.ArgumentError, match=r"allowed are \.png, \.svg and \.pdf"):
        found.plot(tmp_path / "profile.bmp")


def test_pictures_of_much_and_of_nothing():
    pytest.importorskip("matplotlib")
    model = en.Sequential(*(layer for seed in range(12) for layer in (en.Linear(4, 4, generator=seed), en.ReLU())))
    found = en.profile(model, en.tensor(np.ones((2, 4), np.float32)), repeats=1)
    right = found.plot().axes[1]
    labels = [text.get_text() for text in right.get_yticklabels()]
    assert len(labels) == 15 + 1
    assert labels[-2:] == ["10 others", "Python and the rest"]
    unit = {"time of a step (us)": 1e6, "time of a step (ms)": 1e3}[right.get_xlabel()]
    assert sum(patch.get_width() for patch in right.patches) == pytest.approx(found.seconds * unit)
    assert isinstance(en.profile(lambda: None, repeats=1), Profile)
    en.profile(lambda: None, repeats=1).plot()


# -- engine profile -----------------------------------------------------------------------------------------------

SMALL = ("--inputs", "4", "--outputs", "3", "--hidden", "5,5", "--batch-size", "8", "--repeats", "2")


def test_the_command(engine, here):
    code, printed, said = engine("profile", *SMALL, "--device", "cpu")
    assert (code, said) == (0, "")
    lines = printed.splitlines()
    assert lines[:4] == [
        "data    random samples",
        "model   4-5-5-3, relu (73 parameters)",
        "train   cross-entropy, adam, batch size 8",
        "device  cpu",
    ]
    assert lines[5].startswith("training step: ")
    for word in ("Linear.backward", "Adam.update", "optimizer", "metrics", "\nbatch ", "by en.capture"):
        assert word in printed
    assert "other operations" not in printed
    assert list(here.iterdir()) == []


def test_the_command_as_json_with_a_picture(engine, here):
    pytest.importorskip("matplotlib")
    code, printed, said = engine("profile", *SMALL, "--json", "--plot", "step.png", "--optimizer", "sgd", "--l2", "0.1")
    assert (code, said) == (0, "")
    told = json.loads(printed)
    assert told["model"] == "4-5-5-3, relu"
    assert (told["batch_size"], told["repeats"], told["step"], told["optimizer"]) == (8, 2, "training step", "sgd")
    calls = {one["name"]: one["calls"] for one in told["operations"]}
    assert (calls["Linear.forward"], calls["ReLU.backward"], calls["SGD.update"]) == (3, 2, 1)
    assert "penalty" in {one["name"] for one in told["parts"]}
    assert (here / "step.png").read_bytes()[:4] == b"\x89PNG"


def test_a_step_that_is_measured_once_is_recorded_before(engine, here):
    code, printed, said = engine("profile", *SMALL[:-2], "--repeats", "1", "--json")
    assert (code, said) == (0, "")
    assert json.loads(printed)["recorded_seconds"] < json.loads(printed)["alone_seconds"]


@pytest.mark.parametrize(
    "loss", ["hinge", "logistic", "binary-cross-entropy", "mean-squared-error", "huber", "cross-entropy"]
)
def test_every_kind_of_loss(engine, here, loss):
    code, printed, said = engine("profile", *SMALL, "--loss", loss, "--batch-norm", "--dropout", "0.1", "--json")
    assert (code, said) == (0, "")
    assert {"BatchNorm", "Dropout"} <= {one["kind"] for one in json.loads(printed)["parts"]}


def test_the_command_on_a_run_and_on_data(engine, here):
    line = ("--data", "xor", "--samples", "60", "--hidden", "4", "--epochs", "1", "--accumulate", "2", "--ema", "0.9")
    assert engine("train", *line, "--batch-size", "10", "--quiet", "--output", "run")[0] == 0
    before = sorted(here.rglob("*"))
    code, printed, said = engine("profile", "run", "--repeats", "1", "--json")
    assert (code, said) == (0, "")
    told = json.loads(printed)
    assert (told["model"], told["batch_size"]) == ("2-4-1, relu", 10)
    calls = {one["name"]: one["calls"] for one in told["operations"]}
    assert calls["Linear.forward"] == 4  # two batches a step
    assert calls["move_average"] == 4
    assert calls["Adam.update"] == 1
    assert json.loads(engine("profile", "run", "--batch-size", "7", "--repeats", "1", "--json")[1])["batch_size"] == 7
    assert (
        json.loads(engine("profile", "run", "--batch-size", "all", "--repeats", "1", "--json")[1])["batch_size"] == 48
    )
    assert sorted(here.rglob("*")) == before
    code, printed, _ = engine("profile", "--data", "xor", "--repeats", "1")
    assert code == 0
    assert "data    xor\nmodel   2-32-32-1, relu" in printed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ((), "inputs and outputs are not known. Give a run folder, --data, or --inputs and --outputs."),
        ((*SMALL, "--repeats", "0"), "--repeats: '0' was given; allowed are whole numbers from 1."),
        ((*SMALL, "--plot", "x.bmp"), "picture 'x.bmp' ends in .bmp; allowed are .png, .svg and .pdf."),
        ((*SMALL, "--batch-size", "all"), "--batch-size: 'all' was given without --data. Give a number."),
        (("--data", "xor", "--inputs", "3"), "--inputs: it follows from the samples of xor."),
        (("--data", "sines", "--loss", "hinge"), "loss hinge: it needs classes"),
        (("--inputs", "2", "--outputs", "1", "--loss", "hinge"), "loss hinge needs an output for each class"),
        ((*SMALL, "--optimizer", "lbfgs", "--clip-norm", "1"), "--clip-norm: LBFGS does not clip. Leave it out."),
        ((*SMALL, "--epochs", "3"), "option --epochs is unknown"),
        (("nowhere",), "run 'nowhere' does not exist"),
    ],
)
def test_wrong_lines(engine, here, line, words):
    code, printed, said = engine("profile", *line)
    assert (code, printed) == (2, "")
    assert said.startswith("engine profile: ")
    assert words in said
    assert len(said.splitlines()) == 1


def test_a_run_has_its_own_model(engine, here):
    line = ("--data", "xor", "--samples", "60", "--hidden", "4", "--epochs", "1", "--quiet", "--output", "run")
    assert engine("train", *line)[0] == 0
    for option in (("--hidden", "5"), ("--optimizer", "sgd"), ("--l2", "0.1")):
        code, _, said = engine("profile", "run", *option)
        assert (code, said) == (
            2,
            f"engine profile: {option[0]}: the model is that of run. Leave one of them out.\n",
        )
    text = (here / "run" / "config.toml").read_text().replace('name = "adam"', 'name = "adams"')
    (here / "run" / "config.toml").write_text(text)
    code, _, said = engine("profile", "run")
    assert code == 2
    assert "config.toml" in said
