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


# -- changes in place ------------------------------------------------------------------------------------


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


CHANGES = [minus, set_item, by_detach, by_detach_operator, by_reshape, by_transpose, by_slice, by_chain, by_load, by_cast]


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
        with pytest.raises(en.GradientError, match=r"=: a leaf that requires a gradient cannot be changed in place while"):
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
    for first, second in ((a.grad, b.grad), (a.grad, incoming), (b.grad, incoming), (y.grad, incoming), (a.grad, y.grad)):
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
    for right in ([1.0, 2.0], np.array([1.0, 2.0]), np.array([1, 2]), en.tensor([1.0, 2.0], dtype="float64", device=backend)):
        x.zero_grad()
        y.backward(right)
        assert x.grad.tolist() == [2.0, 4.0]
        assert x.grad.dtype == "float32"


# -- operations of a user's own --------------------------------------------------------------------------


class Square(en.Operation):
    def forward(self, x):
        return x * x, x

    def backward(self, saved, incoming_gradient, needed):
        return (2 * saved * incoming_gradient,)


def test_the_contracts_own_operation(backend):
    x = en.tensor([3.0, 4.0], requires_grad=True, device=backend)
    y = en.apply(Square(), x)
    assert y.tolist() == [9.0, 16.0]
    assert y.dtype == "float32"
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 8.0]
    assert en.apply(Square(), en.tensor(3.0, requires_grad=True, device=backend)).shape == ()


def test_an_own_operation_sees_changes_in_place(backend):
    x = en.tensor([3.0, 4.0], requires_grad=True, device=backend)
    y = en.apply(Square(), x)
    with en.no_grad():
        x += 1.0
    with pytest.raises(en.GradientError, match="backward of square: a tensor that it needs was changed in place"):
        y.sum().backward()


def own(forward=None, backward=None):
    """An operation from two functions; by default y = a + b, whatever is wrong with one of them."""

    class Own(en.Operation):
        def forward(self, *arrays):
            return forward(*arrays) if forward else (sum(arrays[1:], arrays[0]) * 1, arrays)

        def backward(self, saved, incoming_gradient, needed):
            return backward(saved, incoming_gradient, needed) if backward else (incoming_gradient,) * len(needed)

    return Own()


BROKEN_BACKWARD = {
    "too few": (lambda s, g, n: (g,), "Own.backward returned 1 gradients; return a tuple with one for each of 2 inputs"),
    "too many": (lambda s, g, n: (g, g, g), "Own.backward returned 3 gradients"),
    "an array": (lambda s, g, n: g, "Own.backward returned .*ray; return a tuple"),
    "nothing": (lambda s, g, n: None, "Own.backward returned NoneType; return a tuple"),
    "None": (lambda s, g, n: (g, None), "Own.backward returned None for input 1, whose gradient is needed"),
    "a wrong shape": (lambda s, g, n: (g, g[:1]), r"the gradient of input 1 has shape \(1,\); it must be \(2,\)"),
}


@pytest.mark.parametrize("name", BROKEN_BACKWARD)
def test_a_broken_backward_is_named(name, backend):
    backward, text = BROKEN_BACKWARD[name]
    a, b = (en.tensor([1.0, 2.0], requires_grad=True, device=backend) for _ in range(2))
    with pytest.raises(en.GradientError, match=text):
        en.apply(own(backward=backward), a, b).sum().backward()


@pytest.mark.parametrize("answer", [lambda a: a * 1, lambda a: (a * 1,), lambda a: (a, a, a), lambda a: None])
def test_a_broken_forward_is_named(answer, backend):
    with pytest.raises(en.GradientError, match=r"Own.forward returned .*; return \(output, what backward needs\)"):
        en.apply(own(forward=answer), en.tensor([1.0], device=backend))


def test_an_operation_without_its_functions():
    x = en.tensor(1.0, requires_grad=True)
    with pytest.raises(NotImplementedError, match="Operation: define forward"):
        en.apply(en.Operation(), x)

    class Half(en.Operation):
        def forward(self, x):
            return x * 1, None

    with pytest.raises(NotImplementedError, match="Half: define backward"):
        en.apply(Half(), x).backward()


def test_gradients_that_are_not_wanted_may_be_none(backend):
    seen = []

    def backward(saved, incoming_gradient, needed):
        seen.append(tuple(needed))
        return incoming_gradient, None

    x = en.tensor([1.0], requires_grad=True, device=backend)
    en.apply(own(backward=backward), x, en.tensor([2.0], device=backend)).sum().backward()
    assert seen == [(True, False)]
    assert x.grad.tolist() == [1.0]


def test_a_gradient_takes_its_inputs_dtype(backend):
    x = en.tensor([1.0], requires_grad=True, device=backend)
    en.apply(own(backward=lambda s, g, n: (g.astype("float64"),)), x).sum().backward()
    assert x.grad.dtype == "float32"


def test_saved_arrays_that_backward_returns_stay_as_they_are(backend):
    """The gradient is a copy: adding a second one must not change what the operation saved."""
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    y = en.apply(own(forward=lambda x: (x * 1, x), backward=lambda s, g, n: (s,)), x).sum()
    for round_number in (1, 2, 3):
        y.backward()
        assert x.grad.tolist() == [round_number, 2.0 * round_number]
        assert x.tolist() == [1.0, 2.0]


def test_saved_arrays_that_backward_returns_to_a_node_stay_as_they_are(backend):
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    middle = x * 1.0
    middle.retain_grad()
    operation = own(forward=lambda x: (x * 1, x), backward=lambda s, g, n: (s,))
    y = (en.apply(operation, middle) + en.apply(operation, middle) + middle).sum()
    y.backward()
    assert middle.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == middle.grad.tolist() == [3.0, 5.0]


def test_an_operation_may_return_its_input(backend):
    """A result that shares its input's memory: a change of one is a change of the other, and is seen."""
    x = en.tensor([1.0, 2.0], requires_grad=True, device=backend)
    same = en.apply(own(forward=lambda x: (x, None)), x)
    loss = (same * same).sum()
    loss.backward()
    assert x.grad.tolist() == [2.0, 4.0]
    with en.no_grad():
        x += 1.0
    x.zero_grad()
    try:
        loss.backward()
    except en.GradientError:
        return  # refused
    assert x.grad.tolist() == [2.0, 4.0]  # or computed from what the forward pass saw


# -- the lectures' numbers -------------------------------------------------------------------------------


def leaf(value, name=None):
    return en.tensor(np.array(value, "float64"), requires_grad=True, name=name)


def test_lecture_autograd():
    a, b = leaf(4.0), leaf(3.0)
    c = a + b
    c.retain_grad()
    d = a * c
    d.retain_grad()
    d.backward()
    assert [t.grad.item() for t in (a, b, c, d)] == [11.0, 4.0, 4.0, 1.0]
    first = leaf(4.0)
    (first + 3.0).backward()
    assert first.grad.item() == 1.0


def test_lecture_product_of_sum():
    x, y, z = leaf(-2.0), leaf(5.0), leaf(-4.0)
    q = x + y
    q.retain_grad()
    f = q * z
    f.backward()
    assert f.item() == -12.0
    assert [t.grad.item() for t in (x, y, z, q)] == [-4.0, -4.0, 3.0, -4.0]


def test_lecture_sigmoid_neuron():
    w, x = leaf([2.0, -3.0, -3.0]), leaf([-1.0, -2.0])
    gates = [w[0] * x[0] + w[1] * x[1] + w[2]]
    gates.append(gates[-1] * -1.0)
    gates.append(gates[-1].exp())
    gates.append(gates[-1] + 1.0)
    gates.append(1.0 / gates[-1])
    for gate in gates:
        gate.retain_grad()
    gates[-1].backward()
    np.testing.assert_allclose([gate.item() for gate in gates], [1.0, -1.0, 0.368, 1.368, 0.731], atol=5e-4)
    np.testing.assert_allclose([gate.grad.item() for gate in gates], [0.197, -0.197, -0.534, -0.534, 1.0], atol=1e-3)
    np.testing.assert_allclose(w.grad.numpy(), [-0.197, -0.393, 0.197], atol=5e-4)
    np.testing.assert_allclose(x.grad.numpy(), [0.393, -0.590], atol=5e-4)
    fused_w, fused_x = leaf([2.0, -3.0, -3.0]), leaf([-1.0, -2.0])
    (fused_w[0] * fused_x[0] + fused_w[1] * fused_x[1] + fused_w[2]).sigmoid().backward()
    assert_close(fused_w.grad.numpy(), w.grad.numpy(), tolerance=1e-12)
    assert_close(fused_x.grad.numpy(), x.grad.numpy(), tolerance=1e-12)


def test_lecture_relu_chain():
    w = [leaf(value) for value in (0.1, -0.2, -0.1)]
    b = [leaf(value) for value in (0.0, 0.1, 0.2)]
    h, z, hidden = en.tensor(np.array(1.0)), [], []
    for weight, bias in zip(w, b, strict=True):
        z.append(weight * h + bias)
        z[-1].retain_grad()
        h = z[-1].relu()
        hidden.append(h.item())
    h.backward()
    np.testing.assert_allclose(hidden, [0.1, 0.08, 0.192], rtol=1e-12)
    np.testing.assert_allclose([one.grad.item() for one in z], [0.02, -0.1, 1.0], rtol=1e-12)
    np.testing.assert_allclose([one.grad.item() for one in w], [0.02, -0.01, 0.08], rtol=1e-12)
    np.testing.assert_allclose([one.grad.item() for one in b], [0.02, -0.1, 1.0], rtol=1e-12)


def test_lecture_skip_graph():
    """dv5/dz2 = dv5/dz4 s'(z2) w24 + dv5/dz3 s'(z2) w23."""
    weights = np.random.default_rng(0).normal(size=8)
    w12, w13, w23, w24, w34, w35, w45, v1 = (leaf(value) for value in weights)
    z2 = w12 * v1
    v2 = z2.sigmoid()
    z3 = w13 * v1 + w23 * v2
    v3 = z3.sigmoid()
    z4 = w24 * v2 + w34 * v3
    v4 = z4.sigmoid()
    z5 = w35 * v3 + w45 * v4
    for z in (z2, z3, z4, z5):
        z.retain_grad()
    z5.sigmoid().backward()
    slope = v2.item() * (1 - v2.item())
    by_hand = z4.grad.item() * slope * w24.item() + z3.grad.item() * slope * w23.item()
    assert z2.grad.item() == pytest.approx(by_hand, rel=1e-12)
    s5 = z5.sigmoid().item()
    s3, s4 = (v.item() * (1 - v.item()) for v in (v3, v4))
    dz5 = s5 * (1 - s5)
    dz4 = dz5 * w45.item() * s4
    dz3 = (dz5 * w35.item() + dz4 * w34.item()) * s3
    assert z4.grad.item() == pytest.approx(dz4, rel=1e-12)
    assert z3.grad.item() == pytest.approx(dz3, rel=1e-12)


def test_lecture_hidden_gradients():
    """dL/dw_kj and dL/dw_ji of a 3-4-2 sigmoid net with a squared loss, written out index by index."""
    generator = np.random.default_rng(0)
    x, t = generator.normal(size=3), generator.normal(size=2)
    hidden, out = generator.normal(size=(3, 4)), generator.normal(size=(4, 2))
    wj, wk = leaf(hidden), leaf(out)
    y = (en.tensor(x[None]) @ wj).sigmoid() @ wk
    y = y.sigmoid()
    en.SquaredError(factor=0.5)(y, t[None]).backward()

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    z = sigmoid(x @ hidden)
    o = sigmoid(z @ out)
    by_hand_k, by_hand_j = np.zeros((4, 2)), np.zeros((3, 4))
    for k in range(2):
        delta_k = (o[k] - t[k]) * o[k] * (1 - o[k])
        for j in range(4):
            by_hand_k[j, k] = delta_k * z[j]
            for i in range(3):
                by_hand_j[i, j] += delta_k * out[j, k] * z[j] * (1 - z[j]) * x[i]
    assert_close(wk.grad.numpy(), by_hand_k, tolerance=1e-12)
    assert_close(wj.grad.numpy(), by_hand_j, tolerance=1e-12)


def test_lecture_two_layer():
    """x.mm(w1).clamp(min=0).mm(w2), sum of squares, rate 1e-6, 500 steps: the trajectory of plain NumPy."""
    n, d_in, h, d_out, rate = 64, 1000, 100, 10, 1e-6
    generator = np.random.default_rng(2)  # at this rate some starts overshoot in the first steps: this one falls at once
    x, y = generator.normal(size=(n, d_in)), generator.normal(size=(n, d_out))
    w1, w2 = generator.normal(size=(d_in, h)), generator.normal(size=(h, d_out))
    tensors = [en.tensor(value) for value in (x, y)]
    weights = [en.tensor(value, requires_grad=True) for value in (w1, w2)]
    losses, plain = [], []
    for _ in range(500):
        prediction = tensors[0].mm(weights[0]).clamp(min=0).mm(weights[1])
        loss = (prediction - tensors[1]).pow(2).sum()
        losses.append(loss.item())
        loss.backward()
        with en.no_grad():
            for weight in weights:
                weight -= rate * weight.grad
                weight.zero_grad()
        hidden = x @ w1
        active = np.maximum(hidden, 0)
        difference = active @ w2 - y
        plain.append(np.square(difference).sum())
        dactive = 2 * difference @ w2.T
        dactive[hidden < 0] = 0
        w2 -= rate * active.T @ (2 * difference)
        w1 -= rate * x.T @ dactive
    assert np.all(np.diff(losses) < 0)
    np.testing.assert_allclose(losses, plain, rtol=1e-4)


def test_lecture_xor():
    """OR, NAND and AND of sigmoids with the slides' weights, composed into XOR."""
    a, b = en.tensor(np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]))
    either = (20 * a + 20 * b - 10).sigmoid()
    not_both = (-20 * a - 20 * b + 30).sigmoid()
    both = (20 * either + 20 * not_both - 30).sigmoid()
    np.testing.assert_allclose(either.numpy(), [0, 1, 1, 1], atol=1e-4)
    np.testing.assert_allclose(not_both.numpy(), [1, 1, 1, 0], atol=1e-4)
    np.testing.assert_allclose((20 * a + 20 * b - 30).sigmoid().numpy(), [0, 0, 0, 1], atol=1e-4)
    np.testing.assert_allclose(both.numpy(), [0, 1, 1, 0], atol=1e-4)


def test_lecture_weight_penalties():
    """The same score; L2 prefers the spread weights, L1 does not care."""
    x = en.tensor([1.0, 1.0, 1.0, 1.0])
    one, spread = leaf([1.0, 0.0, 0.0, 0.0]), leaf([0.25, 0.25, 0.25, 0.25])
    x = x.to(dtype="float64")
    assert (x @ one).item() == (x @ spread).item() == 1.0
    assert (one**2).sum().item() == 1.0
    assert (spread**2).sum().item() == 0.25
    assert abs(one).sum().item() == abs(spread).sum().item() == 1.0
    assert (0.5 * one**2 + abs(one)).sum().item() == 1.5
    assert (0.5 * spread**2 + abs(spread)).sum().item() == 1.125


def rows_of_the_jacobian(function, x):
    rows = []
    for position in range(function(x).size):
        x.zero_grad()
        incoming = np.zeros(function(x).shape)
        incoming.flat[position] = 1.0
        function(x).backward(incoming)
        rows.append(x.grad.numpy())
    return np.array(rows)


def test_lecture_jacobian():
    generator = np.random.default_rng(0)
    w, v = generator.normal(size=(3, 4)), generator.normal(size=(2, 3))
    x = leaf(generator.normal(size=4))
    np.testing.assert_array_equal(rows_of_the_jacobian(lambda x: en.tensor(w) @ x, x), w)  # y = W x
    row = leaf(generator.normal(size=3))
    np.testing.assert_array_equal(rows_of_the_jacobian(lambda x: x @ w, row), w.T)  # y = x W
    np.testing.assert_allclose(rows_of_the_jacobian(lambda x: en.tensor(v) @ (en.tensor(w) @ x), x), v @ w, rtol=1e-14)
    rows = leaf(generator.normal(size=(2, 3)))  # Y = X W: dY_i / dX_j is 0 for i != j
    jacobian = rows_of_the_jacobian(lambda x: x @ w, rows).reshape(2, 4, 2, 3)
    for i in range(2):
        for j in range(2):
            np.testing.assert_array_equal(jacobian[i, :, j], w.T if i == j else np.zeros((4, 3)))
    weight = leaf(w)  # t_ijk = x_k where i = j
    values = generator.normal(size=4)
    jacobian = rows_of_the_jacobian(lambda weight: weight @ values, weight)
    np.testing.assert_array_equal(jacobian, np.einsum("ij,k->ijk", np.eye(3), values))
