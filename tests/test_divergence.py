"""Is the first layer named whose output is not finite, and is the model left as it was?"""

import math

import numpy as np
import pytest

import engine as en
from engine.divergence import first_not_finite


class Poison(en.Layer):
    """Multiplies by a number, such as NaN."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


X = en.tensor(np.random.default_rng(0).standard_normal((6, 4)).astype("float32"))


def chain(*positions, factor=math.nan):
    layers = [en.Linear(4, 4), en.BatchNorm(4), en.Dropout(0.5), en.ReLU(), en.Linear(4, 4)]
    for position in positions:
        layers.insert(position, Poison(factor))
    return en.Sequential(*layers)


def test_a_healthy_model_has_none():
    assert first_not_finite(chain(), X) is None


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_the_first_layer_is_named(position, factor):
    assert first_not_finite(chain(position, factor=factor), X) == f"layer {position} (Poison)"
    assert first_not_finite(chain(position, 6, factor=factor), X) == f"layer {position} (Poison)"


def test_the_innermost_layer_is_named():
    model = en.Sequential(en.Linear(4, 4), en.Residual(en.Sequential(en.ReLU(), Poison(math.nan))), en.Linear(4, 1))
    assert first_not_finite(model, X) == "layer 1.branch.1 (Poison)"


def test_a_layer_that_computes_by_itself():
    class Own(en.Layer):
        def __init__(self):
            super().__init__()
            self.inner = en.Linear(4, 4)

        def forward(self, x):
            return self.inner(x) * math.inf

    assert first_not_finite(Own(), X) == "the model's output"


def test_a_layer_used_twice():
    """A shared layer is found at its first name, at the call where it went wrong."""
    grows = Poison(1e30)
    model = en.Sequential(en.ReLU(), grows, grows)
    assert first_not_finite(model, X) == "layer 1 (Poison)"


def test_inputs_that_are_not_finite():
    assert first_not_finite(chain(), en.tensor([[math.nan] * 4] * 3)) == "layer 0 (Linear)"


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training):
    model = chain(6).train(training)
    dropout = model[2]
    with en.no_grad():
        model(X)
    state, drawn = {name: one.numpy() for name, one in model.state_dict().items()}, dropout.drawn
    forwards = [layer.forward.__func__ for _, layer in model.named_layers()]
    assert first_not_finite(model, X) == "layer 5 (Poison)" or not training
    assert dropout.drawn == drawn
    for name, one in model.state_dict().items():
        np.testing.assert_array_equal(one.numpy(), state[name])
    assert [layer.forward.__func__ for _, layer in model.named_layers()] == forwards
    assert all("forward" not in vars(layer) for _, layer in model.named_layers())
    assert [one.grad for one in model.parameters()] == [None] * len(model.parameters())


def test_the_model_is_left_as_it_was_after_an_error():
    class Fails(en.Layer):
        def forward(self, x):
            raise RuntimeError("inside")

    model = en.Sequential(en.Dropout(0.5), en.BatchNorm(4), Fails())
    before = model[1].running_mean.numpy()
    with pytest.raises(RuntimeError, match="inside"):
        first_not_finite(model, X)
    assert model[0].drawn == 0
    np.testing.assert_array_equal(model[1].running_mean.numpy(), before)
    assert all("forward" not in vars(layer) for _, layer in model.named_layers())


def test_the_masks_are_those_of_the_step_that_failed():
    class Keep(en.Layer):
        def forward(self, x):
            seen.append(x.numpy())
            return x

    seen = []
    model = en.Sequential(en.Dropout(0.5, generator=3), Keep())
    model(X)
    first_not_finite(model, X)
    model(X)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])


def test_it_works_on_a_device(fake_device):
    model = chain(3).to(fake_device)
    x = en.tensor(X.numpy(), device=fake_device)
    assert first_not_finite(model, x) == "layer 3 (Poison)"
