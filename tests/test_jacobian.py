"""Are Jacobians those of the lecture, and are differences of the function its gradients?"""

import re

import numpy as np
import pytest

import engine as en
from engine.checks import jacobian, numerical_gradient


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_a_matrix_times_a_column_has_the_matrix_as_its_jacobian():
    w = en.tensor(numbers(4, 3))
    found = jacobian(lambda x: w @ x, numbers(3))
    assert found.shape == (4, 3)
    assert np.array_equal(found.numpy(), w.numpy())  # dy_i / dx_j = w_ij


def test_a_row_times_a_matrix_has_the_transposed_matrix():
    w = en.tensor(numbers(3, 4))
    found = jacobian(lambda x: x @ w, numbers(3))
    assert np.array_equal(found.numpy(), w.numpy().T)  # rows index outputs


def test_rows_of_a_batch_depend_on_their_own_row_only():
    w = en.tensor(numbers(3, 4))
    found = jacobian(lambda x: x @ w, numbers(2, 3)).numpy()
    assert found.shape == (2, 4, 2, 3)
    for i in range(2):
        for j in range(2):
            assert np.array_equal(found[i, :, j], w.numpy().T if i == j else np.zeros((4, 3)))


def test_the_derivative_by_the_matrix_has_three_axes():
    x = numbers(3)
    found = jacobian(lambda w: w @ en.tensor(x), numbers(4, 3)).numpy()
    expected = np.zeros((4, 4, 3))  # t_ikj = dy_i / dw_kj = x_j where i = k, else 0
    for i in range(4):
        expected[i, i] = x
    assert np.array_equal(found, expected)


def test_two_matrices_have_their_product():
    v, w = en.tensor(numbers(2, 4)), en.tensor(numbers(4, 3, seed=1))
    found = jacobian(lambda x: v @ (w @ x), numbers(3))
    assert np.allclose(found.numpy(), v.numpy() @ w.numpy(), rtol=1e-15, atol=1e-15)


def test_several_inputs_give_a_jacobian_each(backend):
    x, w = en.tensor(numbers(3), device=backend), en.tensor(numbers(3, 2), device=backend)
    by_x, by_w = jacobian(lambda x, w: x @ w, [x, w])
    assert (by_x.shape, by_w.shape) == ((2, 3), (2, 3, 2))
    assert np.array_equal(by_x.numpy(), w.numpy().T)
    assert by_x.device == x.device


def test_the_function_is_called_once_and_nothing_is_touched():
    x = en.tensor(numbers(3), requires_grad=True)
    w = en.tensor(numbers(3, 3), requires_grad=True)
    calls = []

    def function(x):
        calls.append(x)
        return (x @ w).tanh()

    with en.no_grad():
        found = jacobian(function, x)
    assert len(calls) == 1
    assert calls[0] is not x
    assert x.grad is None
    assert w.grad is None
    assert np.abs(found.numpy()).min() > 0
    assert not found.requires_grad


def test_outputs_that_do_not_depend_on_the_input_have_zeros():
    assert jacobian(lambda x: en.tensor([1.0, 2.0]), numbers(3)).tolist() == [[0.0] * 3] * 2
    w = en.tensor([2.0], requires_grad=True)
    assert jacobian(lambda x: w * 2, numbers(1)).tolist() == [[0.0]]


def test_the_identity_has_the_identity():
    assert np.array_equal(jacobian(lambda x: x, numbers(2, 2)).numpy(), np.eye(4).reshape(2, 2, 2, 2))


def test_scalars_and_lists_of_numbers():
    assert jacobian(lambda x: x * x, 3.0).item() == 6.0
    assert jacobian(lambda x: x * x, [3.0, 1.0]).tolist() == [[6.0, 0.0], [0.0, 2.0]]


def test_an_input_used_twice_adds_up():
    assert jacobian(lambda x: x * x + x, np.array([3.0])).tolist() == [[7.0]]


@pytest.mark.parametrize("x", [np.array([1, 2]), en.tensor([True])])
def test_inputs_without_derivatives_are_refused(x):
    with pytest.raises(en.DtypeError, match="only floats have derivatives"):
        jacobian(lambda x: x, x)


@pytest.mark.parametrize("result", [None, (en.tensor(1.0),), 3.0])
def test_a_function_that_returns_no_tensor_is_refused(result):
    with pytest.raises(en.DtypeError, match="must return one Tensor"):
        jacobian(lambda x: result, numbers(2))


def test_a_function_that_returns_whole_numbers_is_refused():
    with pytest.raises(en.DtypeError, match="floats have derivatives"):
        jacobian(lambda x: x > 0, numbers(2))


# -- differences -----------------------------------------------------------------------------------------


def test_the_contract_line():
    x = en.tensor([[1.0, 2.0]], requires_grad=True, dtype="float64")
    w = en.tensor([[1.0, 0.0, 2.0], [0.5, 1.0, 1.0]], dtype="float64")
    found = numerical_gradient(lambda x: (x @ w).sum(), x, h=1e-4, scheme="forward")
    assert found.shape == (1, 2)
    assert np.allclose(found.numpy(), [[3.0, 2.5]], rtol=1e-9)
    assert x.grad is None


def test_the_lecture_s_losses():
    """1.25347 at w; 1.25322 and 1.25353 with h = 0.0001 added to one weight: slopes -2.5 and 0.6."""
    weights = np.array([0.34, -1.11])
    losses = {(0.34, -1.11): 1.25347, (0.3401, -1.11): 1.25322, (0.34, -1.1099): 1.25353}
    found = numerical_gradient(
        lambda w: losses[tuple(w.numpy().round(6).tolist())], weights, h=1e-4, scheme="forward"
    ).numpy()
    assert np.allclose(found, [-2.5, 0.6], atol=1e-8)


def test_central_differences_are_nearer():
    x = numbers(5)
    exact = np.cosh(x) ** -2
    errors = {
        scheme: np.abs(numerical_gradient(lambda x: x.tanh().sum(), x, h=1e-3, scheme=scheme).numpy() - exact).max()
        for scheme in ("forward", "central")
    }
    assert errors["central"] < 1e-6 < 1e-5 < errors["forward"] < 1e-3


def test_how_often_the_function_is_called():
    calls = []
    for scheme, expected in (("forward", 4), ("central", 4 + 6)):
        numerical_gradient(lambda x: calls.append(1) or x.sum(), numbers(3), scheme=scheme)
        assert len(calls) == expected


def test_the_input_is_not_changed_even_in_another_order_of_memory():
    x = np.asfortranarray(numbers(3, 2))
    x.flags.writeable = False
    assert np.allclose(numerical_gradient(lambda x: (x * x).sum(), x).numpy(), 2 * x)


def test_float32_divides_by_the_step_it_took(backend):
    x = en.tensor([0.3, 7.0], device=backend)
    found = numerical_gradient(lambda x: x.sum(), x, h=1e-2)
    assert found.dtype == "float32"
    assert found.device == x.device
    assert np.allclose(found.numpy(), 1, atol=2e-4)


def test_a_float_may_be_returned():
    assert numerical_gradient(lambda x: 3 * x.item(), np.array(2.0)).item() == pytest.approx(3)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"scheme": "centre"}, en.UnknownNameError, "did you mean central?"),
        ({"h": 0}, en.ArgumentError, "h 0 was given"),
        ({"h": -1e-3}, en.ArgumentError, "h -0.001 was given"),
        ({"h": float("nan")}, en.ArgumentError, "h nan was given"),
        ({"h": "small"}, en.ArgumentError, "h 'small' was given"),
        ({"h": 1e-30}, en.ArgumentError, "lost in the rounding"),
    ],
)
def test_bad_settings_are_refused(options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        numerical_gradient(lambda x: x.sum(), np.array([1.0]), **options)


def test_a_result_of_several_numbers_is_refused():
    with pytest.raises(en.ShapeError, match=r"returned shape \(2,\); it must return one number"):
        numerical_gradient(lambda x: x, numbers(2))
    with pytest.raises(en.DtypeError, match="returned NoneType"):
        numerical_gradient(lambda x: None, numbers(2))


def test_whole_numbers_are_refused():
    with pytest.raises(en.DtypeError, match="an input is of int64"):
        numerical_gradient(lambda x: x.sum(), np.array([1, 2]))
