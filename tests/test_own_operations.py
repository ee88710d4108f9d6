"""Can a user add an operation, and is one that is wrong named?"""

import pytest

import engine as en


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
    "too few": (
        lambda s, g, n: (g,),
        "Own.backward returned 1 gradients; return a tuple with one for each of 2 inputs",
    ),
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
    with pytest.raises(en.GradientError, match=r"Own.forward returned .*; return \(output, saved\)"):
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


def test_an_operation_cannot_change_what_it_is_handed():
    class Doubling(en.Operation):
        def forward(self, x):
            x *= 2
            return x, None

    class DoublingBack(en.Operation):
        def forward(self, x):
            return x + 0, None

        def backward(self, saved, incoming_gradient, needed):
            incoming_gradient *= 2
            return (incoming_gradient,)

    x = en.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="read-only"):
        en.apply(Doubling(), x)
    assert x.tolist() == [1.0]
    y = x * 3
    incoming = en.tensor([1.0]).array
    with pytest.raises(ValueError, match="read-only"):
        (en.apply(DoublingBack(), y) + y).backward(incoming)
    incoming += 1  # it is the caller's again
