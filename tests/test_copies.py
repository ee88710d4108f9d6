"""Are copies of models and optimizers whole, and independent of what they were copied from?"""

import copy
import pickle

import numpy as np
import pytest

import engine as en

WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}


@pytest.fixture(params=WAYS, ids=list(WAYS))
def duplicate(request):
    return WAYS[request.param]


def step(model, optimizer, seed):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(8, 3)).astype("float32"), generator.integers(2, size=8)

    def closure():
        optimizer.zero_grad()
        loss = en.CrossEntropy()(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)


def weights(model):
    return [parameter.numpy() for parameter in model.parameters()]


@pytest.mark.parametrize("name", en.Optimizer.names())
def test_a_copied_optimizer_goes_on_with_the_copied_model(name, duplicate):
    model = en.Sequential(
        en.Linear(3, 4, generator=0), en.LeakyReLU(0.1), en.BatchNorm(4), en.Linear(4, 2, generator=1)
    )
    optimizer = en.Optimizer.by_name(name, model.parameters(), learning_rate=en.Exponential(0.1, 0.9))
    for seed in range(3):
        step(model, optimizer, seed)
    other, other_optimizer = duplicate((model, optimizer))
    before = weights(model)
    step(other, other_optimizer, 3)
    for one, same in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(one, same)  # the original was not touched
    step(model, optimizer, 3)
    for one, same in zip(weights(model), weights(other), strict=True):
        np.testing.assert_array_equal(one, same)  # and both do the same
    assert not np.array_equal(before[0], weights(other)[0])
    assert other_optimizer.steps == optimizer.steps


def test_a_leaf_keeps_values_gradient_and_name(duplicate):
    a = en.tensor([1.0, 2.0], requires_grad=True, name="a")
    (a * a).sum().backward()
    other = duplicate(a)
    assert (other.tolist(), other.grad.tolist(), other.name, other.requires_grad) == ([1, 2], [2, 4], "a", True)
    (other * 3).sum().backward()
    assert (a.grad.tolist(), other.grad.tolist()) == ([2.0, 4.0], [5.0, 7.0])


def test_a_result_with_history_is_refused(duplicate):
    y = en.tensor(1.0, requires_grad=True) * 2
    with pytest.raises(en.GradientError, match=r"cannot be copied with its history; copy its detach\(\)"):
        duplicate(y)
    assert duplicate(y.detach()).item() == 2


def test_an_optimizers_gradient_is_changed_by_setting_it():
    w = en.Parameter([1.0, 2.0])
    optimizer = en.SGD([w], learning_rate=1.0)
    (w * w).sum().backward()
    optimizer.step()
    with pytest.raises(en.GradientError, match=r"a copy of the optimizer's gradient; set w\.grad as a whole"):
        w.grad[0] = 5
    with en.no_grad():
        w.grad /= 2
    assert w.grad.tolist() == [1.0, 2.0]
    w.grad = [0.5, 1.0]  # Python floats take the tensor's dtype
    optimizer.step()
    np.testing.assert_allclose(w.numpy(), [-1.5, -3.0])


def test_a_dtype_in_the_place_of_the_device():
    for given in ("float64", np.float64):
        with pytest.raises(en.DeviceError, match=r"is a dtype; write \.to\(dtype="):
            en.tensor([1.0]).to(given)
