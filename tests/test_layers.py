"""Do layers compute their formulas, give their parameters gradients, and keep, move and restore their state?"""

import copy

import numpy as np
import pytest
from differences import assert_close, assert_gradients
from fake_device import FakeBackend

import engine as en
from engine.layers.activation import Activation

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(5, 4))

ACTIVATIONS = {
    "sigmoid": en.Sigmoid,
    "tanh": en.Tanh,
    "relu": en.ReLU,
    "leaky relu": lambda: en.LeakyReLU(0.1),
    "elu": lambda: en.ELU(0.7),
    "gelu": en.GELU,
    "silu": en.SiLU,
    "softplus": en.Softplus,
    "softmax": en.Softmax,
    "softmax of samples": lambda: en.Softmax(axis=0),
    "flatten": en.Flatten,
}
WITH_PARAMETERS = {
    "linear": lambda: en.Linear(4, 3),
    "linear without bias": lambda: en.Linear(4, 3, bias=False),
    "maxout": lambda: en.Maxout(4, 3, pieces=3),
    "batch norm": lambda: en.BatchNorm(4),
    "batch norm, not affine": lambda: en.BatchNorm(4, affine=False),
    "batch norm, evaluation": lambda: en.BatchNorm(4).eval(),
    "layer norm": lambda: en.LayerNorm(4),
    "layer norm, not affine": lambda: en.LayerNorm(4, affine=False),
    "residual": lambda: en.Residual(en.Linear(4, 4)),
    "dropout, evaluation": lambda: en.Dropout(0.5).eval(),
    "stochastic depth, evaluation": lambda: en.StochasticDepth(en.Linear(4, 4), 0.5).eval(),
    "a net": lambda: en.Sequential(en.Linear(4, 6), en.BatchNorm(6), en.Tanh(), en.Linear(6, 2)),
}
RANDOM = {
    "dropout": lambda: en.Dropout(0.4, generator=3),
    "stochastic depth": lambda: en.StochasticDepth(en.Linear(4, 4), 0.4, generator=3),
}
ALL = {**ACTIVATIONS, **WITH_PARAMETERS, **RANDOM}


def perturbed(layer):
    """Parameters that are neither all 0 nor all 1."""
    generator = np.random.default_rng(1)
    with en.no_grad():
        for parameter in layer.parameters():
            parameter += generator.normal(scale=0.3, size=parameter.shape)
    return layer


@pytest.mark.parametrize("name", ALL)
def test_gradients_of_inputs_and_parameters(name, backend):
    layer = perturbed(ALL[name]().to(backend, dtype="float64"))
    names = [name for name, _ in layer.named_parameters()]

    def function(x, *values):
        for _, part in layer.named_layers():
            if hasattr(part, "reseed"):
                part.reseed(part.key)  # the same mask at every call
        for path, value in zip(names, values, strict=True):
            *above, own = path.split(".")
            place = layer
            for step in above:
                place = getattr(place, step)
            object.__setattr__(place, own, value)
        return layer(x)

    assert_gradients(function, [X, *(parameter.numpy() for parameter in layer.parameters())], backend)


@pytest.mark.parametrize("name", ALL)
def test_float32_agrees_with_float64(name, backend):
    outputs = []
    for dtype in ("float32", "float64"):
        en.seed(0)
        layer = perturbed(ALL[name]().to(dtype="float64")).to(backend, dtype=dtype)
        x = en.tensor(X.astype("float32").astype(dtype), device=backend)
        output = layer(x)
        assert output.dtype == dtype
        assert output.backend is backend
        outputs.append(output.numpy())
    assert np.abs(outputs[0] - outputs[1]).max() <= 1e-5 * max(1.0, np.abs(outputs[1]).max())


# -- linear maps -----------------------------------------------------------------------------------------


def test_linear_by_hand(backend):
    layer = en.Linear(2, 3, device=backend)
    layer.load_state_dict({"weight": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "bias": [0.5, 0.0, -0.5]})
    assert layer(en.tensor([[1.0, 10.0]], device=backend)).tolist() == [[41.5, 52.0, 62.5]]
    assert layer([[1.0, 10.0]]).tolist() == [[41.5, 52.0, 62.5]]
    assert layer(np.array([[1.0, 10.0]])).dtype == "float32"  # an array takes the parameters' dtype
    assert layer(en.tensor([1.0, 10.0], device=backend)).tolist() == [41.5, 52.0, 62.5]
    assert layer(np.ones((2, 5, 2))).shape == (2, 5, 3)
    assert (layer.weight.shape, layer.bias.shape) == ((2, 3), (3,))
    assert (layer.weight.regularized, layer.bias.regularized) == (True, False)
    assert (layer.weight.name, layer.bias.name) == ("weight", "bias")
    assert en.Linear(2, 3, bias=False).bias is None


def test_notation_of_the_lecture():
    """Z[L] = A[L-1] W[L] + B[L], A[L] = s(Z[L]), a row a sample."""
    first, second = en.Linear(3, 4, dtype="float64"), en.Linear(4, 2, dtype="float64")
    x = GENERATOR.normal(size=(6, 3))

    def s(z):
        return 1 / (1 + np.exp(-z))

    hidden = s(x @ first.weight.numpy() + first.bias.numpy())
    expected = s(hidden @ second.weight.numpy() + second.bias.numpy())
    model = en.Sequential(first, en.Sigmoid(), second, en.Sigmoid())
    assert_close(model(en.tensor(x)).numpy(), expected, tolerance=1e-12)


def test_maxout_by_hand(backend):
    layer = en.Maxout(2, 2, pieces=2, device=backend)
    w1, w2 = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 2.0], [1.0, 0.0]])
    b1, b2 = np.array([0.0, 1.0]), np.array([-1.0, 0.0])
    layer.load_state_dict(
        {
            "weight": np.concatenate([w1, w2], axis=1).astype("float32"),
            "bias": np.concatenate([b1, b2]).astype("float32"),
        }
    )
    x = np.array([[1.0, 3.0], [-2.0, 0.5], [0.0, 0.0]], "float32")
    expected = np.maximum(x @ w1 + b1, x @ w2 + b2)
    np.testing.assert_array_equal(layer(x).numpy(), expected)
    np.testing.assert_array_equal(layer(x.reshape(1, 3, 2)).numpy(), expected[None])
    assert layer.weight.regularized
    assert not layer.bias.regularized


@pytest.mark.parametrize("kind", [en.Linear, en.Maxout])
def test_first_weights_come_from_the_generator(kind):
    en.seed(5)
    first, other = kind(4, 3).weight.numpy(), kind(4, 3).weight.numpy()
    en.seed(5)
    np.testing.assert_array_equal(kind(4, 3).weight.numpy(), first)
    assert not np.array_equal(first, other)
    for generator in (7, np.random.default_rng(7)):
        made = kind(4, 3, generator=generator).weight.numpy()
    np.testing.assert_array_equal(made, kind(4, 3, generator=np.random.Generator(np.random.PCG64(7))).weight.numpy())
    assert kind(4, 3).bias.numpy().any() == False  # noqa: E712  # NumPy's bool
    assert kind(4, 3, dtype="float64").weight.dtype == "float64"
    assert kind(4, 3, initializer="zeros").weight.numpy().any() == False  # noqa: E712


def test_the_same_seed_gives_the_same_weights_on_every_device(backend):
    here, there = en.Linear(4, 3, generator=1), en.Linear(4, 3, generator=1, device=backend)
    assert there.device == there.weight.device == backend.device
    np.testing.assert_array_equal(here.weight.numpy(), there.weight.numpy())


# -- normalisation ---------------------------------------------------------------------------------------


def test_batch_norm_statistics(backend):
    layer = en.BatchNorm(4, dtype="float64", device=backend)
    assert (layer.momentum, layer.eps) == (0.1, 1e-5)
    for x in (X, 3 * X + 2):
        before = layer.running_mean.numpy(), layer.running_var.numpy()
        y = layer(x).numpy()
        assert_close(y, (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5), tolerance=1e-12)
        assert_close(layer.running_mean.numpy(), 0.9 * before[0] + 0.1 * x.mean(axis=0), tolerance=1e-12)
        assert_close(layer.running_var.numpy(), 0.9 * before[1] + 0.1 * x.var(axis=0, ddof=1), tolerance=1e-12)
    layer.eval()
    held = layer.running_mean.numpy(), layer.running_var.numpy()
    expected = (X[:1] - held[0]) / np.sqrt(held[1] + 1e-5)
    assert_close(layer(X[:1]).numpy(), expected, tolerance=1e-12)
    np.testing.assert_array_equal(layer.running_mean.numpy(), held[0])
    np.testing.assert_array_equal(layer.running_var.numpy(), held[1])


@pytest.mark.parametrize("momentum", [0.0, 0.5, 1.0])
def test_batch_norm_momentum(momentum):
    layer = en.BatchNorm(4, momentum=momentum, dtype="float64")
    layer(X)
    assert_close(layer.running_mean.numpy(), momentum * X.mean(axis=0), tolerance=1e-12)


def test_batch_norm_of_more_axes_counts_every_row(backend):
    x = GENERATOR.normal(size=(3, 2, 4))
    layer = en.BatchNorm(4, dtype="float64", device=backend)
    rows = x.reshape(6, 4)
    y = layer(x)
    assert y.shape == x.shape
    assert_close(y.numpy().reshape(6, 4), (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5), tolerance=1e-12)
    assert_close(layer.running_var.numpy(), 0.9 + 0.1 * rows.var(0, ddof=1), tolerance=1e-12)


def test_batch_norm_refuses_one_sample():
    layer = en.BatchNorm(4)
    before = {name: value.numpy() for name, value in layer.state_dict().items()}
    with pytest.raises(en.ShapeError, match=r"a training batch of 1 sample has no variance; .*drop_last=True"):
        layer(en.tensor(X[:1], dtype="float32"))
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert layer.eval()(X[:1]).shape == (1, 4)
    assert layer.train()(X.reshape(1, 5, 4)).shape == (1, 5, 4)


def test_layer_norm_by_hand(backend):
    layer = perturbed(en.LayerNorm(4, dtype="float64", device=backend))
    normal = (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-5)
    assert_close(layer(X).numpy(), normal * layer.weight.numpy() + layer.bias.numpy(), tolerance=1e-12)
    one = layer(X[0])  # one sample, without a batch
    assert_close(one.numpy(), normal[0] * layer.weight.numpy() + layer.bias.numpy(), tolerance=1e-12)
    plain = en.LayerNorm(4, affine=False)
    assert_close(plain(X).numpy(), normal, tolerance=1e-12)
    assert plain.parameters() == []


# -- layers of layers ------------------------------------------------------------------------------------


def test_sequential(backend):
    first, second = en.Linear(4, 3, device=backend), en.Linear(3, 2, device=backend)
    model = en.Sequential(first, en.ReLU(), second)
    x = en.tensor(X, dtype="float32", device=backend)
    np.testing.assert_array_equal(model(x).numpy(), second(first(x).relu()).numpy())
    assert len(model) == 3
    assert model[0] is first
    assert model[-1] is second
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Linear"]
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert en.Sequential()(x) is x
    with pytest.raises(IndexError):
        model[3]


def kinds(model):
    return [type(layer).__name__ for layer in model]


def test_a_part_of_a_chain_that_is_replaced_is_the_one_that_computes():
    """By name or by position, the chain is what its members are."""
    model = en.Sequential(en.Linear(4, 3), en.ReLU(), en.Linear(3, 2))
    x = en.tensor(X, dtype="float32")
    for change in (lambda layer: setattr(model, "2", layer), lambda layer: model.__setitem__(-1, layer)):
        last = en.Linear(3, 5)
        change(last)
        assert model[2] is last
        np.testing.assert_array_equal(model(x).numpy(), last(model[0](x).relu()).numpy())
        assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    delattr(model, "1")
    assert kinds(model) == ["Linear", "Linear"]
    np.testing.assert_array_equal(model(x).numpy(), model[1](model[0](x)).numpy())
    setattr(model, "3", en.Tanh())
    assert kinds(model) == ["Linear", "Linear", "Tanh"]
    assert model(x).numpy().max() <= 1
    setattr(model, "3", None)
    assert kinds(model) == ["Linear", "Linear"]


def test_a_chain_is_changed_like_a_list():
    model = en.Sequential(en.Linear(4, 3), en.ReLU(), en.Linear(3, 2))
    assert model.append(en.Tanh()) is model
    assert kinds(model) == ["Linear", "ReLU", "Linear", "Tanh"]
    del model[1]
    assert [name for name, _ in model.named_children()] == ["0", "1", "2"]
    assert kinds(model) == ["Linear", "Linear", "Tanh"]
    del model[-1]
    model[np.int64(1)] = en.ReLU()
    assert kinds(model) == ["Linear", "ReLU"]
    delattr(model, "0")
    model.append(en.Tanh())  # under a name that is free
    assert kinds(model) == ["ReLU", "Tanh"]
    assert [name for name, _ in model.named_children()] == ["1", "2"]


def test_a_slice_of_a_chain_is_a_chain_of_the_same_layers():
    model = en.Sequential(en.Linear(4, 3), en.Dropout(0.5), en.Linear(3, 2)).eval()
    part = model[1:]
    assert isinstance(part, en.Sequential)
    assert kinds(part) == ["Dropout", "Linear"]
    assert part[1] is model[2]
    assert not part.training
    assert [name for name, _ in part.named_parameters()] == ["1.weight", "1.bias"]
    assert kinds(model[::-1]) == ["Linear", "Dropout", "Linear"]
    assert len(model[5:]) == 0
    part.append(en.ReLU())
    assert len(model) == 3


def test_a_copied_chain_has_its_own_layers():
    model = en.Sequential(en.Linear(4, 3))
    other = copy.deepcopy(model)
    other[0] = en.Linear(4, 7)
    assert model(np.ones((1, 4))).shape == (1, 3)
    assert other(np.ones((1, 4))).shape == (1, 7)


def test_a_call_goes_through_subclasses_that_redefine_it():
    calls = []

    class Loud(en.ReLU):
        def forward(self, x):
            calls.append(x.shape)
            return super().forward(x)

    en.Sequential(Loud(), en.Sequential(Loud()))(en.tensor([1.0]))
    assert calls == [(1,), (1,)]


def test_residual_and_flatten(backend):
    layer = en.Residual(en.Tanh())
    assert_close(layer(en.tensor(X, device=backend)).numpy(), X + np.tanh(X), tolerance=1e-12)
    assert_close(layer(X).numpy(), X + np.tanh(X), tolerance=1e-12)
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(en.Flatten()(en.tensor(x, device=backend)).numpy(), x.reshape(2, 12))
    assert en.Flatten()(np.ones((3, 2))).shape == (3, 2)
    assert en.Flatten()(np.ones(3)).shape == (3, 1)


def test_activations_by_name():
    assert isinstance(Activation.by_name("relu"), en.ReLU)
    assert isinstance(Activation.by_name("ReLU"), en.ReLU)
    assert Activation.by_name("leaky_relu", negative_slope=0.3).negative_slope == 0.3
    assert Activation.by_name("elu", alpha=2).alpha == 2.0
    with pytest.raises(en.UnknownNameError, match=r"activation 'rleu' is unknown; did you mean .*relu"):
        Activation.by_name("rleu")


def test_a_new_activation_joins_the_names():
    class Cubed(Activation):
        def forward(self, x):
            return x**3

    try:
        assert Activation.by_name("cubed")(en.tensor([2.0])).tolist() == [8.0]
    finally:
        del Activation.members["cubed"]


# -- what is refused -------------------------------------------------------------------------------------


def ones(*shape, dtype="float32"):
    return en.tensor(np.ones(shape, dtype))


REFUSED = {
    "in_features": (
        lambda: en.Linear(0, 2),
        en.ArgumentError,
        "Linear: in_features 0 was given; it is a whole number, 1",
    ),
    "out_features": (lambda: en.Linear(2, 1.5), en.ArgumentError, "out_features 1.5 was given"),
    "features of a bool": (lambda: en.BatchNorm(True), en.ArgumentError, "BatchNorm: features True was given"),
    "features of a string": (lambda: en.LayerNorm("3"), en.ArgumentError, "LayerNorm: features '3' was given"),
    "pieces": (lambda: en.Maxout(2, 2, pieces=0), en.ArgumentError, "Maxout: pieces 0 was given"),
    "initializer": (lambda: en.Linear(2, 2, initializer="he_norml"), en.UnknownNameError, "he_normal"),
    "generator": (lambda: en.Linear(2, 2, generator=-1), en.ArgumentError, "generator: -1 was given"),
    "dtype": (lambda: en.Linear(2, 2, dtype="flaot32"), en.DtypeError, "flaot32"),
    "whole dtype": (lambda: en.Linear(2, 2, dtype="int64"), en.DtypeError, "int64"),
    "eps": (lambda: en.BatchNorm(2, eps=0), en.ArgumentError, "BatchNorm: eps 0 was given; it is above 0"),
    "eps of layer norm": (lambda: en.LayerNorm(2, eps=-1.0), en.ArgumentError, "LayerNorm: eps -1.0 was given"),
    "momentum": (
        lambda: en.BatchNorm(2, momentum=1.5),
        en.ArgumentError,
        "momentum 1.5 was given; it is between 0 and 1",
    ),
    "rate 1": (lambda: en.Dropout(1.0), en.ArgumentError, "Dropout: rate 1.0 was given; it is 0 or above and below 1"),
    "rate below 0": (lambda: en.Dropout(-0.1), en.ArgumentError, "rate -0.1 was given"),
    "rate of a string": (lambda: en.Dropout("0.1"), en.ArgumentError, "rate '0.1' was given"),
    "drop": (lambda: en.StochasticDepth(en.ReLU(), drop=2), en.ArgumentError, "StochasticDepth: drop 2 was given"),
    "a class": (lambda: en.Sequential(en.ReLU), en.ArgumentError, r"item 0 is ReLU \(the class: add parentheses\)"),
    "a number": (lambda: en.Sequential(en.ReLU(), 3), en.ArgumentError, "Sequential: item 1 is 3; give layers"),
    "a list": (lambda: en.Sequential([en.ReLU()]), en.ArgumentError, "Sequential: item 0 is"),
    "an item that is no layer": (
        lambda: en.Sequential(en.ReLU()).__setitem__(0, en.Tanh),
        en.ArgumentError,
        r"Sequential: item 0 is Tanh \(the class: add parentheses\)",
    ),
    "appending a number": (lambda: en.Sequential().append(3), en.ArgumentError, "the appended item is 3; give layers"),
    "a position too far": (lambda: en.Sequential(en.ReLU())[1], IndexError, "index 1 was given; it has 1 layers"),
    "setting too far": (lambda: en.Sequential().__setitem__(0, en.ReLU()), IndexError, "it has 0 layers"),
    "a name as position": (lambda: en.Sequential(en.ReLU())["0"], en.ArgumentError, "index '0' was given"),
    "bias of a string": (
        lambda: en.Linear(2, 1, "zeros"),
        en.ArgumentError,
        "Linear: bias 'zeros' was given; it is True or False. An initializer is given by name: initializer=",
    ),
    "branch": (
        lambda: en.Residual(None),
        en.ArgumentError,
        "Residual: branch None was given; it is a Layer, such as Linear",
    ),
    "branch of a class": (lambda: en.Residual(en.ReLU), en.ArgumentError, r"branch ReLU \(the class: add parenth"),
    "branch of a function": (
        lambda: en.StochasticDepth(lambda x: x),
        en.ArgumentError,
        "StochasticDepth: branch <function .* was given; it is a Layer",
    ),
    "no momentum": (lambda: en.BatchNorm(2, momentum=None), en.ArgumentError, "BatchNorm: momentum None was given"),
    "momentum of a bool": (lambda: en.BatchNorm(2, momentum=True), en.ArgumentError, "momentum True was given"),
    "eps of a string": (lambda: en.BatchNorm(2, eps="1"), en.ArgumentError, "BatchNorm: eps '1' was given"),
    "eps of nan": (lambda: en.LayerNorm(2, eps=np.nan), en.ArgumentError, "eps nan was given; it is above 0"),
    "affine": (lambda: en.LayerNorm(2, affine="no"), en.ArgumentError, "LayerNorm: affine 'no' was given; it is True"),
    "slope": (lambda: en.LeakyReLU("a"), en.ArgumentError, "LeakyReLU: negative_slope 'a' was given; it is a finite"),
    "slope of infinity": (lambda: en.LeakyReLU(np.inf), en.ArgumentError, "negative_slope inf was given"),
    "alpha": (lambda: en.ELU(-1), en.ArgumentError, "ELU: alpha -1 was given; it is a number above 0"),
    "alpha of nan": (lambda: en.ELU(np.nan), en.ArgumentError, "ELU: alpha nan was given"),
    "alpha too large": (lambda: en.ELU(10**400), en.ArgumentError, "ELU: alpha 1000.* was given"),
    "axis": (lambda: en.Softmax("last"), en.ArgumentError, "Softmax: axis 'last' was given; it is a whole number"),
    "half precision": (lambda: en.Linear(2, 1, dtype="float16"), en.DtypeError, "float32 and float64. Half precision"),
    "norm of half precision": (lambda: en.BatchNorm(2, dtype=np.float16), en.DtypeError, "BatchNorm: a model cannot"),
    "layer norm of half precision": (lambda: en.LayerNorm(2, dtype="float16"), en.DtypeError, "of float16; allowed"),
    "maxout of half precision": (lambda: en.Maxout(2, 2, dtype="float16"), en.DtypeError, "of float16; allowed are"),
    "to half precision": (
        lambda: en.ReLU().to(dtype="float16"),
        en.DtypeError,
        "to: a model cannot be of float16; allowed are float32 and float64",
    ),
    "width": (
        lambda: en.Linear(3, 2)(ones(4, 5)),
        en.ShapeError,
        r"Linear: the input has shape \(4, 5\), the weight \(3, 2\)",
    ),
    "no axes": (lambda: en.Linear(3, 2)(ones()), en.ShapeError, "its last length must be 3"),
    "maxout width": (lambda: en.Maxout(3, 2)(ones(4, 5)), en.ShapeError, "the input has shape"),
    "input dtype": (
        lambda: en.Linear(3, 2)(ones(4, 3, dtype="float64")),
        en.DtypeError,
        r"linear: .*float64.*\.to\(dtype=",
    ),
    "norm width": (
        lambda: en.BatchNorm(3)(ones(4, 5)),
        en.ShapeError,
        r"BatchNorm: the input has shape \(4, 5\); .*3 features",
    ),
    "norm of nothing": (lambda: en.LayerNorm(3)(ones(0, 3)), en.ShapeError, "it needs one sample at least"),
    "norm without axes": (lambda: en.BatchNorm(1)(ones()), en.ShapeError, "BatchNorm: the input has shape"),
    "residual": (
        lambda: en.Residual(en.Linear(3, 2))(ones(4, 3)),
        en.ShapeError,
        r"Residual: the branch turns \(4, 3\) into \(4, 2\)",
    ),
    "depth": (
        lambda: en.StochasticDepth(en.Linear(3, 2))(ones(4, 3)),
        en.ShapeError,
        "StochasticDepth: the branch turns",
    ),
    "softmax axis": (lambda: en.Softmax(axis=2)(ones(4, 3)), en.ShapeError, "axis 2"),
    "softmax of ints": (lambda: en.Softmax()(ones(4, 3, dtype="int64")), en.DtypeError, "softmax: a tensor of int64"),
    "relu of ints": (lambda: en.ReLU()(en.tensor([1, 2])), en.DtypeError, "relu: a tensor of int64"),
    "linear of ints": (lambda: en.Linear(2, 1)(en.tensor([[1, 2]])), en.DtypeError, "int64"),
    "norm of ints": (lambda: en.LayerNorm(2)(en.tensor([[1, 2]])), en.DtypeError, "int64"),
    "dropout of ints": (lambda: en.Dropout(0.5)(en.tensor([[1, 2]])), en.DtypeError, "int64"),
    "flatten of a number": (lambda: en.Flatten()(ones()), en.ShapeError, "Flatten"),
    "a dtype as device": (
        lambda: en.ReLU().to("float64"),
        en.DeviceError,
        r"device 'float64' is a dtype; write \.to\(dtype='float64'\)",
    ),
    "a whole model": (lambda: en.Linear(2, 1).to(dtype="int64"), en.DtypeError, "a model cannot be of int64"),
    "an unknown device": (lambda: en.Linear(2, 1).to("gpu"), en.DeviceError, "device 'gpu' is unknown"),
    "another device": (
        lambda: en.Linear(2, 1)(en.tensor([[1.0, 2.0]], device=FakeBackend())),
        en.DeviceError,
        r"linear: a tensor \(1, 2\) on fake:0 and a tensor 'weight' \(2, 1\) on cpu",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_one_line(name):
    call, error, text = REFUSED[name]
    with pytest.raises(error, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)
