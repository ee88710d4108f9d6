"""Does the sweep give every tensor its gradient, once, and refuse what it cannot know?"""

import threading

import numpy as np
import pytest
from differences import assert_close

import engine as en

# -- the shape of the graph ------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [10_000, 200_000])
def test_a_long_chain(length):
    x = en.tensor(1.0, requires_grad=True, dtype="float64")
    y = x
    for _ in range(length):
        y = y + 1.0
    y.backward()
    assert y.item() == length + 1
    assert x.grad.item() == 1.0


def test_a_long_chain_of_both_inputs():
    """x_(n+1) = x_n + x_n: every node is used twice, 2^n routes, each edge passed once."""
    x = en.tensor(1.0, requires_grad=True, dtype="float64")
    y = x
    for _ in range(1000):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**1000


def test_a_diamond(backend):
    x = en.tensor(3.0, requires_grad=True, device=backend)
    a = x * 2.0
    ((a * a) + a).backward()  # 4 x^2 + 2 x
    assert x.grad.item() == 26.0


def test_a_diamond_of_unequal_arms(backend):
    x = en.tensor(2.0, requires_grad=True, device=backend)
    a = x * x
    b = a
    for _ in range(5):
        b = b * 1.0
    (a * b).backward()  # x^4
    assert x.grad.item() == 32.0


def test_a_layer_used_twice(backend):
    layer = en.Linear(2, 2, dtype="float64", device=backend)
    x = en.tensor(np.array([[1.0, -2.0], [0.5, 3.0]]), device=backend)
    layer(layer(x)).sum().backward()
    w, b, x = layer.weight.numpy(), layer.bias.numpy(), x.numpy()
    hidden = x @ w + b
    ones = np.ones((2, 2))
    assert_close(layer.weight.grad.numpy(), hidden.T @ ones + x.T @ (ones @ w.T))
    assert_close(layer.bias.grad.numpy(), ones.sum(0) + (ones @ w.T).sum(0))


def test_a_parameter_shared_by_two_layers(backend):
    first, second = en.Linear(2, 2, dtype="float64", device=backend), en.Linear(2, 2, dtype="float64", device=backend)
    second.weight = first.weight
    model = en.Sequential(first, second)
    assert len(model.parameters()) == 3
    x = en.tensor(np.array([[1.0, -2.0]]), device=backend)
    model(x).sum().backward()
    w, x, ones = first.weight.numpy(), x.numpy(), np.ones((1, 2))
    hidden = x @ w + first.bias.numpy()
    assert_close(first.weight.grad.numpy(), hidden.T @ ones + x.T @ (ones @ w.T))


def test_two_results_of_one_graph(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    shared = x * x
    shared.sum().backward()
    (shared * 3.0).sum().backward()
    assert x.grad.tolist() == [8.0, 16.0]


def test_only_what_requires_a_gradient_gets_one(backend):
    x = en.tensor([1.0], requires_grad=True, device=backend)
    constant = en.tensor([2.0], device=backend)
    (x * constant + constant).sum().backward()
    assert x.grad.tolist() == [2.0]
    assert constant.grad is None
    assert not (constant * 2.0).requires_grad
    frozen = en.Parameter([3.0], requires_grad=False, device=backend)
    (x * frozen).sum().backward()
    assert frozen.grad is None


class Counted(en.Operation):
    """y = x + x', which counts its calls."""

    def __init__(self):
        self.forwards = self.backwards = 0

    def forward(self, a, b):
        self.forwards += 1
        return a + b, None

    def backward(self, saved, incoming_gradient, needed):
        self.backwards += 1
        return incoming_gradient, incoming_gradient


def test_every_node_is_visited_once(backend):
    """A ladder of ten diamonds: 2^10 routes, ten nodes, ten calls of backward."""
    operation = Counted()
    x = en.tensor(1.0, requires_grad=True, device=backend)
    y = x
    for _ in range(10):
        y = en.apply(operation, y, y)
    y.backward()
    assert x.grad.item() == 1024.0
    assert (operation.forwards, operation.backwards) == (10, 10)


def test_branches_without_a_gradient_are_not_visited():
    operation = Counted()
    x = en.tensor(1.0, requires_grad=True)
    unused = en.apply(operation, x, x)
    (x * 2.0 + unused.detach()).backward()
    assert operation.backwards == 0


# -- adding up, keeping, forgetting ----------------------------------------------------------------------


def test_a_second_backward_adds_again(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    loss = (x * x).sum()
    for round_number in (1, 2, 3):
        loss.backward()
        assert x.grad.tolist() == [2.0 * round_number, 4.0 * round_number]
    x.zero_grad()
    assert x.grad is None
    loss.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_retain_grad(backend):
    x = en.tensor(2.0, requires_grad=True, device=backend)
    y = x * 3.0
    z = y * y
    y.retain_grad()
    z.backward()
    assert (y.grad.item(), z.grad, x.grad.item()) == (12.0, None, 36.0)
    z.backward()
    assert (y.grad.item(), x.grad.item()) == (24.0, 72.0)
    y.zero_grad()
    assert y.grad is None
    x.retain_grad()  # a leaf keeps its gradient anyway
    with pytest.raises(en.GradientError, match="retain_grad: no gradient reaches"):
        en.tensor(1.0).retain_grad()


def test_the_result_can_retain_its_gradient_too(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    y = x * 2.0
    y.retain_grad()
    incoming = en.tensor([1.0, 5.0], device=backend)
    y.backward(incoming)
    with en.no_grad():
        incoming += 1.0
    assert y.grad.tolist() == [1.0, 5.0]


def test_gradients_can_be_set(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    given = en.tensor([3.0, 4.0], device=backend)
    x.grad = given
    (x * 1.0).sum().backward()
    assert x.grad.tolist() == [4.0, 5.0]
    assert given.tolist() == [3.0, 4.0]
    x.grad = np.array([1.0, 1.0], "float32")
    assert x.grad.tolist() == [1.0, 1.0]
    x.grad = None
    assert x.grad is None
    for wrong in (np.ones(3, "float32"), np.ones(2)):
        with pytest.raises(en.ShapeError, match="they must be equal"):
            x.grad = wrong
    with pytest.raises(en.GradientError, match="only a leaf's gradient"):
        (x * 2.0).grad = given


def test_backward_of_a_leaf(backend):
    x = en.tensor(3.0, requires_grad=True, device=backend)
    x.backward()
    x.backward(2.0)
    assert x.grad.item() == 3.0


def test_gradients_have_no_history(backend):
    x = en.tensor(3.0, requires_grad=True, device=backend)
    (x * x).backward()
    assert not x.grad.requires_grad
    assert x.grad.is_leaf


# -- no_grad ---------------------------------------------------------------------------------------------


def test_no_grad_records_nothing(backend):
    x = en.tensor(3.0, requires_grad=True, device=backend)
    with en.no_grad():
        y = x * x
    assert not y.requires_grad
    assert y.is_leaf
    assert (x * x).requires_grad


def test_no_grad_nests_and_ends_with_an_exception():
    x = en.tensor(3.0, requires_grad=True)
    block = en.no_grad()
    with block, block:
        with en.no_grad():
            pass
        assert not (x * x).requires_grad
    assert (x * x).requires_grad
    with pytest.raises(RuntimeError, match="inside"), en.no_grad():
        raise RuntimeError("inside")
    assert (x * x).requires_grad


def test_no_grad_of_a_function():
    x = en.tensor(3.0, requires_grad=True)

    @en.no_grad()
    def power(n):
        return x if n == 0 else x * power(n - 1)

    assert power(3).item() == 81.0
    assert not power(2).requires_grad
    assert (x * x).requires_grad


def test_no_grad_is_each_threads_own():
    x = en.tensor(3.0, requires_grad=True)
    recorded = []
    with en.no_grad():
        thread = threading.Thread(target=lambda: recorded.append((x * x).requires_grad))
        thread.start()
        thread.join()
        assert not (x * x).requires_grad
    assert recorded == [True]


def test_backward_works_inside_no_grad():
    x = en.tensor(3.0, requires_grad=True)
    y = x * x
    with en.no_grad():
        y.backward()
    assert x.grad.item() == 6.0


# -- gradients share no memory ---------------------------------------------------------------------------


def shares(a, b):
    return np.shares_memory(getattr(a.array, "_host", a.array), getattr(b.array, "_host", b.array))


SAME_GRADIENT = {
    "+": lambda a, b: a + b,
    "sum of views": lambda a, b: a.reshape(4) + b.T.reshape(4),
    "views": lambda a, b: a.reshape(4).reshape(2, 2) + b.T,
    "concatenate": lambda a, b: en.concatenate([a, b]),
    "stack": lambda a, b: en.stack([a, b]),
    "user": lambda a, b: en.apply(Counted(), a, b),
}


@pytest.mark.parametrize("name", SAME_GRADIENT)
def test_gradients_share_no_memory(name, backend):
    a, b = (en.tensor(np.ones((2, 2)), requires_grad=True, device=backend) for _ in range(2))
    y = SAME_GRADIENT[name](a, b)
    incoming = en.tensor(np.full(y.shape, 2.0), device=backend)
    y.retain_grad()
    y.backward(incoming)
    for first, second in (
        (a.grad, b.grad),
        (a.grad, incoming),
        (b.grad, incoming),
        (y.grad, incoming),
        (a.grad, y.grad),
    ):
        if hasattr(first.array, "_host") or isinstance(first.array, np.ndarray):
            assert not shares(first, second)
    y.backward(incoming)
    assert incoming.tolist() == np.full(y.shape, 2.0).tolist()
    assert a.grad.tolist() == b.grad.tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_the_sweep_changes_no_array_that_is_not_its_own(backend):
    """x + x + x: three parts meet in x's node; the incoming gradient stays as it was."""
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    middle = x * 1.0
    y = middle + middle + middle
    incoming = en.tensor([1.0, 1.0], device=backend)
    y.backward(incoming)
    assert incoming.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [3.0, 3.0]


# -- what is refused -------------------------------------------------------------------------------------


def test_second_derivatives_are_refused():
    x = en.tensor(3.0, requires_grad=True)
    y = x * x
    with pytest.raises(en.GradientError, match="second derivatives are not supported"):
        y.backward(create_graph=True)
    y.backward()
    with pytest.raises(en.GradientError, match="second derivatives are not supported"):
        x.grad.backward()


def test_backward_needs_a_history():
    for tensor in (en.tensor(1.0), en.tensor(1.0) * 2.0, (en.tensor(1.0, requires_grad=True) * 2.0).detach()):
        with pytest.raises(en.GradientError, match=r"no history that requires a gradient"):
            tensor.backward()


def test_a_missing_incoming_gradient(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    with pytest.raises(en.GradientError, match=r"backward: shape \(2,\) has 2 elements; pass the incoming gradient"):
        (x * 2.0).backward()
    assert x.grad is None
    (x * 2.0)[:1].backward()  # one element is enough
    assert x.grad.tolist() == [2.0, 0.0]


def test_the_incoming_gradient_is_checked(backend, fake_device):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    y = x * 2.0
    for wrong in (np.ones(3), np.ones((2, 1)), 1.0, [[1.0, 1.0]]):
        with pytest.raises(en.ShapeError, match=r"the incoming gradient has shape .*; it must be \(2,\)"):
            y.backward(wrong)
    elsewhere = en.tensor([1.0, 1.0], device="cpu" if backend is fake_device else fake_device)
    with pytest.raises(en.DeviceError, match="the incoming gradient is on"):
        y.backward(elsewhere)
    assert x.grad is None
    for right in (
        [1.0, 2.0],
        np.array([1.0, 2.0]),
        np.array([1, 2]),
        en.tensor([1.0, 2.0], dtype="float64", device=backend),
    ):
        x.zero_grad()
        y.backward(right)
        assert x.grad.tolist() == [2.0, 4.0]
        assert x.grad.dtype == "float32"
