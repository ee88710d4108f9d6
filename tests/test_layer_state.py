"""Does a layer find its members, and save, restore and move its state?"""

import numpy as np
import pytest
from differences import assert_gradients

import engine as en

X = np.random.default_rng(0).normal(size=(5, 4))

# -- one's own layer -------------------------------------------------------------------------------------


class Gate(en.Layer):
    def __init__(self, n):
        super().__init__()
        self.inner = en.Linear(n, n, dtype="float64")

    def forward(self, x):
        return x * self.inner(x).sigmoid()


def test_the_contracts_own_layer(backend):
    layer = Gate(4).to(backend)

    def function(x, weight, bias):
        object.__setattr__(layer.inner, "weight", weight)
        object.__setattr__(layer.inner, "bias", bias)
        return layer(x)

    assert_gradients(function, [X, *(parameter.numpy() for parameter in layer.parameters())], backend)


def test_members_are_found_replaced_and_deleted():
    layer = Gate(2)
    layer.scale = en.Parameter([2.0])
    assert [name for name, _ in layer.named_parameters()] == ["scale", "inner.weight", "inner.bias"]
    layer.scale = 3.0  # no parameter any more
    assert [name for name, _ in layer.named_parameters()] == ["inner.weight", "inner.bias"]
    layer.inner = en.Sequential(en.Linear(2, 1))
    assert [name for name, _ in layer.named_parameters()] == ["inner.0.weight", "inner.0.bias"]
    del layer.inner
    assert layer.parameters() == []
    assert not hasattr(layer, "inner")
    with pytest.raises(NotImplementedError, match=r"Layer has no forward: define forward\(self, x\)"):
        en.Layer()(1.0)


@pytest.mark.parametrize("value", [lambda: en.Parameter([1.0]), lambda: en.Linear(1, 1)])
def test_members_before_the_start_are_refused(value):
    class Hasty(en.Layer):
        def __init__(self):
            self.part = value()
            super().__init__()

    with pytest.raises(en.ArgumentError, match=r"Hasty.part: call super\(\).__init__\(\) before setting"):
        Hasty()


def test_shared_parts_are_counted_once():
    shared = en.Linear(2, 2)
    model = en.Sequential(shared, en.ReLU(), shared)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]
    assert len(list(model.named_layers())) == 3
    tied = en.Sequential(en.Linear(2, 2), en.Linear(2, 2))
    tied[1].weight = tied[0].weight
    assert [name for name, _ in tied.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert set(tied.state_dict()) == {"0.weight", "0.bias", "1.bias"}
    state = tied.state_dict()
    tied.load_state_dict(state)
    assert tied[1].weight is tied[0].weight


def test_train_and_eval_reach_everything():
    model = en.Sequential(en.Dropout(0.5), en.Residual(en.Sequential(en.Dropout(0.5))))
    assert model.training
    assert model.eval() is model
    assert not any(layer.training for _, layer in model.named_layers())
    assert model.train() is model
    assert all(layer.training for _, layer in model.named_layers())
    assert [name for name, _ in model.named_layers()] == ["", "0", "1", "1.branch", "1.branch.0"]


# -- state -----------------------------------------------------------------------------------------------


def net(**options):
    return en.Sequential(en.Linear(4, 3, **options), en.BatchNorm(3, **options))


def test_state_is_saved_and_restored(backend):
    model, other = net(device=backend), net()
    model(X)
    state = model.state_dict()
    assert list(state) == ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"]
    kept = other.parameters()
    other.load_state_dict(state)
    for (name, mine), (_, theirs) in zip(model.named_members(), other.named_members(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=name)
    assert all(before is after for before, after in zip(kept, other.parameters(), strict=True))
    assert all(parameter.device == "cpu" for parameter in other.parameters())
    with en.no_grad():
        model[0].weight += 1.0
    assert not np.array_equal(state["0.weight"].numpy(), model[0].weight.numpy())  # the state is a copy
    assert not state["0.weight"].requires_grad
    model.load_state_dict({name: value.numpy() for name, value in state.items()})
    np.testing.assert_array_equal(model[0].weight.numpy(), state["0.weight"].numpy())
    model.load_state_dict({name: value.numpy().astype("float64") for name, value in state.items()})
    assert model[0].weight.dtype == "float32"
    model.load_state_dict({name: value.tolist() for name, value in state.items()})


STATES = {
    "missing": (lambda s: s.pop("1.bias"), en.UnknownNameError, "the state has no entry for '1.bias'"),
    "unknown": (
        lambda s: s.update({"0.wieght": s["0.weight"]}),
        en.UnknownNameError,
        "entry '0.wieght' is unknown; .*0.weight",
    ),
    "shape": (
        lambda s: s.update({"1.bias": np.ones(4)}),
        en.ShapeError,
        r"1.bias has shape \(4,\) in the state, \(3,\) in",
    ),
    "broadcast": (lambda s: s.update({"1.bias": np.ones(1)}), en.ShapeError, "1.bias has shape"),
    "kind": (
        lambda s: s.update({"1.bias": np.ones(3, int)}),
        en.DtypeError,
        "1.bias is of int64 in the state, float32",
    ),
    "strings": (lambda s: s.update({"1.running_var": ["a", "b", "c"]}), en.EngineError, "1.running_var"),
    "ragged": (lambda s: s.update({"1.running_var": [[1.0], 2.0]}), en.EngineError, "1.running_var"),
    "None": (lambda s: s.update({"1.bias": None}), en.EngineError, "1.bias"),
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_that_does_not_fit_changes_nothing(name):
    spoil, error, text = STATES[name]
    model = net()
    before = {path: member.numpy() for path, member in model.named_members()}
    state = {path: value + 1.0 for path, value in before.items()}
    spoil(state)
    with pytest.raises(error, match=text) as caught:
        model.load_state_dict(state)
    assert "\n" not in str(caught.value)
    for path, member in model.named_members():
        np.testing.assert_array_equal(member.numpy(), before[path], err_msg=path)


def test_to_another_dtype_and_device(backend):
    model = net()
    kept = model.parameters()
    model(X).sum().backward()
    weight = model[0].weight.numpy()
    assert model.to(backend, dtype="float64") is model
    assert all(before is after for before, after in zip(kept, model.parameters(), strict=True))
    for _, member in model.named_members():
        assert (member.dtype, member.backend) == ("float64", backend)
        assert member.grad is None
    assert model.device == backend.device
    assert model(X).dtype == "float64"
    model.to(dtype="float32").to("cpu")
    np.testing.assert_array_equal(model[0].weight.numpy(), weight)
    assert model[0].weight.requires_grad
    assert en.ReLU().device == "cpu"


def test_nothing_changes_where_nothing_is_to_change(backend):
    model = net(device=backend)
    model(X).sum().backward()
    arrays = [parameter.array for parameter in model.parameters()]
    model.to(backend).to(dtype="float32")
    assert all(before is after.array for before, after in zip(arrays, model.parameters(), strict=True))
    assert model[0].weight.grad is not None


def test_frozen_parameters_stay_frozen(backend):
    model = net()
    model[0].weight.requires_grad_(False)
    model.to(backend, dtype="float64")
    assert not model[0].weight.requires_grad
    model(X).sum().backward()
    assert model[0].weight.grad is None
    assert model[0].bias.grad is not None


def test_shown():
    model = en.Sequential(en.Linear(2, 3), en.Residual(en.LeakyReLU(0.1)), en.Dropout(0.25))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Residual(\n"
        "    (branch): LeakyReLU(negative_slope=0.1)\n"
        "  )\n"
        "  (2): Dropout(rate=0.25)\n"
        ")"
    )
    assert repr(en.BatchNorm(3)) == "BatchNorm(features=3, eps=1e-05, momentum=0.1, affine=True)"
    assert repr(en.Maxout(2, 3)) == "Maxout(in_features=2, out_features=3, pieces=2)"
    assert repr(en.ReLU()) == "ReLU()"


def test_a_layers_attribute_may_have_a_common_name_but_not_hide_what_every_layer_has():
    class Net(en.Layer):
        def __init__(self, name):
            super().__init__()
            setattr(self, name, en.Sequential(en.Linear(3, 2)))

        def forward(self, x):
            return self.layers(x)

    net = Net("layers")
    assert [name for name, _ in net.named_parameters()] == ["layers.0.weight", "layers.0.bias"]
    assert net(np.ones((1, 3))).shape == (1, 2)
    for name in ("parameters", "device", "config", "train", "named_layers"):
        with pytest.raises(en.ArgumentError, match=rf"Net\.{name}: every layer has a {name} of its own"):
            Net(name)
