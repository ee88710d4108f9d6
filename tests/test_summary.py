"""Are shapes, parameters, FLOPs and bytes those that one counts by hand, and does counting leave the model alone?"""

import json
import tracemalloc

import numpy as np
import pytest

import engine as en
from engine.errors import ArgumentError, DtypeError, ShapeError
from engine.layers.activation import Activation
from engine.model_summary import summary
from engine.work import Call, work


def test_a_64_128_10_net_by_hand():
    model = en.Sequential(en.Linear(64, 128), en.ReLU(), en.Linear(128, 10))
    report = summary(model, (64,), batch_size=32)
    assert [(row.name, row.kind, row.output_shape) for row in report.rows] == [
        ("0", "Linear", ("batch", 128)),
        ("1", "ReLU", ("batch", 128)),
        ("2", "Linear", ("batch", 10)),
    ]
    assert [row.parameters for row in report.rows] == [64 * 128 + 128, 0, 128 * 10 + 10]
    first = 2 * 32 * 64 * 128
    last = 2 * 32 * 128 * 10
    assert [row.forward_flops for row in report.rows] == [first + 32 * 128, 32 * 128, last + 32 * 10]
    # The first layer has the gradient of its weight only, the last that of its input, too.
    assert [row.backward_flops for row in report.rows] == [first + 32 * 128, 32 * 128, 2 * last + 32 * 10]
    assert [row.activation_bytes for row in report.rows] == [4 * 32 * 128, 4 * 32 * 128, 4 * 32 * 10]
    assert (report.parameters, report.frozen) == (9610, 0)
    assert report.forward_flops == first + last + 2 * 32 * 128 + 32 * 10
    assert report.backward_flops == first + 2 * last + 2 * 32 * 128 + 32 * 10
    assert report.activation_bytes == 4 * 32 * (128 + 128 + 10)
    assert (report.parameter_bytes, report.gradient_bytes) == (4 * 9610, 4 * 9610)
    assert report.optimizer_bytes == {"SGD": 0, "SGD with momentum": 4 * 9610, "Adam": 8 * 9610}
    assert report.peak_activation_bytes == 4 * 32 * (64 + 128 + 128 + 10 + 2 * 128)
    assert report.complete


def test_float64_doubles_the_bytes_and_nothing_else():
    model = en.Sequential(en.Linear(6, 4), en.Dropout(0.5), en.Tanh())
    single, double = summary(model, 6, 3), summary(model.to(dtype="float64"), 6, 3)
    assert (double.forward_flops, double.parameters, double.dtype) == (
        single.forward_flops,
        single.parameters,
        "float64",
    )
    assert double.parameter_bytes == 2 * single.parameter_bytes
    assert [row.activation_bytes for row in single.rows] == [48, 48 + 12, 48]
    assert [row.activation_bytes for row in double.rows] == [96, 96 + 12, 96]


def test_frozen_parameters_get_no_gradient():
    model = en.Sequential(en.Linear(8, 8), en.Tanh(), en.Linear(8, 4))
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    report = summary(model, 8)
    assert [row.backward_flops for row in report.rows] == [0, 0, 2 * 8 * 4 + 4]
    assert (report.frozen, report.rows[0].frozen, report.rows[2].frozen) == (72, 72, 0)
    assert report.gradient_bytes == 4 * 36
    assert "frozen" in str(report)
    model[2].weight.requires_grad_(False)
    assert summary(model, 8).rows[2].backward_flops == 4
    model[2].bias.requires_grad_(False)
    assert summary(model, 8).backward_flops == 0


@pytest.mark.parametrize(
    ("layer", "expected"),
    [  # for 5 samples of 6 features, float32, the input with a gradient: forward, backward, bytes
        (en.Linear(6, 6, bias=False), (5 * 72, 5 * 144, 120)),
        (en.Maxout(6, 3, pieces=4), (5 * (144 + 12 + 12), 5 * (288 + 12 + 12), 4 * 5 * (12 + 3))),
        (en.GELU(), (30, 30, 120)),
        (en.LeakyReLU(0.1), (30, 30, 120)),
        (en.Softmax(), (150, 120, 120)),
        (en.BatchNorm(6), (210, 210, 240)),
        (en.BatchNorm(6, affine=False), (150, 210, 240)),
        (en.LayerNorm(6), (210, 330, 240)),
        (en.LayerNorm(6, affine=False), (150, 210, 240)),
        (en.Dropout(0.5), (60, 60, 150)),
        (en.Dropout(0.0), (0, 0, 0)),
        (en.Flatten(), (0, 0, 0)),
    ],
    ids=repr,
)
def test_the_rules_by_hand(layer, expected):
    model = en.Sequential(en.Linear(6, 6), layer)
    row = summary(model, 6, batch_size=5).rows[1]
    assert (row.forward_flops, row.backward_flops, row.activation_bytes) == expected


def test_normalising_the_input_needs_no_gradient_of_it():
    assert summary(en.BatchNorm(6), 6, 5).backward_flops == 3 * 30
    assert summary(en.LayerNorm(6), 6, 5).backward_flops == 3 * 30
    assert summary(en.BatchNorm(6, affine=False), 6, 5).backward_flops == 0


@pytest.mark.parametrize(
    ("container", "own"),
    [
        (en.Residual, (30, 30, 120)),
        (lambda branch: en.StochasticDepth(branch, drop=0.25), (90, 90, 125)),
        (lambda branch: en.StochasticDepth(branch, drop=0.0), (30, 30, 120)),
    ],
)
def test_branches_have_rows_and_the_addition_has_its_own(container, own):
    report = summary(en.Sequential(en.Linear(6, 6), container(en.Sequential(en.Linear(6, 6), en.ReLU()))), 6, 5)
    assert [row.name for row in report.rows] == ["0", "1.branch.0", "1.branch.1", "1"]
    last = report.rows[-1]
    assert (last.forward_flops, last.backward_flops, last.activation_bytes) == own
    assert (last.parameters, report.parameters) == (0, 84)


def test_a_layer_used_twice_has_two_rows_and_one_set_of_parameters():
    inner = en.Linear(4, 4)
    report = summary(en.Sequential(inner, en.ReLU(), inner), 4)
    assert [(row.kind, row.parameters) for row in report.rows] == [("Linear", 20), ("ReLU", 0), ("Linear", 0)]
    assert [row.backward_flops for row in report.rows] == [36, 4, 68]
    assert report.parameters == 20


def test_a_weight_that_two_layers_share_is_counted_once():
    first, second = en.Linear(4, 4, bias=False), en.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert [row.parameters for row in summary(en.Sequential(first, second), 4).rows] == [16, 0]


class Gate(en.Layer):
    def __init__(self, n):
        super().__init__()
        self.inner = en.Linear(n, n)
        self.scale = en.Parameter(np.ones(n, np.float32))

    def forward(self, x):
        return x * self.inner(x).sigmoid() * self.scale


class Chain(en.Layer):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.spare = en.Linear(3, 4), en.Linear(4, 2), en.Linear(2, 2)

    def forward(self, x):
        return self.second(self.first(x))


class Twins(en.Layer):
    def forward(self, x):
        return {"both": [x.exp(), x.reshape(-1)]}


class Doubled(en.Linear):
    def forward(self, x):
        return super().forward(x) * 2


class Cube(Activation):
    def forward(self, x):
        return x * x * x


del Activation.members["cube"]


def test_a_users_own_layer_counts_its_layers_and_says_what_it_does_not_know():
    report = summary(en.Sequential(Gate(8), en.Linear(8, 2)), 8, 3)
    assert [(row.name, row.parameters, row.forward_flops) for row in report.rows] == [
        ("0.inner", 72, 3 * (128 + 8)),
        ("0", 8, None),
        ("1", 18, 3 * (32 + 2)),
    ]
    assert not report.complete
    assert report.forward_flops == 3 * (136 + 34)
    assert report.to_dict()["rows"][1]["backward_flops"] is None
    text = str(report).splitlines()
    assert text[3].split()[-3:] == ["?", "?", "96"]
    assert ">= 510" in text[6]


def test_a_users_own_chain_of_layers_is_known_as_a_whole():
    report = summary(Chain(), 3)
    assert report.complete
    assert [row.name for row in report.rows] == ["first", "second"]
    assert report.not_called == ("spare",)
    assert report.parameters == 16 + 10 + 6
    assert "spare" in str(report)


def test_odd_layers():
    row = summary(en.Sequential(Twins()), (2, 3), 5).rows[0]
    assert row.output_shape == (("batch", 2, 3), ("6 batch",))
    assert (row.forward_flops, row.backward_flops, row.activation_bytes) == (None, None, 4 * 5 * 12)
    assert summary(Doubled(2, 2), 2).rows[0].forward_flops is None
    assert summary(Cube(), 2, 3).rows[0].forward_flops == 6
    (row,) = summary(en.Sequential(), 3).rows  # it returns what it is given
    assert (row.forward_flops, row.backward_flops, row.activation_bytes) == (0, 0, 0)
    assert "total" in str(summary(en.Sequential(), 3))
    assert summary(en.Linear(3, 2), (5, 3)).rows[0].output_shape == ("batch", 5, 2)
    assert summary(en.ReLU(), (), batch_size=4).rows[0].forward_flops == 4
    assert work(en.Sequential(), Call(1, 1, 4, False)) is None


def test_the_model_stays_as_it_was(backend):
    model = en.Sequential(en.Linear(4, 4), en.BatchNorm(4), en.Dropout(0.5), en.StochasticDepth(en.Linear(4, 4)))
    model.to(backend)
    model.train()
    model[1].eval()
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    forward_of_its_own = model[0].forward
    object.__setattr__(model[0], "forward", forward_of_its_own)  # another tool's, to be put back
    with en.no_grad():
        summary(model, 4)
    assert model[0].__dict__["forward"] is forward_of_its_own
    del model[0].__dict__["forward"]
    with pytest.raises(ShapeError):
        summary(model, 5)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert [layer.training for _, layer in model.named_layers()] == [True, True, False, True, True, True]
    assert (model[2].drawn, model[3].drawn) == (0, 0)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all("forward" not in vars(layer) for _, layer in model.named_layers())
    assert model.device == backend.device


def test_bad_input_is_answered():
    model = en.Sequential(en.Linear(64, 8), en.Sequential(en.ReLU(), en.Linear(9, 2)))
    with pytest.raises(ShapeError, match=r"summary: layer '0' \(Linear\).*of shape \(63,\).*must be 64"):
        summary(model, (63,))
    with pytest.raises(ShapeError, match=r"layer '1\.1' \(Linear\)"):
        summary(model, 64)
    with pytest.raises(ShapeError, match="summary: Linear, on 7 samples"):
        summary(en.Linear(3, 2), 4)
    with pytest.raises(DtypeError, match="layer '0'"):
        summary(model, 64, dtype="float64")
    for shape in ((None, 64), "64", (0,), True, 6.4, (True,)):
        with pytest.raises(ArgumentError, match="without the batch"):
            summary(model, shape)
    for size in (0, 1.5, True):
        with pytest.raises(ArgumentError, match="batch_size"):
            summary(model, 64, size)
    with pytest.raises(ArgumentError, match="give a layer"):
        summary(en.Linear, 64)


def test_an_error_that_is_not_the_engines_passes_unchanged():
    class Broken(en.Layer):
        def forward(self, x):
            raise KeyError("mine")

    model = en.Sequential(Broken())
    with pytest.raises(KeyError, match="mine"):
        summary(model, 3)
    assert "forward" not in vars(model[0])


def test_the_table_is_aligned_and_fits():
    deep = en.Sequential(en.Linear(3, 2), en.Tanh())
    for _ in range(8):
        deep = en.Sequential(deep, en.BatchNorm(2))
    deep[1].weight.requires_grad_(False)
    wide = en.Sequential(*[layer for _ in range(3) for layer in (en.Linear(1500, 1500), en.ReLU())])
    for model, shape, batch in ((deep, 3, 10**12), (wide, 1500, 1024), (en.Sequential(Gate(1500)), 1500, 10**9)):
        report = summary(model, shape, batch)
        lines = str(report).splitlines()
        assert max(map(len, lines)) <= 100
        assert len({len(line) for line in lines[: len(report.rows) + 4]}) == 1
        assert repr(report) == str(report)
    text = str(summary(deep, 3, 10**12))
    assert [line.split("  ")[0] for line in text.splitlines()[2:4]] == ["0.0.~0.0.0", "0.0.~0.0.1"]
    assert "(batch, 2)  " in text
    assert "14.00 T" in text  # 2 features and 7 FLOPs for 10^12 samples
    assert "4,609,536,000" in str(summary(wide, 1500, 1024))  # 2 1024 1500^2 and 1024 1500 for the bias


def test_to_dict_is_json():
    report = summary(en.Sequential(en.Linear(3, 2), Twins()), 3, 4)
    again = json.loads(json.dumps(report.to_dict()))
    assert again == report.to_dict()
    assert again["rows"][1]["output_shape"] == [["batch", 2], ["2 batch"]]
    assert again["optimizer_bytes"]["Adam"] == 64
    assert again["peak_activation_bytes"] == report.peak_activation_bytes


def test_the_peak_is_about_what_a_step_takes():
    model = en.Sequential(
        en.Linear(64, 128),
        en.BatchNorm(128),
        en.ReLU(),
        en.Dropout(0.2),
        en.Linear(128, 128),
        en.Tanh(),
        en.Linear(128, 10),
    )
    report = summary(model, 64, batch_size=2048)
    x, y = np.zeros((2048, 64), np.float32), np.zeros(2048, np.int64)
    loss = en.CrossEntropy()
    loss(model(x), y).backward()
    tracemalloc.start()
    loss(model(x), y).backward()
    measured = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.5 * report.peak_activation_bytes < measured < 1.2 * report.peak_activation_bytes


@pytest.mark.parametrize("batch", [8, 100, 1024])
def test_the_bytes_of_a_recorded_step_are_those_of_one(batch):
    layers = [en.Linear(50, 64), en.ReLU(), en.Dropout(0.2), en.Linear(64, 32), en.BatchNorm(32), en.Tanh()]
    model = en.Sequential(*layers, en.Linear(32, 10))
    told = en.summary(model, (50,), batch_size=batch)
    optimizer, loss = en.Adam(model.parameters()), en.CrossEntropy()

    @en.capture
    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    x, y = en.tensor(np.zeros((batch, 50), "float32")), en.tensor(np.zeros(batch, int))
    for _ in range(4):
        step(x, y)
    (program,) = step.programs
    assert told.step_bytes == pytest.approx(program.nbytes, rel=0.1)
    assert told.step_bytes < told.peak_activation_bytes
    assert f"recorded step     {told.step_bytes:,} bytes" in str(told)


def test_what_cannot_be_recorded_has_no_bytes_of_a_recorded_step():
    class Reading(en.Layer):
        def forward(self, x):
            return x * float(x.sum())

    assert en.summary(Reading(), (3,)).step_bytes is None
