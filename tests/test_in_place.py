"""Is a change in place of what a pending backward needs refused, by whatever route, and every other one allowed?"""

import numpy as np
import pytest

import engine as en


def minus(w):
    w -= 1.0


def set_item(w):
    w[0] = 9.0


def by_detach(w):
    w.detach().__setitem__(0, 9.0)


def by_detach_operator(w):
    alias = w.detach()
    alias *= 2.0


def by_reshape(w):
    w.reshape(-1)[0:1].__setitem__(0, 9.0)


def by_transpose(w):
    w.T.__setitem__(0, 9.0)


def by_slice(w):
    w[1:].__setitem__(0, 9.0)


def by_chain(w):
    w.detach().T[:1].reshape(-1).__imul__(3.0)


def by_load(w):
    layer = en.Layer()
    layer.w = w
    layer.load_state_dict({"w": np.zeros(w.shape, "float32")})


def by_cast(w):
    layer = en.Layer()
    layer.w = w
    layer.to(dtype="float64")


CHANGES = [
    minus,
    set_item,
    by_detach,
    by_detach_operator,
    by_reshape,
    by_transpose,
    by_slice,
    by_chain,
    by_load,
    by_cast,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("early", [False, True], ids=["counter made after", "counter made before"])
def test_a_change_of_what_backward_needs_is_refused(change, early, backend):
    w = en.Parameter(np.ones((2, 2), "float32"), device=backend)
    if early:
        w.detach()
    loss = (w * w).sum()
    with en.no_grad():
        change(w)
    with pytest.raises(en.GradientError, match=r"backward of \*: a tensor that it needs was changed in place"):
        loss.backward()


@pytest.mark.parametrize("view", [lambda w: w.T, lambda w: w.reshape(4), lambda w: w[1:], lambda w: w.detach()])
def test_a_change_is_seen_through_the_view_that_was_used(view, backend):
    w = en.Parameter(np.ones((2, 2), "float32"), device=backend)
    x = en.tensor(2.0, requires_grad=True, device=backend)
    loss = (view(w) * x).sum()
    with en.no_grad():
        w -= 1.0
    with pytest.raises(en.GradientError, match="changed in place"):
        loss.backward()


def test_a_change_of_an_output_that_was_saved_is_refused(backend):
    x = en.tensor([0.5, 1.0], requires_grad=True, device=backend)
    y = x.exp()
    with en.no_grad():
        y.detach()[0] = 7.0
    with pytest.raises(en.GradientError, match="backward of exp"):
        y.sum().backward()


def test_parameters_changed_between_forward_and_backward(backend):
    model = en.Sequential(en.Linear(2, 3, device=backend), en.Tanh(), en.Linear(3, 1, device=backend))
    loss = model(en.tensor([[1.0, 2.0]], device=backend)).sum()
    with en.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1
    with pytest.raises(en.GradientError, match="backward of linear"):
        loss.backward()


def test_inputs_changed_between_forward_and_backward(backend):
    layer = en.Linear(2, 1, device=backend)
    x = en.tensor([[1.0, 2.0]], device=backend)
    loss = layer(x).sum()
    x[0, 0] = 5.0
    with pytest.raises(en.GradientError, match="changed in place"):
        loss.backward()


def test_a_change_that_no_backward_needs_is_allowed(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    total = (x + 1.0).sum()  # a sum needs no values
    with en.no_grad():
        x -= 1.0
    total.backward()
    assert x.grad.tolist() == [1.0, 1.0]
    loss = (x * x).sum()
    loss.backward()
    with en.no_grad():
        x -= 0.1 * x.grad
    (x * x).sum().backward()  # a new graph


def test_leaves_are_changed_in_no_grad_only(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    for name in ("__iadd__", "__isub__", "__imul__", "__itruediv__"):
        with pytest.raises(
            en.GradientError, match=r"=: a leaf that requires a gradient cannot be changed in place while"
        ):
            getattr(x, name)(1.0)
    with pytest.raises(en.GradientError, match=r"changed in `with en\.no_grad\(\):` only"):
        x[0] = 1.0
    assert x.tolist() == [1.0, 2.0]


def test_results_are_not_changed_in_place(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    y = x * 2.0
    with pytest.raises(en.GradientError, match="the result of an operation cannot be changed in place"):
        y[0] = 1.0
    with en.no_grad(), pytest.raises(en.GradientError, match="the result of an operation cannot be changed in place"):
        y += 1.0


def test_a_value_with_a_gradient_is_not_lost_by_assignment(backend):
    x = en.tensor(1.0, requires_grad=True, device=backend)
    y = en.tensor([0.0, 0.0], device=backend)
    with pytest.raises(en.GradientError, match="the value's gradient would be lost"):
        y[0] = x * 2.0
    with en.no_grad():
        y[0] = x * 2.0
    assert y.tolist() == [2.0, 0.0]


def test_a_running_total_of_losses(backend):
    x = en.tensor([1.0, 2.0, 3.0], requires_grad=True, device=backend)
    total = en.tensor(0.0, device=backend)
    for position in range(3):
        total += x[position] * x[position]
    total.backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]
    product = en.tensor(1.0, requires_grad=True, device=backend) * 1.0
    for position in range(3):
        product *= x[position]
        product /= 1.0
        product -= 0.0
    x.zero_grad()
    product.backward()
    assert x.grad.tolist() == [6.0, 3.0, 2.0]


@pytest.mark.parametrize("given", [np.array, lambda values: en.tensor(values)], ids=["array", "tensor"])
def test_an_index_that_changes_later_does_not_change_the_gradient(given):
    x = en.tensor([1.0, 2.0], requires_grad=True)
    index = given([0, 1])
    y = x[index]
    index[:] = 0
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
